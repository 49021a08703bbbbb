#include "core/nn/norm.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "core/base/error.h"
#include "core/kernels/layer_norm.h"
#include "core/kernels/norm.h"

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class AddNormFunction : public torch::autograd::Function<AddNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const std::optional<at::Tensor>& residual, const at::Tensor& u,
                            const std::optional<at::Tensor>& /*anchor*/, const NormWeight* norm) {
    at::Tensor aux;
    at::Tensor y = norm->Apply(u, aux);
    if (residual) y.add_(*residual);
    ctx->saved_data["has_residual"] = residual.has_value();
    ctx->save_for_backward({u, aux});
    ctx->saved_data["norm"] = reinterpret_cast<int64_t>(norm);
    return y;
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto* norm = reinterpret_cast<const NormWeight*>(ctx->saved_data["norm"].toInt());
    const variable_list keep = ctx->get_saved_variables();
    const at::Tensor du = norm->Backward(grads[0].contiguous(), keep[0], keep[1], nullptr);
    // Inputs that were not given have no place among the edges.
    const size_t u_edge = ctx->saved_data["has_residual"].toBool() ? 1 : 0;
    const at::Tensor dresidual = u_edge == 1 ? grads[0] : at::Tensor();
    return {dresidual, ctx->needs_input_grad(u_edge) ? du : at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// [tokens, heads, n] · [heads, n] + [heads, n], in fp32; either may be undefined.
at::Tensor Affine(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  at::Tensor y = weight.defined() ? x * weight.to(at::kFloat) : x;
  return bias.defined() ? y + bias.to(at::kFloat) : y;
}

void AddHeads(const at::Tensor& grad, const at::Tensor& terms) {
  if (grad.defined()) grad.add_(terms.sum(0).to(grad.scalar_type()));
}

}  // namespace

NormWeight::NormWeight(const ModuleLayout& layout, const at::TensorOptions& options) : layout_(layout) {
  FT_CHECK(layout.kind == ModuleKind::kNorm, kInternal, "{} is no norm", layout.parts.at(0).name);
  FT_CHECK(layout.norm.kind == NormKind::kLayer || !layout.norm.bias, kInternal, "{}: a norm by the root mean square has no bias", layout.parts[0].name);
  std::vector<int64_t> shape = layout.WeightShape(layout.parts[0]);
  if (layout.parts.size() > 1) shape.insert(shape.begin(), static_cast<int64_t>(layout.parts.size()));
  if (layout.norm.weight) weight_ = at::empty(shape, options);
  if (layout.norm.bias) bias_ = at::empty(shape, options);
}

NormWeight::Scale NormWeight::ScaleFor(const at::Tensor& u) const {
  if (!layout_.norm.unit_offset) return {weight_, false};
  if (u.scalar_type() == at::kFloat) return {weight_ + 1, false};
  // RMSNorm adds the one in fp32, LayerNorm in the compute dtype, as transformers does.
  return layout_.norm.kind == NormKind::kRms ? Scale{weight_.to(at::kFloat) + 1, true} : Scale{weight_ + 1, false};
}

at::Tensor NormWeight::Apply(const at::Tensor& u, at::Tensor& aux) const {
  if (layout_.norm.kind == NormKind::kRms) {
    const Scale scale = ScaleFor(u);
    auto [y, rstd] = (scale.plain ? kernels::composite::RmsNorm : kernels::RmsNorm)(u, scale.weight, layout_.norm.eps);
    aux = rstd;
    return y;
  }
  if (by_head()) {
    const auto [y, mean, rstd] = kernels::LayerNorm(u.to(at::kFloat), {}, {}, layout_.norm.eps);
    aux = at::stack({mean, rstd});
    return Affine(y, weight_, bias_).to(u.scalar_type());
  }
  const auto [y, mean, rstd] = kernels::LayerNorm(u, ScaleFor(u).weight, bias_, layout_.norm.eps);
  aux = at::stack({mean, rstd});
  return y;
}

at::Tensor NormWeight::Again(const at::Tensor& u, const at::Tensor& aux) const {
  if (layout_.norm.kind == NormKind::kRms) {
    const Scale scale = ScaleFor(u);
    return (scale.plain ? kernels::composite::RmsNormApply : kernels::RmsNormApply)(u, aux, scale.weight);
  }
  if (by_head()) return Affine(kernels::LayerNormApply(u.to(at::kFloat), aux[0], aux[1], {}, {}), weight_, bias_).to(u.scalar_type());
  return kernels::LayerNormApply(u, aux[0], aux[1], ScaleFor(u).weight, bias_);
}

at::Tensor NormWeight::Backward(const at::Tensor& dx, const at::Tensor& u, const at::Tensor& aux, at::Tensor* x) const {
  if (layout_.norm.kind == NormKind::kRms) {
    const Scale scale = ScaleFor(u);
    return (scale.plain ? kernels::composite::RmsNormBackward : kernels::RmsNormBackward)(dx, u, aux, scale.weight, weight_grad_, x);
  }
  if (x != nullptr) *x = Again(u, aux);
  if (!by_head()) return kernels::LayerNormBackward(dx, u, aux[0], aux[1], ScaleFor(u).weight, weight_grad_, bias_grad_);
  const at::Tensor u32 = u.to(at::kFloat), d = dx.to(at::kFloat);
  AddHeads(weight_grad_, d * kernels::LayerNormApply(u32, aux[0], aux[1], {}, {}));
  AddHeads(bias_grad_, d);
  return kernels::LayerNormBackward(weight_.defined() ? d * weight_.to(at::kFloat) : d, u32, aux[0], aux[1], {}, {}, {}).to(u.scalar_type());
}

at::Tensor NormWeight::Forward(const at::Tensor& u, const ForwardContext& context) const {
  if (at::GradMode::is_enabled()) return AddNormFunction::apply(std::nullopt, u, trainable() ? std::optional(context.anchor) : std::nullopt, this);
  at::Tensor aux;
  return Apply(u, aux);
}

at::Tensor NormWeight::AddTo(const at::Tensor& residual, const at::Tensor& u, const ForwardContext& context) const {
  if (at::GradMode::is_enabled()) return AddNormFunction::apply(std::optional(residual), u, trainable() ? std::optional(context.anchor) : std::nullopt, this);
  at::Tensor aux;
  return Apply(u, aux).add_(residual);
}

void NormWeight::AppendWeights(std::vector<WeightRef>* refs) {
  WeightRef weight{weight_, &weight_grad_, false, {}}, bias{bias_, &bias_grad_, false, {}};
  int64_t offset = 0;
  for (const ModuleLayout::Part& part : layout_.parts) {
    weight.parts.push_back({part.name + ".weight", layout_.WeightShape(part), offset, part.rows});
    bias.parts.push_back({part.name + ".bias", layout_.WeightShape(part), offset, part.rows});
    offset += part.rows;
  }
  if (weight_.defined()) refs->push_back(std::move(weight));
  if (bias_.defined()) refs->push_back(std::move(bias));
}

}  // namespace ft
