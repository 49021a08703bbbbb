// arch/<family>.cpp: what each family's config.json comes to, defaults and choices; names as transformers writes them.
#include <cmath>
#include <set>

#include "core/arch/arch.h"
#include "core/nn/expected_tensors.h"
#include "test.h"

namespace ft::test {
namespace {

// A family's config with small sizes and `members`.
DecoderSpec Small(const std::string& type, const std::string& members = "") {
  return ParseDecoderSpec(R"({"model_type":")" + type + R"(","vocab_size":50,"hidden_size":24,"intermediate_size":20,"num_hidden_layers":4,
    "num_attention_heads":4,"num_key_value_heads":2)" + (members.empty() ? "" : ",") + members + "}", "config.json");
}

DecoderSpec Default(const std::string& type) { return ParseDecoderSpec(R"({"model_type":")" + type + "\"}", "config.json"); }

std::set<std::string> TensorsOf(const DecoderSpec& spec) {
  std::set<std::string> names;
  for (const ExpectedTensor& tensor : ExpectedTensors(spec)) names.insert(tensor.name);
  return names;
}

bool Has(const DecoderSpec& spec, const std::string& tensor) { return TensorsOf(spec).count(tensor) == 1; }

std::vector<int64_t> ShapeOf(const DecoderSpec& spec, const std::string& name) {
  for (const ExpectedTensor& tensor : ExpectedTensors(spec)) {
    if (tensor.name == name) return tensor.shape;
  }
  return {};
}

std::vector<int64_t> Windows(const DecoderSpec& spec) {
  std::vector<int64_t> windows;
  for (const LayerSpec& layer : spec.layers) windows.push_back(layer.sliding_window);
  return windows;
}

std::vector<int> Ropes(const DecoderSpec& spec) {
  std::vector<int> ropes;
  for (const LayerSpec& layer : spec.layers) ropes.push_back(layer.rope);
  return ropes;
}

constexpr const char* kAttention = "model.layers.1.self_attn.";

}  // namespace

