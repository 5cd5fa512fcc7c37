// The library of the GPU's kernels on the CPU, for tests: torch.ops.splat_on_host.
#include "host/fibres.h"
#include "torch/schemas.h"
#include "torch/tensors.h"

namespace {

void run_in_descending_order(bool descending) { splat::run_in_descending_order(descending); }

}  // namespace

STABLE_TORCH_LIBRARY(splat_on_host, m) {
  splat::declare_ops(m);
  m.def("run_in_descending_order(bool descending) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(splat_on_host, CompositeExplicitAutograd, m) {
  m.impl("run_in_descending_order", TORCH_BOX(&run_in_descending_order));
}
