// Counts floating-point operations by running the library's own formulas (cuda/include/splat/math) on a number that
// counts what is done to it. Prints one JSON object: of each formula, for scripts/bench_work.py.
//
// Additions, products, quotients, roots, minima and maxima are one each, fused multiply-adds two; comparisons,
// selections and what moves bits are none. SH is of degree 3, the camera a pinhole, colours have three channels.
#include <cstdint>
#include <cstdio>

#include "splat/macros.h"

SPLAT_BEGIN

int64_t operations = 0;

struct Counted {
  float value;
  Counted() : value(0.0f) {}
  explicit Counted(float v) : value(v) {}
};

inline Counted counted(float value, int64_t count = 1) {
  operations += count;
  return Counted(value);
}
inline Counted operator+(Counted a, Counted b) { return counted(a.value + b.value); }
inline Counted operator-(Counted a, Counted b) { return counted(a.value - b.value); }
inline Counted operator*(Counted a, Counted b) { return counted(a.value * b.value); }
inline Counted operator/(Counted a, Counted b) { return counted(a.value / b.value); }
inline Counted operator-(Counted a) { return Counted(-a.value); }
inline bool operator<(Counted a, Counted b) { return a.value < b.value; }
inline bool operator>(Counted a, Counted b) { return a.value > b.value; }
inline bool operator<=(Counted a, Counted b) { return a.value <= b.value; }
inline bool operator>=(Counted a, Counted b) { return a.value >= b.value; }
inline bool operator==(Counted a, Counted b) { return a.value == b.value; }
inline Counted select(bool mask, Counted a, Counted b) { return mask ? a : b; }
inline Counted min(Counted a, Counted b) { return counted(a < b ? a.value : b.value); }
inline Counted max(Counted a, Counted b) { return counted(a > b ? a.value : b.value); }
inline Counted abs(Counted a) { return Counted(a.value < 0.0f ? -a.value : a.value); }
inline Counted fma(Counted a, Counted b, Counted c) { return counted(a.value * b.value + c.value, 2); }
inline Counted fnma(Counted a, Counted b, Counted c) { return counted(c.value - a.value * b.value, 2); }
inline Counted keep(bool mask, Counted a) { return mask ? a : Counted(0.0f); }
inline Counted negative_where(bool mask, Counted a) { return mask ? -abs(a) : a; }
Counted sqrt(Counted a);
Counted add_to_exponent(Counted p, Counted shifted);
Counted exponent(Counted a);
Counted mantissa(Counted a);

SPLAT_END

#include "splat/math/adam.h"
#include "splat/math/alpha.h"
#include "splat/math/projection.h"
#include "splat/math/sh.h"
#include "splat/math/ssim.h"

SPLAT_BEGIN

Counted sqrt(Counted a) { return counted(sqrt(a.value)); }
Counted add_to_exponent(Counted p, Counted shifted) { return Counted(add_to_exponent(p.value, shifted.value)); }
Counted exponent(Counted a) { return Counted(exponent(a.value)); }
Counted mantissa(Counted a) { return Counted(mantissa(a.value)); }

SPLAT_END

namespace {

using splat::Counted;
using N = Counted;

constexpr int kDegree = 3, kCoefficients = 16, kChannels = 3, kTaps = 2 * splat::kSsimRadius + 1;

N number(float value) { return N(value); }
splat::Vec3<N> vec3(float x, float y, float z) { return {N(x), N(y), N(z)}; }

struct Projection {
  splat::Camera camera;
  splat::Gaussian<N> gaussian{vec3(0.1f, 0.2f, 3.0f), {N(1.0f), N(0.1f), N(0.2f), N(0.3f)}, vec3(-3, -3, -4), N(1.0f), N(0.0f)};

