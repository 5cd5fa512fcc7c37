// Records of a few floats, one a thread, between global memory and a warp. Threads that read or write a long record
// each touch as many lines of memory as they are; through shared memory the warp moves whole lines.
#pragma once

#include "gpu/device.h"
#include "splat/bfloat16.h"

SPLAT_BEGIN
namespace {

/// N floats, or N bfloat16, that move in one access if N is a power of two.
template <int N, class Number = float>
struct alignas((N & (N - 1)) == 0 ? N * sizeof(Number) : sizeof(Number)) Packed {
  Number at[N];
};
template <int N>
using Floats = Packed<N, float>;

template <int N, class Number>
__device__ __forceinline__ Floats<N> as_floats(const Packed<N, Number>& numbers) {
  Floats<N> result;
  for (int i = 0; i < N; ++i) result.at[i] = widen(numbers.at[i]);
  return result;
}

template <int N, class Number>
__device__ __forceinline__ bool is_aligned(const Number* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % alignof(Packed<N, Number>) == 0;
}

/// N numbers as floats, in one access where they are aligned: a tensor may be a view that starts anywhere.
template <int N, class Number>
__device__ __forceinline__ Floats<N> load(const Number* from) {
  if (is_aligned<N>(from)) return as_floats(*reinterpret_cast<const Packed<N, Number>*>(from));
  Floats<N> result;
  for (int i = 0; i < N; ++i) result.at[i] = widen(from[i]);
  return result;
}

template <int N, class Number>
__device__ __forceinline__ void store(Number* to, const Packed<N, Number>& numbers) {
  if (is_aligned<N>(to)) {
    *reinterpret_cast<Packed<N, Number>*>(to) = numbers;
  } else {
    for (int i = 0; i < N; ++i) to[i] = numbers.at[i];
  }
}

/// As above; to bfloat16, number i is rounded by the random number `random` + i strides.
template <int N>
__device__ __forceinline__ void store(float* to, const Floats<N>& numbers, uint32_t) {
  store<N>(to, numbers);
}
template <int N>
__device__ __forceinline__ void store(bfloat16* to, const Floats<N>& numbers, uint32_t random) {
  Packed<N, bfloat16> rounded;
  for (int i = 0; i < N; ++i) rounded.at[i] = round_at_random(numbers.at[i], random + i * kRandomStride);
  store<N>(to, rounded);
}

/// The records of one warp in shared memory. The pitch is an odd number of quads, so that threads which take a quad of
/// their own records don't meet in a bank.
template <int WIDTH>
struct WarpRecords {
  static constexpr int kQuads = (WIDTH + 3) / 4;
  static constexpr int kUnit = WIDTH % 4 == 0 ? 4 : 1;  // floats that move between shared and global memory at once
  static constexpr int kUnits = WIDTH / kUnit;
  using Unit = Floats<kUnit>;

  Floats<4> quads[kWarp][kQuads | 1];

  __device__ __forceinline__ Unit& unit(int row, int i) { return reinterpret_cast<Unit*>(quads[row])[i]; }
  __device__ __forceinline__ float& number(int row, int i) { return quads[row][i / 4].at[i % 4]; }

  /// The calling thread's own record.
  __device__ __forceinline__ void get(float (&record)[WIDTH]) const {
    for (int q = 0; q < kQuads; ++q) {
      const Floats<4> quad = quads[threadIdx.x % kWarp][q];
      for (int i = 0; i < 4; ++i) {
        if (4 * q + i < WIDTH) record[4 * q + i] = quad.at[i];
      }
    }
  }
  __device__ __forceinline__ void set(const float (&record)[WIDTH]) {
    for (int q = 0; q < kQuads; ++q) {
      Floats<4> quad;
      for (int i = 0; i < 4; ++i) quad.at[i] = 4 * q + i < WIDTH ? record[4 * q + i] : 0.0f;
      quads[threadIdx.x % kWarp][q] = quad;
    }
  }

  /// Reads the records of the rows whose bits are set; one starts `stride` floats behind the other.
  template <class Number>
  __device__ __forceinline__ void load(const Number* from, int64_t stride, unsigned rows) {
    const int lane = threadIdx.x % kWarp;
    __syncwarp();
    if (stride == WIDTH && is_aligned<kUnit>(from)) {
      for (int round = 0; round < kUnits; ++round) {
        const int i = round * kWarp + lane, row = i / kUnits;
        if (rows >> row & 1) unit(row, i % kUnits) = as_floats(reinterpret_cast<const Packed<kUnit, Number>*>(from)[i]);
      }
    } else {
      for (int row = 0; row < kWarp; ++row) {
        if (!(rows >> row & 1)) continue;
        for (int i = lane; i < WIDTH; i += kWarp) number(row, i) = widen(from[row * stride + i]);
      }
    }
    __syncwarp();
  }

  /// Writes the first `count` records; where the stride is longer than a record, the rest becomes 0.
  __device__ __forceinline__ void store(float* to, int64_t stride, int count) {
    const int lane = threadIdx.x % kWarp;
    __syncwarp();
    if (stride == WIDTH && is_aligned<kUnit>(to)) {
      for (int round = 0; round < kUnits; ++round) {
        const int i = round * kWarp + lane, row = i / kUnits;
        if (row < count) reinterpret_cast<Unit*>(to)[i] = unit(row, i % kUnits);
      }
    } else {
      for (int row = 0; row < count; ++row) {
        for (int i = lane; i < stride; i += kWarp) to[row * stride + i] = i < WIDTH ? number(row, i) : 0.0f;
      }
    }
    __syncwarp();
  }
};

}  // namespace
SPLAT_END
