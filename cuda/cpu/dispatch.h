// Which instruction set runs, and how an op finds its kernels for it. Not for kernels: they know only their own level.
#pragma once

namespace splat {

enum class Isa { baseline, avx2, avx512 };

/// The level that runs: the best this CPU has, or what the environment variable SPLAT_CPU_ISA asks for.
/// Throws std::runtime_error when that is unknown or impossible here.
Isa cpu_isa();

/// "baseline", "avx2" or "avx512".
const char* cpu_isa_name(Isa isa);

}  // namespace splat

// Declares `Table function()`, which returns an op's table of kernels for the level that runs. Each cpu/<op>.inl
// defines the function of the same name inside its level's namespace.
#ifdef SPLAT_BASELINE_ONLY
#define SPLAT_DISPATCH(Table, function) \
  namespace splat {                     \
  namespace baseline {                  \
  Table function();                     \
  }                                     \
  inline Table function() {             \
    cpu_isa();                          \
    return baseline::function();        \
  }                                     \
  }
#else
#define SPLAT_DISPATCH(Table, function) \
  namespace splat {                     \
  namespace baseline {                  \
  Table function();                     \
  }                                     \
  namespace avx2 {                      \
  Table function();                     \
  }                                     \
  namespace avx512 {                    \
  Table function();                     \
  }                                     \
  inline Table function() {             \
    switch (cpu_isa()) {                \
      case Isa::avx512:                 \
        return avx512::function();      \
      case Isa::avx2:                   \
        return avx2::function();        \
      default:                          \
        return baseline::function();    \
    }                                   \
  }                                     \
  }
#endif
