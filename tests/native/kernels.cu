// Small kernels, many of them with a mistake, by which test_cuda_on_host.py shows what the runner on the host catches.
#include "gpu/device.h"

#include <stdexcept>
#include <string>

namespace {

using splat::kWarp;
using splat::kWholeWarp;

constexpr int kThreads = 128;

struct Values {
  float at[kThreads];
};

int linear_id() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

template <bool BARRIER>
__global__ void block_sum(const float* in, float* out) {
  SPLAT_SHARED(Values, values);
  values.at[threadIdx.x] = in[linear_id()];
  if (BARRIER) __syncthreads();
  if (threadIdx.x != 0) return;
  float sum = 0;
  for (int i = 0; i < kThreads; ++i) sum += values.at[i];
  out[blockIdx.x] = sum;
}

// Thread 0 comes first in ascending order, so only the descending one shows that the others have to wait for it.
template <bool BARRIER>
__global__ void broadcast(const float* in, float* out) {
  SPLAT_SHARED(float, value);
  if (threadIdx.x == 0) value = in[blockIdx.x * blockDim.x];
  if (BARRIER) __syncthreads();
  out[linear_id()] = value;
}

// A second barrier keeps who is ahead from overwriting what others have yet to read.
template <bool BARRIER>
__global__ void rotate_twice(const float* in, float* out) {
  SPLAT_SHARED(Values, values);
  float value = in[linear_id()];
  for (int round = 0; round < 2; ++round) {
    values.at[threadIdx.x] = value;
    __syncthreads();
    value = values.at[(threadIdx.x + 1) % kThreads];
    if (BARRIER) __syncthreads();
  }
  out[linear_id()] = value;
}

__global__ void shared_memory_as_found(const float*, float* out) {
  SPLAT_SHARED(Values, values);
  out[linear_id()] = values.at[threadIdx.x];
  values.at[threadIdx.x] = 1;
}

// Six exchanges, one after another in `out`.
__global__ void shuffles(const float* in, float* out) {
  const int lane = threadIdx.x % kWarp;
  const float value = in[linear_id()];
  const float results[6] = {__shfl_sync(kWholeWarp, value, 3),       __shfl_sync(kWholeWarp, value, lane + 1),
                            __shfl_up_sync(kWholeWarp, value, 2),    __shfl_down_sync(kWholeWarp, value, 5),
                            __shfl_xor_sync(kWholeWarp, value, 16),  __shfl_xor_sync(kWholeWarp, value, 1)};
  for (int i = 0; i < 6; ++i) out[i * kThreads + threadIdx.x] = results[i];
}

// Votes of the warp's even lanes, then of the block's first 40 threads.
__global__ void votes(const float*, float* out) {
  const bool even = threadIdx.x % 2 == 0;
  const unsigned ballot = __ballot_sync(kWholeWarp, even);
  const int any = __any_sync(kWholeWarp, even), all = __all_sync(kWholeWarp, even);
  const int none = __any_sync(kWholeWarp, 0), everybody = __all_sync(kWholeWarp, 1);
  const bool early = threadIdx.x < 40;
  const int count = __syncthreads_count(early), either = __syncthreads_or(early), both = __syncthreads_and(early);
  const float results[8] = {static_cast<float>(ballot & 0xffffu), static_cast<float>(any),
                            static_cast<float>(all),              static_cast<float>(none),
                            static_cast<float>(everybody),        static_cast<float>(count),
                            static_cast<float>(either),           static_cast<float>(both)};
  for (int i = 0; i < 8; ++i) out[i * kThreads + threadIdx.x] = results[i];
}

// From lane 20 on they end first: they vote no more, are not waited for, and what they would hand in is undefined.
__global__ void some_have_ended(const float* in, float* out) {
  const int lane = threadIdx.x % kWarp;
  if (lane >= 20) return;
  out[threadIdx.x] = static_cast<float>(__ballot_sync(kWholeWarp, 1));
  out[kThreads + threadIdx.x] = __shfl_down_sync(kWholeWarp, in[threadIdx.x], 10);
  out[2 * kThreads + threadIdx.x] = static_cast<float>(__syncthreads_count(1));
}

__global__ void waits_for_ever(const float*, float*) {
  if (threadIdx.x == 0) {
    __syncthreads();
  } else {
    __syncwarp();
    __syncthreads();
  }
}

__global__ void different_warp_calls(const float*, float* out) {
  const unsigned all = kWholeWarp;
  out[threadIdx.x] = threadIdx.x < 16 ? __shfl_sync(all, 1.0f, 0) : static_cast<float>(__ballot_sync(all, 1));
}

__global__ void part_of_a_warp(const float*, float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = static_cast<float>(__ballot_sync(0xffffu, 1));
}

struct Large {
  float at[12 * 1024 + 1];
};

__global__ void too_much_shared_memory(const float*, float* out) {
  SPLAT_SHARED(Large, values);
  out[threadIdx.x] = values.at[threadIdx.x];
}

__global__ void too_deep(const float* in, float* out) {
  volatile float numbers[17 * 1024];
  for (int i = 0; i < 17 * 1024; ++i) numbers[i] = in[0];
  out[0] = numbers[static_cast<int>(in[1])];
}

__global__ void throws(const float*, float*) { throw std::runtime_error("thrown by a kernel"); }

__global__ void nothing(const float*, float*) {}

struct Named {
  const char* name;
  void (*kernel)(const float*, float*);
};

constexpr Named kKernels[] = {
    {"block_sum", block_sum<true>},
    {"block_sum without its barrier", block_sum<false>},
    {"broadcast", broadcast<true>},
    {"broadcast without its barrier", broadcast<false>},
    {"rotate_twice", rotate_twice<true>},
    {"rotate_twice without its barrier", rotate_twice<false>},
    {"shared_memory_as_found", shared_memory_as_found},
    {"shuffles", shuffles},
    {"votes", votes},
    {"some_have_ended", some_have_ended},
    {"waits_for_ever", waits_for_ever},
    {"different_warp_calls", different_warp_calls},
    {"part_of_a_warp", part_of_a_warp},
    {"too_much_shared_memory", too_much_shared_memory},
    {"too_deep", too_deep},
    {"throws", throws},
    {"nothing", nothing},
};

}  // namespace

/// Runs a kernel of the table; returns what is wrong with it, "" if nothing.
extern "C" __attribute__((visibility("default"))) const char* run(const char* name, bool descending, unsigned blocks_x,
                                                                  unsigned blocks_y, unsigned threads, const float* in,
                                                                  float* out) {
  static std::string problem;
  problem = "no such kernel";
  splat::run_in_descending_order(descending);
  for (const Named& each : kKernels) {
    if (problem.empty() || name != std::string(each.name)) continue;
    problem.clear();
    try {
      splat::launch(each.kernel, dim3(blocks_x, blocks_y), threads, nullptr, in, out);
    } catch (const std::exception& error) {
      problem = error.what();
    }
  }
  return problem.c_str();
}
