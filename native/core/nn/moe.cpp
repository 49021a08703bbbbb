#include "core/nn/moe.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "core/kernels/clamped_gate.h"
#include "core/kernels/expert_rows.h"
#include "core/kernels/gate.h"
#include "core/nn/function_inputs.h"

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor Activate(const RoutedExperts& moe, const at::Tensor& gate_up) {
  return moe.spec.clamped_gate ? kernels::ClampedGate(gate_up, {}) : kernels::Gate(gate_up, moe.hidden_act);
}

at::Tensor ActivateBackward(const RoutedExperts& moe, const at::Tensor& dh, const at::Tensor& gate_up, at::Tensor* h) {
  return moe.spec.clamped_gate ? kernels::ClampedGateBackward(dh, gate_up, {}, h) : kernels::GateBackward(dh, gate_up, moe.hidden_act, h);
}

// fp32 whatever the weights are: the choice between experts must not hang on a rounding.
at::Tensor RouterLogits(LinearGroup& router, const at::Tensor& x, const TokenKeys& keys, const ForwardContext& context, std::vector<at::Tensor>* saved) {
  std::vector<kernels::ProductTerm> terms = {{x, router.weight}};
  if (router.adapter != nullptr) terms.push_back(router.adapter->Forward(x, keys, context, saved));
  for (kernels::ProductTerm& term : terms) term.x = term.x.to(at::kFloat), term.w = term.w.to(at::kFloat);
  return kernels::SumOfProducts(terms, router.bias.defined() ? router.bias.to(at::kFloat) : at::Tensor(), {});
}

// One pass over the rows of a batch, as far as the backward has to know it.
struct Pass {
  at::Tensor logits;  // fp32 [tokens, experts]
  Routing routing;
  Dispatch dispatch;
  at::Tensor row_weights;  // fp32 [rows]
  at::Tensor gate_up;      // [rows, 2 · width]
  at::Tensor inner_in, inner_down;  // of the adapters
  std::vector<at::Tensor> router_saved;
};

at::Tensor Run(RoutedExperts& moe, const at::Tensor& x, const at::Tensor& residual, const ForwardContext& context, bool value_wanted, Pass* pass) {
  pass->logits = RouterLogits(moe.router, x, KeysOf(context), context, &pass->router_saved);
  pass->routing = Route(pass->logits, moe.correction_bias, moe.spec.router);
  pass->dispatch = DispatchOf(pass->routing.experts, moe.spec.router.num_experts);
  pass->row_weights = pass->routing.weights.reshape({-1}).index_select(0, pass->dispatch.slots);
  if (context.load_balance != nullptr) context.load_balance->Report(moe.layer, pass->logits, pass->routing.experts);
  const std::vector<int64_t>& offsets = pass->dispatch.offsets;
  pass->gate_up = moe.gate_up.Product(x.index_select(0, pass->dispatch.tokens), {}, offsets, &pass->inner_in);
  if (!value_wanted && moe.down.adapter == nullptr) return at::empty(x.sizes(), x.options());
  const at::Tensor h = Activate(moe, pass->gate_up).mul_(pass->row_weights.unsqueeze(1));
  const at::Tensor rows = moe.down.Product(h, pass->row_weights, offsets, &pass->inner_down, value_wanted);
  return value_wanted ? kernels::SumOfRows(rows, pass->dispatch.position, residual) : at::empty(x.sizes(), x.options());
}

// d weights, as rows: the inner product of what comes back through the down projection with what went in.
at::Tensor RowWeightGradient(const RoutedExperts& moe, const Pass& pass, const at::Tensor& dy, const at::Tensor& dh, const at::Tensor& h) {
  at::Tensor d = kernels::RowDots(dh, h);
  if (moe.down.bias.defined()) {
    const at::Tensor experts = pass.routing.experts.reshape({-1}).index_select(0, pass.dispatch.slots);
    d.add_(kernels::RowDots(dy, moe.down.bias.index_select(0, experts)));
  }
  return d;
}

// dx of the experts' part, [rows, hidden]; undefined unless need_dx. Fills `dlogits`.
at::Tensor ExpertsBackward(RoutedExperts& moe, const Pass& pass, const at::Tensor& x, const at::Tensor& dy, bool need_dx, at::Tensor* dlogits) {
  const std::vector<int64_t>& offsets = pass.dispatch.offsets;
  const at::Tensor dout = dy.index_select(0, pass.dispatch.tokens), scale = pass.row_weights.unsqueeze(1);
  const ExpertLinear::InputGradient down = moe.down.BackwardInput(dout, offsets, /*need_dx=*/true);
  at::Tensor h;
  at::Tensor dgate_up = ActivateBackward(moe, down.dx, pass.gate_up, &h);
  const at::Tensor drow = RowWeightGradient(moe, pass, dout, down.dx, h);
  const at::Tensor dweights = drow.index_select(0, pass.dispatch.position.reshape({-1})).view(pass.routing.weights.sizes());
  *dlogits = RouteBackward(dweights, pass.logits, pass.routing, moe.spec.router);
  if (moe.down.trainable()) moe.down.BackwardParameters(h.mul_(scale), dout, pass.row_weights, offsets, pass.inner_down, down.dinner);
  dgate_up.mul_(scale);
  const ExpertLinear::InputGradient in = moe.gate_up.BackwardInput(dgate_up, offsets, need_dx);
  if (moe.gate_up.trainable()) {
    moe.gate_up.BackwardParameters(x.index_select(0, pass.dispatch.tokens), dgate_up, {}, offsets, pass.inner_in, in.dinner);
  }
  return in.dx;
}

