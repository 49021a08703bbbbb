#include "core/kernels/cuda/adamw.h"

#include <ATen/ATen.h>

#include "core/kernels/cuda/ops.h"
#include "core/kernels/cuda/tensors.h"

namespace ft::kernels::cuda {

void AdamW(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, at::Tensor& exp_avg, at::Tensor& exp_avg_sq, const AdamWStep& step) {
  for (const at::Tensor* x : {&master, &exp_avg, &exp_avg_sq}) CheckBeside(grad, *x, at::kFloat, "AdamW's state");
  const bool shared = compute.is_same(master);
  FT_CHECK(shared || Serves(compute), kInternal, "AdamW's compute copy is {}", c10::toString(compute.scalar_type()));
  for (const at::Tensor* x : {&master, &compute, &grad, &exp_avg, &exp_avg_sq}) {
    FT_CHECK(x->is_contiguous() && x->numel() == grad.numel(), kInternal, "AdamW's operand has shape {}, expected {} contiguous", c10::str(x->sizes()),
             c10::str(grad.sizes()));
  }
  const AdamWArguments arguments{master.mutable_data_ptr<float>(), exp_avg.mutable_data_ptr<float>(), exp_avg_sq.mutable_data_ptr<float>(),
                                 shared ? nullptr : compute.mutable_data_ptr(), grad.mutable_data_ptr(), grad.numel()};
  LaunchOn(grad, [&](Stream stream) { LaunchAdamW(ElementOf(grad), ElementOf(compute), arguments, FactorsOf(step), stream); });
}

}  // namespace ft::kernels::cuda
