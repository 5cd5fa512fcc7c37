// The kernels of one op, compiled for AVX-512 F, BW, DQ, VL and FMA.
// The build sets SPLAT_KERNELS to one cpu/<op>.inl after another.
#define SPLAT_ISA avx512
#include SPLAT_KERNELS
