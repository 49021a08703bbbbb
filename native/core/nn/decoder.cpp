#include "core/nn/decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>

#include "core/nn/checkpointing.h"
#include "core/nn/kv_cache.h"

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor Scaled(const at::Tensor& x, double scale) { return scale == 1.0 ? x : x * scale; }

// Rows of the table times `scale`; the gradient is added to `grad` (a plain tensor outside the graph).
class EmbeddingFunction : public torch::autograd::Function<EmbeddingFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& anchor, const at::Tensor& table, const at::Tensor& ids, const at::Tensor& grad,
                            double scale) {
    (void)anchor;
    ctx->save_for_backward({ids});
    ctx->saved_data["grad"] = grad;
    ctx->saved_data["scale"] = scale;
    return Scaled(table.index_select(0, ids), scale);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    at::Tensor grad = ctx->saved_data["grad"].toTensor();
    grad.index_add_(0, ctx->get_saved_variables()[0], Scaled(grads[0], ctx->saved_data["scale"].toDouble()).to(grad.scalar_type()));
    return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

double EmbeddingScale(const DecoderSpec& spec, at::ScalarType dtype) {
  if (!spec.round_embedding_multiplier) return spec.embedding_multiplier;
  return at::scalar_tensor(spec.embedding_multiplier, dtype).item<double>();
}

}  // namespace

Decoder::Decoder(const DecoderSpec& spec, at::ScalarType dtype, at::Device device)
    : spec_(spec), dtype_(dtype), device_(device), embed_scale_(EmbeddingScale(spec, dtype)) {
  const auto options = at::TensorOptions(dtype_).device(device_);
  for (const RopeSpec& rope : spec_.ropes) ropes_.emplace_back(rope, spec_.max_position_embeddings, device_);
  embed_tokens_ = at::empty({spec_.vocab_size, spec_.hidden_size}, options);
  for (int64_t i = 0; i < spec_.num_hidden_layers; ++i) layers_.push_back(std::make_unique<DecoderLayer>(spec_, i, options));
  const std::vector<ModuleLayout> top = TopLayout(spec_);
  norm_ = NormWeight(LayoutOf(top, Slot::kFinalNorm), options);
  lm_head_ = LinearGroup(LayoutOf(top, Slot::kHead), options, spec_.tie_word_embeddings ? embed_tokens_ : at::Tensor());
}

void Decoder::UseEagerAttention() {
  for (const auto& layer : layers_) layer->attention().UseEager();
}

at::Tensor Decoder::Embed(const ForwardContext& context) {
  const at::Tensor& ids = context.batch->input_ids;
  if (at::GradMode::is_enabled() && embed_grad_.defined()) return EmbeddingFunction::apply(context.anchor, embed_tokens_, ids, embed_grad_, embed_scale_);
  return Scaled(embed_tokens_.index_select(0, ids), embed_scale_);
}

std::vector<RopeTables> Decoder::TablesOf(const ForwardContext& context) const {
  const Batch& batch = *context.batch;
  std::vector<int64_t> lengths(static_cast<size_t>(batch.rows()));
  for (size_t r = 0; r < lengths.size(); ++r) lengths[r] = batch.offsets[r + 1] - batch.offsets[r] + (context.cache ? context.cache->lengths[r] : 0);
  std::vector<RopeTables> tables;
  for (const Rope& rope : ropes_) {
    auto [cos, sin] = rope.Tables(batch.positions, batch.offsets, lengths);
    tables.push_back({std::move(cos), std::move(sin)});
  }
  return tables;
}

at::Tensor Decoder::Hidden(const ForwardContext& context) {
  const std::vector<RopeTables> tables = TablesOf(context);
  at::Tensor x = Embed(context);
  int64_t again = at::GradMode::is_enabled() ? context.checkpointed_layers : 0;  // layers still to come that run again
  for (const auto& layer : layers_) {
    ThrowIfCancelled(context.cancel);
    const auto forward = [&layer, tables, &context](const at::Tensor& input, bool value_wanted) {
      return layer->Forward(input, tables, context, value_wanted);
    };
    x = again-- > 0 ? Checkpointed(forward, x, context.anchor) : forward(x, true);
  }
  return x;
}

std::vector<WeightRef> Decoder::Weights() {
  const int64_t numel = spec_.vocab_size * spec_.hidden_size;
  std::vector<WeightRef> refs = {{embed_tokens_, &embed_grad_, true, {{spec_.names.embed_tokens + ".weight", embed_tokens_.sizes().vec(), 0, numel}}}};
  for (const auto& layer : layers_) layer->AppendWeights(&refs);
  norm_.AppendWeights(&refs);
  lm_head_.AppendWeights(&refs);
  return refs;
}

std::vector<Decoder::NamedTensor> Decoder::NamedTensors() const {
  std::vector<NamedTensor> tensors;
  for (const WeightRef& ref : const_cast<Decoder*>(this)->Weights()) {
    const at::Tensor flat = ref.weight.view({-1});
    for (const WeightRef::Part& part : ref.parts) tensors.push_back({part.name, flat.narrow(0, part.offset, part.numel).view(part.shape)});
  }
  return tensors;
}

std::vector<LinearGroup*> Decoder::Groups() {
  std::vector<LinearGroup*> groups;
  for (const auto& layer : layers_) {
    for (LinearGroup* group : layer->Groups()) groups.push_back(group);
  }
  if (!spec_.tie_word_embeddings) groups.push_back(&lm_head_);
  return groups;
}

std::vector<CacheShape> Decoder::CacheShapes() const {
  std::vector<CacheShape> shapes;
  for (const auto& layer : layers_) shapes.push_back(layer->attention().cache_shape());
  return shapes;
}

int64_t Decoder::cache_valid_to() const {
  int64_t length = std::numeric_limits<int64_t>::max();
  for (const Rope& rope : ropes_) length = std::min(length, rope.cache_valid_to());
  return length;
}

std::vector<ParameterBlock> Decoder::MakeTrainable() {
  std::vector<ParameterBlock> blocks;
  for (WeightRef& ref : Weights()) {
    ParameterBlock block;
    block.compute = ref.weight.view({-1});
    block.master = dtype_ == at::kFloat ? block.compute : block.compute.to(at::kFloat);
    block.grad = at::zeros_like(block.compute);
    block.decay = ref.decay;
    block.master_saved_elsewhere = dtype_ == at::kFloat;
    for (const WeightRef::Part& part : ref.parts) block.views.push_back({part.name, part.shape, part.offset, part.numel});
    *ref.grad = block.grad.view(ref.weight.sizes());
    blocks.push_back(std::move(block));
  }
  if (spec_.tie_word_embeddings) lm_head_.weight_grad = embed_grad_;
  return blocks;
}

}  // namespace ft
