// What the kernels and launchers in gpu/ use of CUDA beyond the language. Each of these has a second definition in
// host/device.h, by which the same .cu files are compiled for the CPU and run there in tests. To stay runnable on both:
//   - a kernel is started by launch(), and shared memory declared by SPLAT_SHARED;
//   - blocks are a whole number of warps, and warp-wide functions are called by all of a warp's threads (kWholeWarp);
//   - sorting and scanning stand behind primitives.h; no cooperative groups, no dynamic shared memory.
#pragma once

#include <stdint.h>

#include "splat/macros.h"
#include "splat/stream.h"

#ifdef SPLAT_CUDA_ON_HOST
#include "host/device.h"
#else
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

/// A variable that all threads of a block share; uninitialised.
#define SPLAT_SHARED(type, name) __shared__ type name

namespace splat {

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

/// Starts a kernel; nothing happens for an empty grid.
template <class... Params, class... Args>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, Stream stream, const Args&... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  kernel<<<grid, block, 0, stream>>>(args...);
  check(cudaGetLastError(), "a CUDA kernel could not be started");
}

/// Copies to host memory and waits for everything that the stream was given before.
inline void read_back(void* host, const void* device, int64_t bytes, Stream stream) {
  check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream), "reading from the GPU");
  check(cudaStreamSynchronize(stream), "a CUDA kernel failed");
}

inline void fill_zero(void* device, int64_t bytes, Stream stream) {
  check(cudaMemsetAsync(device, 0, bytes, stream), "clearing GPU memory");
}

}  // namespace splat
#endif

namespace splat {

constexpr int kWarp = 32;
constexpr unsigned kWholeWarp = 0xffffffffu;

/// Blocks of `size` that `count` elements fill; what a kernel's grid is made of.
inline unsigned blocks_for(int64_t count, int64_t size) { return static_cast<unsigned>((count + size - 1) / size); }

}  // namespace splat
