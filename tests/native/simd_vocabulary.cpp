// Every function of simd<float, W>, lane by lane against the same function of scalar.h: the same bits, whatever the
// instruction set that this is compiled for. Prints what differs and ends with 1, or prints the number of lanes.
#include <cstdio>
#include <cstring>
#include <limits>

#include "splat/exp.h"
#include "splat/simd_bfloat16.h"
#include "splat/transpose.h"

SPLAT_BEGIN  // where unqualified names mean scalar.h's functions for a lane and simd.h's for a vector
namespace {

using V = simd_float;
constexpr int W = V::width;
constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kAny[] = {0.0f,   -0.0f,     1.0f,      -1.0f, -3.5f, 1e30f,   0.3f,    -1e30f, 0.25f,
                          1e-40f, kInfinity, -kInfinity, kNaN,  1.5e-38f, -7e-20f, 2.5e-4f, -87.4f, 16777217.0f};
constexpr float kPositiveNormal[] = {1.5e-38f, 1e-20f, 0.25f, 0.7071f, 1.0f, 1.41422f, 3.0f, 16777217.0f, 3e38f};

int failures = 0;

void expect(bool is_right, const char* name, float found, float wanted) {
  if (is_right) return;
  std::printf("%s is %.9g instead of %.9g\n", name, found, wanted);
  ++failures;
}

/// The same bits, or both not a number: no IEEE operation says which NaN comes out.
void expect_same(const char* name, float found, float wanted) {
  expect(memcmp(&found, &wanted, sizeof(float)) == 0 || (found != found && wanted != wanted), name, found, wanted);
}

struct Lanes {
  float x[W], y[W], z[W];
};

/// f of vectors, and of their lanes one by one.
template <class F>
void check(const Lanes& in, const char* name, const F& f) {
  float found[W];
  f(V::load(in.x), V::load(in.y), V::load(in.z)).store(found);
  for (int i = 0; i < W; ++i) expect_same(name, found[i], f(in.x[i], in.y[i], in.z[i]));
}

void check_arithmetic(const Lanes& in) {
  check(in, "x + y", [](auto x, auto y, auto) { return x + y; });
  check(in, "x - y", [](auto x, auto y, auto) { return x - y; });
  check(in, "x * y", [](auto x, auto y, auto) { return x * y; });
  check(in, "x / y", [](auto x, auto y, auto) { return x / y; });
  check(in, "-x", [](auto x, auto, auto) { return -x; });
  check(in, "min", [](auto x, auto y, auto) { return min(x, y); });
  check(in, "max", [](auto x, auto y, auto) { return max(x, y); });
  check(in, "abs", [](auto x, auto, auto) { return abs(x); });
  check(in, "sqrt", [](auto x, auto, auto) { return sqrt(x); });
  check(in, "fma", [](auto x, auto y, auto z) { return fma(x, y, z); });
  check(in, "fnma", [](auto x, auto y, auto z) { return fnma(x, y, z); });
  check(in, "exp", [](auto x, auto, auto) { return exp(x); });
}

void check_masks(const Lanes& in) {
  check(in, "x < y", [](auto x, auto y, auto z) { return select(x < y, x, z); });
  check(in, "x <= y", [](auto x, auto y, auto z) { return select(x <= y, x, z); });
  check(in, "x > y", [](auto x, auto y, auto z) { return select(x > y, x, z); });
  check(in, "x >= y", [](auto x, auto y, auto z) { return select(x >= y, x, z); });
  check(in, "x == y", [](auto x, auto y, auto z) { return select(x == y, x, z); });
  check(in, "and", [](auto x, auto y, auto z) { return select((x < y) & (y < z), x, z); });
  check(in, "or", [](auto x, auto y, auto z) { return select((x < y) | (y < z), x, z); });
  check(in, "not", [](auto x, auto y, auto z) { return select(!(x < y), x, z); });
  check(in, "keep", [](auto x, auto y, auto z) { return keep(x < y, z); });
  check(in, "negative_where", [](auto x, auto y, auto z) { return negative_where(x < y, z); });

  uint32_t bits = 0;
  for (int i = 0; i < W; ++i) bits |= (in.x[i] < in.y[i] ? 1u : 0u) << i;
  const auto mask = V::load(in.x) < V::load(in.y);
  expect(mask.bits() == bits, "bits", mask.bits(), bits);
  expect(any(mask) == (bits != 0), "any", any(mask), bits != 0);
  expect(all(mask) == (bits == (1u << W) - 1), "all", all(mask), bits == (1u << W) - 1);
}

void check_exponents(const Lanes& in) {
  check(in, "exponent", [](auto x, auto, auto) { return exponent(x); });
  check(in, "mantissa", [](auto x, auto, auto) { return mantissa(x); });
  check(in, "log", [](auto x, auto, auto) { return log(x); });
  check(in, "exp_of_minus", [](auto x, auto y, auto) { return exp_of_minus(min(x, y / y)); });
  check(in, "add_to_exponent", [](auto x, auto, auto) {
    using T = decltype(x);
    return add_to_exponent(mantissa(x), T(kRoundingMagic) - exponent(x) * T(0.5f));
  });
}

void check_lanes(const Lanes& in) {
  int32_t indices[W];
  float sums[W], found[W];
  for (int i = 0; i < W; ++i) indices[i] = (5 * i + 2) % W;
  V::gather(in.x, indices).store(found);
  for (int i = 0; i < W; ++i) expect_same("gather", found[i], in.x[indices[i]]);
  lane_numbers<V>().store(found);
  for (int i = 0; i < W; ++i) expect_same("lane_numbers", found[i], static_cast<float>(i));
  memcpy(sums, in.x, sizeof(sums));
  for (int half = W / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  expect_same("sum", sum(V::load(in.x)), sums[0]);
}

void check_bfloat16(const Lanes& in) {
  constexpr uint32_t kRandom = 0x87654321u;
  bfloat16 halves[W];
  float found[W];
  store(V::load(in.x), halves, kRandom);
  for (int i = 0; i < W; ++i) {
    expect_same("store to bfloat16", widen(halves[i]), widen(round_at_random(in.x[i], kRandom + i * kRandomStride)));
  }
  load<V>(halves).store(found);
  for (int i = 0; i < W; ++i) expect_same("load of bfloat16", found[i], widen(halves[i]));
}

void check_transpose() {
  V rows[W];
  float found[W];
  for (int i = 0; i < W; ++i) rows[i] = lane_numbers<V>() + V(100.0f * i);
  transpose(rows);
  for (int i = 0; i < W; ++i) {
    rows[i].store(found);
    for (int j = 0; j < W; ++j) expect_same("transpose", found[j], 100.0f * j + i);
  }
}

/// Calls f with many mixtures of values in the lanes of x, y and z.
template <int N, class F>
void for_mixtures(const float (&values)[N], const F& f) {
  Lanes in;
  for (int start = 0; start < N * N * N; ++start) {
    for (int i = 0; i < W; ++i) {
      in.x[i] = values[(start + i) % N];
      in.y[i] = values[(start / N + 2 * i) % N];
      in.z[i] = values[(start / N / N + 3 * i) % N];
    }
    f(in);
  }
}

bool all_agree() {
  for_mixtures(kAny, check_arithmetic);
  for_mixtures(kAny, check_masks);
  for_mixtures(kAny, check_lanes);
  for_mixtures(kAny, check_bfloat16);
  for_mixtures(kPositiveNormal, check_exponents);
  check_transpose();
  return failures == 0;
}

}  // namespace
SPLAT_END

int main() {
  if (!splat::all_agree()) return 1;
  std::printf("%d\n", splat::simd_float::width);
}
