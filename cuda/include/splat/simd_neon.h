// The float vector of 64-bit ARM as intrinsics: 4 lanes of NEON, which every such CPU has.
// Included by simd.h only.
#pragma once

#if defined(__aarch64__)
#include <arm_neon.h>

SPLAT_BEGIN

template <>
struct simd_mask<float, 4> {
  uint32x4_t v;
  friend simd_mask operator&(simd_mask a, simd_mask b) { return {vandq_u32(a.v, b.v)}; }
  friend simd_mask operator|(simd_mask a, simd_mask b) { return {vorrq_u32(a.v, b.v)}; }
  friend simd_mask operator!(simd_mask a) { return {vmvnq_u32(a.v)}; }
  uint32_t bits() const {
    static const uint32_t of_lane[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(v, vld1q_u32(of_lane)));
  }
  friend bool any(simd_mask m) { return vmaxvq_u32(m.v) != 0; }
  friend bool all(simd_mask m) { return vminvq_u32(m.v) != 0; }
};

template <>
struct simd<float, 4> {
  static constexpr int width = 4;
  using mask = simd_mask<float, 4>;
  float32x4_t v;

  simd() = default;
  simd(float32x4_t value) : v(value) {}
  simd(float value) : v(vdupq_n_f32(value)) {}
  static simd load(const float* p) { return vld1q_f32(p); }
  void store(float* p) const { vst1q_f32(p, v); }
  static simd gather(const float* base, const int32_t* i) {
    float32x4_t lanes = vdupq_n_f32(base[i[0]]);
    lanes = vld1q_lane_f32(base + i[1], lanes, 1);
    lanes = vld1q_lane_f32(base + i[2], lanes, 2);
    return vld1q_lane_f32(base + i[3], lanes, 3);
  }

  friend simd operator+(simd a, simd b) { return vaddq_f32(a.v, b.v); }
  friend simd operator-(simd a, simd b) { return vsubq_f32(a.v, b.v); }
  friend simd operator*(simd a, simd b) { return vmulq_f32(a.v, b.v); }
  friend simd operator/(simd a, simd b) { return vdivq_f32(a.v, b.v); }
  friend simd operator-(simd a) { return vnegq_f32(a.v); }
  friend mask operator<(simd a, simd b) { return {vcltq_f32(a.v, b.v)}; }
  friend mask operator<=(simd a, simd b) { return {vcleq_f32(a.v, b.v)}; }
  friend mask operator>(simd a, simd b) { return {vcgtq_f32(a.v, b.v)}; }
  friend mask operator>=(simd a, simd b) { return {vcgeq_f32(a.v, b.v)}; }
  friend mask operator==(simd a, simd b) { return {vceqq_f32(a.v, b.v)}; }
  friend simd select(mask m, simd a, simd b) { return vbslq_f32(m.v, a.v, b.v); }
  // Not ARM's own minimum and maximum, which give NaN where either number is; ours give the second (scalar.h).
  friend simd min(simd a, simd b) { return select(a < b, a, b); }
  friend simd max(simd a, simd b) { return select(a > b, a, b); }
  friend simd abs(simd a) { return vabsq_f32(a.v); }
  friend simd sqrt(simd a) { return vsqrtq_f32(a.v); }
  friend simd fma(simd a, simd b, simd c) { return vfmaq_f32(c.v, a.v, b.v); }
  friend simd fnma(simd a, simd b, simd c) { return vfmsq_f32(c.v, a.v, b.v); }
  friend simd add_to_exponent(simd p, simd shifted) {
    return vreinterpretq_f32_u32(
        vaddq_u32(vreinterpretq_u32_f32(p.v), vshlq_n_u32(vreinterpretq_u32_f32(shifted.v), 23)));
  }
  friend simd exponent(simd x) {
    return vsubq_f32(vcvtq_f32_u32(vshrq_n_u32(vreinterpretq_u32_f32(x.v), 23)), vdupq_n_f32(127.0f));
  }
  friend simd mantissa(simd x) {
    return vbslq_f32(vdupq_n_u32(0x007fffff), x.v, vdupq_n_f32(1.0f));
  }
  friend simd keep(mask m, simd x) { return vreinterpretq_f32_u32(vandq_u32(m.v, vreinterpretq_u32_f32(x.v))); }
  friend simd negative_where(mask m, simd x) {
    return vbslq_f32(vandq_u32(m.v, vdupq_n_u32(0x80000000u)), vdupq_n_f32(-0.0f), x.v);
  }
  /// In the order of simd.h's tree, which vaddvq_f32 does not take.
  friend float sum(simd a) {
    const float32x2_t pairs = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
    return vget_lane_f32(pairs, 0) + vget_lane_f32(pairs, 1);
  }
};

SPLAT_END
#endif  // 64-bit ARM
