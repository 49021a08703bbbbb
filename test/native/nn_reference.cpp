#include "nn_reference.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "core/nn/expected_tensors.h"
#include "core/nn/rope.h"

namespace ft::test {
namespace {

at::Tensor Norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return x * (x.square().mean(-1, true) + eps).rsqrt() * weight;
}

at::Tensor Linear(const Weights& w, const std::string& name, const at::Tensor& x) {
  at::Tensor y = at::matmul(x, w.at(name + ".weight").t());
  const auto bias = w.find(name + ".bias");
  return bias == w.end() ? y : y + bias->second;
}

at::Tensor RotateHalf(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor turned = at::cat({-x.narrow(-1, half, half), x.narrow(-1, 0, half)}, -1);
  return x * at::cat({cos, cos}, -1).unsqueeze(1) + turned * at::cat({sin, sin}, -1).unsqueeze(1);
}

at::Tensor AttentionOf(const DecoderSpec& s, const Weights& w, int64_t layer, const at::Tensor& x) {
  const auto name = [&](const std::string& pattern) { return LayerName(pattern, layer); };
  const int64_t n = x.size(0), d = s.head_dim;
  at::Tensor q = Linear(w, name(s.names.q_proj), x).view({n, s.num_attention_heads, d});
  at::Tensor k = Linear(w, name(s.names.k_proj), x).view({n, s.num_key_value_heads, d});
  at::Tensor v = Linear(w, name(s.names.v_proj), x).view({n, s.num_key_value_heads, d});
  if (s.qk_norm != QkNorm::kNone) {
    q = Norm(q, w.at(name(s.names.q_norm) + ".weight"), s.norm.eps);
    k = Norm(k, w.at(name(s.names.k_norm) + ".weight"), s.norm.eps);
  }
  const auto [cos, sin] = Rope(s.ropes.at(0), s.max_position_embeddings, at::kCPU).Tables(at::arange(n, at::kLong), {0, n}, {n});
  q = RotateHalf(q, cos.to(at::kDouble), sin.to(at::kDouble)).transpose(0, 1);
  k = RotateHalf(k, cos.to(at::kDouble), sin.to(at::kDouble)).transpose(0, 1);
  const int64_t group = s.num_attention_heads / s.num_key_value_heads;
  k = k.repeat_interleave(group, 0);
  v = v.transpose(0, 1).repeat_interleave(group, 0);
  const at::Tensor distance = at::arange(n).unsqueeze(1) - at::arange(n).unsqueeze(0);
  at::Tensor hidden = distance.lt(0);
  if (s.layers[layer].sliding_window > 0) hidden = hidden.logical_or(distance.ge(s.layers[layer].sliding_window));
  const at::Tensor scores = at::matmul(q, k.transpose(1, 2)) / std::sqrt(static_cast<double>(d));
  const at::Tensor p = at::softmax(scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1);
  return Linear(w, name(s.names.o_proj), at::matmul(p, v).transpose(0, 1).reshape({n, s.num_attention_heads * d}));
}

}  // namespace

DecoderSpec TinySpec(const TinyOptions& options) {
  DecoderSpec s;
  s.model_type = "tiny";
  s.vocab_size = 61, s.hidden_size = 22, s.intermediate_size = 37, s.num_hidden_layers = 2;
  s.num_attention_heads = 6, s.num_key_value_heads = 2, s.head_dim = 6, s.max_position_embeddings = 32;
  s.tie_word_embeddings = options.tie, s.qkv_bias = options.qkv_bias, s.o_bias = options.o_bias, s.mlp_bias = options.mlp_bias;
  s.qk_norm = options.qk_norm ? QkNorm::kHead : QkNorm::kNone;
  s.ropes = {options.rope};
  s.ropes[0].dim = s.head_dim;
  s.layers = {{options.window, 0}, {0, 0}};
  return s;
}

