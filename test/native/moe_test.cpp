// Routers and routed experts against plain formulas in float64 under autograd, where every expert sees every token and a mask of the
// choice decides: value, gradients of input, residual, router and experts; the load-balancing loss with its gradient.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>

#include "core/kernels/clamped_gate.h"
#include "core/kernels/expert_rows.h"
#include "core/nn/moe.h"
#include "nn_reference.h"
#include "test.h"

using namespace ft;
using namespace ft::test;

namespace {

constexpr int64_t kTokens = 9, kHidden = 22, kWidth = 13;

at::Tensor Leaf(const at::Tensor& x) { return x.detach().to(at::kDouble).clone().requires_grad_(true); }

struct Leaves {
  at::Tensor x, residual, router, router_bias, gate_up, gate_up_bias, down, down_bias;
};

// The chosen experts' weights in float64 [tokens, experts], zero elsewhere, for a choice made elsewhere.
at::Tensor PlainWeights(const at::Tensor& logits, const at::Tensor& experts, const RouterSpec& spec) {
  const at::Tensor mask = at::zeros_like(logits).scatter_(1, experts, 1.0);
  if (spec.score == RouterScore::kChosen) return at::softmax(logits.masked_fill(mask.eq(0), -INFINITY), -1) * spec.scaling_factor;
  at::Tensor w = (spec.score == RouterScore::kSoftmax ? at::softmax(logits, -1) : at::sigmoid(logits)) * mask;
  if (spec.renormalise) w = w / (w.sum(-1, true) + spec.epsilon);
  return w * spec.scaling_factor;
}

at::Tensor PlainActivation(const at::Tensor& gate_up, bool clamped) {
  if (!clamped) return at::silu(gate_up.narrow(1, 0, kWidth)) * gate_up.narrow(1, kWidth, kWidth);
  const at::Tensor pairs = gate_up.view({-1, kWidth, 2}), g = pairs.select(2, 0).clamp_max(7.0), up = pairs.select(2, 1);
  return (up.clamp(-7.0, 7.0) + 1) * g * at::sigmoid(1.702 * g);
}

at::Tensor PlainLogits(const Leaves& p) {
  const at::Tensor logits = at::matmul(p.x, p.router.t());
  return p.router_bias.defined() ? logits + p.router_bias : logits;
}

at::Tensor PlainForward(const Leaves& p, const at::Tensor& experts, const MoeSpec& spec) {
  const at::Tensor weights = PlainWeights(PlainLogits(p), experts, spec.router);
  at::Tensor y = p.residual;
  for (int64_t e = 0; e < spec.router.num_experts; ++e) {
    at::Tensor gate_up = at::matmul(p.x, p.gate_up[e].t());
    if (p.gate_up_bias.defined()) gate_up = gate_up + p.gate_up_bias[e];
    at::Tensor out = at::matmul(PlainActivation(gate_up, spec.clamped_gate), p.down[e].t());
    if (p.down_bias.defined()) out = out + p.down_bias[e];
    y = y + weights.narrow(1, e, 1) * out;
  }
  return y;
}

ExpertLinear MakeExperts(int64_t experts, int64_t out, int64_t in) {
  ModuleLayout layout{Slot::kExpertsIn, ModuleKind::kExperts, {{"experts", out}}, in, false, false, {}};
  layout.experts = experts, layout.fused = true;
  ExpertLinear linear(layout, at::kFloat);
  linear.weight = at::randn({experts, out, in});
  return linear;
}

RoutedExperts MakeMoe(const MoeSpec& spec, bool trainable, double gain = 1.0) {
  const int64_t experts = spec.router.num_experts;
  RoutedExperts moe;
  moe.spec = spec;
  moe.router.weight = at::randn({experts, kHidden});
  moe.router.parts = {{"gate", 0, experts, "gate"}};
  if (spec.router_bias) moe.router.bias = at::randn({experts});
  if (spec.router.correction_bias) moe.correction_bias = at::randn({experts});
  moe.gate_up = MakeExperts(experts, 2 * kWidth, kHidden);
  moe.gate_up.weight.mul_(gain);
  moe.down = MakeExperts(experts, kHidden, kWidth);
  if (spec.expert_bias) moe.gate_up.bias = at::randn({experts, 2 * kWidth}), moe.down.bias = at::randn({experts, kHidden});
  if (!trainable) return moe;
  moe.router.weight_grad = at::zeros_like(moe.router.weight);
  if (spec.router_bias) moe.router.bias_grad = at::zeros_like(moe.router.bias);
  for (ExpertLinear* linear : {&moe.gate_up, &moe.down}) {
    linear->weight_grad = at::zeros_like(linear->weight);
    if (linear->bias.defined()) linear->bias_grad = at::zeros_like(linear->bias);
  }
  return moe;
}

Leaves LeavesOf(const RoutedExperts& moe, const at::Tensor& x, const at::Tensor& residual) {
  Leaves p{Leaf(x), Leaf(residual), Leaf(moe.router.weight), {}, Leaf(moe.gate_up.weight), {}, Leaf(moe.down.weight), {}};
  if (moe.router.bias.defined()) p.router_bias = Leaf(moe.router.bias);
  if (moe.gate_up.bias.defined()) p.gate_up_bias = Leaf(moe.gate_up.bias), p.down_bias = Leaf(moe.down.bias);
  return p;
}

struct Harness {
  Batch batch;
  ForwardContext context;
  Harness() {
    HostBatch host;
    host.input_ids.assign(kTokens, 0);
    host.cu_seqlens = {0, kTokens};
    batch = MakeBatch(host, 1, at::kCPU);
    context.batch = &batch;
    context.training = true;
    context.anchor = at::zeros({}).requires_grad_(true);
  }
};

std::map<std::string, MoeSpec> Specs() {
  std::map<std::string, MoeSpec> specs;
  specs["softmax"].router = {.num_experts = 5, .experts_per_token = 2};
  specs["renormalised"].router = {.num_experts = 6, .experts_per_token = 3, .renormalise = true};
  specs["one expert a token"].router = {.num_experts = 5, .experts_per_token = 1};
  specs["all experts"].router = {.num_experts = 3, .experts_per_token = 3};
  specs["best groups"].router = {.num_experts = 6, .experts_per_token = 2, .scaling_factor = 1.7, .group_score = GroupScore::kBest, .groups = 3, .groups_per_token = 2};
  specs["sigmoid"].router = {.num_experts = 6, .experts_per_token = 3, .score = RouterScore::kSigmoid, .renormalise = true, .epsilon = 1e-20, .scaling_factor = 2.5,
                             .correction_bias = true, .group_score = GroupScore::kBestTwo, .groups = 3, .groups_per_token = 2};
  specs["chosen"].router = {.num_experts = 5, .experts_per_token = 2, .score = RouterScore::kChosen};
  specs["chosen"].router_bias = specs["chosen"].expert_bias = specs["chosen"].clamped_gate = true;
  for (auto& [name, spec] : specs) spec.expert_width = kWidth;
  return specs;
}

void CheckGradients(const RoutedExperts& moe, const Leaves& p) {
  EXPECT(RelativeError(moe.router.weight_grad, p.router.grad()) < 2e-5);
  EXPECT(RelativeError(moe.gate_up.weight_grad, p.gate_up.grad()) < 2e-5);
  EXPECT(RelativeError(moe.down.weight_grad, p.down.grad()) < 2e-5);
  if (moe.router.bias.defined()) EXPECT(RelativeError(moe.router.bias_grad, p.router_bias.grad()) < 2e-5);
  if (moe.down.bias.defined()) {
    EXPECT(RelativeError(moe.gate_up.bias_grad, p.gate_up_bias.grad()) < 2e-5);
    EXPECT(RelativeError(moe.down.bias_grad, p.down_bias.grad()) < 2e-5);
  }
}

}  // namespace

