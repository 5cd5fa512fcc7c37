// splat::tiles: checks and allocates; the lists are made by cpu/tile_lists.h, on torch's threads.
#include "torch/tiles.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "cpu/dispatch.h"
#include "cpu/tile_lists.h"

SPLAT_DISPATCH(TilesKernels, tiles_kernels)

namespace {

using splat::Tensor;

struct TorchThreads {
  static int64_t count() { return torch::stable::get_num_threads(); }
  template <class F>
  static void run(int64_t begin, int64_t end, int64_t grain, const F& f) {
    torch::stable::parallel_for(begin, end, grain, f);
  }
};

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> tiles(const Tensor& means2d, const Tensor& conics,
                                                         const Tensor& depths, const Tensor& opacities,
                                                         const Tensor& extents, int64_t width, int64_t height,
                                                         std::optional<int64_t> bound) {
  const splat::TilesArguments arguments(means2d, conics, depths, opacities, extents, width, height, bound);
  const splat::TileLists<TorchThreads> lists(splat::tiles_kernels(), arguments.params, arguments.count);
  Tensor gaussian_offsets = splat::empty(means2d, {arguments.count + 1}, splat::ScalarType::Long);
  int64_t* first_slots = gaussian_offsets.mutable_data_ptr<int64_t>();
  Tensor needed = splat::empty(means2d, {1}, splat::ScalarType::Long);
  *needed.mutable_data_ptr<int64_t>() = lists.measure(first_slots);
  if (bound) {
    int64_t* end = first_slots + arguments.count + 1;
    int64_t* beyond = std::upper_bound(first_slots, end, *bound);
    std::fill(beyond, end, beyond[-1]);
  }
  const int64_t instances = first_slots[arguments.count];
  splat::check_instances(instances);
  Tensor offsets = splat::empty(means2d, {arguments.tiles + 1}, splat::ScalarType::Long);
  Tensor gaussian_ids = splat::empty(means2d, {instances}, splat::ScalarType::Int);
  Tensor slots = splat::empty(means2d, {instances}, splat::ScalarType::Int);
  lists.fill(splat::floats(arguments.depths), first_slots, arguments.tiles, offsets.mutable_data_ptr<int64_t>(),
             gaussian_ids.mutable_data_ptr<int32_t>(), slots.mutable_data_ptr<int32_t>());
  return {offsets, gaussian_ids, slots, gaussian_offsets, needed};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(splat, CPU, m) { m.impl("tiles", TORCH_BOX(&tiles)); }
