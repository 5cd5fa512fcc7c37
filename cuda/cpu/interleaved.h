// K vectors that go through one formula side by side. The steps of a formula wait for one another, and a core doesn't
// look far enough ahead to fill the gaps with the next vector's; so each step is written down K times in a row.
#pragma once

#include "splat/simd.h"

SPLAT_BEGIN

template <class V, int K>
struct interleaved_mask {
  typename V::mask of[K];

  friend interleaved_mask operator&(interleaved_mask a, interleaved_mask b) {
    for (int k = 0; k < K; ++k) a.of[k] = a.of[k] & b.of[k];
    return a;
  }
};

/// The part of simd's vocabulary that compositing is written in (math/alpha.h).
template <class V, int K>
struct interleaved {
  using mask = interleaved_mask<V, K>;
  V of[K];

  interleaved() = default;
  interleaved(V all) {
    for (int k = 0; k < K; ++k) of[k] = all;
  }
  interleaved(float all) : interleaved(V(all)) {}
  /// The vectors f(0), f(1), ...
  template <class F>
  static interleaved from(const F& f) {
    interleaved result;
    for (int k = 0; k < K; ++k) result.of[k] = f(k);
    return result;
  }

  using I = interleaved;
  friend I operator-(I a) {
    return from([&](int k) { return -a.of[k]; });
  }
  friend I operator-(I a, I b) {
    return from([&](int k) { return a.of[k] - b.of[k]; });
  }
  friend I operator*(I a, I b) {
    return from([&](int k) { return a.of[k] * b.of[k]; });
  }
  friend I operator/(I a, I b) {
    return from([&](int k) { return a.of[k] / b.of[k]; });
  }
  friend I min(I a, I b) {
    return from([&](int k) { return min(a.of[k], b.of[k]); });
  }
  friend I fma(I a, I b, I c) {
    return from([&](int k) { return fma(a.of[k], b.of[k], c.of[k]); });
  }
  friend I fnma(I a, I b, I c) {
    return from([&](int k) { return fnma(a.of[k], b.of[k], c.of[k]); });
  }
  friend I add_to_exponent(I a, I b) {
    return from([&](int k) { return add_to_exponent(a.of[k], b.of[k]); });
  }
  friend I select(mask m, I a, I b) {
    return from([&](int k) { return select(m.of[k], a.of[k], b.of[k]); });
  }
  friend I keep(mask m, I a) {
    return from([&](int k) { return keep(m.of[k], a.of[k]); });
  }
  friend I negative_where(mask m, I a) {
    return from([&](int k) { return negative_where(m.of[k], a.of[k]); });
  }
  friend mask operator<(I a, I b) {
    mask m;
    for (int k = 0; k < K; ++k) m.of[k] = a.of[k] < b.of[k];
    return m;
  }
  friend mask operator>(I a, I b) { return b < a; }
  friend mask operator<=(I a, I b) {
    mask m;
    for (int k = 0; k < K; ++k) m.of[k] = a.of[k] <= b.of[k];
    return m;
  }
  friend mask operator>=(I a, I b) { return b <= a; }
};

SPLAT_END