std::shared_ptr<Model> RandomModel(const std::string& folder, const std::string& dtype, bool tie, const std::string& extra) {
  std::ofstream(folder + "/config.json") << fmt::format(
      R"({{"model_type":"qwen3","architectures":["Qwen3ForCausalLM"],"vocab_size":61,"hidden_size":22,"intermediate_size":37,"num_hidden_layers":2,
"num_attention_heads":6,"num_key_value_heads":2,"head_dim":6,"max_position_embeddings":32,"attention_bias":true,"tie_word_embeddings":{},
"initializer_range":0.2,"rope_theta":10000.0{}}})", tie, extra);
  LoadOptions options;
  options.path = folder;
  options.dtype = dtype;
  options.random_init = true;
  options.seed = 7;
  return Model::Load(options, nullptr, nullptr);
}

HostBatch MakeRows(const std::vector<int>& lengths, int64_t vocab, int prompt, int seed) {
  HostBatch batch;
  batch.cu_seqlens.push_back(0);
  uint32_t state = 12345u + static_cast<uint32_t>(seed) * 7919u;
  for (const int length : lengths) {
    for (int i = 0; i < length; ++i) {
      state = state * 1664525u + 1013904223u;
      const auto id = static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(vocab));
      batch.input_ids.push_back(id);
      batch.labels.push_back(i < prompt ? -100 : id);
    }
    batch.cu_seqlens.push_back(static_cast<int32_t>(batch.input_ids.size()));
  }
  return batch;
}

Weights CopyWeights(const Decoder& decoder) {
  Weights weights;
  for (const auto& named : decoder.NamedTensors()) weights[named.name] = named.tensor.detach().to(at::kDouble).clone().requires_grad_(true);
  if (decoder.spec().tie_word_embeddings) weights["lm_head.weight"] = weights["model.embed_tokens.weight"];
  return weights;
}

Weights WithLora(const Weights& base, const Weights& adapter, const std::vector<LoraTarget>& targets) {
  Weights merged = base;
  for (const LoraTarget& target : targets) {
    const std::string prefix = "base_model.model." + target.module;
    merged[target.module + ".weight"] = base.at(target.module + ".weight").detach() +
        at::matmul(adapter.at(prefix + ".lora_B.weight"), adapter.at(prefix + ".lora_A.weight")) * target.scale;
  }
  return merged;
}

at::Tensor ReferenceLogits(const DecoderSpec& s, const Weights& w, const std::vector<int32_t>& ids) {
  const at::Tensor index = at::tensor(std::vector<int64_t>(ids.begin(), ids.end()), at::kLong);
  at::Tensor x = w.at("model.embed_tokens.weight").index_select(0, index);
  for (int64_t layer = 0; layer < s.num_hidden_layers; ++layer) {
    const auto name = [&](const std::string& pattern) { return LayerName(pattern, layer); };
    x = x + AttentionOf(s, w, layer, Norm(x, w.at(name(s.names.attention_norm) + ".weight"), s.norm.eps));
    const at::Tensor h = Norm(x, w.at(name(s.names.mlp_norm) + ".weight"), s.norm.eps);
    const at::Tensor gate = Linear(w, name(s.names.gate_proj), h);
    x = x + Linear(w, name(s.names.down_proj), gate * at::sigmoid(gate) * Linear(w, name(s.names.up_proj), h));
  }
  return at::matmul(Norm(x, w.at("model.norm.weight"), s.norm.eps), w.at("lm_head.weight").t());
}

at::Tensor ReferenceLoss(const DecoderSpec& s, const Weights& w, const HostBatch& batch) {
  at::AutoGradMode grad(true);
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (size_t r = 0; r + 1 < batch.cu_seqlens.size(); ++r) {
    const int begin = batch.cu_seqlens[r], end = batch.cu_seqlens[r + 1];
    const at::Tensor log_p = at::log_softmax(ReferenceLogits(s, w, {batch.input_ids.begin() + begin, batch.input_ids.begin() + end}), -1);
    for (int t = begin + 1; t < end; ++t) {
      if (batch.labels[t] != -100) loss = loss - log_p[t - 1 - begin][batch.labels[t]];
    }
  }
  return loss;
}

double RelativeError(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  return ((x - y).abs().max() / y.abs().max().clamp_min(1e-30)).item<double>();
}

}  // namespace ft::test
