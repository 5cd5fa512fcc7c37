// Runs the threads of a block on one CPU thread: each is a fibre with a stack of its own, and runs until it ends or has
// to wait for others. What a GPU leaves undefined is made visible: shared memory starts as NaN, threads run in
// ascending or in descending order, and waiting for one another for ever is an error. What it can't show is a
// __syncwarp that is missing before another warp-wide function: here each of these is a barrier, on a GPU only
// __syncwarp orders memory.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <functional>

namespace splat {

struct Size3 {
  unsigned x, y, z;
  int64_t count() const { return static_cast<int64_t>(x) * y * z; }
};

/// Calls `thread` once for every thread of every block, with CUDA's threadIdx and so on set.
/// @throws std::runtime_error  threads of a block wait at different places, and none can go on
void run_grid(Size3 grid, Size3 block, const std::function<void()>& thread);

/// In which order run_grid takes blocks and threads. A result that depends on it lacks a barrier.
void run_in_descending_order(bool descending);

// For the kernels' vocabulary in host/device.h.

enum class WarpCall { sync, shuffle, ballot };

/// The running thread's place in its block.
int64_t linear_thread();
/// Waits for all of the block's threads that have not ended; returns how many handed in a predicate that holds.
int block_barrier(bool predicate);
/// Waits for all of the warp's threads that have not ended; returns what each lane handed in.
const uint32_t* warp_exchange(WarpCall call, unsigned mask, uint32_t value);
/// A bit for each of the warp's threads whose predicate holds.
unsigned warp_ballot(unsigned mask, bool predicate);
/// This block's memory for the variable that `tag` stands for.
void* shared_memory(const void* tag, size_t size, size_t alignment);

}  // namespace splat
