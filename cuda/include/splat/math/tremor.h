// Noise on a Gaussian's centre, of its own shape, and the stronger the less it shows.
// Source: Kheradmand et al., "3D Gaussian splatting as Markov chain Monte Carlo", 2024, eq. 9.
#pragma once

#include "splat/exp.h"
#include "splat/math/normal.h"
#include "splat/math/quat.h"
#include "splat/random.h"

namespace splat {

/// What is the same for all Gaussians of a step. The noise is strength sigmoid(steepness (least_opacity - opacity)).
struct Tremor {
  float strength, least_opacity, steepness;
  float still_logit;  // from which on a Gaussian stays where it is
};

/// Where the sigmoid falls below e^-32 = 1e-14, a Gaussian stays. Noise of full strength may be a hundred times as
/// large as the scene, of which a float's last place is 6e-8.
constexpr float kStill = 32.0f;

}  // namespace splat

SPLAT_BEGIN

/// One of the four uniform numbers, k, that a Gaussian's noise is made of.
SPLAT_HD float tremor_uniform(uint32_t seed, int64_t gaussian, int k) {
  return unit_interval(row_random(seed, 4 * static_cast<uint32_t>(gaussian) + k));
}

/// Sigma n times the strength, with the covariance Sigma = R diag(s^2) R^T and standard normal n.
template <class T>
SPLAT_HD Vec3<T> tremor(Quat<T> quat, Vec3<T> log_scale, T logit, Vec3<T> normal, const Tremor& all) {
  const T one(1.0f), two(2.0f);
  // A quaternion of length zero turns nothing.
  const Mat3<T> R = rotation(scaled(one / sqrt(max(dot(quat, quat), T(1e-24f))), quat));
  const Vec3<T> variance = {exp(two * log_scale.x), exp(two * log_scale.y), exp(two * log_scale.z)};
  const T opacity = one / (one + exp(-logit));
  const T strength = T(all.strength) / (one + exp(T(all.steepness) * (opacity - T(all.least_opacity))));
  return strength * multiply(R, variance * row_times(normal, R));
}

SPLAT_END
