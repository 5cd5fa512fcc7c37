// The CPU's library: it declares all ops, for every device.
#include "cpu/dispatch.h"
#include "torch/schemas.h"
#include "torch/tensors.h"

namespace {

std::string cpu_isa() { return splat::cpu_isa_name(splat::cpu_isa()); }

}  // namespace

STABLE_TORCH_LIBRARY(splat, m) {
  splat::declare_ops(m);
  m.def("cpu_isa() -> str");  // the instruction set that the CPU kernels run with
}

STABLE_TORCH_LIBRARY_IMPL(splat, CompositeExplicitAutograd, m) { m.impl("cpu_isa", TORCH_BOX(&cpu_isa)); }
