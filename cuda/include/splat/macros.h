// The only macros of the native code.
#pragma once

// Functions compiled for one instruction set must not be merged with those compiled for another: the linker keeps one
// copy of each name, whichever object came first. So everything that generates code lives in an inline namespace
// named after the level; each cpu/isa/<level>.cpp defines SPLAT_ISA before its first include.
#ifndef SPLAT_ISA
#define SPLAT_ISA host
#endif
#define SPLAT_BEGIN \
  namespace splat { \
  inline namespace SPLAT_ISA {
#define SPLAT_END \
  }               \
  }

// A function of the host and the device. The mathematics is always inlined: it is written on values of a number type,
// and passing a vector of lanes through memory would cost more than the arithmetic.
#if defined(__CUDACC__)
#define SPLAT_HD __host__ __device__ __forceinline__
#elif defined(_MSC_VER)
#define SPLAT_HD __forceinline
#else
#define SPLAT_HD [[gnu::always_inline]] inline
#endif

#ifdef _MSC_VER
#define SPLAT_RESTRICT __restrict
#else
#define SPLAT_RESTRICT __restrict__
#endif
