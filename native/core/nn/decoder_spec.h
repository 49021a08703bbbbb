// Structural facts of a decoder-only language model, as read from a Hugging Face config.json by
// arch/<family>.cpp. Code asks these facts (`spec.qk_norm`), never the family. Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/activation.h"

namespace ft {

enum class RopeType { kDefault, kLinear, kDynamic, kLlama3, kYarn };

/// Rotary embedding; fields named as in config.json's rope_scaling / rope_parameters.
struct RopeSpec {
  RopeType type = RopeType::kDefault;
  double rope_theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;   // llama3
  double high_freq_factor = 4.0;  // llama3
  int64_t original_max_position_embeddings = 0;  // llama3, yarn, dynamic; 0: max_position_embeddings
  double beta_fast = 32.0;        // yarn
  double beta_slow = 1.0;         // yarn
  double mscale = 0.0;            // yarn; 0: absent
  double mscale_all_dim = 0.0;    // yarn; 0: absent
  double attention_factor = 0.0;  // yarn; 0: derived
  bool truncate = true;           // yarn: round the correction range to whole dimensions
  double partial_rotary_factor = 1.0;
};

struct LayerSpec {
  int64_t sliding_window = 0;  // tokens a query sees, itself included; 0: all before it
};

struct DecoderSpec {
  std::string model_type;  // for messages and files only
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double initializer_range = 0.02;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;  // q_proj, k_proj, v_proj
  bool o_bias = false;    // o_proj
  bool mlp_bias = false;  // gate_proj, up_proj, down_proj
  bool qk_norm = false;   // RMSNorm over head_dim of q and k, before rope
  Activation hidden_act = Activation::kSilu;
  RopeSpec rope;
  std::vector<LayerSpec> layers;  // num_hidden_layers entries

  std::vector<int64_t> eos_token_ids;  // config.json, overridden by generation_config.json
  int64_t bos_token_id = -1;
  int64_t pad_token_id = -1;
  std::string torch_dtype;  // "bfloat16", "float16", "float32" or "" when absent

  /// Tensor names: `{}` stands for the layer index, for example "model.layers.{}.self_attn.q_proj".
  struct Names {
    std::string embed_tokens = "model.embed_tokens";
    std::string norm = "model.norm";
    std::string lm_head = "lm_head";
    std::string input_layernorm = "model.layers.{}.input_layernorm";
    std::string post_attention_layernorm = "model.layers.{}.post_attention_layernorm";
    std::string q_proj = "model.layers.{}.self_attn.q_proj";
    std::string k_proj = "model.layers.{}.self_attn.k_proj";
    std::string v_proj = "model.layers.{}.self_attn.v_proj";
    std::string o_proj = "model.layers.{}.self_attn.o_proj";
    std::string q_norm = "model.layers.{}.self_attn.q_norm";
    std::string k_norm = "model.layers.{}.self_attn.k_norm";
    std::string gate_proj = "model.layers.{}.mlp.gate_proj";
    std::string up_proj = "model.layers.{}.mlp.up_proj";
    std::string down_proj = "model.layers.{}.mlp.down_proj";
  } names;
};

}  // namespace ft
