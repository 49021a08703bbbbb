#include "core/kernels/cuda/cross_entropy.h"

#include <ATen/ATen.h>

#include "core/kernels/cuda/ops.h"
#include "core/kernels/cuda/tensors.h"

namespace ft::kernels::cuda {

CrossEntropyRows CrossEntropy(at::Tensor& logits, const at::Tensor& targets, const CrossEntropyGradient* gradient) {
  FT_CHECK(logits.dim() == 2 && logits.stride(1) == 1 && logits.size(1) > 0, kInternal, "logits of shape {} and strides {}", c10::str(logits.sizes()), c10::str(logits.strides()));
  const int64_t rows = logits.size(0);
  CheckBeside(logits, targets, at::kLong, "targets");
  CheckShape(targets, {rows}, "targets");
  CheckBlocks(rows);
  const at::Tensor target = targets.contiguous();
  at::Tensor row_scale;
  if (gradient != nullptr && gradient->row_scale.defined()) {
    CheckBeside(logits, gradient->row_scale, at::kFloat, "row_scale");
    CheckShape(gradient->row_scale, {rows}, "row_scale");
    row_scale = gradient->row_scale.contiguous();
  }
  CrossEntropyRows result{at::empty({rows}, logits.options().dtype(at::kFloat)), at::empty({rows}, logits.options().dtype(at::kFloat))};
  const CrossEntropyArguments arguments{logits.data_ptr(), logits.stride(0), target.const_data_ptr<int64_t>(), rows, logits.size(1),
                                        gradient == nullptr ? 0.0f : static_cast<float>(gradient->scale),
                                        row_scale.defined() ? row_scale.const_data_ptr<float>() : nullptr, gradient != nullptr,
                                        result.loss.mutable_data_ptr<float>(), result.lse.mutable_data_ptr<float>()};
  LaunchOn(logits, [&](Stream stream) { LaunchCrossEntropy(ElementOf(logits), arguments, stream); });
  return result;
}

}  // namespace ft::kernels::cuda