TEST(moe_value_and_gradients_match_float64) {
  at::manual_seed(3);
  const Harness harness;
  for (const auto& [name, spec] : Specs()) {
    at::AutoGradMode grad(true);
    RoutedExperts moe = MakeMoe(spec, /*trainable=*/true, spec.clamped_gate ? 2.0 : 1.0);  // the clamps are met
    const at::Tensor x = at::randn({kTokens, kHidden}).requires_grad_(true), residual = at::randn({kTokens, kHidden}).requires_grad_(true);
    const at::Tensor dy = at::randn({kTokens, kHidden});
    const at::Tensor y = moe.Forward(x, residual, harness.context);
    const Leaves p = LeavesOf(moe, x, residual);
    const at::Tensor experts = Route(PlainLogits(p).detach().to(at::kFloat), moe.correction_bias, spec.router).experts;
    const at::Tensor plain = PlainForward(p, experts, spec);
    EXPECT(RelativeError(y.detach(), plain.detach()) < 1e-5);
    torch::autograd::backward({y}, {dy});
    torch::autograd::backward({plain}, {dy.to(at::kDouble)});
    EXPECT(RelativeError(x.grad(), p.x.grad()) < 2e-5);
    EXPECT(RelativeError(residual.grad(), p.residual.grad()) < 1e-6);
    CheckGradients(moe, p);
  }
}

