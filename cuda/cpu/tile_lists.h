// The Gaussians of each tile in depth order. Depths are sorted once for all cameras; then a stable counting sort by
// tile keeps that order, with the index as tie-break. Not for kernels: this is compiled once, for the baseline.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "splat/bits.h"
#include "splat/ops/tiles.h"

namespace splat {

/// The work of splat::tiles, in two steps, since the memory for the lists can be allocated only when their sizes are
/// known. `Threads` has count() and run(begin, end, grain, f), which calls f(begin, end) for parts of a range.
template <class Threads>
class TileLists {
 public:
  TileLists(const TilesKernels& kernels, const TilesParams& params, int64_t count)
      : kernels_(kernels), params_(params), count_(count), footprints_(new Footprint[count]) {}

  /// Writes gaussian_offsets [count + 1], the first slot of each Gaussian; returns the number of instances.
  int64_t measure(int64_t* gaussian_offsets) const {
    gaussian_offsets[0] = 0;
    Threads::run(0, count_, 1024, [&](int64_t begin, int64_t end) {
      kernels_.measure(params_, begin, end, footprints_.get(), gaussian_offsets + 1);
    });
    std::partial_sum(gaussian_offsets, gaussian_offsets + count_ + 1, gaussian_offsets);
    return gaussian_offsets[count_];
  }

  /// Writes offsets [tiles + 1], and of each instance the Gaussian and the slot.
  void fill(const float* depths, const int64_t* gaussian_offsets, int64_t tiles, int64_t* offsets, int32_t* ids,
            int32_t* slots) const {
    const std::vector<int32_t> order = depth_order(depths, gaussian_offsets);
    const int64_t visible = static_cast<int64_t>(order.size()), chunks = chunks_of(visible);
    std::vector<std::vector<int64_t>> places(chunks, std::vector<int64_t>(tiles));
    for_chunks(visible, chunks, [&](int64_t chunk, int64_t begin, int64_t end) {
      kernels_.count(params_, footprints_.get(), order.data(), begin, end, places[chunk].data());
    });
    offsets[tiles] = starts_from_counts(places, offsets);
    for_chunks(visible, chunks, [&](int64_t chunk, int64_t begin, int64_t end) {
      kernels_.scatter(params_, footprints_.get(), order.data(), begin, end, gaussian_offsets, places[chunk].data(),
                       ids, slots);
    });
  }

 private:
  struct Keyed {
    uint32_t key;
    int32_t id;
  };

  static int64_t chunks_of(int64_t count) { return std::clamp<int64_t>(count / 16384, 1, Threads::count()); }

  /// Calls f(chunk, begin, end) for even chunks of [0, count). What is computed from them must not depend on where they
  /// begin.
  template <class F>
  static void for_chunks(int64_t count, int64_t chunks, const F& f) {
    Threads::run(0, chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) f(c, count * c / chunks, count * (c + 1) / chunks);
    });
  }

  /// Exclusive prefix sums over (bucket, chunk) of counts[chunk][bucket], in place: where each chunk begins to write
  /// the elements of each bucket. Returns the total.
  static int64_t starts_from_counts(std::vector<std::vector<int64_t>>& counts, int64_t* bucket_starts = nullptr) {
    int64_t total = 0;
    const size_t buckets = counts[0].size();
    for (size_t bucket = 0; bucket < buckets; ++bucket) {
      if (bucket_starts) bucket_starts[bucket] = total;
      for (auto& chunk : counts) total += std::exchange(chunk[bucket], total);
    }
    return total;
  }

  /// Ids of the Gaussians that touch a tile, by depth; equal depths by index. A radix sort of 11 bits a pass.
  std::vector<int32_t> depth_order(const float* depths, const int64_t* offsets) const {
    std::vector<Keyed> items, sorted;
    items.reserve(count_);
    uint32_t lowest = ~0u, highest = 0;
    for (int64_t g = 0; g < count_; ++g) {
      if (offsets[g + 1] == offsets[g]) continue;
      const uint32_t key = ordered_bits(depths[g]);
      lowest = std::min(lowest, key);
      highest = std::max(highest, key);
      items.push_back({key, static_cast<int32_t>(g)});
    }
    sorted.resize(items.size());
    const int64_t size = static_cast<int64_t>(items.size()), chunks = chunks_of(size);
    constexpr int kDigitBits = 11;
    for (int shift = 0; size && (highest - lowest) >> shift != 0; shift += kDigitBits) {
      const auto digit = [&](const Keyed& item) { return ((item.key - lowest) >> shift) & ((1u << kDigitBits) - 1); };
      std::vector<std::vector<int64_t>> places(chunks, std::vector<int64_t>(size_t{1} << kDigitBits));
      for_chunks(size, chunks, [&](int64_t chunk, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++places[chunk][digit(items[i])];
      });
      starts_from_counts(places);
      for_chunks(size, chunks, [&](int64_t chunk, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) sorted[places[chunk][digit(items[i])]++] = items[i];
      });
      items.swap(sorted);
      if (shift + kDigitBits >= 32) break;
    }
    std::vector<int32_t> order(size);
    for (int64_t i = 0; i < size; ++i) order[i] = items[i].id;
    return order;
  }

  const TilesKernels kernels_;
  const TilesParams params_;
  const int64_t count_;
  std::unique_ptr<Footprint[]> footprints_;
};

}  // namespace splat
