// LoRA on linear projections of which every expert has one, as PEFT has it for fused expert parameters: a pair of matrices an expert.
// In files the A matrices lie one under another, [experts · r, in], and the columns of B take turns, [out, r · experts].
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/adapters/adapter_method.h"
#include "core/nn/experts.h"

namespace ft {

class ExpertLora : public ExpertAdapter {
 public:
  at::Tensor a, a_grad;  // [experts, r, in]: compute dtype, fp32
  at::Tensor b, b_grad;  // [experts, out, r]
  double scale = 1.0;

  int64_t width() const override { return a.size(1); }
  kernels::ProductTerm Forward(int64_t expert, const at::Tensor& x, const at::Tensor& inner) override;
  kernels::ProductTerm BackwardInput(int64_t expert, const at::Tensor& dy, const at::Tensor& dinner) override;
  void BackwardParameters(int64_t expert, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& inner, const at::Tensor& dinner) override;

 private:
  at::Tensor ScaledB(int64_t expert) const { return scale == 1.0 ? b[expert] : b[expert] * scale; }
};

/// Where the matrices of one projection lie in an adapter's block, in elements.
struct ExpertLoraPlace {
  ExpertLinear* linear;
  const LoraTarget* target;
  std::string prefix;  // of the names in files: "base_model.model.model.layers.0.mlp.experts.base_layer"
  int64_t a_offset = 0, b_offset = 0;

  int64_t a_numel() const { return linear->num_experts() * target->r * linear->in_features(); }
  int64_t b_numel() const { return linear->num_experts() * target->r * linear->out_features(); }
};

/// The projections of `experts` (of one block, in module order) that `wanted` names. PEFT wraps a module once a parameter, so that
/// the name of each but the last says ".base_layer".
std::vector<ExpertLoraPlace> PlaceExpertLora(const std::vector<ExpertLinear*>& experts, const std::vector<LoraTarget>& targets);

/// Views of the block, and their names in files.
std::unique_ptr<ExpertLora> MakeExpertLora(const ExpertLoraPlace& place, ParameterBlock& block);

}  // namespace ft
