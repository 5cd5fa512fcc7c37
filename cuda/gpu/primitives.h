// Sorting and scanning on the GPU: CUB in primitives.cu, the standard library in host/primitives.cpp.
// Each takes `workspace`, temporary memory of the size that the function of the same name with _bytes says.
#pragma once

#include <stdint.h>

#include "splat/stream.h"

namespace splat {

/// Pairs in ascending order of the low `bits` bits of their keys; equal keys keep their order.
struct SortPairs {
  const uint32_t* keys_in;
  uint32_t* keys_out;
  const int32_t* values_in;
  int32_t* values_out;
  int64_t count;
  int bits;
};

int64_t sort_pairs_bytes(int64_t count, int bits);
void sort_pairs(const SortPairs&, void* workspace, int64_t workspace_bytes, Stream);

/// out[i] = in[0] + ... + in[i - 1], summed as 64-bit integers.
int64_t exclusive_sum_bytes(int64_t count);
void exclusive_sum(const int32_t* in, int64_t* out, int64_t count, void* workspace, int64_t workspace_bytes, Stream);

/// The indices i, ascending, at which in[i] != 0, and how many they are.
int64_t nonzero_bytes(int64_t count);
void nonzero(const int32_t* in, int32_t* indices, int64_t* found, int64_t count, void* workspace,
             int64_t workspace_bytes, Stream);

}  // namespace splat
