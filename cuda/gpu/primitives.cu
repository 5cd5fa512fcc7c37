#include "gpu/primitives.h"

#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>
#include <cub/device/device_select.cuh>
#include <thrust/iterator/counting_iterator.h>

#include "gpu/device.h"

namespace splat {
namespace {

size_t size(int64_t bytes) { return static_cast<size_t>(bytes); }

struct NotZero {
  __host__ __device__ bool operator()(int32_t value) const { return value != 0; }
};

cudaError_t sort(const SortPairs& p, void* workspace, size_t& bytes, Stream stream) {
  return cub::DeviceRadixSort::SortPairs(workspace, bytes, p.keys_in, p.keys_out, p.values_in, p.values_out, p.count, 0,
                                         p.bits, stream);
}

cudaError_t scan(const int32_t* in, int64_t* out, int64_t count, void* workspace, size_t& bytes, Stream stream) {
  // The type of the first value is that of the sums.
  return cub::DeviceScan::ExclusiveScan(workspace, bytes, in, out, ::cuda::std::plus<>(), int64_t{0}, count, stream);
}

cudaError_t select(const int32_t* in, int32_t* indices, int64_t* found, int64_t count, void* workspace, size_t& bytes,
                   Stream stream) {
  return cub::DeviceSelect::FlaggedIf(workspace, bytes, thrust::counting_iterator<int32_t>(0), in, indices, found,
                                      count, NotZero(), stream);
}

}  // namespace

int64_t sort_pairs_bytes(int64_t count, int bits) {
  size_t bytes = 0;
  check(sort({nullptr, nullptr, nullptr, nullptr, count, bits}, nullptr, bytes, nullptr), "sizing a sort");
  return static_cast<int64_t>(bytes);
}

void sort_pairs(const SortPairs& p, void* workspace, int64_t workspace_bytes, Stream stream) {
  size_t bytes = size(workspace_bytes);
  check(sort(p, workspace, bytes, stream), "sorting");
}

int64_t exclusive_sum_bytes(int64_t count) {
  size_t bytes = 0;
  check(scan(nullptr, nullptr, count, nullptr, bytes, nullptr), "sizing a scan");
  return static_cast<int64_t>(bytes);
}

void exclusive_sum(const int32_t* in, int64_t* out, int64_t count, void* workspace, int64_t workspace_bytes,
                   Stream stream) {
  size_t bytes = size(workspace_bytes);
  check(scan(in, out, count, workspace, bytes, stream), "summing");
}

int64_t nonzero_bytes(int64_t count) {
  size_t bytes = 0;
  check(select(nullptr, nullptr, nullptr, count, nullptr, bytes, nullptr), "sizing a selection");
  return static_cast<int64_t>(bytes);
}

void nonzero(const int32_t* in, int32_t* indices, int64_t* found, int64_t count, void* workspace,
             int64_t workspace_bytes, Stream stream) {
  size_t bytes = size(workspace_bytes);
  check(select(in, indices, found, count, workspace, bytes, stream), "selecting");
}

}  // namespace splat
