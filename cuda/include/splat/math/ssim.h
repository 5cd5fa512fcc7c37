// SSIM of two images at one pixel and channel, from four blurred quantities, and its gradient.
// With s = a + b and d = a - b the five moments of the textbook formula reduce to four, as
//   mu_a^2 + mu_b^2 = (mu_s^2 + mu_d^2) / 2,  2 mu_a mu_b = (mu_s^2 - mu_d^2) / 2, and likewise for the second moments.
// Source: Wang et al., "Image quality assessment", 2004, eq. 13; 11 x 11 window and zero padding as in 3DGS.
#pragma once

#include "splat/macros.h"
#include "splat/scalar.h"

namespace splat {

constexpr int kSsimRadius = 5;  // the window is (2 kSsimRadius + 1)^2 pixels, separable
constexpr float kSsimC1 = 0.01f * 0.01f, kSsimC2 = 0.03f * 0.03f;  // for colours in [0, 1]

}  // namespace splat

SPLAT_BEGIN

/// The window's weight at a distance of up to kSsimRadius: exp(-distance^2 / (2 1.5^2)), scaled so that all eleven sum
/// to one. A function, since device code knows no array of the host's.
SPLAT_HD constexpr float ssim_window(int distance) {
  const float weights[kSsimRadius + 1] = {0.266011725f,  0.213005538f,   0.10936069f,
                                          0.0360007721f, 0.00759875814f, 0.00102838008f};
  return weights[distance < 0 ? -distance : distance];
}

/// The window's means of s = a + b, of d = a - b, and of their squares.
template <class T>
struct SsimMoments {
  T sum, difference, sum_squared, difference_squared;
};

/// ssim, and its derivatives by the window's mean of a, of a^2 and of a b.
template <class T>
struct SsimGradient {
  T ssim, mean, square, product;
};

/// (2 mu_a mu_b + C1) (2 cov + C2) / ((mu_a^2 + mu_b^2 + C1) (var_a + var_b + C2)).
template <class T>
SPLAT_HD SsimGradient<T> ssim_with_gradient(const SsimMoments<T>& m) {
  const T half(0.5f), c1(kSsimC1), c2(kSsimC2);
  const T s2 = m.sum * m.sum, d2 = m.difference * m.difference;
  // Subtracting equals from equals first: sums of both variances would lose the smaller one's digits.
  const T variance_s = m.sum_squared - s2, variance_d = m.difference_squared - d2;
  const T luminance = fma(half, s2 + d2, c1), agreement = fma(half, s2 - d2, c1);
  const T variance = fma(half, variance_s + variance_d, c2), covariance = fma(half, variance_s - variance_d, c2);
  const T inverse = T(1.0f) / (luminance * variance);
  const T ratio = agreement * inverse;
  const T ssim = ratio * covariance;
  const T per_variance = ssim * (luminance * inverse);  // ssim / variance
  const T per_luminance = ssim * (variance * inverse);
  // The mean of a moves both mu_s and mu_d, each inside all four factors.
  const T both = per_variance - per_luminance, tilt = (covariance - agreement) * inverse;
  const T mean = fma(m.sum, both + tilt, m.difference * (both - tilt));
  return {ssim, mean, -per_variance, ratio + ratio};
}

SPLAT_END
