// arch: config.json to DecoderSpec, with the defaults, spellings and precedence of transformers 5 (checked against
// its classes when this table was written), and every absurd value refused before anything is allocated (U11).
#include "core/arch/arch.h"

#include "core/base/json.h"
#include "io_helpers.h"

namespace ft::test {
namespace {

DecoderSpec Parse(const std::string& members, const std::string& type = "llama") {
  return ParseDecoderSpec("{\"model_type\":\"" + type + "\"" + (members.empty() ? "" : ",") + members + "}",
                          "config.json");
}

std::vector<int64_t> Windows(const DecoderSpec& spec) {
  std::vector<int64_t> out;
  for (const LayerSpec& layer : spec.layers) out.push_back(layer.sliding_window);
  return out;
}

TEST(arch_llama_defaults) {
  const DecoderSpec spec = Parse("");
  EXPECT_EQ(spec.model_type, std::string("llama"));
  EXPECT_EQ(spec.vocab_size, int64_t{32000});
  EXPECT_EQ(spec.hidden_size, int64_t{4096});
  EXPECT_EQ(spec.intermediate_size, int64_t{11008});
  EXPECT_EQ(spec.num_hidden_layers, int64_t{32});
  EXPECT_EQ(spec.num_key_value_heads, int64_t{32});
  EXPECT_EQ(spec.head_dim, int64_t{128});
  EXPECT_EQ(spec.max_position_embeddings, int64_t{2048});
  EXPECT_EQ(spec.norm.eps, 1e-6);
  EXPECT_EQ(spec.ropes[0].rope_theta, 10000.0);
  EXPECT(spec.ropes[0].type == RopeType::kDefault && spec.hidden_act == Activation::kSilu);
  EXPECT(!spec.tie_word_embeddings && !spec.qkv_bias && !spec.o_bias && !spec.mlp_bias && spec.qk_norm == QkNorm::kNone);
  EXPECT(spec.eos_token_ids == std::vector<int64_t>{2});
  EXPECT_EQ(spec.bos_token_id, int64_t{1});
  EXPECT_EQ(spec.pad_token_id, int64_t{-1});
  EXPECT_EQ(spec.layers.size(), size_t{32});
  EXPECT_EQ(spec.torch_dtype, std::string());
}

TEST(arch_llama_options) {
  const DecoderSpec spec = Parse(R"("hidden_size":64,"num_attention_heads":8,"num_key_value_heads":2,"head_dim":16,
    "attention_bias":true,"mlp_bias":true,"tie_word_embeddings":true,"hidden_act":"gelu_pytorch_tanh","torch_dtype":"bfloat16",
    "eos_token_id":[3,5,3],"bos_token_id":null,"pad_token_id":-1,"rms_norm_eps":1e-05,"pretraining_tp":2,"unknown_key":{}
    )");
  EXPECT(spec.qkv_bias && spec.o_bias && spec.mlp_bias && spec.tie_word_embeddings);
  EXPECT_EQ(spec.head_dim, int64_t{16});
  EXPECT(spec.hidden_act == Activation::kGeluTanh);
  EXPECT_EQ(spec.torch_dtype, std::string("bfloat16"));
  EXPECT(spec.eos_token_ids == (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(spec.bos_token_id, int64_t{-1});
  EXPECT_EQ(spec.pad_token_id, int64_t{-1});
  EXPECT_EQ(Parse(R"("torch_dtype":"float32","dtype":"float16")").torch_dtype, std::string("float16"));
}

TEST(arch_mistral) {
  const DecoderSpec absent = Parse("", "mistral");
  EXPECT_EQ(absent.num_key_value_heads, int64_t{8});
  EXPECT_EQ(absent.intermediate_size, int64_t{14336});
  EXPECT_EQ(absent.max_position_embeddings, int64_t{131072});
  EXPECT_EQ(Windows(absent)[31], int64_t{4096});
  EXPECT_EQ(Windows(Parse(R"("sliding_window":null)", "mistral"))[0], int64_t{0});
  EXPECT_EQ(Windows(Parse(R"("sliding_window":17)", "mistral"))[5], int64_t{17});
  // Keys that transformers does not read in this family.
  EXPECT(!Parse(R"("attention_bias":true,"mlp_bias":true)", "mistral").qkv_bias);
  EXPECT_EQ(Parse(R"("head_dim":96,"hidden_size":5120)", "mistral").head_dim, int64_t{96});
}

TEST(arch_qwen2) {
  const DecoderSpec spec = Parse(R"("num_hidden_layers":4)", "qwen2");
  EXPECT(spec.qkv_bias && !spec.o_bias && !spec.mlp_bias && spec.qk_norm == QkNorm::kNone);
  EXPECT_EQ(spec.vocab_size, int64_t{151936});
  EXPECT_EQ(spec.num_key_value_heads, int64_t{32});
  EXPECT(spec.eos_token_ids.empty());
  EXPECT(Windows(spec) == (std::vector<int64_t>{0, 0, 0, 0}));  // sliding_window without use_sliding_window
  EXPECT(Windows(Parse(R"("num_hidden_layers":4,"use_sliding_window":true,"max_window_layers":1,"sliding_window":8)",
                       "qwen2")) == (std::vector<int64_t>{0, 8, 8, 8}));
  EXPECT(Windows(Parse(R"("num_hidden_layers":30,"use_sliding_window":true)", "qwen2"))[29] == 4096);
  EXPECT(Windows(Parse(R"("num_hidden_layers":3,"use_sliding_window":true,"sliding_window":8,
    "layer_types":["sliding_attention","full_attention","sliding_attention"])",
                       "qwen2")) == (std::vector<int64_t>{8, 0, 8}));
  EXPECT(Windows(Parse(R"("num_hidden_layers":2,"use_sliding_window":true,"sliding_window":null,"max_window_layers":0)",
                       "qwen2")) == (std::vector<int64_t>{0, 0}));
}

TEST(arch_qwen3) {
  const DecoderSpec spec = Parse(R"("hidden_size":1024,"num_attention_heads":16,"num_key_value_heads":8)", "qwen3");
  EXPECT_EQ(spec.head_dim, int64_t{128});  // not hidden_size / heads
  EXPECT(spec.qk_norm == QkNorm::kHead && !spec.qkv_bias && !spec.o_bias);
  EXPECT(Parse(R"("attention_bias":true)", "qwen3").o_bias);
}

TEST(arch_rope_spellings) {
  const auto linear = Parse(R"("rope_theta":5000,"rope_scaling":{"type":"linear","factor":2})").ropes[0];
  EXPECT(linear.type == RopeType::kLinear && linear.factor == 2 && linear.rope_theta == 5000);
  const auto modern =
      Parse(R"("rope_theta":5000,"rope_parameters":{"rope_type":"linear","factor":2.5,"rope_theta":7000})").ropes[0];
  EXPECT(modern.type == RopeType::kLinear && modern.factor == 2.5 && modern.rope_theta == 7000);
  const auto both =
      Parse(R"("rope_scaling":{"type":"linear","factor":2},"rope_parameters":{"rope_theta":3.0},"rope_theta":77)").ropes[0];
  EXPECT(both.type == RopeType::kLinear && both.rope_theta == 77);  // the legacy key wins
  const auto empty = Parse(R"("rope_scaling":{},"rope_parameters":{"rope_theta":3.0},"rope_theta":77)").ropes[0];
  EXPECT(empty.type == RopeType::kDefault && empty.rope_theta == 3);
  EXPECT(Parse(R"("rope_scaling":null)").ropes[0].type == RopeType::kDefault);
  EXPECT(Parse(R"("rope_scaling":{"rope_type":"default","type":"linear"})").ropes[0].type == RopeType::kDefault);

  const auto llama3 =
      Parse(R"("rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
    "original_max_position_embeddings":8192},"rope_theta":500000.0,"max_position_embeddings":131072)").ropes[0];
  EXPECT(llama3.type == RopeType::kLlama3 && llama3.factor == 8 && llama3.original_max_position_embeddings == 8192);
  const auto dynamic = Parse(R"("rope_scaling":{"type":"dynamic","factor":4,"original_max_position_embeddings":64},
    "max_position_embeddings":512)").ropes[0];
  EXPECT(dynamic.type == RopeType::kDynamic && dynamic.original_max_position_embeddings == 512);
}

TEST(arch_rope_yarn) {
  const auto plain =
      Parse(R"("rope_scaling":{"type":"yarn","factor":4.0},"max_position_embeddings":4096)", "qwen2").ropes[0];
  EXPECT(plain.type == RopeType::kYarn && plain.original_max_position_embeddings == 4096);
  EXPECT(plain.beta_fast == 32 && plain.beta_slow == 1 && plain.truncate && plain.attention_factor == 0);
  const auto full =
      Parse(R"("rope_parameters":{"rope_type":"yarn","factor":null,"original_max_position_embeddings":1024,
    "beta_fast":0,"beta_slow":null,"mscale":0.7,"mscale_all_dim":1.0,"attention_factor":1.25,"truncate":false},
    "max_position_embeddings":4096)").ropes[0];
  EXPECT_EQ(full.factor, 4.0);
  EXPECT(full.beta_fast == 32 && full.beta_slow == 1 && !full.truncate);
  EXPECT(full.mscale == 0.7 && full.mscale_all_dim == 1.0 && full.attention_factor == 1.25);
  const auto top = Parse(R"("original_max_position_embeddings":256,
    "rope_scaling":{"type":"yarn","factor":2.0,"original_max_position_embeddings":128})").ropes[0];
  EXPECT_EQ(top.original_max_position_embeddings, int64_t{256});  // transformers lets the top level win
}

TEST(arch_unsupported_features_are_named) {
  struct Case {
    const char* members;
    const char* says;
  };
  for (const Case& one : std::vector<Case>{
           {R"("hidden_act":"mish")", "mish"},
           {R"("rope_scaling":{"rope_type":"mrope"})", "mrope"},
           {R"("rope_parameters":{"full_attention":{"rope_theta":1.0}})", "full_attention"},
           {R"("partial_rotary_factor":0.5)", "partial_rotary_factor"},
           {R"("rope_scaling":{"type":"linear","factor":2,"partial_rotary_factor":0.5})", "partial_rotary_factor"},
           {R"("num_hidden_layers":1,"layer_types":["sliding_attention"])", "layer_types"},
           {R"("num_hidden_layers":1,"layer_types":["chunked_attention"])", "chunked_attention"},
           {R"("per_layer_config":{"0":{}})", "per_layer_config"},
           {R"("is_encoder_decoder":true)", "is_encoder_decoder"},
           {R"("torch_dtype":"float8_e4m3fn")", "float8_e4m3fn"}}) {
    EXPECT_THROWS_CODE(Parse(one.members), kUnsupportedModel);
    EXPECT(Contains(MessageOf([&] { Parse(one.members); }), one.says));
  }
  EXPECT_THROWS_CODE(Parse("", "bert"), kUnsupportedModel);
  try {
    Parse("", "bert");
  } catch (const Error& error) {
    EXPECT(Contains(error.what(), "bert") && Contains(error.remedy(), "llama, mistral"));
  }
}

TEST(arch_absurd_values_are_refused) {
  for (const char* members : {R"("vocab_size":0)",
                              R"("vocab_size":-1)",
                              R"("vocab_size":10000001)",
                              R"("vocab_size":32000.0)",
                              R"("vocab_size":"32000")",
                              R"("vocab_size":null)",
                              R"("vocab_size":true)",
                              R"("vocab_size":1e30)",
                              R"("hidden_size":0)",
                              R"("hidden_size":1099511627776)",
                              R"("hidden_size":9223372036854775807)",
                              R"("hidden_size":99999999999999999999)",
                              R"("intermediate_size":0)",
                              R"("num_hidden_layers":0)",
                              R"("num_hidden_layers":1000000000)",
                              R"("num_attention_heads":0)",
                              R"("num_attention_heads":-8)",
                              R"("num_attention_heads":7)",
                              R"("num_key_value_heads":0)",
                              R"("num_key_value_heads":3)",
                              R"("num_key_value_heads":64)",
                              R"("head_dim":0)",
                              R"("head_dim":127)",
                              R"("head_dim":1000000)",
                              R"("hidden_size":4095)",
                              R"("rms_norm_eps":0)",
                              R"("rms_norm_eps":-1e-6)",
                              R"("rms_norm_eps":"NaN")",
                              R"("rms_norm_eps":NaN)",
                              R"("rms_norm_eps":1e999)",
                              R"("rms_norm_eps":null)",
                              R"("max_position_embeddings":0)",
                              R"("max_position_embeddings":1e12)",
                              R"("initializer_range":-1)",
                              R"("rope_theta":0)",
                              R"("rope_theta":-10000)",
                              R"("rope_theta":null)",
                              R"("rope_theta":1e300)",
                              R"("rope_scaling":"linear")",
                              R"("rope_scaling":[1])",
                              R"("rope_scaling":{"type":"linear"})",
                              R"("rope_scaling":{"type":"linear","factor":0})",
                              R"("rope_scaling":{"type":"linear","factor":"2"})",
                              R"("rope_scaling":{"type":7})",
                              R"("rope_scaling":{"type":"llama3","factor":8})",
                              R"("rope_scaling":{"type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4})",
                              R"("rope_scaling":{"type":"yarn","factor":2,"original_max_position_embeddings":0})",
                              R"("rope_scaling":{"type":"yarn","factor":2,"attention_factor":0},"rope_theta":1)",
                              R"("rope_scaling":{"type":"yarn","factor":2},"rope_theta":1)",
                              R"("tie_word_embeddings":1)",
                              R"("tie_word_embeddings":null)",
                              R"("attention_bias":"yes")",
                              R"("eos_token_id":"2")",
                              R"("eos_token_id":[1.5])",
                              R"("layer_types":["full_attention"])",
                              R"("layer_types":"full_attention")",
                              R"("hidden_act":3)",
                              R"("vocab_size":1,"vocab_size":2)"}) {
    EXPECT_THROWS_CODE(Parse(members), kModelConfig);
  }
  EXPECT_THROWS_CODE(Parse(R"("sliding_window":0)", "mistral"), kModelConfig);
  EXPECT_THROWS_CODE(Parse(R"("num_hidden_layers":1,"layer_types":["sliding_attention"])", "qwen2"), kModelConfig);
  EXPECT_THROWS_CODE(ParseDecoderSpec("{}", "config.json"), kModelConfig);
  EXPECT_THROWS_CODE(ParseDecoderSpec("[]", "config.json"), kModelConfig);
  EXPECT_THROWS_CODE(ParseDecoderSpec("", "config.json"), kModelConfig);
  const std::string message = MessageOf([] { Parse(R"("num_attention_heads":0)"); });
  EXPECT(Contains(message, "config.json: num_attention_heads: expected an integer from 1 to") &&
         Contains(message, "got 0"));
}

