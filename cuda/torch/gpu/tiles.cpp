// splat::tiles on the GPU: sorted once by depth, then, as instances, stably by tile.
//
// Memory beyond the results, in bytes: 8 a Gaussian, 20 one that touches a tile, 24 an instance. Of the 20 and of the
// 24 the sorts take 8.
#include "torch/tiles.h"

#include <bit>
#include <tuple>

#include "gpu/primitives.h"
#include "torch/gpu/device.h"

namespace {

using splat::ScalarType;
using splat::Tensor;

Tensor empty_ints(const Tensor& like, int64_t count) { return splat::empty(like, {count}, ScalarType::Int); }
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

/// The first `visible` of `ids`, by depth; equal depths by index.
Tensor depth_order(const Tensor& depths, const Tensor& ids, int64_t visible, splat::Stream stream) {
  const Tensor keys_in = empty_ints(ids, visible), keys_out = empty_ints(ids, visible);
  Tensor order = empty_ints(ids, visible);
  splat::depth_keys_on_gpu(splat::floats(depths), ints(ids), visible, keys(keys_in), stream);
  sort(keys_in, keys_out, ids, order, visible, 32, stream);
  return order;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> tiles(const Tensor& means2d, const Tensor& conics, const Tensor& depths,
                                                 const Tensor& opacities, const Tensor& extents, int64_t width,
                                                 int64_t height) {
  const splat::TilesArguments arguments(means2d, conics, depths, opacities, extents, width, height);
  const splat::OnDevice device(arguments.means2d);
  const splat::Stream stream = device.stream;
  const int64_t count = arguments.count;

  const Tensor counts = empty_ints(arguments.means2d, count + 1);
  splat::count_tiles_on_gpu(arguments.params, count, ints(counts), stream);
  // The sum of all counts ends the offsets; behind it stands how many are not zero, to be read in the same copy.
  Tensor sums = splat::empty(counts, {count + 2}, ScalarType::Long);
  int64_t* gaussian_offsets = sums.mutable_data_ptr<int64_t>();
  exclusive_sum(counts, gaussian_offsets, count + 1, stream);
  const Tensor ids = empty_ints(counts, count + 1);
  nonzero(counts, ids, gaussian_offsets + count + 1, count + 1, stream);
  const auto [instances, visible] =
      splat::read_tile_totals(reinterpret_cast<const splat::TileTotals*>(gaussian_offsets + count), stream);
  splat::check_instances(instances);

  const Tensor offsets = splat::empty(counts, {arguments.tiles + 1}, ScalarType::Long);
  const Tensor gaussian_ids = empty_ints(counts, instances), slots = empty_ints(counts, instances);
  const Tensor tiles_in = empty_ints(counts, instances), tiles_out = empty_ints(counts, instances);
  if (instances > 0) {
    const Tensor slots_in = empty_ints(counts, instances), owners = empty_ints(counts, instances);
    {
      const Tensor order = depth_order(arguments.depths, ids, visible, stream);
      const Tensor counts_in_order = empty_ints(counts, visible);
      const Tensor starts = splat::empty(counts, {visible}, ScalarType::Long);
      splat::gather_on_gpu(ints(counts), ints(order), visible, ints(counts_in_order), stream);
      exclusive_sum(counts_in_order, starts.mutable_data_ptr<int64_t>(), visible, stream);
      splat::emit_instances_on_gpu(arguments.params,
                                   {ints(order), starts.mutable_data_ptr<int64_t>(), gaussian_offsets, visible,
                                    keys(tiles_in), ints(slots_in), ints(owners)},
                                   stream);
    }
    const int bits = std::max(1, static_cast<int>(std::bit_width(static_cast<uint64_t>(arguments.tiles - 1))));
    sort(tiles_in, tiles_out, slots_in, slots, instances, bits, stream);
    splat::gather_on_gpu(ints(owners), ints(slots), instances, ints(gaussian_ids), stream);
  }
  splat::tile_offsets_on_gpu(keys(tiles_out), instances, arguments.tiles, offsets.mutable_data_ptr<int64_t>(), stream);
  return {offsets, gaussian_ids, slots, torch::stable::narrow(sums, 0, 0, count + 1)};
}

}  // namespace

SPLAT_GPU_OPS(m) { m.impl("tiles", TORCH_BOX(&tiles)); }