constexpr size_t kFixedSaved = 10;  // of the tensors in save_for_backward, before the router's

class RoutedFunction : public torch::autograd::Function<RoutedFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const std::optional<at::Tensor>& residual,
                            const std::optional<at::Tensor>& /*anchor*/, RoutedExperts* moe, const ForwardContext* context, bool value_wanted) {
    Pass pass;
    const at::Tensor y = Run(*moe, x, residual.value_or(at::Tensor()), *context, value_wanted, &pass);
    const TokenKeys keys = KeysOf(*context);
    variable_list keep = {x,           pass.logits,        pass.routing.experts, pass.routing.weights, pass.dispatch.slots,
                          pass.gate_up, pass.inner_in, pass.inner_down, keys.row_keys,        keys.positions};
    keep.insert(keep.end(), pass.router_saved.begin(), pass.router_saved.end());
    ctx->save_for_backward(keep);
    ctx->saved_data["moe"] = reinterpret_cast<int64_t>(moe);
    ctx->saved_data["balance"] = reinterpret_cast<int64_t>(context->load_balance);
    ctx->saved_data["offsets"] = pass.dispatch.offsets;
    ctx->saved_data["seed"] = static_cast<int64_t>(context->seed);
    ctx->saved_data["step"] = static_cast<int64_t>(context->step);
    ctx->saved_data["has_residual"] = residual.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    auto* moe = reinterpret_cast<RoutedExperts*>(ctx->saved_data["moe"].toInt());
    const auto* balance = reinterpret_cast<const LoadBalance*>(ctx->saved_data["balance"].toInt());
    const variable_list keep = ctx->get_saved_variables();
    const at::Tensor& x = keep[0];
    Pass pass;
    pass.logits = keep[1];
    pass.routing = {keep[2], keep[3]};
    pass.dispatch = DispatchAgain(keep[4], ctx->saved_data["offsets"].toIntVector(), moe->spec.router.experts_per_token);
    pass.row_weights = keep[3].reshape({-1}).index_select(0, keep[4]);
    pass.gate_up = keep[5], pass.inner_in = keep[6], pass.inner_down = keep[7];
    const std::vector<at::Tensor> router_saved(keep.begin() + kFixedSaved, keep.end());
    const BackwardKeys keys{{keep[8], keep[9]}, static_cast<uint64_t>(ctx->saved_data["seed"].toInt()), static_cast<uint64_t>(ctx->saved_data["step"].toInt())};

    const at::Tensor dy = grads[0].contiguous();
    const bool need_dx = ctx->needs_input_grad(0);
    at::Tensor dlogits;
    const at::Tensor drows = ExpertsBackward(*moe, pass, x, dy, need_dx, &dlogits);
    if (balance != nullptr) dlogits.add_(balance->Gradient(pass.logits));
    const at::Tensor drouter = dlogits.to(x.scalar_type());
    const LinearGroup::InputGradient router = moe->router.BackwardInput(drouter, router_saved, keys, need_dx);
    if (moe->router.trainable()) moe->router.BackwardParameters(x, drouter, router_saved, router, keys);
    const at::Tensor dx = need_dx ? kernels::SumOfRows(drows, pass.dispatch.position, router.dx) : at::Tensor();
    return {dx, ctx->saved_data["has_residual"].toBool() ? dy : at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

void RoutedExperts::AppendWeights(std::vector<WeightRef>* refs) {
  router.AppendWeights(refs);
  if (correction_bias.defined()) refs->push_back({correction_bias, nullptr, false, {{correction_bias_name, correction_bias.sizes().vec(), 0, correction_bias.numel()}}});
  gate_up.AppendWeights(refs);
  down.AppendWeights(refs);
}

at::Tensor RoutedExperts::Forward(const at::Tensor& x, const at::Tensor& residual, const ForwardContext& context, bool value_wanted) {
  if (at::GradMode::is_enabled()) {
    return RoutedFunction::apply(x, IfDefined(residual), trainable() ? IfDefined(context.anchor) : std::nullopt, this, &context, value_wanted);
  }
  Pass pass;
  return Run(*this, x, residual, context, value_wanted, &pass);
}

}  // namespace ft
