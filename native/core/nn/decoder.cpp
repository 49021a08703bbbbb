#include "core/nn/decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/nn/checkpointing.h"
#include "core/nn/expected_tensors.h"
#include "core/nn/kv_cache.h"

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows of the table; the gradient is added to `grad` (a plain tensor outside the graph).
class EmbeddingFunction : public torch::autograd::Function<EmbeddingFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& anchor, const at::Tensor& table, const at::Tensor& ids, const at::Tensor& grad) {
    (void)anchor;
    ctx->save_for_backward({ids});
    ctx->saved_data["grad"] = grad;
    return table.index_select(0, ids);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    at::Tensor grad = ctx->saved_data["grad"].toTensor();
    grad.index_add_(0, ctx->get_saved_variables()[0], grads[0].to(grad.scalar_type()));
    return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor DecoderLayer::Forward(const at::Tensor& x, const RopeTables& tables, const ForwardContext& context, bool value_wanted) {
  const at::Tensor qkv_out = qkv.Forward(x, &input_layernorm, {}, context);
  const at::Tensor attended = attention.Forward(qkv_out, tables, context);
  const at::Tensor middle = o_proj.Forward(attended, nullptr, x, context);
  const at::Tensor gate_up_out = gate_up.Forward(middle, &post_attention_layernorm, {}, context);
  return down_proj.Forward(gate_up_out, &activation, middle, context, value_wanted);
}

Decoder::Decoder(const DecoderSpec& spec, at::ScalarType dtype, at::Device device)
    : spec_(spec), dtype_(dtype), device_(device), rope_(spec, device) {
  const auto options = at::TensorOptions(dtype_).device(device_);
  embed_tokens_ = at::empty({spec_.vocab_size, spec_.hidden_size}, options);
  for (int64_t i = 0; i < spec_.num_hidden_layers; ++i) BuildLayer(i);
  norm_.weight = at::empty({spec_.hidden_size}, options);
  norm_.eps = spec_.rms_norm_eps;
  if (spec_.tie_word_embeddings) {
    lm_head_.weight = embed_tokens_;
    lm_head_.parts = {{spec_.names.lm_head, 0, spec_.vocab_size}};
  } else {
    lm_head_ = MakeGroup({{spec_.names.lm_head, spec_.vocab_size}}, spec_.hidden_size, false);
  }
}

LinearGroup Decoder::MakeGroup(const std::vector<std::pair<std::string, int64_t>>& parts, int64_t in_features, bool bias) const {
  LinearGroup group;
  int64_t out = 0;
  for (const auto& [name, rows] : parts) {
    group.parts.push_back({name, out, rows});
    out += rows;
  }
  const auto options = at::TensorOptions(dtype_).device(device_);
  group.weight = at::empty({out, in_features}, options);
  if (bias) group.bias = at::empty({out}, options);
  return group;
}

void Decoder::BuildLayer(int64_t index) {
  const auto options = at::TensorOptions(dtype_).device(device_);
  const DecoderSpec::Names& names = spec_.names;
  const auto name = [&](const std::string& pattern) { return LayerName(pattern, index); };
  const int64_t hidden = spec_.hidden_size, ffn = spec_.intermediate_size;
  const int64_t q_rows = spec_.num_attention_heads * spec_.head_dim, kv_rows = spec_.num_key_value_heads * spec_.head_dim;
  auto layer = std::make_unique<DecoderLayer>();
  for (NormWeight* norm : {&layer->input_layernorm, &layer->post_attention_layernorm}) {
    norm->weight = at::empty({hidden}, options);
    norm->eps = spec_.rms_norm_eps;
  }
  layer->qkv = MakeGroup({{name(names.q_proj), q_rows}, {name(names.k_proj), kv_rows}, {name(names.v_proj), kv_rows}}, hidden, spec_.qkv_bias);
  layer->o_proj = MakeGroup({{name(names.o_proj), hidden}}, q_rows, spec_.o_bias);
  layer->gate_up = MakeGroup({{name(names.gate_proj), ffn}, {name(names.up_proj), ffn}}, hidden, spec_.mlp_bias);
  layer->down_proj = MakeGroup({{name(names.down_proj), hidden}}, ffn, spec_.mlp_bias);
  layer->activation = GatedActivation(spec_.hidden_act);
  if (spec_.qk_norm) {
    for (NormWeight* norm : {&layer->q_norm, &layer->k_norm}) {
      norm->weight = at::empty({spec_.head_dim}, options);
      norm->eps = spec_.rms_norm_eps;
    }
  }
  layer->attention = {spec_.num_attention_heads, spec_.num_key_value_heads, spec_.head_dim, spec_.layers[index].sliding_window, index,
                      spec_.qk_norm ? &layer->q_norm : nullptr, spec_.qk_norm ? &layer->k_norm : nullptr};
  layers_.push_back(std::move(layer));
}

void Decoder::UseEagerAttention() {
  for (const auto& layer : layers_) layer->attention.eager = true;
}

at::Tensor Decoder::Embed(const ForwardContext& context) {
  const at::Tensor& ids = context.batch->input_ids;
  if (at::GradMode::is_enabled() && embed_grad_.defined()) return EmbeddingFunction::apply(context.anchor, embed_tokens_, ids, embed_grad_);
  return embed_tokens_.index_select(0, ids);
}

at::Tensor Decoder::Hidden(const ForwardContext& context) {
  const Batch& batch = *context.batch;
  std::vector<int64_t> lengths(batch.rows());
  for (int64_t r = 0; r < batch.rows(); ++r) {
    lengths[r] = batch.offsets[r + 1] - batch.offsets[r] + (context.cache ? context.cache->lengths[r] : 0);
  }
  const auto [cos, sin] = rope_.Tables(batch.positions, batch.offsets, lengths);
  const RopeTables tables{cos, sin};
  at::Tensor x = Embed(context);
  for (const auto& layer : layers_) {
    ThrowIfCancelled(context.cancel);
    const auto forward = [&layer, tables, &context](const at::Tensor& input, bool value_wanted) {
      return layer->Forward(input, tables, context, value_wanted);
    };
    x = context.gradient_checkpointing && at::GradMode::is_enabled() ? Checkpointed(forward, x, context.anchor) : forward(x, true);
  }
  return x;
}

std::vector<Decoder::WeightRef> Decoder::Weights() {
  std::vector<WeightRef> refs;
  const auto add_norm = [&](NormWeight& norm, const std::string& name) {
    refs.push_back({norm.weight, &norm.grad, false, {{name + ".weight", 0, norm.weight.size(0)}}});
  };
  const auto add_group = [&](LinearGroup& group) {
    WeightRef weight{group.weight, &group.weight_grad, true, {}};
    WeightRef bias{group.bias, &group.bias_grad, false, {}};
    for (const LinearPart& part : group.parts) {
      weight.parts.push_back({part.name + ".weight", part.begin, part.out_features});
      bias.parts.push_back({part.name + ".bias", part.begin, part.out_features});
    }
    refs.push_back(weight);
    if (group.bias.defined()) refs.push_back(bias);
  };
  const DecoderSpec::Names& names = spec_.names;
  refs.push_back({embed_tokens_, &embed_grad_, true, {{names.embed_tokens + ".weight", 0, spec_.vocab_size}}});
  for (size_t i = 0; i < layers_.size(); ++i) {
    DecoderLayer& layer = *layers_[i];
    const auto index = static_cast<int64_t>(i);
    add_norm(layer.input_layernorm, LayerName(names.input_layernorm, index));
    add_group(layer.qkv);
    if (spec_.qk_norm) {
      add_norm(layer.q_norm, LayerName(names.q_norm, index));
      add_norm(layer.k_norm, LayerName(names.k_norm, index));
    }
    add_group(layer.o_proj);
    add_norm(layer.post_attention_layernorm, LayerName(names.post_attention_layernorm, index));
    add_group(layer.gate_up);
    add_group(layer.down_proj);
  }
  add_norm(norm_, names.norm);
  if (!spec_.tie_word_embeddings) add_group(lm_head_);
  return refs;
}

std::vector<Decoder::NamedTensor> Decoder::NamedTensors() const {
  std::vector<NamedTensor> tensors;
  for (const WeightRef& ref : const_cast<Decoder*>(this)->Weights()) {
    for (const WeightRef::Part& part : ref.parts) tensors.push_back({part.name, ref.weight.narrow(0, part.begin, part.rows)});
  }
  return tensors;
}

std::vector<LinearGroup*> Decoder::Groups() {
  std::vector<LinearGroup*> groups;
  for (const auto& layer : layers_) {
    for (LinearGroup* group : {&layer->qkv, &layer->o_proj, &layer->gate_up, &layer->down_proj}) groups.push_back(group);
  }
  if (!spec_.tie_word_embeddings) groups.push_back(&lm_head_);
  return groups;
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
    const int64_t row = ref.weight.numel() / ref.weight.size(0);
    for (const WeightRef::Part& part : ref.parts) {
      std::vector<int64_t> shape = ref.weight.sizes().vec();
      shape[0] = part.rows;
      block.views.push_back({part.name, shape, part.begin * row, part.rows * row});
    }
    *ref.grad = block.grad.view(ref.weight.sizes());
    blocks.push_back(std::move(block));
  }
  if (spec_.tie_word_embeddings) lm_head_.weight_grad = embed_grad_;
  return blocks;
}

}  // namespace ft
