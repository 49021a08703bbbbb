// The one decoder, described by a DecoderSpec: embedding, layers of attention and MLP over packed rows, final norm, head.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/nn/context.h"
#include "core/nn/decoder_layer.h"
#include "core/nn/decoder_spec.h"
#include "core/nn/linear.h"
#include "core/nn/norm.h"
#include "core/nn/parameter.h"
#include "core/nn/rope.h"
#include "core/nn/stem.h"

namespace ft {

class Decoder {
 public:
  /// Allocates every weight (uninitialised) in `dtype` on `device`, but for those of linear modules named in `packed`: these
  /// are to be quantized ones, see PackedParts.
  /// Of the last `offload_layers` layers, matrices stay on the host and visit the device for each product: these are frozen.
  Decoder(const DecoderSpec& spec, at::ScalarType dtype, at::Device device, const std::set<std::string>& packed = {}, int64_t offload_layers = 0);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Hidden states before the final norm, [tokens, hidden]; where the model projects them behind it, the result of that.
  at::Tensor Hidden(const ForwardContext& context);
  /// What Hidden's result passes in front of lm_head; nullptr: nothing.
  const NormWeight* norm() const { return norm_ && !project_out_ ? &*norm_ : nullptr; }
  /// Shares memory with the embedding when tied. Its product is not yet scaled and capped: objectives/ does that.
  LinearGroup& lm_head() { return lm_head_; }

  struct NamedTensor {
    std::string name;   // Hugging Face tensor name
    at::Tensor tensor;  // its memory, in its stored shape; q, k and v are views of one buffer, fused experts a transposed one
    bool buffer = false;  // keeps its dtype in files
  };
  /// Every weight once, in module order.
  std::vector<NamedTensor> NamedTensors() const;
  /// One quantized weight: its place in a group's weights.
  struct PackedPart {
    std::string module;  // "model.layers.0.self_attn.q_proj"
    std::string tensor;  // in files: "model.layers.0.self_attn.q_proj.weight"
    quant::StackedWeight* weights;
    size_t part;
    int64_t rows, columns;    // [out_features, in_features]
    bool transposed = false;  // plain files have [columns, rows]
    int64_t expert = -1;      // of experts in one tensor, [experts, columns, rows] in plain files: which; else -1
    int64_t experts = 0;      // and of how many; of experts with a tensor each alike
  };
  /// Those of groups in module order, then those of experts. What makes a decoder fills them before it runs.
  std::vector<PackedPart> PackedParts();
  /// Memory of all weights.
  uint64_t WeightBytes() const;
  /// Every group that an adapter can attach to, in module order; lm_head last, tied or not.
  std::vector<LinearGroup*> Groups();
  /// The embedding of tokens, which an adapter can attach to as well.
  Stem::Table& embedding() { return stem_.tokens(); }
  /// The projections of experts that an adapter can attach to, of every layer that has some.
  std::vector<std::vector<ExpertLinear*>> Experts();
  /// What generation keeps of a token, a layer.
  std::vector<CacheShape> CacheShapes() const;

  /// Rows that grow beyond this many tokens have to be read anew: what a cache holds of them was turned otherwise.
  int64_t cache_valid_to() const;

  /// Full fine-tuning: one block a weight; gradients of the layers point into the blocks. Call once. Errors: kIncompatibleConfig with
  /// layers that are offloaded.
  std::vector<ParameterBlock> MakeTrainable();

  /// Plain matrix products instead of a flash kernel, in every layer.
  void UseEagerAttention();

  const DecoderSpec& spec() const { return spec_; }
  at::ScalarType dtype() const { return dtype_; }
  const at::Device& device() const { return device_; }

 private:
  PositionTables TablesOf(const ForwardContext& context, const std::vector<int64_t>& lengths) const;
  std::vector<WeightRef> Weights();

  DecoderSpec spec_;
  at::ScalarType dtype_;
  at::Device device_;
  int64_t offload_layers_;
  Stem stem_;
  std::vector<std::unique_ptr<DecoderLayer>> layers_;  // stable addresses: the graph points at them
  std::optional<NormWeight> norm_;
  std::optional<LinearGroup> project_out_;
  LinearGroup lm_head_;
  std::vector<Rope> ropes_;
};

}  // namespace ft
