// The table of architectures: one row a model_type. To add one, write <family>.cpp and its row here.
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "core/arch/arch.h"
#include "core/arch/families.h"
#include "core/arch/nearest.h"
#include "core/arch/text_part.h"
#include "core/base/error.h"
#include "core/base/file.h"

// A row: model_type of config.json, the class that transformers builds, the function that reads the config (in a file of its own).
// clang-format off
#define FT_ARCHITECTURES(ROW) \
  ROW("bloom", "BloomForCausalLM", ParseBloom) \
  ROW("cohere", "CohereForCausalLM", ParseCohere) \
  ROW("cohere2", "Cohere2ForCausalLM", ParseCohere2) \
  ROW("deepseek_v2", "DeepseekV2ForCausalLM", ParseDeepseekV2) \
  ROW("deepseek_v3", "DeepseekV3ForCausalLM", ParseDeepseekV3) \
  ROW("exaone4", "Exaone4ForCausalLM", ParseExaone4) \
  ROW("falcon", "FalconForCausalLM", ParseFalcon) \
  ROW("gemma", "GemmaForCausalLM", ParseGemma) \
  ROW("gemma2", "Gemma2ForCausalLM", ParseGemma2) \
  ROW("gemma3_text", "Gemma3ForCausalLM", ParseGemma3Text) \
  ROW("glm4", "Glm4ForCausalLM", ParseGlm4) \
  ROW("gpt2", "GPT2LMHeadModel", ParseGpt2) \
  ROW("gpt_bigcode", "GPTBigCodeForCausalLM", ParseGptBigCode) \
  ROW("gpt_neo", "GPTNeoForCausalLM", ParseGptNeo) \
  ROW("gpt_neox", "GPTNeoXForCausalLM", ParseGptNeoX) \
  ROW("gpt_oss", "GptOssForCausalLM", ParseGptOss) \
  ROW("gptj", "GPTJForCausalLM", ParseGptJ) \
  ROW("granite", "GraniteForCausalLM", ParseGranite) \
  ROW("internlm2", "InternLM2ForCausalLM", ParseInternLm2) \
  ROW("llama", "LlamaForCausalLM", ParseLlama) \
  ROW("mistral", "MistralForCausalLM", ParseMistral) \
  ROW("mixtral", "MixtralForCausalLM", ParseMixtral) \
  ROW("mpt", "MptForCausalLM", ParseMpt) \
  ROW("nemotron", "NemotronForCausalLM", ParseNemotron) \
  ROW("olmo", "OlmoForCausalLM", ParseOlmo) \
  ROW("olmo2", "Olmo2ForCausalLM", ParseOlmo2) \
  ROW("opt", "OPTForCausalLM", ParseOpt) \
  ROW("phi", "PhiForCausalLM", ParsePhi) \
  ROW("phi3", "Phi3ForCausalLM", ParsePhi3) \
  ROW("qwen2", "Qwen2ForCausalLM", ParseQwen2) \
  ROW("qwen2_moe", "Qwen2MoeForCausalLM", ParseQwen2Moe) \
  ROW("qwen3", "Qwen3ForCausalLM", ParseQwen3) \
  ROW("qwen3_moe", "Qwen3MoeForCausalLM", ParseQwen3Moe) \
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

const Row* FindRow(const std::string& model_type) {
  for (const Row& row : kTable) {
    if (model_type == row.model_type) return &row;
  }
  return nullptr;
}

// Llama first: of families with the same tensors the one with the least of its own.
std::vector<Candidate> Candidates() {
  std::vector<Candidate> candidates;
  for (const Row& row : kTable) candidates.push_back({row.model_type, row.parse});
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::string_view(a.model_type) == "llama" && std::string_view(b.model_type) != "llama";
  });
  return candidates;
}

// `folder` empty: there are no weights to compare.
[[noreturn]] void RefuseType(const ConfigReader& config, const std::string& model_type, const std::string& folder) {
  const std::string supported = fmt::format("{}", fmt::join(SupportedModelTypes(), ", "));
  std::string message = fmt::format("{}: model_type {} is not supported", config.where(), JsonQuote(Shorten(model_type)));
  std::string remedy = fmt::format("Use a model of one of these types: {}.", supported);
  const auto fitting = folder.empty() ? std::vector<std::string>{} : FittingFamilies(config, model_type, folder, Candidates());
  if (!fitting.empty()) {
    message += fmt::format("; its config.json and tensors are like those of {}", fitting.front());
    remedy = fmt::format("Try it as that: --arch {} (model.arch in a configuration). Compare some answers with the original's before you rely on it.",
                         fitting.front());
  }
  throw Error(ErrorCode::kUnsupportedModel, message, remedy)
      .With("path", config.where())
      .With("model_type", Shorten(model_type))
      .With("nearest", fitting.empty() ? "" : fitting.front())
      .With("supported", supported);
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

namespace {

DecoderSpec Parse(const std::string& config_json, const std::string& where, const std::string& model_type, const std::string& folder) {
  const Json object = ParseConfigObject(config_json, where);
  const ConfigReader config(object, where);
  std::string type = config.Text("model_type", "");
  const auto text = FindTextPart(config, type);
  const std::string own = text ? text->model_type : type;  // of the decoder itself
  const std::string read_as = model_type.empty() ? own : model_type;
  if (read_as.empty()) config.Bad("model_type", fmt::format("one of {}", fmt::join(SupportedModelTypes(), ", ")));
  const Row* row = FindRow(read_as);
  if (row == nullptr) RefuseType(config, read_as, text || !model_type.empty() ? "" : folder);
  DecoderSpec spec = row->parse(text ? text->config : config);
  spec.model_type = row->model_type;
  spec.architecture = row->architecture;
  if (text) ReadWrapper(config, type, &spec);
  return spec;
}

}  // namespace

DecoderSpec ParseDecoderSpec(const std::string& config_json, const std::string& where, const std::string& model_type) {
  return Parse(config_json, where, model_type, "");
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
  DecoderSpec spec = Parse(ReadConfigText(path), path, model_type, folder);
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
