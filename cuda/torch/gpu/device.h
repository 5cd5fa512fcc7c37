// What the bindings of the GPU's kernels share: the stream, and where they are registered.
#pragma once

#include "splat/stream.h"
#include "torch/schemas.h"
#include "torch/tensors.h"

#ifdef SPLAT_CUDA_ON_HOST

// The same launchers on the CPU, in a namespace of their own beside the CPU's kernels.
#define SPLAT_GPU_OPS(m) STABLE_TORCH_LIBRARY_IMPL(splat_on_host, CPU, m)

namespace splat {

struct OnDevice {
  Stream stream = nullptr;
  explicit OnDevice(const Tensor&) {}
};

}  // namespace splat

#else
#include <torch/csrc/stable/accelerator.h>

// torch/csrc/inductor/aoti_torch/c/shim.h declares it for builds with CUDA only.
extern "C" AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device_index, void** ret_stream);

#define SPLAT_GPU_OPS(m) STABLE_TORCH_LIBRARY_IMPL(splat, CUDA, m)

namespace splat {

/// Makes a tensor's device the current one, and knows the stream that torch uses there.
struct OnDevice {
  torch::stable::accelerator::DeviceGuard guard;
  Stream stream;

  explicit OnDevice(const Tensor& tensor) : guard(tensor.get_device_index()) {
    void* current = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &current));
    stream = static_cast<Stream>(current);
  }
};

}  // namespace splat
#endif

namespace splat {

/// Temporary memory; torch's allocator keeps it for the next call.
inline Tensor workspace(const Tensor& like, int64_t bytes) { return empty(like, {bytes}, ScalarType::Byte); }

}  // namespace splat
