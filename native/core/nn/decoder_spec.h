// Structural facts of a decoder-only language model, as read from a Hugging Face config.json by
// arch/<family>.cpp. Code asks these facts (`spec.qk_norm`), never the family. Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/activation.h"
#include "core/nn/moe_spec.h"

namespace ft {

enum class RopeType { kDefault, kLinear, kDynamic, kLlama3, kYarn, kLongRope };

/// Rotary embedding; fields named as in config.json's rope_scaling / rope_parameters.
struct RopeSpec {
  RopeType type = RopeType::kDefault;
  int64_t dim = 0;           // leading dimensions of a head that turn; the others stay
  bool interleaved = false;  // pairs (0, 1), (2, 3) …; else (0, dim / 2), (1, dim / 2 + 1) …
  double rope_theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;                  // llama3
  double high_freq_factor = 4.0;                 // llama3
  int64_t original_max_position_embeddings = 0;  // llama3, yarn, dynamic, longrope; 0: max_position_embeddings
  double beta_fast = 32.0;                       // yarn
  double beta_slow = 1.0;                        // yarn
  double mscale = 0.0;                           // yarn; 0: absent
  double mscale_all_dim = 0.0;                   // yarn; 0: absent
  double attention_factor = 0.0;                 // yarn, longrope: multiplies cos and sin; 0: derived
  bool truncate = true;                          // yarn: round the correction range to whole dimensions
  std::vector<double> short_factor, long_factor; // longrope [dim / 2]: rows up to, and beyond, the original length
};

enum class NormKind { kRms, kLayer };

/// A normalisation; where one stands is said by its name in DecoderSpec::Names.
struct NormSpec {
  NormKind kind = NormKind::kRms;
  double eps = 1e-6;
  bool weight = true;
  bool bias = false;         // kLayer only
  bool unit_offset = false;  // the weight is stored as its difference from one
};

/// Where the norm of a block (attention or MLP) stands; x is the residual stream.
enum class NormPlace {
  kBefore,      // x + block(norm(x))
  kBeforeBoth,  // norm(x) + block(norm(x))
  kBehindSum,   // norm(x + block(x))
};

/// Biases of keys that grow with their position in the row (ALiBi, https://arxiv.org/abs/2108.12409).
struct AlibiSpec {
  std::vector<float> slopes;  // one a query head; empty: none
  bool in_bf16 = false;       // slopes, and their products with positions, are rounded to bfloat16
  double scale = 1.0;         // of the result
};

/// What a normalisation of queries and keys runs over; before the rotary embedding.
enum class QkNorm {
  kNone,
  kHead,      // each head, one weight [head_dim] for all
  kHeads,     // each head with a weight of its own: [heads, head_dim]
  kHeadList,  // the same, stored as one tensor a head: the names in Names::q_norm, k_norm hold a second {}
  kWidth,     // all heads together: [heads · head_dim]
};

/// How the heads of queries, keys and values lie in their fused product. Group: the query heads of one key-value head.
enum class QkvOrder {
  kConcatenated,  // all queries, all keys, all values
  kGrouped,       // for each group: its queries, its key, its value
};

/// Multi-head latent attention (nn/latent_attention.h): sizes of the latents and of the parts of a head.
struct LatentSpec {
  int64_t q_rank = 0;   // 0: queries come without a latent
  int64_t kv_rank = 0;  // 0: the model has plain attention
  int64_t nope_dim = 0, rope_dim = 0, v_dim = 0;
  NormSpec norm;        // of both latents

  bool present() const { return kv_rank > 0; }
};

/// What differs between layers.
struct LayerSpec {
  int64_t sliding_window = 0;  // tokens a query sees, itself included; 0: all before it
  int rope = 0;                // which of DecoderSpec::ropes turns queries and keys; -1: none (NoPE)
  double attention_scale = 0.0;  // 0: DecoderSpec::attention_scale
  bool experts = false;        // the MLP is a mixture of experts, by DecoderSpec::moe
};

struct DecoderSpec {
  std::string model_type;    // for messages and files only
  std::string architecture;  // the class that transformers builds, likewise
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  double initializer_range = 0.02;
  bool tie_word_embeddings = false;

  NormSpec norm;     // of the layers and in front of the head
  NormSpec qk_norm_spec;  // of queries and keys
  QkNorm qk_norm = QkNorm::kNone;
  NormPlace norm_place = NormPlace::kBefore;
  bool parallel_residual = false;  // attention and MLP read the same stream: x + attention(x) + mlp(x)

