// A CUDA stream, for those who hand one on and need nothing else of CUDA.
#pragma once

struct CUstream_st;

namespace splat {

using Stream = CUstream_st*;  // cudaStream_t

}  // namespace splat
