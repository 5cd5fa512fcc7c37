// Chooses the instruction set once, at the first op that runs.
#include "cpu/dispatch.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

#if defined(_MSC_VER) && !defined(__clang__) && !defined(SPLAT_BASELINE_ONLY)
#include <immintrin.h>
#include <intrin.h>
#endif

namespace splat {
namespace {

constexpr Isa kLevels[] = {Isa::avx512, Isa::avx2, Isa::baseline};

/// Whether this CPU, and the operating system's saving of its registers, can run a level.
bool is_possible(Isa isa) {
#if defined(SPLAT_BASELINE_ONLY)
  return isa == Isa::baseline;
#elif defined(_MSC_VER) && !defined(__clang__)
  int leaf1[4], leaf7[4];
  __cpuid(leaf1, 1);
  __cpuidex(leaf7, 7, 0);
  const bool saves_state = leaf1[2] & (1 << 27);  // OSXSAVE
  const unsigned long long state = saves_state ? _xgetbv(0) : 0;
  const bool avx2 = (state & 6) == 6 && (leaf1[2] & (1 << 12)) && (leaf7[1] & (1 << 5));
  constexpr int kAvx512 = (1 << 16) | (1 << 17) | (1 << 30) | (1 << 31);  // F, DQ, BW, VL
  if (isa == Isa::avx512) return avx2 && (state & 0xe6) == 0xe6 && (leaf7[1] & kAvx512) == kAvx512;
  return isa == Isa::baseline || avx2;
#else
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
  return isa == Isa::baseline || avx2;
#endif
}

Isa choose() {
  const char* forced = std::getenv("SPLAT_CPU_ISA");
  const std::string wanted = forced ? forced : "";
  for (Isa isa : kLevels) {
    if (wanted.empty() && is_possible(isa)) return isa;
    if (wanted == cpu_isa_name(isa)) {
      if (is_possible(isa)) return isa;
      throw std::runtime_error("SPLAT_CPU_ISA=" + wanted + ": this CPU cannot run " + wanted + "; unset the variable");
    }
  }
  throw std::runtime_error("SPLAT_CPU_ISA=" + wanted + " is unknown; use baseline, avx2 or avx512");
}

}  // namespace

Isa cpu_isa() {
  static const Isa chosen = choose();
  return chosen;
}

const char* cpu_isa_name(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    default:
      return "baseline";
  }
}

}  // namespace splat
