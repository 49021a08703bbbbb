// The families of GPT-2's time, and what followed their layouts: what each config.json comes to, with the defaults and
// spellings of its configuration class in transformers; bad values and forms that nobody released are refused.
#include <cmath>
#include <set>

#include "core/arch/arch.h"
#include "core/nn/expected_tensors.h"
#include "test.h"

namespace ft::test {
namespace {

DecoderSpec Parse(const std::string& type, const std::string& members = "") {
  return ParseDecoderSpec(R"({"model_type":")" + type + "\"" + (members.empty() ? "" : ",") + members + "}", "config.json");
}

std::vector<int64_t> ShapeOf(const DecoderSpec& spec, const std::string& name) {
  for (const ExpectedTensor& tensor : ExpectedTensors(spec)) {
    if (tensor.name == name) return tensor.shape;
  }
  return {};
}

bool Has(const DecoderSpec& spec, const std::string& tensor) { return !ShapeOf(spec, tensor).empty(); }

using Shape = std::vector<int64_t>;

constexpr const char* kGptSizes = R"("vocab_size":50,"n_embd":24,"n_layer":3,"n_head":4,"n_positions":9)";
constexpr const char* kFalconSizes = R"("vocab_size":50,"hidden_size":24,"num_hidden_layers":2,"num_attention_heads":6)";

std::string With(const char* sizes, const std::string& members) { return std::string(sizes) + "," + members; }

}  // namespace

