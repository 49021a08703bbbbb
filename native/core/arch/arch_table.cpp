// The table of architectures: one row a model_type. To add one, write <family>.cpp and its row here.
#include <fmt/ranges.h>

#include "core/arch/arch.h"
#include "core/arch/families.h"
#include "core/base/error.h"
#include "core/base/file.h"

// A row: model_type of config.json, the class that transformers builds, the function that reads the config (in a file of its own).
// clang-format off
#define FT_ARCHITECTURES(ROW) \
  ROW("cohere", "CohereForCausalLM", ParseCohere) \
  ROW("cohere2", "Cohere2ForCausalLM", ParseCohere2) \
  ROW("exaone4", "Exaone4ForCausalLM", ParseExaone4) \
  ROW("gemma", "GemmaForCausalLM", ParseGemma) \
  ROW("gemma2", "Gemma2ForCausalLM", ParseGemma2) \
  ROW("gemma3_text", "Gemma3ForCausalLM", ParseGemma3Text) \
  ROW("glm4", "Glm4ForCausalLM", ParseGlm4) \
  ROW("granite", "GraniteForCausalLM", ParseGranite) \
  ROW("llama", "LlamaForCausalLM", ParseLlama) \
  ROW("mistral", "MistralForCausalLM", ParseMistral) \
  ROW("nemotron", "NemotronForCausalLM", ParseNemotron) \
  ROW("olmo", "OlmoForCausalLM", ParseOlmo) \
  ROW("olmo2", "Olmo2ForCausalLM", ParseOlmo2) \
  ROW("phi3", "Phi3ForCausalLM", ParsePhi3) \
  ROW("qwen2", "Qwen2ForCausalLM", ParseQwen2) \
  ROW("qwen3", "Qwen3ForCausalLM", ParseQwen3) \
  ROW("smollm3", "SmolLM3ForCausalLM", ParseSmolLm3) \
  ROW("stablelm", "StableLmForCausalLM", ParseStableLm) \
  ROW("starcoder2", "Starcoder2ForCausalLM", ParseStarcoder2) \
  /* the end */
// clang-format on

namespace ft {

#define FT_DECLARE(model_type, architecture, parse) DecoderSpec parse(const ConfigReader& config);
FT_ARCHITECTURES(FT_DECLARE)
#undef FT_DECLARE

namespace {

struct Row {
  const char* model_type;
  const char* architecture;
  DecoderSpec (*parse)(const ConfigReader& config);
};

#define FT_ROW(model_type, architecture, parse) {model_type, architecture, parse},
constexpr Row kTable[] = {FT_ARCHITECTURES(FT_ROW)};
#undef FT_ROW

constexpr size_t kMaxConfigBytes = size_t{4} << 20;

const Row& FindRow(const std::string& model_type, const std::string& where) {
  for (const Row& row : kTable) {
    if (model_type == row.model_type) return row;
  }
  throw Error(ErrorCode::kUnsupportedModel,
              fmt::format("{}: model_type {} is not supported", where, JsonQuote(Shorten(model_type))),
              fmt::format("Use a model of one of these types: {}.", fmt::join(SupportedModelTypes(), ", ")))
      .With("path", where)
      .With("model_type", Shorten(model_type))
      .With("supported", fmt::format("{}", fmt::join(SupportedModelTypes(), ", ")));
}

Json ParseConfigObject(const std::string& text, const std::string& where) {
  JsonOptions options;
  options.where = where;
  options.code = ErrorCode::kModelConfig;
  Json config = Json::Parse(text, options);
  if (config.kind() != JsonKind::kObject) {
    throw Error(ErrorCode::kModelConfig,
                fmt::format("{}: expected an object, got {}", where, JsonKindName(config.kind())),
                "Repair the model's config.json, or fetch it again.")
        .With("path", where);
  }
  return config;
}

std::string ReadConfigText(const std::string& path) {
  if (const File file = File::OpenRead(path); file.Size() > kMaxConfigBytes) {
    throw Error(ErrorCode::kModelConfig,
                fmt::format("{}: expected at most {} bytes, got {}", path, kMaxConfigBytes, file.Size()),
                "This is not a model's configuration: fetch it again.")
        .With("path", path);
  }
  return ReadSmallFile(path, kMaxConfigBytes);
}

}  // namespace

std::vector<std::string> SupportedModelTypes() {
  std::vector<std::string> types;
  for (const Row& row : kTable) types.emplace_back(row.model_type);
  return types;
}

DecoderSpec ParseDecoderSpec(const std::string& config_json, const std::string& where, const std::string& model_type) {
  const Json object = ParseConfigObject(config_json, where);
  const ConfigReader config(object, where);
  std::string type = model_type;
  if (type.empty()) {
    type = config.Text("model_type", "");
    if (type.empty()) config.Bad("model_type", fmt::format("one of {}", fmt::join(SupportedModelTypes(), ", ")));
  }
  const Row& row = FindRow(type, where);
  DecoderSpec spec = row.parse(config);
  spec.model_type = row.model_type;
  spec.architecture = row.architecture;
  return spec;
}

DecoderSpec ReadDecoderSpec(const std::string& folder, const std::string& model_type) {
  const bool is_folder = FolderExists(folder);
  const std::string path = JoinPath(folder, "config.json");
  if (!is_folder || !FileExists(path)) {
    const bool adapter = is_folder && FileExists(JoinPath(folder, "adapter_config.json"));
    throw Error(
        ErrorCode::kModelNotFound,
        !is_folder
            ? fmt::format("{} {}", folder, FileExists(folder) ? "is a file, expected a model folder" : "does not exist")
            : fmt::format("{} has no config.json{}", folder, adapter ? " (it holds an adapter, not a model)" : ""),
        adapter ? "Give the folder of the base model, and the adapter by itself."
                : "Give a Hugging Face model folder: config.json, *.safetensors and the tokenizer's files.")
        .With("path", folder);
  }
  DecoderSpec spec = ParseDecoderSpec(ReadConfigText(path), path, model_type);
  if (const std::string generation = JoinPath(folder, "generation_config.json"); FileExists(generation)) {
    const Json object = ParseConfigObject(ReadConfigText(generation), generation);
    const ConfigReader config(object, generation);
    // Key by key: a generation config without an end token must not lose the model's.
    DecoderSpec override = spec;
    ReadTokenIds(config, &override);
    if (config.Has("bos_token_id")) spec.bos_token_id = override.bos_token_id;
    if (config.Has("pad_token_id")) spec.pad_token_id = override.pad_token_id;
    if (config.Has("eos_token_id")) spec.eos_token_ids = override.eos_token_ids;
  }
  return spec;
}

}  // namespace ft
