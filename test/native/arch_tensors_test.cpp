// nn/expected_tensors: the names and shapes a spec calls for, and the check of files against them.
#include "core/arch/arch.h"
#include "core/base/json.h"
#include "core/nn/expected_tensors.h"
#include "io_helpers.h"

namespace ft::test {
namespace {

DecoderSpec Spec(const std::string& type, const std::string& more = "") {
  return ParseDecoderSpec(R"({"model_type":")" + type + R"(","vocab_size":10,"hidden_size":8,"intermediate_size":12,
    "num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":6)" +
                              more + "}",
                          "config.json");
}

using Edit = std::function<void(std::vector<TensorHeader>*)>;

// Writes the tensors of a spec, edited, filled with their position in the list; checks them.
CheckedTensors CheckEdited(const DecoderSpec& spec, const Edit& edit, bool same_bytes = false) {
  std::vector<TensorHeader> headers;
  for (const ExpectedTensor& tensor : ExpectedTensors(spec))
    headers.push_back({tensor.name, DType::kBF16, tensor.shape});
  if (edit) edit(&headers);
  SafetensorsWriter writer((TempFolder() / "model.safetensors").string(), headers, {});
  for (size_t i = 0; i < headers.size(); ++i) {
    size_t count = DTypeSize(headers[i].dtype);
    for (const int64_t dimension : headers[i].shape) count *= static_cast<size_t>(dimension);
    writer.Append(std::string(count, static_cast<char>(same_bytes ? 1 : i)).data(), count);
  }
  writer.Finish();
  return CheckTensors(spec, WeightFolder::Open(TempFolder().string()));
}

TensorHeader* Named(std::vector<TensorHeader>* headers, const std::string& name) {
  for (TensorHeader& header : *headers) {
    if (header.name == name) return &header;
  }
  return nullptr;
}

void Drop(std::vector<TensorHeader>* headers, const std::string& name) {
  std::erase_if(*headers, [&](const TensorHeader& header) { return header.name == name; });
}

TEST(tensors_of_each_family) {
  const auto count = [](const DecoderSpec& spec) { return ExpectedTensors(spec).size(); };
  EXPECT_EQ(count(Spec("llama")), size_t{3 + 2 * 9});
  EXPECT_EQ(count(Spec("llama", R"(,"attention_bias":true,"mlp_bias":true)")), size_t{3 + 2 * (9 + 7)});
  EXPECT_EQ(count(Spec("qwen2")), size_t{3 + 2 * (9 + 3)});
  EXPECT_EQ(count(Spec("qwen3", R"(,"tie_word_embeddings":true)")), size_t{2 + 2 * (9 + 2)});
  const auto tensors = ExpectedTensors(Spec("qwen3"));
  EXPECT_EQ(tensors.front().name, std::string("model.embed_tokens.weight"));
  EXPECT_EQ(tensors.back().name, std::string("lm_head.weight"));
  for (const ExpectedTensor& tensor : tensors) {
    if (tensor.name == "model.layers.1.self_attn.q_proj.weight") EXPECT(tensor.shape == (std::vector<int64_t>{12, 8}));
    if (tensor.name == "model.layers.1.self_attn.k_proj.weight") EXPECT(tensor.shape == (std::vector<int64_t>{6, 8}));
    if (tensor.name == "model.layers.1.self_attn.o_proj.weight") EXPECT(tensor.shape == (std::vector<int64_t>{8, 12}));
    if (tensor.name == "model.layers.1.mlp.down_proj.weight") EXPECT(tensor.shape == (std::vector<int64_t>{8, 12}));
    if (tensor.name == "model.layers.1.self_attn.q_norm.weight") EXPECT(tensor.shape == (std::vector<int64_t>{6}));
  }
}

TEST(tensors_are_counted) {
  // embed 80, norm 8, head 80; a layer: norms 16, q 96, k 48, v 48, o 96, mlp 3 * 96
  EXPECT_EQ(CountParameters(Spec("llama")), int64_t{80 + 8 + 80 + 2 * (16 + 96 + 48 + 48 + 96 + 288)});
  EXPECT_EQ(CountParameters(Spec("llama", R"(,"tie_word_embeddings":true)")), CountParameters(Spec("llama")) - 80);
  // The published sizes of real models.
  EXPECT_EQ(CountParameters(ParseDecoderSpec(R"({"model_type":"llama"})", "c")), int64_t{6'738'415'616});
  EXPECT_EQ(CountParameters(ParseDecoderSpec(
                R"({"model_type":"qwen3","vocab_size":151936,"hidden_size":1024,"intermediate_size":3072,
    "num_hidden_layers":28,"num_attention_heads":16,"num_key_value_heads":8,"tie_word_embeddings":true})",
                "c")),
            int64_t{596'049'920});
  EXPECT_EQ(CountParameters(ParseDecoderSpec(
                R"({"model_type":"qwen2","vocab_size":151936,"hidden_size":896,"intermediate_size":4864,
    "num_hidden_layers":24,"num_attention_heads":14,"num_key_value_heads":2,"tie_word_embeddings":true})",
                "c")),
            int64_t{494'032'768});
}

