#include "core/nn/checkpointing.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
// Carries the function through the graph; freed with the node.
struct ForwardHolder : torch::CustomClassHolder {
  explicit ForwardHolder(ForwardFn fn) : forward(std::move(fn)) {}
  ForwardFn forward;
};

class CheckpointFunction : public torch::autograd::Function<CheckpointFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& anchor, const ForwardFn* fn) {
    (void)anchor;
    ctx->save_for_backward({x});
    ctx->saved_data["fn"] = c10::IValue::make_capsule(c10::make_intrusive<ForwardHolder>(*fn));
    at::NoGradGuard no_grad;
    return (*fn)(x, /*value_wanted=*/true);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const bool need_dx = ctx->needs_input_grad(0);
    const at::Tensor x = ctx->get_saved_variables()[0].detach().requires_grad_(need_dx);
    const auto holder = ctx->saved_data["fn"].toCapsule();
    {
      at::AutoGradMode enable_grad(true);
      const at::Tensor y = static_cast<ForwardHolder*>(holder.get())->forward(x, /*value_wanted=*/false);
      if (y.requires_grad()) torch::autograd::backward({y}, {grads[0]});
    }
    return {need_dx ? x.grad() : at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor Checkpointed(const ForwardFn& forward, const at::Tensor& x, const at::Tensor& anchor) {
  return CheckpointFunction::apply(x, anchor, &forward);
}

}  // namespace ft