  Projection() {
    const float viewmat[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, K[9] = {500, 0, 320, 0, 500, 240, 0, 0, 1};
    camera = splat::make_camera(viewmat, K, nullptr, 640, 480);
  }

  splat::Splat<N> splat() const { return splat::splat_of<splat::CameraModel::pinhole>(camera, gaussian, false); }

  splat::Vec3<N> basis(N* Y, N& inverse_length) const {
    const splat::Vec3<N> offset = gaussian.mean + splat::broadcast<N>(camera.minus_centre);
    const splat::Vec3<N> direction = splat::sh_direction(offset, inverse_length);
    splat::sh_basis(direction, kDegree, Y);
    return direction;
  }

  void forward() const {
    projected<splat::CameraModel::pinhole>(splat(), 0.3f, false, 640, 480);
    N Y[splat::kMaxShCoefficients], inverse_length;
    basis(Y, inverse_length);
    splat::operations += 2 * kChannels * kCoefficients + kChannels;  // a sum of products, and a maximum
  }

  void backward() const {
    const splat::ProjectedCotangent<N> v{{N(1.0f), N(1.0f)}, N(0.0f), vec3(1, 1, 1), N(1.0f)};
    splat_vjp<splat::CameraModel::pinhole>(camera, splat(), v, false, 0.3f, false);
    N Y[splat::kMaxShCoefficients], v_Y[splat::kMaxShCoefficients], inverse_length;
    const splat::Vec3<N> direction = basis(Y, inverse_length);
    for (int k = 0; k < kCoefficients; ++k) {
      v_Y[k] = dot(vec3(1, 1, 1), vec3(1, 1, 1));
      splat::operations += kChannels;  // the coefficient's own gradient
    }
    sh_direction_vjp(gaussian.mean, direction, inverse_length, sh_basis_vjp(direction, kDegree, v_Y));
  }
};

const splat::Splat2d<N> kSplat{N(8.0f), N(8.0f), N(0.01f), N(0.001f), N(0.01f), N(0.5f), N(4.0f)};

void composite() {
  const auto step = blend(coverage(kSplat, number(7.5f), number(8.5f)), number(0.9f));
  for (int d = 0; d < kChannels; ++d) fma(step.weight, number(0.5f), number(0.1f));
}

void composite_vjp() {
  const auto cover = coverage(kSplat, number(7.5f), number(8.5f));
  const auto step = blend(cover, number(0.9f));
  N along(0.0f);
  for (int d = 0; d < kChannels; ++d) {
    along = fma(number(0.5f), number(0.5f), along);
    fma(step.weight, number(0.5f), number(0.1f));  // the colour's gradient
  }
  const N share = step.weight * along, rest = number(1.0f) - share;
  splat::SigmaMoments<N> moments;
  accumulate(moments, sigma_vjp(cover, step, share, rest), cover.dx, cover.dy);
}

/// Of a pixel: seven blurred planes a channel, each in two passes, four forward and three backward.
void loss() {
  constexpr int kPlanes = 4 + 3;
  for (int d = 0; d < kChannels; ++d) {
    ssim_with_gradient(splat::SsimMoments<N>{N(1.0f), N(0.1f), N(1.1f), N(0.1f)});
    splat::operations += kPlanes * 2 * (2 * kTaps - 1);
    splat::operations += 2 + 2 + 4 + 2;  // sum, difference and squares; the blurred terms' share; |a - b| and both losses
  }
}

void adam_step() {
  N param(1.0f), exp_avg(0.1f), exp_avg_sq(0.1f);
  adam(param, number(0.5f), exp_avg, exp_avg_sq, number(0.1f), splat::AdamStep{0.9f, 0.999f, 0.1f, 0.001f, 1.0f, 1e-15f});
}

template <class F>
int64_t count(const F& run) {
  splat::operations = 0;
  run();
  return splat::operations;
}

}  // namespace

int main() {
  const Projection projection;
  const auto print = [](const char* name, int64_t operations, const char* end) {
    std::printf("\"%s\": %lld%s", name, static_cast<long long>(operations), end);
  };
  std::printf("{");
  print("project", count([&] { projection.forward(); }), ", ");
  print("project backward", count([&] { projection.backward(); }), ", ");
  print("blend", count(composite), ", ");
  print("blend backward", count(composite_vjp), ", ");
  print("loss", count(loss), ", ");
  print("adam", count(adam_step), "}\n");
}
