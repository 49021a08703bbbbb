// Linear projections of which every expert has one, in one buffer or quantized matrix by matrix: rows come sorted by expert and each
// expert's rows meet its matrix alone. Experts without rows are not touched. No gradient is computed for what is frozen.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/kernels/linear.h"
#include "core/nn/layout.h"
#include "core/nn/weight_ref.h"
#include "core/quant/stacked_weight.h"

namespace ft {

/// Adds a trainable change to each expert's output. One implementation a method, in adapters/.
class ExpertAdapter {
 public:
  virtual ~ExpertAdapter() = default;
  /// Columns of what Forward and BackwardInput keep for the other passes.
  virtual int64_t width() const = 0;
  /// What is added to the output of `expert` for x [rows, in]; fills `inner` [rows, width].
  virtual kernels::ProductTerm Forward(int64_t expert, const at::Tensor& x, const at::Tensor& inner) = 0;
  /// What is added to dx for dy [rows, out]; fills `dinner` [rows, width].
  virtual kernels::ProductTerm BackwardInput(int64_t expert, const at::Tensor& dy, const at::Tensor& dinner) = 0;
  /// Adds the gradients of `expert`'s parameters to their block.
  virtual void BackwardParameters(int64_t expert, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& inner, const at::Tensor& dinner) = 0;
};

struct ExpertLinear {
  ExpertLinear() = default;
  /// Allocates weights and biases (uninitialised).
  ExpertLinear(const ModuleLayout& layout, const at::TensorOptions& options);

  std::string name;        // of the parameter: "model.layers.0.mlp.experts.gate_up_proj"
  at::Tensor weight;       // [experts, out, in], compute dtype; undefined where experts are quantized:
  std::vector<std::shared_ptr<quant::StackedWeight>> packed;  // [out, in] of each expert; what loads fills their parts
  at::Tensor bias;         // [experts, out] or undefined
  ExpertAdapter* adapter = nullptr;  // the active one; owned by its Adapter
  at::Tensor weight_grad;  // [experts, out, in] or undefined when frozen
  at::Tensor bias_grad;    // [experts, out] or undefined
  ModuleLayout layout;     // how files hold it

  int64_t num_experts() const { return layout.experts; }
  int64_t out_features() const { return layout.fused ? layout.rows() : layout.rows() / layout.experts; }
  int64_t in_features() const { return layout.width; }
  bool trainable() const { return adapter != nullptr || weight_grad.defined(); }

  /// x [rows, in], rows offsets[e] … offsets[e + 1] − 1 of expert e -> [rows, out]. `row_weights` fp32 [rows] (or undefined: ones)
  /// multiply the bias alone. `inner` receives what the backward wants of the adapter. With `value_wanted` false only that.
  at::Tensor Product(const at::Tensor& x, const at::Tensor& row_weights, const std::vector<int64_t>& offsets, at::Tensor* inner, bool value_wanted = true) const;

  struct InputGradient {
    at::Tensor dx;
    at::Tensor dinner;  // of the adapter
  };
  InputGradient BackwardInput(const at::Tensor& dy, const std::vector<int64_t>& offsets, bool need_dx) const;
  void BackwardParameters(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& row_weights, const std::vector<int64_t>& offsets,
                          const at::Tensor& inner, const at::Tensor& dinner);

  /// All but quantized ones.
  void AppendWeights(std::vector<WeightRef>* refs);

 private:
  /// x · wᵀ and dy · w of an expert, as terms.
  kernels::ProductTerm ForwardTerm(int64_t expert, const at::Tensor& x) const;
  kernels::ProductTerm BackwardTerm(int64_t expert, const at::Tensor& dy) const;
};

}  // namespace ft