TEST(arch_family_can_be_forced) {
  EXPECT(ParseDecoderSpec("{\"model_type\":\"other\"}", "c", "qwen3").qk_norm == QkNorm::kHead);
  EXPECT_EQ(ParseDecoderSpec("{}", "c", "llama").model_type, std::string("llama"));
  EXPECT_THROWS_CODE(ParseDecoderSpec("{}", "c", "other"), kUnsupportedModel);
}

TEST(arch_folders) {
  const std::string folder = TempFolder().string();
  EXPECT_THROWS_CODE(ReadDecoderSpec(folder), kModelNotFound);
  EXPECT(Contains(MessageOf([&] { ReadDecoderSpec(folder); }), folder));
  EXPECT_THROWS_CODE(ReadDecoderSpec(folder + "/absent"), kModelNotFound);
  WriteFixture("adapter_config.json", "{}");
  EXPECT(Contains(MessageOf([&] { ReadDecoderSpec(folder); }), "adapter"));

  WriteFixture("config.json", R"({"model_type":"qwen2","eos_token_id":3,"bos_token_id":4})");
  EXPECT(ReadDecoderSpec(folder).eos_token_ids == std::vector<int64_t>{3});
  WriteFixture("generation_config.json", R"({"eos_token_id":[7,8],"pad_token_id":9,"temperature":0.5})");
  const DecoderSpec spec = ReadDecoderSpec(folder);
  EXPECT(spec.eos_token_ids == (std::vector<int64_t>{7, 8}));
  EXPECT(spec.bos_token_id == 4 && spec.pad_token_id == 9);
  WriteFixture("generation_config.json", R"({"eos_token_id":null})");
  EXPECT(ReadDecoderSpec(folder).eos_token_ids == std::vector<int64_t>{3});
  WriteFixture("generation_config.json", "{");
  EXPECT_THROWS_CODE(ReadDecoderSpec(folder), kModelConfig);
  WriteFixture("config.json", std::string(5 << 20, ' ') + "{}");
  EXPECT_THROWS_CODE(ReadDecoderSpec(folder), kModelConfig);
}

