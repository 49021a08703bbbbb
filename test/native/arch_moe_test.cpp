// arch: families with experts, latent attention and sinks: facts and layouts with the defaults of transformers 5, and every
// configuration that cannot work refused before anything is allocated.
#include <algorithm>
#include <cmath>

#include "core/arch/arch.h"
#include "core/base/error.h"
#include "core/nn/expected_tensors.h"
#include "io_helpers.h"

namespace ft::test {
namespace {

DecoderSpec Parse(const std::string& type, const std::string& members = "") {
  return ParseDecoderSpec("{\"model_type\":\"" + type + "\"" + (members.empty() ? "" : ",") + members + "}", "config.json");
}

std::vector<bool> Sparse(const DecoderSpec& spec) {
  std::vector<bool> out;
  for (const LayerSpec& layer : spec.layers) out.push_back(layer.experts);
  return out;
}

const ExpectedTensor* Find(const std::vector<ExpectedTensor>& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const ExpectedTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

const LinearModule* Module(const std::vector<LinearModule>& modules, const std::string& name) {
  const auto found = std::find_if(modules.begin(), modules.end(), [&](const LinearModule& module) { return module.name == name; });
  return found == modules.end() ? nullptr : &*found;
}

using Shape = std::vector<int64_t>;

}  // namespace

TEST(arch_moe_mixtral) {
  const DecoderSpec spec = Parse("mixtral", R"("num_hidden_layers":2)");
  EXPECT_EQ(spec.moe.router.num_experts, int64_t{8});
  EXPECT_EQ(spec.moe.router.experts_per_token, int64_t{2});
  EXPECT_EQ(spec.moe.expert_width, int64_t{14336});
  EXPECT(spec.moe.router.renormalise && spec.moe.renamed_targets && spec.moe.aux_loss_coef == 0);
  EXPECT_EQ(spec.norm.eps, 1e-5);
  EXPECT_EQ(spec.ropes[0].rope_theta, 1e6);
  EXPECT(Sparse(spec) == std::vector<bool>(2, true));
  const auto tensors = ExpectedTensors(spec);
  const ExpectedTensor* w1 = Find(tensors, "model.layers.1.block_sparse_moe.experts.7.w1.weight");
  EXPECT(w1 != nullptr && w1->shape == (Shape{14336, 4096}));
  const ExpectedTensor* w2 = Find(tensors, "model.layers.0.block_sparse_moe.experts.0.w2.weight");
  EXPECT(w2 != nullptr && w2->shape == (Shape{4096, 14336}));
  EXPECT(Find(tensors, "model.layers.0.block_sparse_moe.gate.weight") != nullptr);
  // Adapters know the modules by the names of transformers 5.
  const auto modules = LinearModules(spec);
  const LinearModule* router = Module(modules, "model.layers.0.mlp.gate");
  EXPECT(router != nullptr && router->router && router->out_features == 8);
  const LinearModule* experts = Module(modules, "model.layers.1.mlp.experts.gate_up_proj");
  EXPECT(experts != nullptr && experts->experts == 8 && experts->in_features == 4096 && experts->out_features == 2 * 14336);
  EXPECT_EQ(Parse("mixtral", R"("output_router_logits":true,"router_aux_loss_coef":0.02)").moe.aux_loss_coef, 0.02);
}

TEST(arch_moe_qwen_layers) {
  const DecoderSpec two = Parse("qwen2_moe", R"("num_hidden_layers":6,"decoder_sparse_step":2,"mlp_only_layers":[3,99])");
  EXPECT(Sparse(two) == (std::vector<bool>{false, true, false, false, false, true}));
  EXPECT(two.qkv_bias && two.moe.shared_gate && two.moe.shared_width == 5632 && !two.moe.router.renormalise && !two.moe.renamed_targets);
  const auto tensors = ExpectedTensors(two);
  EXPECT(Find(tensors, "model.layers.1.mlp.shared_expert_gate.weight") != nullptr && Find(tensors, "model.layers.0.mlp.up_proj.weight") != nullptr);
  EXPECT(Find(tensors, "model.layers.0.mlp.gate.weight") == nullptr);
  const DecoderSpec windows = Parse("qwen2_moe", R"("num_hidden_layers":5,"use_sliding_window":true,"sliding_window":7,"max_window_layers":3)");
  EXPECT(windows.layers[0].sliding_window == 7 && windows.layers[1].sliding_window == 0 && windows.layers[2].sliding_window == 7 && windows.layers[4].sliding_window == 0);
  const DecoderSpec three = Parse("qwen3_moe", R"("num_hidden_layers":2,"num_local_experts":6,"num_experts_per_tok":3,"norm_topk_prob":true)");
  EXPECT(three.moe.router.num_experts == 6 && three.moe.router.renormalise && three.qk_norm == QkNorm::kHead && three.moe.shared_width == 0);
  EXPECT_EQ(Parse("qwen3_moe", R"("num_experts":9)").moe.router.num_experts, int64_t{9});
}

TEST(arch_moe_deepseek) {
  const std::string sizes = R"("num_hidden_layers":3,"hidden_size":48,"num_attention_heads":4,"num_key_value_heads":4,"num_experts_per_tok":2)";
  const DecoderSpec two = Parse("deepseek_v2", sizes + R"(,"q_lora_rank":null,"first_k_dense_replace":1,"mlp_bias":true)");
  EXPECT(Sparse(two) == (std::vector<bool>{false, true, true}));
  EXPECT(two.latent.q_rank == 0 && two.latent.kv_rank == 512 && two.head_dim == 64 && two.ropes[0].interleaved && two.ropes[0].dim == 64);
  EXPECT_CLOSE(two.attention_scale, 1 / std::sqrt(192.0), 1e-12);
  const auto tensors = ExpectedTensors(two);
  const ExpectedTensor* q = Find(tensors, "model.layers.0.self_attn.q_proj.weight");
  EXPECT(q != nullptr && q->shape == (Shape{4 * 192, 48}));
  const ExpectedTensor* kv = Find(tensors, "model.layers.0.self_attn.kv_a_proj_with_mqa.weight");
  EXPECT(kv != nullptr && kv->shape == (Shape{512 + 64, 48}));
  EXPECT(Find(tensors, "model.layers.1.mlp.shared_experts.down_proj.bias") != nullptr);
  const DecoderSpec three = Parse("deepseek_v3", sizes + R"(,"rope_scaling":{"type":"yarn","factor":40,"mscale":1.0,"mscale_all_dim":1.0,"original_max_position_embeddings":4096})");
  EXPECT(Sparse(three) == std::vector<bool>(3, false));  // first_k_dense_replace is 3
  const double mscale = 0.1 * std::log(40.0) + 1;
  EXPECT_CLOSE(three.attention_scale, mscale * mscale / std::sqrt(192.0), 1e-12);
  const DecoderSpec sparse = Parse("deepseek_v3", sizes + R"(,"first_k_dense_replace":0)");
  const auto own = ExpectedTensors(sparse);
  const ExpectedTensor* bias = Find(own, "model.layers.2.mlp.gate.e_score_correction_bias");
  EXPECT(bias != nullptr && bias->kind == TensorKind::kBuffer);
  EXPECT(sparse.moe.router.score == RouterScore::kSigmoid && sparse.moe.router.group_score == GroupScore::kBestTwo && sparse.moe.router.groups == 8);
}

TEST(arch_moe_gpt_oss) {
  const DecoderSpec spec = Parse("gpt_oss", R"("num_hidden_layers":3)");
  EXPECT(spec.layers[0].sliding_window == 128 && spec.layers[1].sliding_window == 0 && spec.layers[2].sliding_window == 128);
  EXPECT(spec.ropes[0].type == RopeType::kYarn && spec.ropes[0].factor == 32 && !spec.ropes[0].truncate && spec.ropes[0].original_max_position_embeddings == 4096);
  EXPECT_EQ(spec.ropes[0].rope_theta, 150000.0);
  EXPECT(spec.attention_sinks && spec.qkv_bias && spec.o_bias && spec.moe.expert_bias && spec.moe.router_bias && spec.moe.clamped_gate);
  const auto tensors = ExpectedTensors(spec);
  const ExpectedTensor* in = Find(tensors, "model.layers.0.mlp.experts.gate_up_proj");
  EXPECT(in != nullptr && in->shape == (Shape{128, 2880, 5760}));
  const ExpectedTensor* bias = Find(tensors, "model.layers.0.mlp.experts.down_proj_bias");
  EXPECT(bias != nullptr && bias->shape == (Shape{128, 2880}));
  const ExpectedTensor* sinks = Find(tensors, "model.layers.2.self_attn.sinks");
  EXPECT(sinks != nullptr && sinks->shape == (Shape{64}));
  EXPECT(Find(tensors, "model.layers.0.mlp.router.bias") != nullptr);
}

TEST(arch_moe_impossible_configurations_are_refused) {
  struct Case {
    const char *type, *members;
  };
  const Case bad[] = {
      {"mixtral", R"("num_local_experts":4,"num_experts_per_tok":5)"},
      {"mixtral", R"("num_local_experts":0)"},
      {"mixtral", R"("num_experts_per_tok":0)"},
      {"mixtral", R"("num_local_experts":1000000000)"},
      {"qwen2_moe", R"("moe_intermediate_size":0)"},
      {"qwen2_moe", R"("decoder_sparse_step":0)"},
      {"qwen2_moe", R"("mlp_only_layers":["a"])"},
      {"qwen2_moe", R"("shared_expert_intermediate_size":-1)"},
      {"qwen3_moe", R"("num_experts":3)"},  // 8 a token
      {"qwen3_moe", R"("router_aux_loss_coef":"much")"},
      {"deepseek_v2", R"("num_hidden_layers":2)"},  // num_experts_per_tok has no default
      {"deepseek_v2", R"("num_experts_per_tok":2,"num_key_value_heads":4)"},
      {"deepseek_v2", R"("num_experts_per_tok":2,"topk_method":"group_limited_greedy")"},
      {"deepseek_v2", R"("num_experts_per_tok":2,"topk_method":"group_limited_greedy","n_group":7,"topk_group":1)"},
      {"deepseek_v2", R"("num_experts_per_tok":2,"kv_lora_rank":0)"},
      {"deepseek_v2", R"("num_experts_per_tok":2,"qk_rope_head_dim":7)"},
      {"deepseek_v2", R"("num_experts_per_tok":2,"n_shared_experts":0)"},
      {"deepseek_v3", R"("n_group":3)"},
      {"deepseek_v3", R"("n_group":256)"},  // groups of one have no best two
      {"deepseek_v3", R"("topk_group":9)"},
      {"deepseek_v3", R"("n_group":64,"topk_group":1)"},  // 8 a token from groups of 4
      {"deepseek_v3", R"("routed_scaling_factor":NaN)"},
      {"gpt_oss", R"("sliding_window":null)"},
      {"gpt_oss", R"("layer_types":["full_attention"])"},
  };
  for (const Case& one : bad) {
    try {
      Parse(one.type, one.members);
      Fail(__FILE__, __LINE__, std::string(one.type) + " takes " + one.members);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kModelConfig) Fail(__FILE__, __LINE__, std::string(one.members) + ": " + error.what());
    }
  }
  EXPECT_THROWS_CODE(Parse("deepseek_v2", R"("num_experts_per_tok":2,"topk_method":"noaux_tc")"), kUnsupportedModel);
  EXPECT_THROWS_CODE(Parse("gpt_oss", R"("swiglu_limit":9)"), kUnsupportedModel);
}

}  // namespace ft::test
