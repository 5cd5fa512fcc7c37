// gpu/device.h on the CPU, for tests: CUDA's vocabulary for the host compiler. Blocks run one after another, their
// threads as fibres that switch at barriers and warp-wide functions (host/fibres.h).
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <functional>

#include "host/fibres.h"
#include "splat/stream.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

// Of the thread that runs: set by the scheduler whenever it resumes one.
inline dim3 threadIdx, blockIdx, blockDim, gridDim;

/// Shared memory comes from the block's arena, which is filled with NaN before each block.
#define SPLAT_SHARED(type, name)                 \
  static const char name##_tag = 0;              \
  auto& name = *static_cast<splat::SharedType<type>*>(splat::shared_memory(&name##_tag, sizeof(type), alignof(type)))

namespace splat {

template <class T>
using SharedType = T;

/// Runs a kernel to its end. Errors (threads that wait for one another for ever) are thrown.
template <class... Params, class... Args>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, Stream, const Args&... args) {
  run_grid({grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, [&] { kernel(args...); });
}

inline void read_back(void* host, const void* device, int64_t bytes, Stream) { memcpy(host, device, bytes); }
inline void fill_zero(void* device, int64_t bytes, Stream) { memset(device, 0, bytes); }

}  // namespace splat

inline void __syncthreads() { splat::block_barrier(0); }
inline int __syncthreads_count(int predicate) { return splat::block_barrier(predicate != 0); }
inline int __syncthreads_or(int predicate) { return splat::block_barrier(predicate != 0) != 0; }
inline int __syncthreads_and(int predicate) { return splat::block_barrier(predicate == 0) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu) { splat::warp_exchange(splat::WarpCall::sync, mask, 0); }

namespace splat {

/// The value that another lane of the warp handed in.
template <class T>
T shuffle(unsigned mask, T value, int source) {
  static_assert(sizeof(T) == 4, "the warp's threads exchange 32 bits");
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  const uint32_t* all = warp_exchange(WarpCall::shuffle, mask, bits);
  memcpy(&value, &all[source], sizeof(bits));
  return value;
}

inline int lane() { return static_cast<int>(linear_thread() % 32); }

}  // namespace splat

template <class T>
T __shfl_sync(unsigned mask, T value, int source) {
  return splat::shuffle(mask, value, source & 31);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta) {
  const int lane = splat::lane(), source = lane - static_cast<int>(delta);
  return splat::shuffle(mask, value, source < 0 ? lane : source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta) {
  const int lane = splat::lane(), source = lane + static_cast<int>(delta);
  return splat::shuffle(mask, value, source > 31 ? lane : source);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask) {
  return splat::shuffle(mask, value, (splat::lane() ^ lane_mask) & 31);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return splat::warp_ballot(mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0; }

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(static_cast<unsigned>(bits)) : 32; }
template <class T>
T __ldg(const T* p) {
  return *p;
}
