#include "core/nn/linear.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "core/base/error.h"
#include "core/kernels/int8_rows.h"
#include "core/nn/function_inputs.h"
#include "core/nn/placement.h"

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <typename T>
int64_t AsInt(T* pointer) {
  return reinterpret_cast<int64_t>(pointer);
}
template <typename T>
T* AsPointer(const c10::IValue& value) {
  return reinterpret_cast<T*>(value.toInt());
}

// Inputs: u, and perhaps a residual and the anchor. Parameter gradients go to their blocks, not through the graph.
class GroupFunction : public torch::autograd::Function<GroupFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& u, const std::optional<at::Tensor>& residual,
                            const std::optional<at::Tensor>& /*anchor*/, LinearGroup* group, const InputTransform* transform,
                            const ForwardContext* context, bool value_wanted) {
    at::Tensor aux;
    const at::Tensor x = transform ? transform->Apply(u, aux) : u;
    std::vector<at::Tensor> saved;
    const TokenKeys keys = KeysOf(*context);
    at::Tensor y;
    if (value_wanted) {
      y = group->Product(x, residual.value_or(at::Tensor()), keys, *context, &saved);
    } else {
      y = at::empty({x.size(0), group->out_features()}, x.options());
      if (group->adapter != nullptr) group->adapter->Forward(x, keys, *context, &saved);
    }
    variable_list keep = {u, aux, keys.row_keys, keys.positions};
    keep.insert(keep.end(), saved.begin(), saved.end());
    ctx->save_for_backward(keep);
    ctx->saved_data["group"] = AsInt(group);
    ctx->saved_data["transform"] = AsInt(transform);
    ctx->saved_data["seed"] = static_cast<int64_t>(context->seed);
    ctx->saved_data["step"] = static_cast<int64_t>(context->step);
    ctx->saved_data["has_residual"] = residual.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    auto* group = AsPointer<LinearGroup>(ctx->saved_data["group"]);
    auto* transform = AsPointer<const InputTransform>(ctx->saved_data["transform"]);
    const variable_list keep = ctx->get_saved_variables();
    const at::Tensor &u = keep[0], &aux = keep[1];
    const std::vector<at::Tensor> saved(keep.begin() + 4, keep.end());
    const at::Tensor dy = grads[0].contiguous();
    const bool need_du = ctx->needs_input_grad(0);
    const bool need_dx = need_du || (transform && transform->trainable());
    const BackwardKeys keys{{keep[2], keep[3]}, static_cast<uint64_t>(ctx->saved_data["seed"].toInt()), static_cast<uint64_t>(ctx->saved_data["step"].toInt())};
    const LinearGroup::InputGradient input = group->BackwardInput(dy, saved, keys, need_dx);
    at::Tensor x = u, du = input.dx;
    if (transform && need_dx) {
      du = transform->Backward(input.dx, u, aux, group->trainable() ? &x : nullptr);
    } else if (transform && group->trainable()) {
      x = transform->Again(u, aux);
    }
    group->BackwardParameters(x, dy, saved, input, keys);
    const at::Tensor dresidual = ctx->saved_data["has_residual"].toBool() ? dy : at::Tensor();
    return {need_du ? du : at::Tensor(), dresidual, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor InputOf(const quant::PackedWeight& weight, const at::Tensor& x) {
  const auto threshold = weight.input_threshold();
  return threshold ? kernels::RoundToInt8Rows(x, *threshold) : x;
}

LinearGroup::LinearGroup(const ModuleLayout& layout, const at::TensorOptions& options, const at::Tensor& shared_weight)
    : transposed(layout.transposed), shared(shared_weight.defined()) {
  FT_CHECK(layout.kind == ModuleKind::kLinear && !layout.parts.empty(), kInternal, "a linear group of no linear modules");
  FT_CHECK(!transposed || layout.parts.size() == 1, kInternal, "{}: transposed weights are not joined", layout.parts[0].name);
  int64_t out = 0;
  for (const ModuleLayout::Part& part : layout.parts) {
    parts.push_back({part.name, out, part.rows, part.stored(), part.packed && !shared, layout.transposed});
    out += part.rows;
  }
  if (std::any_of(parts.begin(), parts.end(), [](const LinearPart& part) { return part.packed; })) {
    MakePacked(layout, options);
    if (layout.bias) bias = at::empty({out}, options);
    return;
  }
  const at::TensorOptions place = MatrixOptions(layout, options);
  weight = shared ? shared_weight : transposed ? at::empty({layout.width, out}, place) : at::empty({out, layout.width}, place);
  if (layout.bias) bias = at::empty({out}, options);
}

void LinearGroup::MakePacked(const ModuleLayout& layout, const at::TensorOptions& options) {
  std::vector<int64_t> rows;
  for (const LinearPart& part : parts) rows.push_back(part.out_features);
  transposed = false;  // quantized weights are rows of outputs, however they are stored
  packed = std::make_shared<quant::StackedWeight>(rows, layout.width, options.device(), layout.offloaded);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].packed) continue;
    plain_parts_.emplace_back(i, at::empty({rows[i], layout.width}, options));
    packed->SetPart(i, quant::MakeDense(plain_parts_.back().second));
  }
}

