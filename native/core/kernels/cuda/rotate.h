// Rotary embedding on CUDA: the contract of kernels/rope.h on raw device memory.
#pragma once

#include "core/kernels/cuda/element.h"

namespace ft::kernels::cuda {

struct RotateArguments {
  const void* x;                      // element (token, head, i) at token · token_stride + head · head_stride + i
  int64_t token_stride, head_stride;
  void* y;                            // [tokens, heads, head_dim] contiguous; not x
  const float *cos, *sin;             // [tokens, half] contiguous
  int64_t tokens, heads, half, head_dim;
  bool inverse;                       // rotates back
};

void LaunchRotate(Element type, const RotateArguments& arguments, Stream stream);

}  // namespace ft::kernels::cuda
