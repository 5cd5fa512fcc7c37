// What belongs to the library as a whole.
#include "cpu/dispatch.h"
#include "torch/tensors.h"

namespace {

std::string cpu_isa() { return splat::cpu_isa_name(splat::cpu_isa()); }

}  // namespace

// Every op is declared in its own file, hence fragments.
STABLE_TORCH_LIBRARY_FRAGMENT(splat, m) {
  m.def("cpu_isa() -> str");  // the instruction set that the CPU kernels run with
}

STABLE_TORCH_LIBRARY_IMPL(splat, CompositeExplicitAutograd, m) { m.impl("cpu_isa", TORCH_BOX(&cpu_isa)); }
