#include "core/kernels/adamw.h"

#include <ATen/ATen.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>

namespace ft::kernels::composite {

void AdamW(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, at::Tensor& exp_avg, at::Tensor& exp_avg_sq, const AdamWStep& step) {
  // The fused operation wants the gradient in the parameter's dtype.
  at::Tensor grad32 = grad.scalar_type() == at::kFloat ? grad : grad.to(at::kFloat);
  if (step.grad_scale != 1.0) grad32.mul_(step.grad_scale);
  const at::Tensor count = at::full({}, static_cast<double>(step.count), master.options());
  at::_fused_adamw_({master}, {grad32}, {exp_avg}, {exp_avg_sq}, {}, {count}, step.learning_rate, step.beta1, step.beta2, step.weight_decay,
                    step.eps, /*amsgrad=*/false, /*maximize=*/false);
  if (!compute.is_same(master)) compute.copy_(master);
  grad.zero_();
}

double SumOfSquares(const std::vector<at::Tensor>& tensors) {
  if (tensors.empty()) return 0.0;
  const std::vector<at::Tensor> norms = at::_foreach_norm(tensors, 2, at::kFloat);
  return at::stack(norms).to(at::kDouble).square_().sum().item<double>();
}

}  // namespace ft::kernels::composite
