// The kernels of one op, compiled for AVX2 and FMA.
// The build sets SPLAT_KERNELS to one cpu/<op>.inl after another.
#define SPLAT_ISA avx2
#include SPLAT_KERNELS
