// What stands before the layers: the embedding of tokens (which an adapter may change), learned positions, a projection from a
// narrower embedding, a norm.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/nn/context.h"
#include "core/nn/decoder_spec.h"
#include "core/nn/linear.h"
#include "core/nn/norm.h"
#include "core/nn/weight_ref.h"

namespace ft {

/// Adds a trainable change to the rows of an embedding. One implementation a method, in adapters/.
class EmbeddingAdapter {
 public:
  virtual ~EmbeddingAdapter() = default;
  /// rows [tokens, width] of `ids` [tokens], with the change.
  virtual at::Tensor Forward(const at::Tensor& rows, const at::Tensor& ids) = 0;
  /// Adds its parameter gradients to their blocks; dy [tokens, width].
  virtual void Backward(const at::Tensor& ids, const at::Tensor& dy) = 0;
};

class Stem {
 public:
  /// Allocates every weight (uninitialised), but for those of linear modules named in `packed`.
  Stem(const DecoderSpec& spec, const at::TensorOptions& options, const std::set<std::string>& packed);

  /// [tokens, hidden]. Differentiable. Errors: kInvalidArgument for a row (of `longest` tokens with what is cached) beyond the
  /// learned positions.
  at::Tensor Forward(const ForwardContext& context, int64_t longest);

  /// A table of rows and, in full fine-tuning, its gradient, which backward adds to outside the graph.
  struct Table {
    at::Tensor weight, grad;  // [rows, width]
    std::string module;       // "model.embed_tokens"
    std::string name;         // of the tensor in files
    EmbeddingAdapter* adapter = nullptr;  // the active one; owned by its Adapter
    bool trainable() const { return grad.defined() || adapter != nullptr; }
  };
  /// The embedding, which a tied head shares.
  const Table& tokens() const { return tokens_; }
  Table& tokens() { return tokens_; }
  /// The projection, where there is one.
  std::vector<LinearGroup*> Groups();
  void AppendWeights(std::vector<WeightRef>* refs);

 private:
  at::Tensor Rows(const Table& table, const at::Tensor& ids, double scale, const ForwardContext& context) const;

  Table tokens_, positions_;  // positions_ undefined: none are learned
  double scale_;              // of the embedding
  int64_t offset_, max_positions_;
  std::optional<LinearGroup> project_in_;
  std::optional<NormWeight> norm_;
};

}  // namespace ft
