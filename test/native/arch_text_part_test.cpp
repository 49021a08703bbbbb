// arch: the text part of a model that wraps one, a family forced by name, and what is said of a model_type that is unknown.
#include <fstream>

#include "core/arch/arch.h"
#include "core/nn/expected_tensors.h"
#include "io_helpers.h"

namespace ft::test {
namespace {

constexpr const char* kSizes = R"("vocab_size":10,"hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"num_attention_heads":2,
    "num_key_value_heads":1,"head_dim":6)";

std::string Wrapped(const std::string& type, const std::string& text = "", const std::string& more = "") {
  return R"({"model_type":")" + type + R"(","vision_config":{},"text_config":{)" + text + kSizes + "}" + more + "}";
}

// Writes config.json and the tensors that `spec` calls for, under names that `rename` gives them.
void WriteModel(const std::string& config, const DecoderSpec& spec, const std::function<std::string(std::string)>& rename,
                const std::vector<TensorHeader>& more = {}) {
  std::ofstream(TempFolder() / "config.json") << config;
  std::vector<TensorHeader> headers;
  for (const ExpectedTensor& tensor : ExpectedTensors(spec)) headers.push_back({rename(tensor.name), DType::kBF16, tensor.shape});
  headers.insert(headers.end(), more.begin(), more.end());
  SafetensorsWriter writer((TempFolder() / "model.safetensors").string(), headers, {});
  for (const TensorHeader& header : headers) {
    size_t count = DTypeSize(header.dtype);
    for (const int64_t dimension : header.shape) count *= static_cast<size_t>(dimension);
    writer.Append(std::string(count, '\1').data(), count);
  }
  writer.Finish();
}

std::string Replaced(const std::string& name, const std::string& from, const std::string& to) {
  return name.rfind(from, 0) == 0 ? to + name.substr(from.size()) : name;
}

}  // namespace

TEST(text_part_facts_and_names) {
  const DecoderSpec gemma = ParseDecoderSpec(Wrapped("gemma3"), "c");
  EXPECT_EQ(gemma.model_type, std::string("gemma3_text"));
  EXPECT_EQ(gemma.text_part_of, std::string("gemma3"));
  EXPECT(gemma.tie_word_embeddings && gemma.norm.unit_offset);
  EXPECT_EQ(ExpectedTensors(gemma)[1].name, std::string("model.language_model.layers.0.input_layernorm.weight"));
  EXPECT_EQ(LinearModules(gemma)[0].name, std::string("model.language_model.layers.0.self_attn.q_proj"));
  EXPECT_EQ(LinearModules(gemma).back().name, std::string("lm_head"));
  const DecoderSpec llava = ParseDecoderSpec(Wrapped("llava", R"("model_type":"mistral",)", R"(,"eos_token_id":7,"dtype":"float16")"), "c");
  EXPECT(llava.model_type == "mistral" && !llava.tie_word_embeddings && llava.eos_token_ids == std::vector<int64_t>{7} && llava.torch_dtype == "float16");
  EXPECT_EQ(ParseDecoderSpec(Wrapped("llava"), "c").model_type, std::string("llama"));
  // Alone it scales its logits; the wrapper's head does not.
  const DecoderSpec aya = ParseDecoderSpec(Wrapped("aya_vision", R"("logit_scale":0.0625,)"), "c");
  EXPECT(aya.model_type == "cohere2" && aya.logit_scale == 1.0);
  EXPECT_THROWS_CODE(ParseDecoderSpec(R"({"model_type":"gemma3"})", "c"), kModelConfig);
  EXPECT_THROWS_CODE(ParseDecoderSpec(Wrapped("gemma3", R"("model_type":"siglip",)"), "c"), kUnsupportedModel);
  EXPECT_THROWS_CODE(ParseDecoderSpec(Wrapped("gemma3", "", R"(,"quantization_config":{})"), "c"), kUnsupportedModel);
}

TEST(text_part_in_files_of_every_age) {
  const std::string config = Wrapped("llava");
  const DecoderSpec spec = ParseDecoderSpec(config, "c");
  const TensorHeader vision{"vision_tower.layer.weight", DType::kBF16, {2}};
  const std::string prefix = "model.language_model.";
  const auto same = [](std::string name) { return name; };
  const auto older = [&](const std::string& name) { return Replaced(Replaced(name, prefix, "language_model.model."), "lm_head", "language_model.lm_head"); };
  const auto alone = [&](const std::string& name) { return Replaced(name, prefix, "model."); };
  for (const std::function<std::string(std::string)>& rename : {std::function<std::string(std::string)>(same), {older}, {alone}}) {
    WriteModel(config, spec, rename, {vision});
    const CheckedTensors checked = CheckTensors(ReadDecoderSpec(TempFolder().string()), WeightFolder::Open(TempFolder().string()));
    EXPECT_EQ(checked.locations.size(), ExpectedTensors(spec).size());
    EXPECT(checked.unused.empty());  // another part is no stranger
  }
  WriteModel(config, spec, older, {{"language_model.model.layers.0.self_attn.q_proj.bias", DType::kBF16, {12}}});
  EXPECT_EQ(CheckTensors(spec, WeightFolder::Open(TempFolder().string())).unused.size(), size_t{1});
}

TEST(arch_unknown_type_names_the_nearest_family) {
  const std::string config = std::string(R"({"model_type":"mistral_custom",)") + kSizes + "}";
  const DecoderSpec spec = ParseDecoderSpec(config, "c", "llama");
  const auto same = [](std::string name) { return name; };
  WriteModel(config, spec, same);
  const auto read = [] { return ReadDecoderSpec(TempFolder().string()); };
  EXPECT_THROWS_CODE(read(), kUnsupportedModel);
  try {
    read();
  } catch (const Error& error) {
    EXPECT(Contains(error.what(), "like those of mistral") && Contains(error.remedy(), "--arch mistral"));
  }
  EXPECT_EQ(ReadDecoderSpec(TempFolder().string(), "llama").model_type, std::string("llama"));
  EXPECT_THROWS_CODE(ReadDecoderSpec(TempFolder().string(), "no_such"), kUnsupportedModel);
  // A tensor too many, and no family is like it.
  WriteModel(config, spec, same, {{"model.layers.0.mlp.gate.weight", DType::kBF16, {4, 8}}});
  EXPECT(Contains(MessageOf(read), "mistral_custom") && !Contains(MessageOf(read), "like those of"));
}

}  // namespace ft::test