at::Tensor LinearGroup::Forward(const at::Tensor& u, const InputTransform* transform, const at::Tensor& residual,
                                const ForwardContext& context, bool value_wanted) {
  if (at::GradMode::is_enabled()) {
    const bool anchored = trainable() || (transform && transform->trainable());
    return GroupFunction::apply(u, IfDefined(residual), anchored ? IfDefined(context.anchor) : std::nullopt, this, transform, &context,
                                value_wanted);
  }
  at::Tensor aux;
  return Product(transform ? transform->Apply(u, aux) : u, residual, KeysOf(context), context, nullptr);
}

at::Tensor LinearGroup::Product(const at::Tensor& x, const at::Tensor& residual, const TokenKeys& keys, const ForwardContext& context,
                                std::vector<at::Tensor>* saved) {
  if (packed && !packed->uniform_input()) return ProductByParts(x, residual, keys, context, saved);
  std::vector<kernels::ProductTerm> terms = {ForwardTerm(x)};
  if (adapter != nullptr) terms.push_back(adapter->Forward(x, keys, context, saved));
  return kernels::SumOfProducts(terms, bias, residual);
}

kernels::ProductTerm LinearGroup::ForwardTerm(const at::Tensor& x) const {
  if (!packed) return {x, Beside(weight, x), /*by_rows=*/transposed};
  return {InputOf(*packed->part(0), x), {}, /*by_rows=*/false, packed.get()};
}

kernels::ProductTerm LinearGroup::BackwardTerm(const at::Tensor& dy) const {
  if (!packed) return {dy, Beside(weight, dy), /*by_rows=*/!transposed};
  return {dy, {}, /*by_rows=*/true, packed.get()};
}

at::Tensor LinearGroup::ProductByParts(const at::Tensor& x, const at::Tensor& residual, const TokenKeys& keys, const ForwardContext& context,
                                       std::vector<at::Tensor>* saved) {
  std::vector<at::Tensor> products;
  for (size_t i = 0; i < packed->size(); ++i) {
    const quant::PackedWeight& part = *packed->part(i);
    products.push_back(kernels::SumOfProducts({{InputOf(part, x), {}, /*by_rows=*/false, &part}}, {}, {}));
  }
  at::Tensor sum = at::cat(products, 1);
  if (residual.defined()) sum.add_(residual);
  if (adapter != nullptr) return kernels::SumOfProducts({adapter->Forward(x, keys, context, saved)}, bias, sum);
  return bias.defined() ? sum.add_(bias) : sum;
}

LinearGroup::InputGradient LinearGroup::BackwardInput(const at::Tensor& dy, const std::vector<at::Tensor>& saved, const BackwardKeys& keys, bool need_dx) {
  InputGradient input;
  if (adapter != nullptr) input.adapter = adapter->BackwardInput(dy, saved, keys, need_dx);
  if (!need_dx) return input;
  std::vector<kernels::ProductTerm> terms = {BackwardTerm(dy)};
  if (input.adapter.term) terms.push_back(*input.adapter.term);
  input.dx = kernels::SumOfProducts(terms, {}, input.adapter.addend);
  return input;
}

void LinearGroup::BackwardParameters(const at::Tensor& x, const at::Tensor& dy, const std::vector<at::Tensor>& saved, const InputGradient& input,
                                     const BackwardKeys& keys) {
  if (adapter != nullptr) adapter->BackwardParameters(x, dy, saved, input.adapter, keys);
  if (weight_grad.defined()) kernels::AddOuterProduct(weight_grad, transposed ? x : dy, transposed ? dy : x, 1.0);
  if (bias_grad.defined()) bias_grad.add_(dy.sum(0));
}

void LinearGroup::AppendWeights(std::vector<WeightRef>* refs) {
  for (const auto& [part, plain] : plain_parts_) {
    refs->push_back({plain, &weight_grad, true, {{parts[part].in_files + ".weight", plain.sizes().vec(), 0, plain.numel()}}});
  }
  WeightRef weights{weight, &weight_grad, true, {}}, biases{bias, &bias_grad, false, {}};
  const int64_t in = in_features();
  for (const LinearPart& part : parts) {
    const int64_t rows = part.out_features;
    weights.parts.push_back({part.in_files + ".weight", transposed ? std::vector<int64_t>{in, rows} : std::vector<int64_t>{rows, in}, part.begin * in, rows * in});
    biases.parts.push_back({part.in_files + ".bias", {rows}, part.begin, rows});
  }
  if (!shared && !packed) refs->push_back(std::move(weights));
  if (bias.defined()) refs->push_back(std::move(biases));
}

}  // namespace ft