TEST(tensors_linear_modules) {
  const auto modules = LinearModules(Spec("qwen2", R"(,"tie_word_embeddings":true)"));
  EXPECT_EQ(modules.size(), size_t{2 * 7 + 1});
  EXPECT_EQ(modules[0].name, std::string("model.layers.0.self_attn.q_proj"));
  EXPECT(modules[0].bias && !modules[3].bias && !modules[0].output_head);
  EXPECT_EQ(modules[6].name, std::string("model.layers.0.mlp.down_proj"));
  EXPECT_EQ(modules[6].in_features, int64_t{12});
  EXPECT(modules.back().output_head && modules.back().name == "lm_head" && modules.back().out_features == 10);
}

TEST(tensors_a_good_folder_passes) {
  const DecoderSpec spec = Spec("qwen2");
  const CheckedTensors checked = CheckEdited(spec, {});
  EXPECT_EQ(checked.locations.size(), ExpectedTensors(spec).size());
  EXPECT(checked.unused.empty() && !checked.tie_word_embeddings);
  EXPECT_EQ(checked.locations.at("lm_head.weight").entry->name, std::string("lm_head.weight"));
}

TEST(tensors_missing_wrong_shape_wrong_dtype) {
  const DecoderSpec spec = Spec("llama");
  const std::string victim = "model.layers.1.mlp.up_proj.weight";
  EXPECT_THROWS_CODE(CheckEdited(spec, [&](auto* all) { Drop(all, victim); }), kMissingTensor);
  EXPECT(Contains(MessageOf([&] { CheckEdited(spec, [&](auto* all) { Drop(all, victim); }); }), victim));
  EXPECT_THROWS_CODE(CheckEdited(spec, [](auto* all) { Drop(all, "lm_head.weight"); }), kMissingTensor);
  const Edit reshape = [&](auto* all) { Named(all, victim)->shape = {8, 12}; };
  EXPECT_THROWS_CODE(CheckEdited(spec, reshape), kTensorShape);
  const std::string message = MessageOf([&] { CheckEdited(spec, reshape); });
  EXPECT(Contains(message, victim) && Contains(message, "[12, 8]") && Contains(message, "[8, 12]") &&
         Contains(message, "model.safetensors"));
  EXPECT_THROWS_CODE(CheckEdited(spec, [&](auto* all) { Named(all, victim)->dtype = DType::kI8; }), kTensorDtype);
  EXPECT_THROWS_CODE(CheckEdited(spec, [&](auto* all) { Named(all, victim)->dtype = DType::kF8E4M3; }), kTensorDtype);
  EXPECT_EQ(CheckEdited(spec, [&](auto* all) { Named(all, victim)->dtype = DType::kF32; }).unused.size(), size_t{0});
}

TEST(tensors_names_as_transformers_renames_them) {
  const DecoderSpec spec = Spec("llama");
  const CheckedTensors bare = CheckEdited(spec, [](auto* all) {
    for (TensorHeader& header : *all) {
      if (header.name.rfind("model.", 0) == 0) header.name = header.name.substr(6);
    }
  });
  EXPECT_EQ(bare.locations.at("model.norm.weight").entry->name, std::string("norm.weight"));
  EXPECT(bare.unused.empty());
  const CheckedTensors wrapped = CheckEdited(spec, [](auto* all) {
    for (TensorHeader& header : *all) header.name = "model." + header.name;
  });
  EXPECT_EQ(wrapped.locations.at("lm_head.weight").entry->name, std::string("model.lm_head.weight"));
  // Any other wrapper is unknown to transformers as well.
  EXPECT_THROWS_CODE(CheckEdited(spec,
                                 [](auto* all) {
                                   for (TensorHeader& header : *all) header.name = "language_model." + header.name;
                                 }),
                     kMissingTensor);
}

TEST(tensors_buffers_and_strangers) {
  const CheckedTensors checked = CheckEdited(Spec("llama"), [](auto* all) {
    all->push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", DType::kF32, {3}});
    all->push_back({"model.layers.0.self_attn.q_proj.bias", DType::kF32, {12}});
  });
  EXPECT(checked.unused == std::vector<std::string>{"model.layers.0.self_attn.q_proj.bias"});
}

TEST(tensors_tied_heads) {
  const DecoderSpec spec = Spec("qwen3", R"(,"tie_word_embeddings":true)");
  const Edit with_head = [](auto* all) { all->push_back({"lm_head.weight", DType::kBF16, {10, 8}}); };
  EXPECT(CheckEdited(spec, {}).tie_word_embeddings);
  EXPECT(CheckEdited(spec, with_head, /*same_bytes=*/true).tie_word_embeddings);
  // Embedding and head that differ: the files are right, the config is wrong.
  const CheckedTensors differ = CheckEdited(spec, with_head);
  EXPECT(!differ.tie_word_embeddings && differ.locations.count("lm_head.weight") == 1 && differ.unused.empty());
  // Only the head is there: it is the embedding.
  const CheckedTensors head_only =
      CheckEdited(spec, [](auto* all) { Named(all, "model.embed_tokens.weight")->name = "lm_head.weight"; });
  EXPECT_EQ(head_only.locations.at("model.embed_tokens.weight").entry->name, std::string("lm_head.weight"));
  EXPECT(head_only.tie_word_embeddings);
  EXPECT_THROWS_CODE(CheckEdited(spec,
                                 [](auto* all) {
                                   all->push_back({"lm_head.weight", DType::kBF16, {9, 8}});
                                 }),
                     kTensorShape);
  EXPECT_THROWS_CODE(CheckEdited(spec, [](auto* all) { Drop(all, "model.embed_tokens.weight"); }), kMissingTensor);
}

}  // namespace
}  // namespace ft::test
