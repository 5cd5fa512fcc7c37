// The kernels of one op, compiled for what the platform's ABI promises (SSE2 on x86-64, NEON on arm64).
// The build sets SPLAT_KERNELS to one cpu/<op>.inl after another.
#define SPLAT_ISA baseline
#include SPLAT_KERNELS
