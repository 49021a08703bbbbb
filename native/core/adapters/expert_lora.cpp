#include "core/adapters/expert_lora.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace ft {

kernels::ProductTerm ExpertLora::Forward(int64_t expert, const at::Tensor& x, const at::Tensor& inner) {
  kernels::SumOfProductsInto(inner, {{x, a[expert]}}, {}, {});
  return {inner, ScaledB(expert)};
}

kernels::ProductTerm ExpertLora::BackwardInput(int64_t expert, const at::Tensor& dy, const at::Tensor& dinner) {
  kernels::SumOfProductsInto(dinner, {{dy, ScaledB(expert), /*by_rows=*/true}}, {}, {});
  return {dinner, a[expert], /*by_rows=*/true};
}

void ExpertLora::BackwardParameters(int64_t expert, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& inner, const at::Tensor& dinner) {
  at::Tensor b_grad_e = b_grad[expert].t(), a_grad_e = a_grad[expert];  // [r, out]: the narrow operand first
  kernels::AddOuterProduct(b_grad_e, inner, dy, scale);
  kernels::AddOuterProduct(a_grad_e, dinner, x, 1.0);
}

std::vector<ExpertLoraPlace> PlaceExpertLora(const std::vector<ExpertLinear*>& experts, const std::vector<LoraTarget>& targets) {
  std::vector<ExpertLoraPlace> places;
  for (ExpertLinear* linear : experts) {
    const auto found = std::find_if(targets.begin(), targets.end(), [&](const LoraTarget& target) { return target.module == linear->name; });
    if (found == targets.end()) continue;
    for (ExpertLoraPlace& earlier : places) earlier.prefix += ".base_layer";
    places.push_back({linear, &*found, "base_model.model." + linear->name.substr(0, linear->name.rfind('.'))});
  }
  return places;
}

namespace {

// Adapters from before transformers fused experts hold a pair for each projection of each expert. Those of gate and up lie in the
// fused pair one under another (A) and block by block (B).
void AddOlderViews(const ExpertLoraPlace& place, ParameterView& a, ParameterView& b) {
  const ModuleLayout& layout = place.linear->layout;
  const int64_t experts = place.linear->num_experts(), r = place.target->r, in = place.linear->in_features(), out = place.linear->out_features();
  const int64_t parts = static_cast<int64_t>(layout.parts.size()) / experts;
  if (layout.fused || r % parts != 0) return;
  const int64_t own_r = r / parts;
  for (int64_t i = 0; i < static_cast<int64_t>(layout.parts.size()); ++i) {
    const ModuleLayout::Part& part = layout.parts[static_cast<size_t>(i)];
    const int64_t expert = i / parts, which = i % parts;
    const std::string prefix = "base_model.model." + part.stored();
    a.older.push_back({prefix + ".lora_A.weight", {own_r, in}, a.offset + (expert * r + which * own_r) * in, own_r * in});
    b.older.push_back({prefix + ".lora_B.weight", {part.rows, own_r}, b.offset + (expert * out + which * part.rows) * r + which * own_r,
                       part.rows * own_r, {part.rows, own_r}, {r, 1}});
  }
}

}  // namespace

std::unique_ptr<ExpertLora> MakeExpertLora(const ExpertLoraPlace& place, ParameterBlock& block) {
  const int64_t experts = place.linear->num_experts(), r = place.target->r, in = place.linear->in_features(), out = place.linear->out_features();
  const auto view = [](const at::Tensor& flat, int64_t offset, int64_t rows, int64_t columns, int64_t count) {
    return flat.narrow(0, offset, count * rows * columns).view({count, rows, columns});
  };
  auto lora = std::make_unique<ExpertLora>();
  lora->a = view(block.compute, place.a_offset, r, in, experts), lora->a_grad = view(block.grad, place.a_offset, r, in, experts);
  lora->b = view(block.compute, place.b_offset, out, r, experts), lora->b_grad = view(block.grad, place.b_offset, out, r, experts);
  lora->scale = place.target->scale;
  block.views.push_back({place.prefix + ".lora_A.weight", {experts * r, in}, place.a_offset, place.a_numel()});
  block.views.push_back({place.prefix + ".lora_B.weight", {out, r * experts}, place.b_offset, place.b_numel(), {out, r, experts}, {r, 1, out * r}});
  AddOlderViews(place, block.views[block.views.size() - 2], block.views.back());
  return lora;
}

}  // namespace ft
