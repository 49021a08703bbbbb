// One layer: an attention block and an MLP block on the residual stream, with norms before and behind them as the layout
// has them. x + attention(norm(x)), then the MLP on that sum, or, with a parallel residual, on x as well.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/nn/block.h"
#include "core/nn/decoder_spec.h"
#include "core/nn/norm.h"

namespace ft {

class DecoderLayer {
 public:
  /// Allocates every weight (uninitialised). `offloaded`: its matrices stay on the host, see MarkOffloaded.
  DecoderLayer(const DecoderSpec& spec, int64_t layer, const at::TensorOptions& options, const std::set<std::string>& packed, bool offloaded);
  DecoderLayer(const DecoderLayer&) = delete;
  DecoderLayer& operator=(const DecoderLayer&) = delete;

  /// x [tokens, hidden] -> [tokens, hidden]. Differentiable.
  /// `value_wanted` as in LinearGroup::Forward.
  at::Tensor Forward(const at::Tensor& x, const PositionTables& tables, const ForwardContext& context, bool value_wanted);

  AttentionBlock& attention() { return *attention_; }
  std::vector<LinearGroup*> Groups();
  std::vector<ExpertLinear*> Experts() { return mlp_->Experts(); }
  void AppendWeights(std::vector<WeightRef>* refs);

 private:
  // What a block reads and what becomes of its result.
  struct Branch {
    Block* block;
    const NormWeight *norm, *post_norm;  // nullptr: none
  };
  /// residual + what the branch makes of input.x.
  at::Tensor Add(const Branch& branch, BlockInput input, const at::Tensor& residual, const ForwardContext& context) const;
  /// The same where the norm does not stand before the block alone: see NormPlace.
  at::Tensor AddNormed(const Branch& branch, BlockInput input, const at::Tensor& residual, const ForwardContext& context) const;

  std::optional<NormWeight> attention_norm_, attention_post_norm_, mlp_norm_, mlp_post_norm_;
  std::unique_ptr<AttentionBlock> attention_;
  std::unique_ptr<Block> mlp_;
  int rope_;
  NormPlace place_;
  bool parallel_;
  double multiplier_;
};

}  // namespace ft
