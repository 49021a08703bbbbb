// From tensors to the launches of this folder: checks and the stream. Only for files that CUDA builds compile.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <limits>

#include "core/base/error.h"
#include "core/kernels/cuda/element.h"

namespace ft::kernels::cuda {

/// REQUIRES: Serves(x).
inline Element ElementOf(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? Element::kFloat : x.scalar_type() == at::kHalf ? Element::kHalf : Element::kBf16;
}

/// Calls launch(stream) with x's device current, on its current stream, and reports a launch that failed.
template <typename Fn>
void LaunchOn(const at::Tensor& x, const Fn& launch) {
  const c10::cuda::CUDAGuard guard(x.device());
  launch(static_cast<Stream>(c10::cuda::getCurrentCUDAStream().stream()));
  C10_CUDA_CHECK(cudaGetLastError());
}

/// A grid has at most 2^31 − 1 blocks.
inline void CheckBlocks(int64_t blocks) {
  FT_CHECK(blocks <= std::numeric_limits<int32_t>::max(), kInvalidArgument, "{} rows are too many for one CUDA launch", blocks);
}

/// `other` beside x: on its device, of the type given.
inline void CheckBeside(const at::Tensor& x, const at::Tensor& other, at::ScalarType type, const char* name) {
  FT_CHECK(other.device() == x.device() && other.scalar_type() == type, kInternal, "{} is {} on {}, expected {} on {}", name,
           c10::toString(other.scalar_type()), other.device().str(), c10::toString(type), x.device().str());
}

inline void CheckShape(const at::Tensor& x, at::IntArrayRef shape, const char* name) {
  FT_CHECK(x.sizes() == shape, kInternal, "{} has shape {}, expected {}", name, c10::str(x.sizes()), c10::str(shape));
}

}  // namespace ft::kernels::cuda
