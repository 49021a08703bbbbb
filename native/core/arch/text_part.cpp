// One row a wrapper: what its text_config is when it does not say, and whether its head is tied to the embedding.
#include "core/arch/text_part.h"

#include <array>

#include "core/arch/families.h"
#include "core/base/error.h"

namespace ft {
namespace {

struct Wrapper {
  const char* model_type;
  const char* text_model_type;
  bool tie_word_embeddings;
};

constexpr std::array<Wrapper, 8> kWrappers{{
    {"aya_vision", "cohere2", true},
    {"gemma3", "gemma3_text", true},
    {"internvl", "qwen2", true},
    {"llava", "llama", false},
    {"llava_next", "llama", false},
    {"llava_onevision", "qwen2", false},
    {"mistral3", "mistral", true},
    {"vipllava", "llama", false},
}};

const Wrapper* FindWrapper(const std::string& model_type) {
  for (const Wrapper& wrapper : kWrappers) {
    if (model_type == wrapper.model_type) return &wrapper;
  }
  return nullptr;
}

constexpr std::string_view kPlainPrefix = "model.";
constexpr const char* kPrefix = "model.language_model.";  // as transformers 5 names the modules

void Rename(std::string* name) {
  if (name->rfind(kPlainPrefix, 0) == 0) *name = kPrefix + name->substr(kPlainPrefix.size());
}

}  // namespace

std::optional<TextPart> FindTextPart(const ConfigReader& config, const std::string& model_type) {
  const Wrapper* wrapper = FindWrapper(model_type);
  if (wrapper == nullptr) return std::nullopt;
  const auto text = config.Object("text_config");
  if (!text) config.Bad("text_config", "the configuration of the language model");
  if (config.Has("quantization_config")) {
    config.Unsupported("quantization_config", "of a model with a text part", "Use the unquantized release of the model (bf16, fp16 or fp32 safetensors).");
  }
  return TextPart{text->Text("model_type", wrapper->text_model_type), *text};
}

void ReadWrapper(const ConfigReader& config, const std::string& model_type, DecoderSpec* spec) {
  spec->text_part_of = model_type;
  spec->tie_word_embeddings = config.Bool("tie_word_embeddings", FindWrapper(model_type)->tie_word_embeddings);
  DecoderSpec over = *spec;
  ReadTokenIds(config, &over);
  if (config.Has("bos_token_id")) spec->bos_token_id = over.bos_token_id;
  if (config.Has("pad_token_id")) spec->pad_token_id = over.pad_token_id;
  if (config.Has("eos_token_id")) spec->eos_token_ids = over.eos_token_ids;
  if (spec->torch_dtype.empty()) spec->torch_dtype = ReadDtype(config);

  // The head of every one of them is a plain product, also where the language model by itself scales or caps it.
  spec->logit_scale = 1.0;
  spec->logit_softcap = 0.0;

  DecoderSpec::Names& names = spec->names;
  for (std::string* name : {&names.base_prefix, &names.embed_tokens, &names.norm, &names.attention_norm, &names.attention_post_norm, &names.mlp_norm,
                            &names.mlp_post_norm, &names.q_proj, &names.k_proj, &names.v_proj, &names.qkv_proj, &names.o_proj, &names.q_norm,
                            &names.k_norm, &names.gate_proj, &names.up_proj, &names.gate_up_proj, &names.down_proj}) {
    Rename(name);
  }
  // As transformers 4 wrote the files, and as a fine-tuned text part is saved by itself.
  names.aliases = {{kPrefix, "language_model.model."}, {"lm_head", "language_model.lm_head"}, {kPrefix, std::string(kPlainPrefix)}};
}

}  // namespace ft
