// splat::tiles: the Gaussians of each tile in depth order. Depths are sorted once for all cameras; then a stable
// counting sort by tile keeps that order, with the index as tie-break.
#include "splat/ops/tiles.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <tuple>
#include <utility>

#include "cpu/dispatch.h"
#include "torch/tensors.h"

SPLAT_DISPATCH(TilesKernels, tiles_kernels)

namespace {

using splat::Footprint;
using splat::kTile;
using splat::Tensor;

constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxImageTiles = 1 << 24;

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

/// Floats as integers of the same order.
uint32_t ordered_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/// Ids of the Gaussians that touch a tile, by depth; equal depths by index. A radix sort of 11 bits a pass.
std::vector<int32_t> depth_order(const float* depths, const int64_t* offsets, int64_t count) {
  std::vector<Keyed> items, sorted;
  items.reserve(count);
  uint32_t lowest = ~0u, highest = 0;
  for (int64_t g = 0; g < count; ++g) {
    if (offsets[g + 1] == offsets[g]) continue;
    const uint32_t key = ordered_bits(depths[g]);
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

std::tuple<Tensor, Tensor, Tensor, Tensor> tiles(const Tensor& means2d_in, const Tensor& conics_in,
                                                 const Tensor& depths_in, const Tensor& opacities_in,
                                                 const Tensor& extents_in, int64_t width, int64_t height) {
  const Tensor means2d = splat::checked(means2d_in, "means2d", {-1, -1, 2});
  const int64_t cameras = means2d.size(0), per_camera = means2d.size(1), count = cameras * per_camera;
  const Tensor conics = splat::checked(conics_in, "conics", {cameras, per_camera, 3});
  const Tensor depths = splat::checked(depths_in, "depths", {cameras, per_camera});
  const Tensor opacities = splat::checked(opacities_in, "opacities", {cameras, per_camera});
  const Tensor extents = splat::checked(extents_in, "extents", {cameras, per_camera, 2});
  STD_TORCH_CHECK(width > 0 && height > 0, "width and height must be > 0, got ", width, " x ", height);
  const int64_t tiles_x = (width + kTile - 1) / kTile, tiles_y = (height + kTile - 1) / kTile;
  // The kernel counts the tiles of an image in floats.
  STD_TORCH_CHECK(tiles_x <= kMaxImageTiles / tiles_y && tiles_x * tiles_y <= kMaxInt32 / std::max<int64_t>(cameras, 1),
                  "too many tiles: ", cameras, " images of ", width, " x ", height,
                  " px; render fewer cameras at once or a smaller image");
  STD_TORCH_CHECK(count <= kMaxInt32, "too many Gaussians: ", cameras, " cameras x ", per_camera,
                  " must be below 2^31; render fewer cameras at once");
  const int64_t tile_count = cameras * tiles_x * tiles_y;

  const splat::TilesParams params{splat::floats(means2d),    splat::floats(conics),  splat::floats(opacities),
                                  splat::floats(extents),    per_camera,             static_cast<int>(width),
                                  static_cast<int>(height),  static_cast<int>(tiles_x), static_cast<int>(tiles_y)};
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
  STD_TORCH_CHECK(instances <= kMaxInt32, "the Gaussians touch ", instances,
                  " tiles in all, which must be below 2^31; render fewer cameras at once or a smaller image");

  const std::vector<int32_t> order = depth_order(splat::floats(depths), first, count);
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
