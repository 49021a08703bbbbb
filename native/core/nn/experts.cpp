#include "core/nn/experts.h"

#include <ATen/ATen.h>

#include "core/nn/linear.h"
#include "core/nn/placement.h"

namespace ft {
namespace {

// Calls visit(expert, rows) with the rows [begin, begin + count) of every expert that has some.
template <typename Visit>
void ForEachExpert(const std::vector<int64_t>& offsets, const Visit& visit) {
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t begin = offsets[e], count = offsets[e + 1] - offsets[e];
    if (count > 0) visit(static_cast<int64_t>(e), [begin, count](const at::Tensor& t) { return t.narrow(0, begin, count); });
  }
}

}  // namespace

ExpertLinear::ExpertLinear(const ModuleLayout& module, const at::TensorOptions& options) : name(module.parameter), layout(module) {
  const int64_t out = out_features();
  if (module.bias) bias = at::empty({module.experts, out}, options);
  if (!module.parts.front().packed) {
    weight = at::empty({module.experts, out, module.width}, MatrixOptions(module, options));
    return;
  }
  const size_t parts = module.fused ? 1 : module.parts.size() / static_cast<size_t>(module.experts);
  std::vector<int64_t> rows;
  for (size_t i = 0; i < parts; ++i) rows.push_back(module.parts[i].rows);
  for (int64_t e = 0; e < module.experts; ++e) packed.push_back(std::make_shared<quant::StackedWeight>(rows, module.width, options.device(), module.offloaded));
}

kernels::ProductTerm ExpertLinear::ForwardTerm(int64_t expert, const at::Tensor& x) const {
  if (packed.empty()) return {x, Beside(weight[expert], x)};
  const quant::StackedWeight& source = *packed[static_cast<size_t>(expert)];  // all of one scheme
  return {InputOf(*source.part(0), x), {}, /*by_rows=*/false, &source};
}

kernels::ProductTerm ExpertLinear::BackwardTerm(int64_t expert, const at::Tensor& dy) const {
  if (packed.empty()) return {dy, Beside(weight[expert], dy), /*by_rows=*/true};
  return {dy, {}, /*by_rows=*/true, packed[static_cast<size_t>(expert)].get()};
}

void ExpertLinear::AppendWeights(std::vector<WeightRef>* refs) {
  WeightRef weights{weight, &weight_grad, true, {}};
  if (layout.fused) {
    const int64_t out = out_features(), in = in_features();
    if (weight.defined()) {
      weights.parts.push_back({name, {num_experts(), in, out}, 0, weight.numel(), {out * in, 1, in}});
      refs->push_back(std::move(weights));
    }
    if (bias.defined()) refs->push_back({bias, &bias_grad, false, {{name + "_bias", bias.sizes().vec(), 0, bias.numel()}}});
    return;
  }
  if (!weight.defined()) return;
  int64_t offset = 0;
  for (const ModuleLayout::Part& part : layout.parts) {
    weights.parts.push_back({part.stored() + ".weight", {part.rows, layout.width}, offset, part.rows * layout.width});
    offset += part.rows * layout.width;
  }
  refs->push_back(std::move(weights));
}

at::Tensor ExpertLinear::Product(const at::Tensor& x, const at::Tensor& row_weights, const std::vector<int64_t>& offsets, at::Tensor* inner,
                                 bool value_wanted) const {
  at::Tensor y = at::empty({x.size(0), out_features()}, x.options());
  const at::Tensor kept = adapter != nullptr ? at::empty({x.size(0), adapter->width()}, x.options()) : at::Tensor();
  ForEachExpert(offsets, [&](int64_t e, const auto& rows) {
    const at::Tensor x_e = rows(x);
    std::vector<kernels::ProductTerm> terms = {ForwardTerm(e, x_e)};
    if (adapter != nullptr) terms.push_back(adapter->Forward(e, x_e, rows(kept)));
    if (!value_wanted) return;
    const at::Tensor y_e = rows(y);
    const bool plain_bias = bias.defined() && !row_weights.defined();
    kernels::SumOfProductsInto(y_e, terms, plain_bias ? bias[e] : at::Tensor(), {});
    if (bias.defined() && !plain_bias) at::Tensor(y_e).add_(rows(row_weights).unsqueeze(1) * bias[e]);
  });
  if (inner != nullptr) *inner = kept;
  return y;
}

ExpertLinear::InputGradient ExpertLinear::BackwardInput(const at::Tensor& dy, const std::vector<int64_t>& offsets, bool need_dx) const {
  InputGradient gradient;
  if (need_dx) gradient.dx = at::empty({dy.size(0), in_features()}, dy.options());
  if (adapter != nullptr) gradient.dinner = at::empty({dy.size(0), adapter->width()}, dy.options());
  if (!need_dx && adapter == nullptr) return gradient;
  ForEachExpert(offsets, [&](int64_t e, const auto& rows) {
    const at::Tensor dy_e = rows(dy);
    std::vector<kernels::ProductTerm> terms = {BackwardTerm(e, dy_e)};
    if (adapter != nullptr) terms.push_back(adapter->BackwardInput(e, dy_e, rows(gradient.dinner)));
    if (need_dx) kernels::SumOfProductsInto(rows(gradient.dx), terms, {}, {});
  });
  return gradient;
}

void ExpertLinear::BackwardParameters(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& row_weights, const std::vector<int64_t>& offsets,
                                      const at::Tensor& inner, const at::Tensor& dinner) {
  if (!trainable()) return;
  ForEachExpert(offsets, [&](int64_t e, const auto& rows) {
    const at::Tensor x_e = rows(x), dy_e = rows(dy);
    if (adapter != nullptr) adapter->BackwardParameters(e, x_e, dy_e, rows(inner), rows(dinner));
    if (weight_grad.defined()) {
      at::Tensor grad = weight_grad[e];
      kernels::AddOuterProduct(grad, dy_e, x_e, 1.0);
    }
    if (bias_grad.defined()) {
      const at::Tensor weighted = row_weights.defined() ? dy_e.to(at::kFloat) * rows(row_weights).unsqueeze(1) : dy_e;
      bias_grad[e].add_(weighted.sum(0));
    }
  });
}

}  // namespace ft
