#include "core/nn/input_transform.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class TransformFunction : public torch::autograd::Function<TransformFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& u, const std::optional<at::Tensor>& /*anchor*/, const InputTransform* transform) {
    at::Tensor aux;
    const at::Tensor x = transform->Apply(u, aux);
    ctx->save_for_backward({u, aux});
    ctx->saved_data["transform"] = reinterpret_cast<int64_t>(transform);
    return x;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto* transform = reinterpret_cast<const InputTransform*>(ctx->saved_data["transform"].toInt());
    const variable_list keep = ctx->get_saved_variables();
    const at::Tensor du = transform->Backward(grads[0].contiguous(), keep[0], keep[1], nullptr);
    return {ctx->needs_input_grad(0) ? du : at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor Transformed(const InputTransform& transform, const at::Tensor& u, const at::Tensor& anchor) {
  if (at::GradMode::is_enabled()) {
    const bool anchored = transform.trainable() && anchor.defined();
    return TransformFunction::apply(u, anchored ? std::optional(anchor) : std::nullopt, &transform);
  }
  at::Tensor aux;
  return transform.Apply(u, aux);
}

}  // namespace ft