TEST(moe_graph_without_value_has_the_same_gradients) {
  at::manual_seed(4);
  const Harness harness;
  for (const auto& [name, spec] : Specs()) {
    at::AutoGradMode grad(true);
    RoutedExperts moe = MakeMoe(spec, /*trainable=*/true), again = moe;
    again.router.weight_grad = at::zeros_like(moe.router.weight);
    again.down.weight_grad = at::zeros_like(moe.down.weight);
    const at::Tensor x = at::randn({kTokens, kHidden}).requires_grad_(true), other = x.detach().clone().requires_grad_(true), dy = at::randn({kTokens, kHidden});
    torch::autograd::backward({moe.Forward(x, {}, harness.context, true)}, {dy});
    torch::autograd::backward({again.Forward(other, {}, harness.context, false)}, {dy});
    EXPECT(at::equal(x.grad(), other.grad()));
    EXPECT(at::equal(moe.router.weight_grad, again.router.weight_grad));
    EXPECT(at::equal(moe.down.weight_grad, again.down.weight_grad));
  }
}

TEST(moe_experts_without_tokens_are_not_touched) {
  at::manual_seed(5);
  const Harness harness;
  at::AutoGradMode grad(true);
  MoeSpec spec = Specs().at("renormalised");
  RoutedExperts moe = MakeMoe(spec, /*trainable=*/true);
  moe.router.bias = at::tensor({0.f, -1e4f, 0.f, 0.f, -1e4f, 0.f});  // experts 1 and 4 are never chosen
  for (const int64_t unused : {1, 4}) moe.gate_up.weight[unused].fill_(NAN), moe.down.weight[unused].fill_(NAN);
  const at::Tensor x = at::randn({kTokens, kHidden}).requires_grad_(true);
  const at::Tensor y = moe.Forward(x, {}, harness.context);
  torch::autograd::backward({y}, {at::randn({kTokens, kHidden})});
  EXPECT(at::isfinite(y).all().item<bool>() && at::isfinite(x.grad()).all().item<bool>());
  for (const int64_t unused : {1, 4}) EXPECT_EQ(moe.down.weight_grad[unused].abs().max().item<double>(), 0.0);
  EXPECT(moe.down.weight_grad[0].abs().max().item<double>() > 0);
}

TEST(moe_frozen_experts_get_no_gradient_and_bf16_stays_near) {
  at::manual_seed(6);
  const Harness harness;
  for (const auto& [name, spec] : Specs()) {
    at::AutoGradMode grad(true);
    const RoutedExperts moe = MakeMoe(spec, /*trainable=*/false);
    RoutedExperts low = moe;
    for (at::Tensor* t : {&low.router.weight, &low.router.bias, &low.gate_up.weight, &low.gate_up.bias, &low.down.weight, &low.down.bias}) {
      if (t->defined()) *t = t->to(at::kBFloat16);
    }
    const at::Tensor x = at::randn({kTokens, kHidden}).to(at::kBFloat16).requires_grad_(true), dy = at::randn({kTokens, kHidden}).to(at::kBFloat16);
    const at::Tensor y = low.Forward(x, {}, harness.context);
    const Leaves p = LeavesOf(low, x, at::zeros({kTokens, kHidden}));
    const at::Tensor experts = Route(PlainLogits(p).detach().to(at::kFloat), low.correction_bias, spec.router).experts;
    const at::Tensor plain = PlainForward(p, experts, spec);
    EXPECT(RelativeError(y.detach(), plain.detach()) < 2e-2);
    torch::autograd::backward({y}, {dy});
    torch::autograd::backward({plain}, {dy.to(at::kDouble)});
    EXPECT(RelativeError(x.grad(), p.x.grad()) < 3e-2);
    EXPECT(!low.down.weight.grad().defined());
  }
}

