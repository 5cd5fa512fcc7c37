// gpu/primitives.h by the standard library, for kernels that run on the CPU.
#include "gpu/primitives.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace splat {

// CUB asks for memory even where it needs none, and so do these: a caller that forgets it is caught.
int64_t sort_pairs_bytes(int64_t, int) { return 1; }
int64_t exclusive_sum_bytes(int64_t) { return 1; }
int64_t nonzero_bytes(int64_t) { return 1; }

void sort_pairs(const SortPairs& p, void*, int64_t, Stream) {
  std::vector<int64_t> order(p.count);
  std::iota(order.begin(), order.end(), int64_t{0});
  const uint32_t mask = p.bits < 32 ? (uint32_t{1} << p.bits) - 1 : ~uint32_t{0};
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return (p.keys_in[a] & mask) < (p.keys_in[b] & mask); });
  for (int64_t i = 0; i < p.count; ++i) {
    p.keys_out[i] = p.keys_in[order[i]];
    p.values_out[i] = p.values_in[order[i]];
  }
}

void exclusive_sum(const int32_t* in, int64_t* out, int64_t count, void*, int64_t, Stream) {
  int64_t total = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t value = in[i];
    out[i] = total;
    total += value;
  }
}

void nonzero(const int32_t* in, int32_t* indices, int64_t* found, int64_t count, void*, int64_t, Stream) {
  *found = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (in[i] != 0) indices[(*found)++] = static_cast<int32_t>(i);
  }
}

}  // namespace splat