// Sizes of the published models that the defaults of the configuration classes are.
TEST(families_default_sizes) {
  EXPECT_EQ(CountParameters(Default("gemma")), int64_t{8'537'680'896});
  EXPECT_EQ(CountParameters(Default("gemma2")), int64_t{2'614'341'888});
  EXPECT_EQ(CountParameters(Default("phi3")), int64_t{3'821'079'552});
  EXPECT_EQ(CountParameters(Default("starcoder2")), int64_t{3'030'371'328});
  EXPECT_EQ(CountParameters(Default("stablelm")), int64_t{2'795'443'200});
  EXPECT_EQ(CountParameters(Default("smollm3")), int64_t{3'075'098'624});
  EXPECT_EQ(CountParameters(Default("cohere")), int64_t{34'980'831'232});
  EXPECT_EQ(CountParameters(Default("glm4")), int64_t{9'400'279'040});
}

TEST(families_gemma) {
  const DecoderSpec gemma = Default("gemma");
  EXPECT(gemma.norm.unit_offset && gemma.tie_word_embeddings && gemma.head_dim == 256 && gemma.hidden_act == Activation::kGeluTanh);
  EXPECT(gemma.embedding_multiplier == std::sqrt(3072.0) && gemma.round_embedding_multiplier && gemma.pad_token_id == 0);
  EXPECT_THROWS_CODE(Small("gemma", R"("use_bidirectional_attention":true)"), kUnsupportedModel);
  EXPECT(Small("gemma", R"("use_bidirectional_attention":null,"attention_bias":true)").o_bias);

  const DecoderSpec gemma2 = Small("gemma2", R"("query_pre_attn_scalar":144,"sliding_window":9)");
  EXPECT(gemma2.attention_softcap == 50 && gemma2.logit_softcap == 30 && gemma2.attention_scale == 1.0 / 12);
  EXPECT(Windows(gemma2) == (std::vector<int64_t>{9, 0, 9, 0}));
  EXPECT(Has(gemma2, "model.layers.3.pre_feedforward_layernorm.weight") && Has(gemma2, "model.layers.3.post_feedforward_layernorm.weight"));
  const DecoderSpec uncapped = Small("gemma2", R"("attn_logit_softcapping":null,"final_logit_softcapping":null,"sliding_window":null)");
  EXPECT(uncapped.attention_softcap == 0 && uncapped.logit_softcap == 0 && Windows(uncapped) == (std::vector<int64_t>{0, 0, 0, 0}));
  EXPECT_THROWS_CODE(Small("gemma2", R"("query_pre_attn_scalar":0)"), kModelConfig);
}

TEST(families_gemma3_ropes_of_two_kinds) {
  const DecoderSpec plain = Small("gemma3_text", R"("sliding_window_pattern":2,"sliding_window":5)");
  EXPECT(Windows(plain) == (std::vector<int64_t>{5, 0, 5, 0}) && Ropes(plain) == (std::vector<int>{1, 0, 1, 0}));
  EXPECT(plain.ropes.size() == 2 && plain.ropes[0].rope_theta == 1e6 && plain.ropes[1].rope_theta == 1e4 && plain.qk_norm == QkNorm::kHead);
  const DecoderSpec legacy = Small("gemma3_text", R"("rope_theta":77,"rope_local_base_freq":33,"rope_scaling":{"rope_type":"linear","factor":8})");
  EXPECT(legacy.ropes[0].rope_theta == 77 && legacy.ropes[0].type == RopeType::kLinear && legacy.ropes[0].factor == 8);
  EXPECT(legacy.ropes[1].rope_theta == 33 && legacy.ropes[1].type == RopeType::kDefault);
  const DecoderSpec nested = Small("gemma3_text", R"("rope_parameters":{"full_attention":{"rope_type":"linear","factor":2,"rope_theta":5},
    "sliding_attention":{"rope_type":"default","rope_theta":6}})");
  EXPECT(nested.ropes[0].rope_theta == 5 && nested.ropes[0].factor == 2 && nested.ropes[1].rope_theta == 6);
  EXPECT(nested.logit_softcap == 0 && nested.attention_softcap == 0);
}

TEST(families_phi3_is_stored_fused) {
  const DecoderSpec spec = Small("phi3");
  EXPECT(ShapeOf(spec, std::string(kAttention) + "qkv_proj.weight") == (std::vector<int64_t>{24 + 2 * 12, 24}));
  EXPECT(ShapeOf(spec, "model.layers.1.mlp.gate_up_proj.weight") == (std::vector<int64_t>{40, 24}));
  EXPECT(!Has(spec, std::string(kAttention) + "q_proj.weight") && Windows(spec) == (std::vector<int64_t>{0, 0, 0, 0}));
  const auto lists = R"("short_factor":[1,1.5,2],"long_factor":[3,4,5])";
  for (const char* name : {"su", "longrope", "yarn"}) {
    const RopeSpec rope = Small("phi3", R"("max_position_embeddings":131072,"rope_scaling":{"type":")" + std::string(name) + "\"," + lists + "}").ropes[0];
    EXPECT(rope.type == RopeType::kLongRope && rope.original_max_position_embeddings == 4096 && rope.factor == 32);
    EXPECT(rope.short_factor[1] == 1.5 && rope.long_factor[2] == 5);
  }
  EXPECT_THROWS_CODE(Small("phi3", R"("rope_scaling":{"type":"longrope","short_factor":[1],"long_factor":[1,2,3]})"), kModelConfig);
  EXPECT_THROWS_CODE(Small("phi3", R"("rope_scaling":{"type":"longrope","short_factor":[1,2,0],"long_factor":[1,2,3]})"), kModelConfig);
  EXPECT_THROWS_CODE(Small("phi3", R"("rope_scaling":{"type":"longrope","long_factor":[1,2,3]})"), kModelConfig);
  EXPECT_THROWS_CODE(Small("phi3", R"("rope_scaling":{"type":"linear","factor":2})"), kUnsupportedModel);
  EXPECT_EQ(Small("phi3", R"("head_dim":8,"partial_rotary_factor":0.75)").ropes[0].dim, int64_t{6});
}

TEST(families_stablelm) {
  const DecoderSpec spec = Small("stablelm", R"("head_dim":16,"use_qkv_bias":true,"qk_layernorm":true)");
  EXPECT(spec.ropes[0].dim == 4 && spec.norm.kind == NormKind::kLayer && spec.qkv_bias && !spec.o_bias);
  EXPECT(Has(spec, "model.norm.bias") && Has(spec, "model.layers.0.input_layernorm.bias"));
  EXPECT(ShapeOf(spec, std::string(kAttention) + "q_layernorm.norms.3.weight") == (std::vector<int64_t>{16}));
  EXPECT(Has(spec, std::string(kAttention) + "k_layernorm.norms.1.weight") && !Has(spec, std::string(kAttention) + "k_layernorm.norms.2.weight"));
  const DecoderSpec parallel = Small("stablelm", R"("head_dim":8,"use_parallel_residual":true)");
  EXPECT(parallel.parallel_residual && !Has(parallel, "model.layers.0.post_attention_layernorm.weight"));
  EXPECT_THROWS_CODE(Small("stablelm", R"("head_dim":16,"partial_rotary_factor":0.2)"), kModelConfig);  // three dimensions
}

TEST(families_starcoder2_and_nemotron_have_plain_mlps) {
  const DecoderSpec starcoder2 = Small("starcoder2", R"("norm_epsilon":0.5)");
  EXPECT(!starcoder2.gated_mlp && starcoder2.mlp_bias && starcoder2.o_bias && starcoder2.norm.eps == 0.5 && starcoder2.tie_word_embeddings);
  EXPECT(ShapeOf(starcoder2, "model.layers.0.mlp.c_fc.weight") == (std::vector<int64_t>{20, 24}) && Has(starcoder2, "model.layers.0.mlp.c_proj.bias"));
  EXPECT(!Small("starcoder2", R"("use_bias":false)").qkv_bias && Has(Small("starcoder2", R"("use_bias":false)"), "model.norm.bias"));
  const DecoderSpec nemotron = Small("nemotron", R"("head_dim":8)");
  EXPECT(nemotron.hidden_act == Activation::kRelu2 && nemotron.norm.unit_offset && nemotron.norm.bias && nemotron.ropes[0].dim == 4);
  EXPECT(Has(nemotron, "model.layers.0.mlp.up_proj.weight") && !Has(nemotron, "model.layers.0.mlp.gate_proj.weight"));
}

TEST(families_olmo) {
  const DecoderSpec olmo = Small("olmo", R"("clip_qkv":8)");
  EXPECT(olmo.clip_qkv == 8 && !olmo.norm.weight && olmo.norm.kind == NormKind::kLayer && olmo.norm.eps == 1e-5);
  EXPECT(!Has(olmo, "model.norm.weight") && !Has(olmo, "model.layers.0.input_layernorm.weight"));
  EXPECT_EQ(Small("olmo", R"("clip_qkv":null)").clip_qkv, 0.0);
  EXPECT_THROWS_CODE(Small("olmo", R"("clip_qkv":-1)"), kModelConfig);
  const DecoderSpec olmo2 = Small("olmo2");
  EXPECT(!Has(olmo2, "model.layers.0.input_layernorm.weight") && Has(olmo2, "model.layers.0.post_feedforward_layernorm.weight"));
  EXPECT(ShapeOf(olmo2, std::string(kAttention) + "q_norm.weight") == (std::vector<int64_t>{24}));
  EXPECT(ShapeOf(olmo2, std::string(kAttention) + "k_norm.weight") == (std::vector<int64_t>{12}));
}

TEST(families_granite_multipliers) {
  const DecoderSpec spec = Small("granite", R"("embedding_multiplier":12,"attention_multiplier":0.015625,"residual_multiplier":0.22,"logits_scaling":8)");
  EXPECT(spec.embedding_multiplier == 12 && spec.attention_scale == 0.015625 && spec.residual_multiplier == 0.22 && spec.logit_scale == 0.125);
  EXPECT(!spec.round_embedding_multiplier && Small("granite").attention_scale == 1.0);
  EXPECT_THROWS_CODE(Small("granite", R"("logits_scaling":0)"), kModelConfig);
}

TEST(families_cohere) {
  const DecoderSpec spec = Small("cohere", R"("use_qk_norm":true)");
  EXPECT(spec.parallel_residual && spec.ropes[0].interleaved && spec.ropes[0].rope_theta == 500000 && spec.logit_scale == 0.0625);
  EXPECT(ShapeOf(spec, std::string(kAttention) + "k_norm.weight") == (std::vector<int64_t>{2, 6}));
  EXPECT(!Has(spec, "model.norm.bias") && !Has(spec, "model.layers.0.post_attention_layernorm.weight"));
  const DecoderSpec cohere2 = Small("cohere2", R"("sliding_window":6)");
  EXPECT(Windows(cohere2) == (std::vector<int64_t>{6, 6, 6, 0}) && Ropes(cohere2) == (std::vector<int>{0, 0, 0, -1}));
  EXPECT(Ropes(Small("cohere2", R"("sliding_window":null)")) == (std::vector<int>{-1, -1, -1, -1}));
  EXPECT(Windows(Small("cohere2", R"("layer_types":["full_attention","sliding_attention","full_attention","full_attention"])")) ==
         (std::vector<int64_t>{0, 4096, 0, 0}));
  EXPECT_THROWS_CODE(Small("cohere2", R"("layer_types":["full_attention"])"), kModelConfig);
  EXPECT_THROWS_CODE(Small("cohere2", R"("sliding_window_pattern":0)"), kModelConfig);
}

TEST(families_smollm3_layers_without_rope) {
  EXPECT(Ropes(Small("smollm3")) == (std::vector<int>{0, 0, 0, -1}));
  EXPECT(Ropes(Small("smollm3", R"("no_rope_layer_interval":2)")) == (std::vector<int>{0, -1, 0, -1}));
  const DecoderSpec windows = Small("smollm3", R"("no_rope_layers":[0,1,1,0],"use_sliding_window":true,"sliding_window":7)");
  EXPECT(Ropes(windows) == (std::vector<int>{-1, 0, 0, -1}) && Windows(windows) == (std::vector<int64_t>{7, 0, 0, 7}));
  EXPECT(Windows(Small("smollm3", R"("sliding_window":7)")) == (std::vector<int64_t>{0, 0, 0, 0}));
  EXPECT_THROWS_CODE(Small("smollm3", R"("no_rope_layers":[1])"), kModelConfig);
}

TEST(families_exaone4) {
  const DecoderSpec hybrid = Small("exaone4", R"("sliding_window":6,"sliding_window_pattern":2)");
  EXPECT(Windows(hybrid) == (std::vector<int64_t>{6, 0, 6, 0}) && Ropes(hybrid) == (std::vector<int>{0, -1, 0, -1}) && hybrid.qk_norm == QkNorm::kHead);
  const DecoderSpec full = Small("exaone4", R"("sliding_window":null,"sliding_window_pattern":null)");
  EXPECT(Windows(full) == (std::vector<int64_t>{0, 0, 0, 0}) && Ropes(full) == (std::vector<int>{0, 0, 0, 0}));
  // A pattern of letters comes with the list that it stands for.
  EXPECT(Windows(Small("exaone4", R"("sliding_window_pattern":"LLLG","layer_types":["sliding_attention","sliding_attention","sliding_attention","full_attention"])")) ==
         (std::vector<int64_t>{4096, 4096, 4096, 0}));
  EXPECT_THROWS_CODE(Small("exaone4", R"("sliding_window_pattern":"LLLG")"), kModelConfig);
}

TEST(families_glm4) {
  const DecoderSpec spec = Small("glm4", R"("head_dim":8)");
  EXPECT(spec.ropes[0].dim == 4 && spec.ropes[0].interleaved && spec.qkv_bias && !spec.o_bias);
  EXPECT(Has(spec, "model.layers.0.post_self_attn_layernorm.weight") && Has(spec, "model.layers.0.post_mlp_layernorm.weight") &&
         Has(spec, "model.layers.0.mlp.gate_up_proj.weight"));
  EXPECT(Default("glm4").eos_token_ids == (std::vector<int64_t>{151329, 151336, 151338}));
  EXPECT(!Small("glm4", R"("head_dim":8,"attention_bias":false)").qkv_bias);
}

}  // namespace ft::test
