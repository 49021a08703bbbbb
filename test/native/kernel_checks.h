// What every version of a kernel must satisfy, against formulas in float64: run on the versions for the CPU, for CUDA
// devices, and for CUDA in emulation. Tensors go in and come out on the CPU.
#pragma once

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>

#include <functional>
#include <tuple>
#include <vector>

#include "core/kernels/adamw.h"
#include "core/kernels/dropout.h"
#include "core/kernels/gate.h"
#include "core/kernels/layer_norm.h"

namespace ft::test {

// at::empty fills with NaN while it lives, so that an output element that a kernel leaves out shows.
class PoisonedMemory {
 public:
  PoisonedMemory() { at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true); }
  ~PoisonedMemory() { at::globalContext().setDeterministicAlgorithms(false, false); }
  PoisonedMemory(const PoisonedMemory&) = delete;
  PoisonedMemory& operator=(const PoisonedMemory&) = delete;
};

struct KernelSet {
  std::vector<at::ScalarType> dtypes;
  std::vector<int64_t> token_counts = {0, 1, 5, 67};
  std::vector<int64_t> long_rows = {1024, 1025, 2056};  // widths of rows that are too long for a warp, and one that is not
  bool checks_targets = true;                            // cross-entropy notices a target outside the vocabulary

  /// y, rstd
  std::function<std::tuple<at::Tensor, at::Tensor>(const at::Tensor& x, const at::Tensor& weight, double eps)> rms_norm;
  std::function<at::Tensor(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight)> rms_norm_apply;
  /// dx and d weight, the latter added to fp32 ones; *y becomes the output again unless y is null
  std::function<std::tuple<at::Tensor, at::Tensor>(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight, at::Tensor* y)>
      rms_norm_backward;
  std::function<kernels::LayerNormOutput(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps)> layer_norm;
  std::function<at::Tensor(const at::Tensor& x, const kernels::LayerNormOutput& forward, const at::Tensor& weight, const at::Tensor& bias)> layer_norm_apply;
  /// dx, and d weight and d bias added to fp32 ones
  std::function<std::tuple<at::Tensor, at::Tensor, at::Tensor>(const at::Tensor& dy, const at::Tensor& x, const kernels::LayerNormOutput& forward,
                                                               const at::Tensor& weight)>
      layer_norm_backward;
  std::function<at::Tensor(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse)> rotate;
  std::function<at::Tensor(const at::Tensor& gate_up, Activation activation)> gate;
  /// *y becomes the output unless y is null
  std::function<at::Tensor(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation, at::Tensor* y)> gate_backward;
  std::function<at::Tensor(const at::Tensor& x, double p, const kernels::DropoutKey& key, const at::Tensor& row_keys, const at::Tensor& positions)> dropout;
  /// loss, lse and, where `gradient`, what became of the logits
  std::function<std::tuple<at::Tensor, at::Tensor, at::Tensor>(const at::Tensor& logits, const at::Tensor& targets, double scale, const at::Tensor& row_scale,
                                                               bool gradient)>
      cross_entropy;
  /// One update, in place; `compute` may be the same tensor as `master`.
  std::function<void(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, at::Tensor& exp_avg, at::Tensor& exp_avg_sq, const kernels::AdamWStep& step)> adamw;
};

void CheckRmsNorm(const KernelSet& set);
void CheckLayerNorm(const KernelSet& set);
void CheckRotate(const KernelSet& set);
void CheckGate(const KernelSet& set);
void CheckDropout(const KernelSet& set);
void CheckCrossEntropy(const KernelSet& set);
void CheckAdamW(const KernelSet& set);

}  // namespace ft::test
