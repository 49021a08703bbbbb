// Linear projections that share one input, as one product: q,k,v are one LinearGroup, gate,up another,
// o, down and lm_head groups of one (as are projections that a model stores fused). The weight is frozen, or trainable (full fine-tuning), and an adapter
// may add to the output. No gradient is computed for what is frozen.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/kernels/linear.h"
#include "core/nn/context.h"
#include "core/nn/input_transform.h"
#include "core/nn/layout.h"
#include "core/nn/weight_ref.h"
#include "core/quant/stacked_weight.h"

namespace ft {

struct LinearPart {
  std::string name;  // module path, "model.layers.0.self_attn.q_proj"
  int64_t begin;     // first output row in the group
  int64_t out_features;
  std::string in_files;  // the name of its tensors in files
  bool packed = false;  // quantized
  bool transposed = false;  // in files
};

/// Identity of the tokens that the rows of an input stand for: keys of dropout.
struct TokenKeys {
  at::Tensor row_keys;   // int64 [tokens]
  at::Tensor positions;  // int64 [tokens]
};

/// What dropout of a step is keyed by.
struct BackwardKeys {
  TokenKeys tokens;
  uint64_t seed, step;
};

/// Adds a trainable change to a group's output. One implementation a method, in adapters/.
class LinearAdapter {
 public:
  virtual ~LinearAdapter() = default;
  /// What the adapter adds to the output for x [tokens, in], as a product that joins the group's own. `saved` (or null)
  /// receives what Backward wants.
  virtual kernels::ProductTerm Forward(const at::Tensor& x, const TokenKeys& keys, const ForwardContext& context, std::vector<at::Tensor>* saved) = 0;

  /// What the adapter adds to dx; term and addend may be absent.
  struct InputGradient {
    std::optional<kernels::ProductTerm> term;
    at::Tensor addend;                // [tokens, in]
    std::vector<at::Tensor> results;  // what BackwardParameters wants of it
  };
  virtual InputGradient BackwardInput(const at::Tensor& dy, const std::vector<at::Tensor>& saved, const BackwardKeys& keys, bool need_dx) = 0;
  /// Adds its parameter gradients to their blocks. After BackwardInput, so that x may be made while dx is used.
  virtual void BackwardParameters(const at::Tensor& x, const at::Tensor& dy, const std::vector<at::Tensor>& saved, const InputGradient& input,
                                  const BackwardKeys& keys) = 0;
};

/// x as a product with this weight wants it: rounded, for schemes that multiply in 8 bits.
at::Tensor InputOf(const quant::PackedWeight& weight, const at::Tensor& x);

struct LinearGroup {
  LinearGroup() = default;
  /// Allocates weight and bias (uninitialised). `shared`, where defined, is the weight: another module's, [out, in].
  /// REQUIRES: a group that is stored transposed has one part.
  LinearGroup(const ModuleLayout& layout, const at::TensorOptions& options, const at::Tensor& shared = {});

  at::Tensor weight;              // [out, in], or transposed [in, out]; compute dtype
  bool transposed = false;
  std::shared_ptr<quant::StackedWeight> packed;  // in place of weight where a part is quantized: [out, in]; what loads fills its parts
  bool shared = false;            // the weight belongs to another module
  at::Tensor bias;                // [out] or undefined
  std::vector<LinearPart> parts;  // in output order
  LinearAdapter* adapter = nullptr;         // the active one; owned by its Adapter
  at::Tensor weight_grad;         // as weight, or undefined when frozen
  at::Tensor bias_grad;           // [out] or undefined
  int64_t in_features() const { return packed ? packed->columns() : weight.size(transposed ? 0 : 1); }
  int64_t out_features() const { return packed ? packed->rows() : weight.size(transposed ? 1 : 0); }
  bool trainable() const { return adapter != nullptr || weight_grad.defined(); }

  /// transform(u) [tokens, in] -> [tokens, out], plus `residual` [tokens, out] where one is given. Differentiable: the
  /// graph keeps u, not transform(u). transform may be null. With `value_wanted` false only the graph is made: the result
  /// has the shape and the gradient, and no defined values (what recomputes a layer for its backward needs no output).
  at::Tensor Forward(const at::Tensor& u, const InputTransform* transform, const at::Tensor& residual, const ForwardContext& context,
                     bool value_wanted = true);

  /// The product without autograd, for callers that write their own backward (the loss head). residual may be undefined.
  at::Tensor Product(const at::Tensor& x, const at::Tensor& residual, const TokenKeys& keys, const ForwardContext& context, std::vector<at::Tensor>* saved);
  /// Backward of Product, in two parts: first dx (undefined unless `need_dx`) ...
  struct InputGradient {
    at::Tensor dx;
    LinearAdapter::InputGradient adapter;
  };
  InputGradient BackwardInput(const at::Tensor& dy, const std::vector<at::Tensor>& saved, const BackwardKeys& keys, bool need_dx);
  /// ... then the parameter gradients, which alone want x.
  void BackwardParameters(const at::Tensor& x, const at::Tensor& dy, const std::vector<at::Tensor>& saved, const InputGradient& input,
                          const BackwardKeys& keys);

  /// Its own weights: neither a shared one nor quantized ones.
  void AppendWeights(std::vector<WeightRef>* refs);

 private:
  void MakePacked(const ModuleLayout& layout, const at::TensorOptions& options);
  /// x · wᵀ as a term, and dy · w.
  kernels::ProductTerm ForwardTerm(const at::Tensor& x) const;
  kernels::ProductTerm BackwardTerm(const at::Tensor& dy) const;
  /// Product where parts want their inputs rounded differently.
  at::Tensor ProductByParts(const at::Tensor& x, const at::Tensor& residual, const TokenKeys& keys, const ForwardContext& context,
                            std::vector<at::Tensor>* saved);

  std::vector<std::pair<size_t, at::Tensor>> plain_parts_;  // beside quantized ones: part, weight
};

}  // namespace ft
