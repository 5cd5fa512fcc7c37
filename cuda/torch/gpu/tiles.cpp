// splat::tiles on the GPU: sorted once by depth, then, as instances, stably by tile.
//
// Nothing waits for the GPU where a bound on the instances is given: then there are places for so many, and for as many
// Gaussians at most.
// Memory beyond the results, in bytes: 8 a Gaussian, 20 one that touches a tile, 24 an instance (with a bound, places
// for one). Of the 20 and of the 24 the sorts take 8.
#include "torch/tiles.h"

#include <bit>
#include <optional>
#include <tuple>

#include "gpu/primitives.h"
#include "torch/gpu/device.h"

namespace {

using splat::ScalarType;
using splat::Tensor;

Tensor empty_ints(const Tensor& like, int64_t count) { return splat::empty(like, {count}, ScalarType::Int); }
Tensor longs(const Tensor& like, int64_t count) { return splat::empty(like, {count}, ScalarType::Long); }
int32_t* ints(const Tensor& tensor) { return tensor.mutable_data_ptr<int32_t>(); }
uint32_t* keys(const Tensor& tensor) { return reinterpret_cast<uint32_t*>(ints(tensor)); }

/// Sorts pairs that stand in two tensors, and leaves them in two others.
void sort(const Tensor& keys_in, const Tensor& keys_out, const Tensor& values_in, const Tensor& values_out,
          int64_t count, int bits, splat::Stream stream) {
  const int64_t bytes = splat::sort_pairs_bytes(count, bits);
  const Tensor workspace = splat::workspace(keys_in, bytes);
  splat::sort_pairs({keys(keys_in), keys(keys_out), ints(values_in), ints(values_out), count, bits},
                    workspace.mutable_data_ptr(), bytes, stream);
}

void exclusive_sum(const Tensor& in, int64_t* out, int64_t count, splat::Stream stream) {
  const int64_t bytes = splat::exclusive_sum_bytes(count);
  const Tensor workspace = splat::workspace(in, bytes);
  splat::exclusive_sum(ints(in), out, count, workspace.mutable_data_ptr(), bytes, stream);
}

void nonzero(const Tensor& in, const Tensor& indices, int64_t* found, int64_t count, splat::Stream stream) {
  const int64_t bytes = splat::nonzero_bytes(count);
  const Tensor workspace = splat::workspace(in, bytes);
  splat::nonzero(ints(in), ints(indices), found, count, workspace.mutable_data_ptr(), bytes, stream);
}

/// The first used[0] of `ids`, by depth, equal depths by index; what they are followed by up to `count` means nothing.
Tensor depth_order(const Tensor& depths, const Tensor& ids, const int64_t* used, int64_t count, splat::Stream stream) {
  const Tensor keys_in = empty_ints(ids, count), keys_out = empty_ints(ids, count);
  Tensor order = empty_ints(ids, count);
  splat::depth_keys_on_gpu(splat::floats(depths), ints(ids), used, count, keys(keys_in), stream);
  sort(keys_in, keys_out, ids, order, count, 32, stream);
  return order;
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> tiles(const Tensor& means2d, const Tensor& conics,
                                                         const Tensor& depths, const Tensor& opacities,
                                                         const Tensor& extents, int64_t width, int64_t height,
                                                         std::optional<int64_t> bound) {
  const splat::TilesArguments arguments(means2d, conics, depths, opacities, extents, width, height, bound);
  const splat::OnDevice device(arguments.means2d);
  const splat::Stream stream = device.stream;
  const int64_t count = arguments.count;

  const Tensor counts = empty_ints(arguments.means2d, count + 1);
  splat::count_tiles_on_gpu(arguments.params, count, ints(counts), stream);
  const Tensor gaussian_offsets = longs(counts, count + 1);
  int64_t* first_slots = gaussian_offsets.mutable_data_ptr<int64_t>();
  exclusive_sum(counts, first_slots, count + 1, stream);
  Tensor totals = longs(counts, 2);
  int64_t *needed = totals.mutable_data_ptr<int64_t>(), *visible = needed + 1;
  splat::drop_beyond_bound_on_gpu(first_slots, count, bound.value_or(splat::kMaxInt32), ints(counts), needed, stream);
  if (bound) exclusive_sum(counts, first_slots, count + 1, stream);
  const Tensor ids = empty_ints(counts, count + 1);
  nonzero(counts, ids, visible, count + 1, stream);
  // Places for I instances and V Gaussians; with a bound I and V stay unknown here.
  const auto [instances, gaussians] =
      bound ? splat::TileTotals{*bound, std::min(count, *bound)}
            : splat::read_tile_totals(reinterpret_cast<const splat::TileTotals*>(needed), stream);
  splat::check_instances(instances);

  const Tensor offsets = longs(counts, arguments.tiles + 1);
  const Tensor gaussian_ids = empty_ints(counts, instances), slots = empty_ints(counts, instances);
  const Tensor tiles_in = empty_ints(counts, instances), tiles_out = empty_ints(counts, instances);
  if (instances > 0) {
    const Tensor slots_in = empty_ints(counts, instances), owners = empty_ints(counts, instances);
    const int64_t* used = first_slots + count;
    if (gaussians > 0) {
      const Tensor order = depth_order(arguments.depths, ids, visible, gaussians, stream);
      const Tensor counts_in_order = empty_ints(counts, gaussians), starts = longs(counts, gaussians);
      splat::gather_on_gpu(ints(counts), ints(order), visible, gaussians, ints(counts_in_order), stream);
      exclusive_sum(counts_in_order, starts.mutable_data_ptr<int64_t>(), gaussians, stream);
      splat::emit_instances_on_gpu(arguments.params,
                                   {visible, ints(order), starts.const_data_ptr<int64_t>(), first_slots,
                                    keys(tiles_in), ints(slots_in), ints(owners)},
                                   gaussians, stream);
    }
    if (bound) splat::pad_instances_on_gpu(used, instances, arguments.tiles, keys(tiles_in), ints(slots_in), stream);
    const int bits = std::max(1, static_cast<int>(std::bit_width(static_cast<uint64_t>(arguments.tiles))));
    sort(tiles_in, tiles_out, slots_in, slots, instances, bits, stream);
    splat::gather_on_gpu(ints(owners), ints(slots), used, instances, ints(gaussian_ids), stream);
  }
  splat::tile_offsets_on_gpu(keys(tiles_out), instances, arguments.tiles, offsets.mutable_data_ptr<int64_t>(), stream);
  return {offsets, gaussian_ids, slots, gaussian_offsets, torch::stable::narrow(totals, 0, 0, 1)};
}

}  // namespace

SPLAT_GPU_OPS(m) { m.impl("tiles", TORCH_BOX(&tiles)); }