TEST(arch_mutations) {
  const std::string seed =
      R"({"model_type":"qwen2","vocab_size":300,"hidden_size":64,"intermediate_size":96,"num_hidden_layers":3,
    "num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,"hidden_act":"silu","max_position_embeddings":512,
    "rms_norm_eps":1e-06,"rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":128,"beta_fast":32},
    "use_sliding_window":true,"sliding_window":16,"layer_types":["full_attention","sliding_attention","full_attention"],
    "eos_token_id":[1,2],"tie_word_embeddings":true,"torch_dtype":"bfloat16"})";
  Random random(4);
  size_t accepted = 0;
  for (int round = 0; round < 10'000; ++round) {
    std::string text = seed;
    for (size_t edits = 1 + random.Below(3); edits > 0; --edits) text = Mutate(std::move(text), random);
    accepted += SucceedsOrThrowsError([&] {
      const DecoderSpec spec = ParseDecoderSpec(text, "config.json");
      EXPECT(spec.num_attention_heads % spec.num_key_value_heads == 0 && spec.head_dim % 2 == 0 && spec.head_dim > 0);
      EXPECT_EQ(static_cast<int64_t>(spec.layers.size()), spec.num_hidden_layers);
      EXPECT(spec.vocab_size > 0 && spec.vocab_size <= 10'000'000 && spec.hidden_size <= (1 << 20));
    });
  }
  EXPECT(accepted > 100 && accepted < 9'900);
}

}  // namespace
}  // namespace ft::test
