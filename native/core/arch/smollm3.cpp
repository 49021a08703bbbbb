// SmolLM3: transformers/models/smollm3. Llama where every fourth layer has no rotary embedding.
#include "core/arch/families.h"

namespace ft {

DecoderSpec ParseSmolLm3(const ConfigReader& config) {
  DecoderSpec spec = ParseCommon(config, {.vocab_size = 128256,
                                          .hidden_size = 2048,
                                          .intermediate_size = 11008,
                                          .num_hidden_layers = 36,
                                          .num_attention_heads = 16,
                                          .num_key_value_heads = 4,
                                          .head_dim = 0,
                                          .max_position_embeddings = 32768,
                                          .bos_token_id = 128000,
                                          .eos_token_id = 128001,
                                          .pad_token_id = 128004,
                                          .tie_word_embeddings = true,
                                          .rope_theta = 2000000.0});
  spec.qkv_bias = spec.o_bias = config.Bool("attention_bias", false);
  spec.mlp_bias = config.Bool("mlp_bias", false);
  const int64_t layers = spec.num_hidden_layers, interval = config.Int("no_rope_layer_interval", 4, 1, kMaxLayers);
  const auto turns = config.IntList("no_rope_layers");  // 1: the layer has a rotary embedding
  if (turns && static_cast<int64_t>(turns->size()) < layers) config.Bad("no_rope_layers", "an entry a layer (num_hidden_layers)", std::to_string(turns->size()));
  const auto turned = [&](int64_t layer) { return turns ? turns->at(static_cast<size_t>(layer)) != 0 : (layer + 1) % interval != 0; };

  const int64_t window = config.Bool("use_sliding_window", false) ? WindowOr(config, 0) : 0;
  const auto sliding = SlidingLayers(config, layers, [&](int64_t layer) { return window > 0 && !turned(layer); });
  for (int64_t i = 0; i < layers; ++i) spec.layers.push_back({sliding[static_cast<size_t>(i)] ? window : 0, turned(i) ? 0 : -1});
  return spec;
}

}  // namespace ft
