#include "core/arch/stored_quantization.h"

#include "core/arch/config_reader.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"

namespace ft {
namespace {

constexpr const char* kRemedy = "Supported: bitsandbytes (4 and 8 bits), gptq (4 and 8 bits), awq (gemm), fp8 in blocks, mxfp4. Or use the unquantized release.";
constexpr int64_t kMaxGroup = 1 << 20;
constexpr size_t kMaxConfigBytes = size_t{16} << 20;

StoredQuantization ParseBitsAndBytes(const ConfigReader& config) {
  const bool four = config.Bool("load_in_4bit", config.Bool("_load_in_4bit", false)), eight = config.Bool("load_in_8bit", config.Bool("_load_in_8bit", false));
  if (four == eight) config.Bad("load_in_4bit", "one of load_in_4bit and load_in_8bit", four ? "both" : "none");
  StoredQuantization stored;
  stored.format = four ? StoredFormat::kBnb4 : StoredFormat::kBnb8;
  stored.bits = four ? 4 : 8;
  stored.int8_threshold = config.Number("llm_int8_threshold", 6.0, 0, 1e6);
  return stored;
}

int64_t GroupSize(const ConfigReader& config) {
  const int64_t size = config.Int("group_size", 128, -1, kMaxGroup);
  if (size == 0) config.Bad("group_size", "-1 or at least 1");
  return size;
}

StoredQuantization ParseGptq(const ConfigReader& config) {
  StoredQuantization stored;
  stored.format = StoredFormat::kGptq;
  stored.bits = static_cast<int>(config.Int("bits", 4, 1, 16));
  if (stored.bits != 4 && stored.bits != 8) config.Unsupported("bits", std::to_string(stored.bits), kRemedy);
  stored.group_size = GroupSize(config);
  const char* key = config.Has("checkpoint_format") ? "checkpoint_format" : "format";
  const std::string format = config.Text(key, "gptq");
  if (format != "gptq" && format != "gptq_v2") config.Unsupported(key, JsonQuote(Shorten(format)), "Supported: gptq, gptq_v2.");
  stored.zeros_plus_one = format == "gptq";
  return stored;
}

StoredQuantization ParseAwq(const ConfigReader& config) {
  StoredQuantization stored;
  stored.format = StoredFormat::kAwq;
  stored.bits = static_cast<int>(config.Int("bits", config.Int("w_bit", 4, 1, 16), 1, 16));
  if (stored.bits != 4) config.Unsupported("bits", std::to_string(stored.bits), kRemedy);
  stored.group_size = config.Has("group_size") ? GroupSize(config) : config.Int("q_group_size", 128, 1, kMaxGroup);
  const std::string version = config.Text(config.Has("version") ? "version" : "format", "gemm");
  if (version != "gemm" && version != "GEMM") config.Unsupported("version", JsonQuote(Shorten(version)), "Supported: gemm.");
  return stored;
}

StoredQuantization ParseFloat8(const ConfigReader& config) {
  StoredQuantization stored;
  stored.format = StoredFormat::kFloat8;
  stored.bits = 8;
  const std::string format = config.Text("fmt", "e4m3");
  if (format != "e4m3") config.Unsupported("fmt", JsonQuote(Shorten(format)), "Supported: e4m3.");
  const auto block = config.IntList("weight_block_size");
  if (!block) config.Unsupported("weight_block_size", "null", "Supported: weights in blocks, [128, 128].");
  if (block->size() != 2 || (*block)[0] < 1 || (*block)[1] < 1) config.Bad("weight_block_size", "two numbers of at least 1");
  stored.block_rows = (*block)[0], stored.block_columns = (*block)[1];
  return stored;
}

StoredQuantization ParseObject(const ConfigReader& object) {
  const std::string method = object.Text("quant_method", "");
  if (method == "bitsandbytes" || (method.empty() && (object.Has("load_in_4bit") || object.Has("load_in_8bit")))) return ParseBitsAndBytes(object);
  if (method == "gptq") return ParseGptq(object);
  if (method == "awq") return ParseAwq(object);
  if (method == "fp8") return ParseFloat8(object);
  if (method == "mxfp4") {
    StoredQuantization stored;
    stored.format = StoredFormat::kMxfp4;
    stored.bits = 4;
    return stored;
  }
  object.Unsupported("quant_method", JsonQuote(Shorten(method)), kRemedy);
}

}  // namespace

StoredQuantization ParseStoredQuantization(const std::string& config_json, const std::string& where) {
  JsonOptions options;
  options.where = where;
  options.code = ErrorCode::kModelConfig;
  const Json json = Json::Parse(config_json, options);
  FT_CHECK(json.kind() == JsonKind::kObject, kModelConfig, "{}: expected an object, got {}", where, JsonKindName(json.kind()));
  const ConfigReader config(json, where);
  if (const auto object = config.Object("quantization_config")) return ParseObject(*object);
  const auto text = config.Object("text_config");  // of a model that has more than text
  const auto nested = text ? text->Object("quantization_config") : std::nullopt;
  return nested ? ParseObject(*nested) : StoredQuantization();
}

StoredQuantization ReadStoredQuantization(const std::string& folder) {
  const std::string path = JoinPath(folder, "config.json");
  FT_CHECK(FileExists(path), kModelNotFound, "{} has no config.json", folder);
  return ParseStoredQuantization(ReadSmallFile(path, kMaxConfigBytes), path);
}

}  // namespace ft