TEST(moe_groups_limit_the_choice) {
  const RouterSpec best = {.num_experts = 6, .experts_per_token = 2, .group_score = GroupScore::kBest, .groups = 3, .groups_per_token = 1};
  const at::Tensor logits = at::tensor({1.f, 0.f, 5.f, -3.f, 4.f, 3.f}).view({1, 6});
  const Routing alone = Route(logits, {}, best);  // group 1 holds the best expert
  EXPECT(at::equal(std::get<0>(alone.experts.sort(-1)), at::tensor({2, 3}, at::kLong).view({1, 2})));
  RouterSpec two = best;
  two.group_score = GroupScore::kBestTwo, two.score = RouterScore::kSigmoid;
  EXPECT(at::equal(std::get<0>(Route(logits, {}, two).experts.sort(-1)), at::tensor({4, 5}, at::kLong).view({1, 2})));
  // The bias moves the choice and not the weights.
  const Routing moved = Route(logits, at::tensor({9.f, 9.f, 0.f, 0.f, 0.f, 0.f}), two);
  EXPECT(at::equal(moved.experts, at::tensor({0, 1}, at::kLong).view({1, 2})));
  EXPECT_CLOSE(moved.weights[0][1].item<double>(), 0.5, 1e-6);
}

TEST(moe_load_balance_matches_float64) {
  at::manual_seed(7);
  at::AutoGradMode grad(true);
  constexpr int64_t kLayers = 3, kExperts = 5, kTop = 2;
  constexpr double kCoefficient = 0.3, kScale = 4.0;
  const RouterSpec spec = {.num_experts = kExperts, .experts_per_token = kTop};
  LoadBalance balance(kLayers + 1, kCoefficient, kScale);  // the last layer is dense: it never reports
  at::Tensor rows = at::zeros({kExperts}, at::kDouble), probability = at::zeros({kExperts}, at::kDouble);
  std::vector<at::Tensor> logits, leaves;
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    logits.push_back(at::randn({kTokens, kExperts}).mul_(2));
    leaves.push_back(Leaf(logits.back()));
    const at::Tensor experts = Route(logits.back(), {}, spec).experts;
    balance.Report(layer, logits.back(), experts);
    balance.Report(layer, logits.back(), experts);  // a recomputed layer counts once
    rows = rows + at::bincount(experts.reshape({-1}), {}, kExperts).to(at::kDouble);
    probability = probability + at::softmax(leaves.back(), -1).sum(0);
  }
  const double total = kLayers * kTokens;
  const at::Tensor loss = ((rows / total) * (probability / total)).sum() * kExperts * kCoefficient;
  EXPECT_CLOSE(balance.Loss(), loss.item<double>(), 1e-6);
  torch::autograd::backward({loss * kScale}, {});
  for (int64_t layer = 0; layer < kLayers; ++layer) EXPECT(RelativeError(balance.Gradient(logits[layer]), leaves[layer].grad()) < 1e-5);
}

TEST(moe_rows_kernels_match_composite) {
  at::manual_seed(8);
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto& [tokens, k, n] : {std::array<int64_t, 3>{1, 1, 1}, {5, 3, 17}, {40, 2, 700}}) {
      const at::Tensor rows = at::randn({tokens * k, n}).to(dtype), other = at::randn({tokens * k, n}).to(dtype), addend = at::randn({tokens, n}).to(dtype);
      const at::Tensor position = at::randperm(tokens * k, at::kLong).view({tokens, k});
      const double tolerance = dtype == at::kFloat ? 1e-6 : dtype == at::kHalf ? 1e-3 : 8e-3;
      for (const at::Tensor& extra : {addend, at::Tensor()}) {
        EXPECT(RelativeError(kernels::SumOfRows(rows, position, extra), kernels::composite::SumOfRows(rows, position, extra)) < tolerance);
      }
      EXPECT(RelativeError(kernels::RowDots(rows, other), (rows.to(at::kDouble) * other.to(at::kDouble)).sum(1)) < 1e-5);
    }
  }
}