  bool qkv_bias = false;  // q_proj, k_proj, v_proj
  bool o_bias = false;    // o_proj
  bool mlp_bias = false;  // gate_proj, up_proj, down_proj
  bool head_bias = false; // lm_head
  bool transposed = false;  // linear weights of the layers are stored [in, out]
  QkvOrder qkv_order = QkvOrder::kConcatenated;
  double attention_scale = 0.0;    // multiplies q·k; 0: 1 / sqrt(head_dim)
  double attention_softcap = 0.0;  // scores become cap · tanh(score / cap); 0: none
  double clip_qkv = 0.0;           // queries, keys and values are clamped to ± this; 0: not
  bool attention_sinks = false;    // a learned score a head that takes part in the softmax and has no value
  LatentSpec latent;

  bool gated_mlp = true;  // down(act(gate(x)) · up(x)); else down(act(up(x)))
  Activation hidden_act = Activation::kSilu;
  MoeSpec moe;

  int64_t embedding_size = 0;   // width of embedding and head, where projections lie between them and the layers; 0: hidden_size
  int64_t position_offset = 0;  // rows of a learned table of positions (Names::position_embeddings) before that of position 0
  double embedding_multiplier = 1.0;
  bool round_embedding_multiplier = false;  // to the compute dtype, before it multiplies
  double residual_multiplier = 1.0;         // of what attention and MLP add to the stream
  double logit_scale = 1.0;
  double logit_softcap = 0.0;  // logits become cap · tanh(logit / cap), after logit_scale; 0: none

  std::vector<RopeSpec> ropes;    // empty: no layer has a rotary embedding
  AlibiSpec alibi;
  std::vector<LayerSpec> layers;  // num_hidden_layers entries

  std::vector<int64_t> eos_token_ids;  // config.json, overridden by generation_config.json
  int64_t bos_token_id = -1;
  int64_t pad_token_id = -1;
  std::string text_part_of;  // model_type of the model whose text part this is; empty: of none
  std::string torch_dtype;   // "bfloat16", "float16", "float32" or "" when absent

  /// Module names: `{}` stands for the layer index, for example "model.layers.{}.self_attn.q_proj". An empty name is a
  /// module that the model does not have: which norms there are, and whether projections are stored fused, is said here.
  struct Names {
    std::string base_prefix = "model.";  // of everything but the head; files of the bare model leave it out
    // Other beginnings that files give names, in the order in which they are tried.
    std::vector<std::pair<std::string, std::string>> aliases;
    std::string embed_tokens = "model.embed_tokens";
    std::string position_embeddings;  // a learned table of max_position_embeddings + position_offset rows
    std::string embedding_norm;
    std::string project_in, project_out;
    std::string norm = "model.norm";
    std::string lm_head = "lm_head";
    std::string lm_head_in_files;  // where tensors of the head go by another name than the module
    // Before attention and MLP, and on what they add to the stream. A parallel MLP without a norm of its own reads
    // what attention reads.
    std::string attention_norm = "model.layers.{}.input_layernorm";
    std::string attention_post_norm;
    std::string mlp_norm = "model.layers.{}.post_attention_layernorm";
    std::string mlp_post_norm;
    std::string q_proj = "model.layers.{}.self_attn.q_proj";
    std::string k_proj = "model.layers.{}.self_attn.k_proj";
    std::string v_proj = "model.layers.{}.self_attn.v_proj";
    std::string qkv_proj;  // in place of the three
    std::string o_proj = "model.layers.{}.self_attn.o_proj";
    std::string q_norm = "model.layers.{}.self_attn.q_norm";
    std::string k_norm = "model.layers.{}.self_attn.k_norm";
    std::string sinks = "model.layers.{}.self_attn.sinks";
    // Latent attention: q_proj and q_norm make the latent of queries where they have one.
    std::string q_up_proj, kv_proj, kv_norm, kv_up_proj;
    std::string gate_proj = "model.layers.{}.mlp.gate_proj";
    std::string up_proj = "model.layers.{}.mlp.up_proj";
    std::string gate_up_proj;  // in place of the two: gate above up
    std::string down_proj = "model.layers.{}.mlp.down_proj";
    // Experts: as transformers 5 calls modules and parameters, and with a second {} for the expert as files do.
    std::string router = "model.layers.{}.mlp.gate";
    std::string stored_router;  // in files, where that is another name
    std::string experts = "model.layers.{}.mlp.experts";
    std::string expert_gate = "model.layers.{}.mlp.experts.{}.gate_proj";
    std::string expert_up = "model.layers.{}.mlp.experts.{}.up_proj";
    std::string expert_down = "model.layers.{}.mlp.experts.{}.down_proj";
    std::string shared_expert = "model.layers.{}.mlp.shared_expert";  // + .gate_proj, .up_proj, .down_proj
    std::string shared_gate = "model.layers.{}.mlp.shared_expert_gate";
  } names;
};

}  // namespace ft
