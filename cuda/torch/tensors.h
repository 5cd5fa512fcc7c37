// What every binding does with its tensors: check them, make them contiguous, allocate results.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace splat {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline std::string shape_text(const int64_t* sizes, size_t count) {
  std::string text = "[";
  for (size_t i = 0; i < count; ++i) text += (i ? ", " : "") + std::to_string(sizes[i]);
  return text + "]";
}

/// Where this library's kernels find their tensors.
#ifdef SPLAT_CUDA
inline bool is_here(const Tensor& tensor) { return tensor.is_cuda(); }
constexpr char kHere[] = "a CUDA device";
#else
inline bool is_here(const Tensor& tensor) { return tensor.is_cpu(); }
constexpr char kHere[] = "the CPU";
#endif

/// A contiguous tensor of this dtype and shape (-1: any size), or an error that names the argument.
inline Tensor checked(const Tensor& tensor, const char* name, ScalarType dtype, std::vector<int64_t> shape) {
  const auto sizes = tensor.sizes();
  bool matches = sizes.size() == shape.size();
  for (size_t i = 0; matches && i < shape.size(); ++i) matches = shape[i] < 0 || shape[i] == sizes[i];
  STD_TORCH_CHECK(matches, name, " must be ", shape_text(shape.data(), shape.size()), " (-1: any), got ",
                  shape_text(sizes.data(), sizes.size()));
  STD_TORCH_CHECK(tensor.scalar_type() == dtype, name, " must be ", torch::headeronly::toString(dtype), ", got ",
                  torch::headeronly::toString(tensor.scalar_type()));
  STD_TORCH_CHECK(is_here(tensor), name, " must be on ", kHere);
  if (tensor.is_contiguous()) return tensor;
  Tensor copy = torch::stable::new_empty(tensor, sizes);
  torch::stable::copy_(copy, tensor);
  return copy;
}

inline Tensor checked(const Tensor& tensor, const char* name, std::vector<int64_t> shape) {
  return checked(tensor, name, ScalarType::Float, std::move(shape));
}

/// An uninitialised tensor on the device of `like`.
inline Tensor empty(const Tensor& like, std::vector<int64_t> shape, ScalarType dtype = ScalarType::Float) {
  return torch::stable::new_empty(like, shape, dtype);
}

inline const float* floats(const Tensor& tensor) { return tensor.const_data_ptr<float>(); }
inline float* mutable_floats(const Tensor& tensor) { return tensor.mutable_data_ptr<float>(); }

}  // namespace splat
