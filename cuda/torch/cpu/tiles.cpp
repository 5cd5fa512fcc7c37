// splat::tiles: the Gaussians of each tile in depth order. Depths are sorted once for all cameras; then a stable
// counting sort by tile keeps that order, with the index as tie-break.
#include "torch/tiles.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <tuple>
#include <utility>

#include "cpu/dispatch.h"
#include "splat/bits.h"

SPLAT_DISPATCH(TilesKernels, tiles_kernels)

namespace {

using splat::Footprint;
using splat::Tensor;

/// Calls f(chunk, begin, end) for as many even chunks of [0, count) as there are threads to run them.
/// What is computed from them must not depend on where they begin.
template <class F>
void for_chunks(int64_t count, int64_t chunks, const F& f) {
  torch::stable::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) f(c, count * c / chunks, count * (c + 1) / chunks);
  });
}

int64_t chunks_of(int64_t count, int64_t least) {
  const int64_t threads = torch::stable::get_num_threads();
  return std::clamp<int64_t>(count / least, 1, threads);
}

/// Exclusive prefix sums over (bucket, chunk) of counts[chunk][bucket], in place: where each chunk begins to write the
/// elements of each bucket. Returns the total.
int64_t starts_from_counts(std::vector<std::vector<int64_t>>& counts, int64_t* bucket_starts = nullptr) {
  int64_t total = 0;
  const size_t buckets = counts[0].size();
  for (size_t bucket = 0; bucket < buckets; ++bucket) {
    if (bucket_starts) bucket_starts[bucket] = total;
    for (auto& chunk : counts) total += std::exchange(chunk[bucket], total);
  }
  return total;
}

struct Keyed {
  uint32_t key;
  int32_t id;
};

/// Ids of the Gaussians that touch a tile, by depth; equal depths by index. A radix sort of 11 bits a pass.
std::vector<int32_t> depth_order(const float* depths, const int64_t* offsets, int64_t count) {
  std::vector<Keyed> items, sorted;
  items.reserve(count);
  uint32_t lowest = ~0u, highest = 0;
  for (int64_t g = 0; g < count; ++g) {
    if (offsets[g + 1] == offsets[g]) continue;
    const uint32_t key = splat::ordered_bits(depths[g]);
    lowest = std::min(lowest, key);
    highest = std::max(highest, key);
    items.push_back({key, static_cast<int32_t>(g)});
  }
  sorted.resize(items.size());
  const int64_t size = static_cast<int64_t>(items.size()), chunks = chunks_of(size, 16384);
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

std::tuple<Tensor, Tensor, Tensor, Tensor> tiles(const Tensor& means2d, const Tensor& conics, const Tensor& depths,
                                                 const Tensor& opacities, const Tensor& extents, int64_t width,
                                                 int64_t height) {
  const splat::TilesArguments arguments(means2d, conics, depths, opacities, extents, width, height);
  const splat::TilesParams& params = arguments.params;
  const int64_t count = arguments.count, tile_count = arguments.tiles;
  const splat::TilesKernels kernels = splat::tiles_kernels();
  Tensor gaussian_offsets = splat::empty(means2d, {count + 1}, splat::ScalarType::Long);
  int64_t* first = gaussian_offsets.mutable_data_ptr<int64_t>();
  first[0] = 0;
  std::unique_ptr<Footprint[]> footprints(new Footprint[count]);
  torch::stable::parallel_for(0, count, 1024, [&](int64_t begin, int64_t end) {
    kernels.measure(params, begin, end, footprints.get(), first + 1);
  });
  std::partial_sum(first, first + count + 1, first);
  const int64_t instances = first[count];
  splat::check_instances(instances);

  const std::vector<int32_t> order = depth_order(splat::floats(arguments.depths), first, count);
  const int64_t visible = static_cast<int64_t>(order.size()), chunks = chunks_of(visible, 16384);

  Tensor offsets = splat::empty(means2d, {tile_count + 1}, splat::ScalarType::Long);
  Tensor gaussian_ids = splat::empty(means2d, {instances}, splat::ScalarType::Int);
  Tensor slots = splat::empty(means2d, {instances}, splat::ScalarType::Int);
  int64_t* tile_starts = offsets.mutable_data_ptr<int64_t>();
  std::vector<std::vector<int64_t>> places(chunks, std::vector<int64_t>(tile_count));
  for_chunks(visible, chunks, [&](int64_t chunk, int64_t begin, int64_t end) {
    kernels.count(params, footprints.get(), order.data(), begin, end, places[chunk].data());
  });
  tile_starts[tile_count] = starts_from_counts(places, tile_starts);
  for_chunks(visible, chunks, [&](int64_t chunk, int64_t begin, int64_t end) {
    kernels.scatter(params, footprints.get(), order.data(), begin, end, first, places[chunk].data(),
                    gaussian_ids.mutable_data_ptr<int32_t>(), slots.mutable_data_ptr<int32_t>());
  });
  return {offsets, gaussian_ids, slots, gaussian_offsets};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) { m.impl("tiles", TORCH_BOX(&tiles)); }
