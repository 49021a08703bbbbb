// Dropout on CUDA: the contract of kernels/dropout.h, the same mask and the same bits as the CPU version.
#pragma once

#include "core/kernels/cuda/element.h"

namespace ft::kernels::cuda {

struct DropoutArguments {
  const void* x;  // [tokens, width] contiguous
  void* y;        // the same; may be x
  int64_t tokens, width;
  const int64_t *row_keys, *positions;  // [tokens]
  uint64_t key;        // MixKey(seed, step)
  uint32_t site;
  uint64_t threshold;  // p · 2^32: smaller random words drop the element
  float keep;          // 1 / (1 − p)
};

void LaunchDropout(Element type, const DropoutArguments& arguments, Stream stream);

}  // namespace ft::kernels::cuda
