// What only device code may include: launches and sums over the threads of a block. Under nvcc that is CUDA; the CPU
// tests define the same words before they include a .cu file (test/native/cuda_emulator.h).
#pragma once

#include "core/kernels/cuda/element.h"

#ifdef __CUDACC__
#include <cuda_runtime.h>

namespace ft::kernels::cuda {

template <typename... Parameters, typename... Arguments>
void Launch(void (*kernel)(Parameters...), int64_t blocks, int threads, Stream stream, const Arguments&... arguments) {
  kernel<<<dim3(static_cast<unsigned>(blocks)), dim3(static_cast<unsigned>(threads)), 0, stream>>>(static_cast<Parameters>(arguments)...);
}

}  // namespace ft::kernels::cuda
#elif !defined(FT_CUDA_EMULATOR)
#error "compile .cu files with nvcc"
#endif

namespace ft::kernels::cuda {

constexpr int kThreads = 256;  // a block, unless a kernel says otherwise
constexpr int kWarp = 32;

// REQUIRES: all threads of the warp call it.
__device__ inline float WarpSum(float x) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) x += __shfl_xor_sync(0xffffffffu, x, mask);
  return x;
}

/// Sum over a group of threads: a warp, or the whole block of kGroup threads. Everyone gets it; the order of additions is fixed.
/// REQUIRES: all threads of the group call it.
template <int kGroup>
__device__ inline float GroupSum(float x) {
  x = WarpSum(x);
  if constexpr (kGroup == kWarp) {
    return x;
  } else {
    __shared__ float sums[kGroup / kWarp];
    __syncthreads();  // an earlier sum may still be read
    if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = x;
    __syncthreads();
    float sum = 0.0f;
    for (int i = 0; i < kGroup / kWarp; ++i) sum += sums[i];
    return sum;
  }
}

}  // namespace ft::kernels::cuda
