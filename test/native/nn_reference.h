// The decoder written a second time, as plainly as possible: ATen operations under autograd in float64, one row at a
// time, no fusion. The engine's numbers are held against it.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "core/engine/model.h"
#include "core/nn/decoder.h"

namespace ft::test {

struct TinyOptions {
  bool tie = false;
  bool qkv_bias = true;
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = true;
  int64_t window = 0;
  RopeSpec rope;
};

/// Five heads of 6, one key-value group of 5, odd sizes everywhere else.
DecoderSpec TinySpec(const TinyOptions& options);

/// Writes config.json of a Qwen3-like model into `folder` (biases, q/k norm, windows by arguments).
std::shared_ptr<Model> RandomModel(const std::string& folder, const std::string& dtype = "fp32", bool tie = false, const std::string& extra = "");

/// Rows of lengths `lengths` with deterministic ids; labels = ids with the first `prompt` positions masked.
HostBatch MakeRows(const std::vector<int>& lengths, int64_t vocab, int prompt = 2, int seed = 1);

/// Weights by name in float64, each requiring grad.
using Weights = std::map<std::string, at::Tensor>;
Weights CopyWeights(const Decoder& decoder);
/// Adds scale · B · A of an adapter to copies of the weights; A and B are the differentiable leaves in `adapter`.
Weights WithLora(const Weights& base, const Weights& adapter, const std::vector<LoraTarget>& targets);

/// Sum of −log p(label) over supervised positions, float64 scalar with graph.
at::Tensor ReferenceLoss(const DecoderSpec& spec, const Weights& weights, const HostBatch& batch);
/// Logits of one row, float64 [length, vocab].
at::Tensor ReferenceLogits(const DecoderSpec& spec, const Weights& weights, const std::vector<int32_t>& ids);

/// max |a − b| / max |b|
double RelativeError(const at::Tensor& a, const at::Tensor& b);

}  // namespace ft::test