// Parameters of transformers' models of the default configurations.
TEST(gpt_families_default_sizes) {
  EXPECT_EQ(CountParameters(Parse("gpt2")), int64_t{124'439'808});
  EXPECT_EQ(CountParameters(Parse("gpt_neo")), int64_t{1'315'575'808});
  EXPECT_EQ(CountParameters(Parse("gpt_neox")), int64_t{20'554'567'680});
  EXPECT_EQ(CountParameters(Parse("gptj")), int64_t{6'050'882'784});
  EXPECT_EQ(CountParameters(Parse("opt")), int64_t{125'239'296});
  EXPECT_EQ(CountParameters(Parse("bloom")), int64_t{16'156'544});
  EXPECT_EQ(CountParameters(Parse("falcon")), int64_t{6'921'720'704});
  EXPECT_EQ(CountParameters(Parse("mpt")), int64_t{1'311'213'568});
  EXPECT_EQ(CountParameters(Parse("gpt_bigcode")), int64_t{111'446'784});
  EXPECT_EQ(CountParameters(Parse("phi")), int64_t{1'418'270'720});
}

TEST(gpt2_and_bigcode) {
  const DecoderSpec gpt2 = Parse("gpt2", kGptSizes);
  EXPECT(gpt2.transposed && gpt2.tie_word_embeddings && gpt2.hidden_act == Activation::kGeluTanh && gpt2.norm.eps == 1e-5);
  EXPECT(ShapeOf(gpt2, "transformer.wpe.weight") == (Shape{9, 24}) && ShapeOf(gpt2, "transformer.h.2.attn.c_attn.weight") == (Shape{24, 72}));
  EXPECT(ShapeOf(gpt2, "transformer.h.0.mlp.c_proj.weight") == (Shape{96, 24}) && ShapeOf(gpt2, "transformer.h.0.mlp.c_fc.bias") == (Shape{96}));
  EXPECT(gpt2.ropes.empty() && gpt2.layers[0].rope == -1 && LinearModules(gpt2)[0].transposed && !LinearModules(gpt2).back().transposed);
  EXPECT_EQ(Parse("gpt2", With(kGptSizes, R"("n_inner":7)")).intermediate_size, int64_t{7});
  EXPECT_EQ(Parse("gpt2", With(kGptSizes, R"("n_inner":null)")).intermediate_size, int64_t{96});
  EXPECT_EQ(Parse("gpt2", R"("hidden_size":36,"num_hidden_layers":1)").hidden_size, int64_t{36});
  const DecoderSpec by_layer = Parse("gpt2", With(kGptSizes, R"("scale_attn_by_inverse_layer_idx":true)"));
  EXPECT(std::abs(by_layer.layers[2].attention_scale - 1 / std::sqrt(6.0) / 3) < 1e-15);
  EXPECT_EQ(Parse("gpt2", With(kGptSizes, R"("scale_attn_weights":false)")).attention_scale, 1.0);
  EXPECT_THROWS_CODE(Parse("gpt2", With(kGptSizes, R"("add_cross_attention":true)")), kUnsupportedModel);
  EXPECT_THROWS_CODE(Parse("gpt2", R"("n_embd":25)"), kModelConfig);
  EXPECT_THROWS_CODE(Parse("gpt2", R"("n_head":0)"), kModelConfig);
  EXPECT_THROWS_CODE(Parse("gpt2", R"("activation_function":"mish")"), kUnsupportedModel);

  const DecoderSpec one = Parse("gpt_bigcode", kGptSizes);
  EXPECT(one.num_key_value_heads == 1 && one.qkv_order == QkvOrder::kConcatenated && !one.transposed);
  EXPECT(ShapeOf(one, "transformer.h.0.attn.c_attn.weight") == (Shape{36, 24}));
  const DecoderSpec own = Parse("gpt_bigcode", With(kGptSizes, R"("multi_query":false)"));
  EXPECT(own.num_key_value_heads == 4 && own.qkv_order == QkvOrder::kGrouped);
}

TEST(gpt_neo_layers) {
  const std::string sizes = R"("hidden_size":24,"num_layers":3,"num_heads":4,"window_size":5)";
  const DecoderSpec spec = Parse("gpt_neo", sizes + R"(,"attention_types":[[["global","local"],1],[["local"],1]])");
  EXPECT(spec.layers[0].sliding_window == 0 && spec.layers[1].sliding_window == 5 && spec.layers[2].sliding_window == 5);
  EXPECT(spec.attention_scale == 1.0 && spec.o_bias && !spec.qkv_bias && Has(spec, "transformer.h.1.attn.attention.out_proj.bias"));
  EXPECT_EQ(Parse("gpt_neo").layers[1].sliding_window, int64_t{256});
  for (const char* types : {R"([[["global"],2]])", R"([[["global"],1000000]])", R"([[["sideways"],3]])", R"([["global",3]])", R"([[[],3]])", "3", R"([[["global"],-3]])"}) {
    EXPECT_THROWS_CODE(Parse("gpt_neo", sizes + R"(,"attention_types":)" + types), kModelConfig);
  }
}

TEST(gpt_neox_and_gptj) {
  const std::string sizes = R"("vocab_size":50,"hidden_size":48,"num_hidden_layers":2,"num_attention_heads":3,"intermediate_size":20)";
  const DecoderSpec neox = Parse("gpt_neox", sizes + R"(,"rotary_pct":0.5,"rotary_emb_base":500)");
  EXPECT(neox.ropes[0].dim == 8 && neox.ropes[0].rope_theta == 500 && neox.parallel_residual && neox.qkv_order == QkvOrder::kGrouped && neox.qkv_bias);
  EXPECT_EQ(Parse("gpt_neox", sizes).ropes[0].dim, int64_t{4});
  EXPECT_EQ(Parse("gpt_neox", sizes + R"(,"rope_parameters":{"rope_theta":9,"partial_rotary_factor":1.0})").ropes[0].dim, int64_t{16});
  EXPECT(Has(neox, "embed_out.weight") && !Has(neox, "lm_head.weight") && LinearModules(neox).back().name == "lm_head");
  EXPECT(!Parse("gpt_neox", sizes + R"(,"attention_bias":false)").o_bias && !Parse("gpt_neox", sizes + R"(,"use_parallel_residual":false)").parallel_residual);
  EXPECT_THROWS_CODE(Parse("gpt_neox", sizes + R"(,"rotary_pct":0.2)"), kModelConfig);

  const DecoderSpec gptj = Parse("gptj", With(kGptSizes, R"("rotary_dim":4)"));
  EXPECT(gptj.ropes[0].interleaved && gptj.ropes[0].dim == 4 && gptj.head_bias && gptj.parallel_residual && !gptj.qkv_bias && !gptj.o_bias);
  EXPECT(Has(gptj, "lm_head.bias") && !Has(gptj, "transformer.h.0.ln_2.weight") && !Has(gptj, "transformer.wpe.weight"));
  for (const char* dim : {"3", "8", "0", "null"}) EXPECT_THROWS_CODE(Parse("gptj", With(kGptSizes, R"("rotary_dim":)" + std::string(dim))), kModelConfig);
}

TEST(opt_forms) {
  const std::string sizes = R"("vocab_size":50,"hidden_size":24,"num_hidden_layers":2,"num_attention_heads":4,"ffn_dim":20,"max_position_embeddings":9)";
  const DecoderSpec plain = Parse("opt", sizes);
  EXPECT(ShapeOf(plain, "model.decoder.embed_positions.weight") == (Shape{11, 24}) && plain.position_offset == 2 && plain.hidden_act == Activation::kRelu);
  EXPECT(Has(plain, "model.decoder.final_layer_norm.bias") && plain.norm_place == NormPlace::kBefore && plain.pad_token_id == 1);
  const DecoderSpec narrow = Parse("opt", sizes + R"(,"word_embed_proj_dim":8,"do_layer_norm_before":false)");
  EXPECT(narrow.norm_place == NormPlace::kBehindSum && !Has(narrow, "model.decoder.final_layer_norm.weight"));
  EXPECT(ShapeOf(narrow, "model.decoder.embed_tokens.weight") == (Shape{50, 8}) && ShapeOf(narrow, "model.decoder.project_in.weight") == (Shape{24, 8}));
  EXPECT(ShapeOf(narrow, "model.decoder.project_out.weight") == (Shape{8, 24}));
  EXPECT(LinearModules(narrow).front().name == "model.decoder.project_in" && LinearModules(narrow).back().in_features == 8);
  const DecoderSpec bare = Parse("opt", sizes + R"(,"enable_bias":false,"layer_norm_elementwise_affine":false,"_remove_final_layer_norm":true,"init_std":0.5)");
  EXPECT(!bare.norm.weight && !bare.norm.bias && !bare.qkv_bias && bare.names.norm.empty() && bare.initializer_range == 0.5);
  EXPECT_EQ(CountParameters(bare), int64_t{50 * 24 + 11 * 24 + 2 * (4 * 24 * 24 + 2 * 20 * 24)});
  EXPECT_THROWS_CODE(Parse("opt", sizes + R"(,"word_embed_proj_dim":0)"), kModelConfig);
}

TEST(bloom_and_mpt_slopes) {
  const DecoderSpec bloom = Parse("bloom", R"("n_embed":24,"n_layer":1,"num_attention_heads":6)");
  EXPECT(bloom.hidden_size == 24 && bloom.num_attention_heads == 6 && bloom.alibi.slopes.size() == 6 && bloom.intermediate_size == 96);
  // Four heads: 2^-2 … 2^-8; the two others from the slopes of eight heads: 2^-1, 2^-3.
  const std::vector<float> expected = {0.25f, 0.0625f, 0.015625f, 0.00390625f, 0.5f, 0.125f};
  EXPECT(bloom.alibi.slopes == expected && bloom.alibi.scale == 1.0 && !bloom.alibi.in_bf16);
  EXPECT(Has(bloom, "transformer.word_embeddings_layernorm.bias") && bloom.norm_place == NormPlace::kBefore);
  EXPECT(Parse("bloom", R"("apply_residual_connection_post_layernorm":true)").norm_place == NormPlace::kBeforeBoth);

  const DecoderSpec mpt = Parse("mpt", R"("d_model":24,"n_layers":1,"n_heads":3)");
  EXPECT(mpt.alibi.slopes == (std::vector<float>{0.0625f, 0.00390625f, 0.25f}));
  EXPECT(!Has(mpt, "transformer.blocks.0.norm_1.bias") && mpt.clip_qkv == 0 && mpt.attention_scale == 0 && mpt.eos_token_ids.empty());
  const DecoderSpec clipped = Parse("mpt", R"("attn_config":{"clip_qkv":6,"softmax_scale":0.5,"alibi_bias_max":8})");
  EXPECT(clipped.clip_qkv == 6 && clipped.attention_scale == 0.5 && clipped.alibi.slopes[15] == 0.00390625f);
  for (const char* member : {R"("no_bias":false)", R"("logit_scale":"inv_sqrt_d_model")", R"("expansion_ratio":2)", R"("attn_config":{"alibi":false})",
                             R"("attn_config":{"qk_ln":true})", R"("attn_config":{"prefix_lm":true})", R"("attn_config":{"alibi_bias_max":16})", R"("attn_config":{"attn_type":"multiquery_attention"})"}) {
    EXPECT_THROWS_CODE(Parse("mpt", member), kUnsupportedModel);
  }
  EXPECT_THROWS_CODE(Parse("mpt", R"("attn_config":{"clip_qkv":"6"})"), kModelConfig);
}

TEST(falcon_forms) {
  const DecoderSpec seven = Parse("falcon", With(kFalconSizes, R"("num_kv_heads":6)"));
  EXPECT(seven.num_key_value_heads == 1 && seven.parallel_residual && seven.names.mlp_norm.empty() && seven.ropes.size() == 1);
  EXPECT(ShapeOf(seven, "transformer.h.0.self_attention.query_key_value.weight") == (Shape{32, 24}) && !Has(seven, "transformer.h.0.mlp.dense_h_to_4h.bias"));
  const DecoderSpec forty = Parse("falcon", With(kFalconSizes, R"("num_kv_heads":2,"new_decoder_architecture":true)"));
  EXPECT(forty.num_key_value_heads == 2 && Has(forty, "transformer.h.1.ln_attn.weight") && Has(forty, "transformer.h.1.ln_mlp.weight"));
  const DecoderSpec eleven = Parse("falcon", With(kFalconSizes, R"("num_kv_heads":2,"new_decoder_architecture":true,"num_ln_in_parallel_attn":1,"ffn_hidden_size":7)"));
  EXPECT(Has(eleven, "transformer.h.1.input_layernorm.weight") && !Has(eleven, "transformer.h.1.ln_mlp.weight") && eleven.intermediate_size == 7);
  const DecoderSpec rw = Parse("falcon", With(kFalconSizes, R"("alibi":true,"multi_query":false,"parallel_attn":false,"bias":true)"));
  EXPECT(rw.num_key_value_heads == 6 && !rw.parallel_residual && rw.ropes.empty() && rw.layers[0].rope == -1 && rw.qkv_bias);
  EXPECT(rw.alibi.in_bf16 && rw.alibi.scale == 0.5 && Has(rw, "transformer.h.0.post_attention_layernorm.bias"));
  EXPECT_THROWS_CODE(Parse("falcon", With(kFalconSizes, R"("new_decoder_architecture":true,"parallel_attn":false)")), kUnsupportedModel);
  EXPECT_THROWS_CODE(Parse("falcon", With(kFalconSizes, R"("num_ln_in_parallel_attn":2)")), kUnsupportedModel);
  EXPECT_THROWS_CODE(Parse("falcon", With(kFalconSizes, R"("num_kv_heads":5,"new_decoder_architecture":true)")), kModelConfig);
  EXPECT_THROWS_CODE(Parse("falcon", With(kFalconSizes, R"("num_kv_heads":2,"multi_query":false)")), kModelConfig);
}

TEST(phi_and_internlm2) {
  const std::string sizes = R"("vocab_size":50,"hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":20)";
  const DecoderSpec phi = Parse("phi", sizes);
  EXPECT(phi.ropes[0].dim == 4 && phi.parallel_residual && phi.head_bias && phi.names.mlp_norm.empty() && phi.hidden_act == Activation::kGeluTanh);
  EXPECT(Has(phi, "model.layers.0.self_attn.dense.bias") && Has(phi, "lm_head.bias") && !Has(phi, "model.layers.0.self_attn.q_layernorm.weight"));
  const DecoderSpec normed = Parse("phi", sizes + R"(,"qk_layernorm":true,"partial_rotary_factor":0.25)");
  EXPECT(normed.ropes[0].dim == 2 && ShapeOf(normed, "model.layers.0.self_attn.k_layernorm.bias") == (Shape{8}));

  const DecoderSpec internlm2 = Parse("internlm2", sizes + R"(,"bias":false,"rope_scaling":{"type":"dynamic","factor":2.0},"max_position_embeddings":64)");
  EXPECT(ShapeOf(internlm2, "model.layers.0.attention.wqkv.weight") == (Shape{64, 32}) && internlm2.qkv_order == QkvOrder::kGrouped);
  EXPECT(Has(internlm2, "output.weight") && LinearModules(internlm2).back().name == "output" && internlm2.ropes[0].type == RopeType::kDynamic);
  EXPECT(Parse("internlm2").qkv_bias && Parse("internlm2").pad_token_id == 0);
}

}  // namespace ft::test
