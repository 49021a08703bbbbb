#include "core/nn/router.h"

#include <ATen/ATen.h>

#include <limits>
#include <optional>

#include "core/base/error.h"

namespace ft {
namespace {

at::Tensor Scores(const at::Tensor& logits, RouterScore score) {
  switch (score) {
    case RouterScore::kSoftmax:
      return at::softmax(logits, -1);
    case RouterScore::kSigmoid:
      return at::sigmoid(logits);
    case RouterScore::kChosen:
      break;
  }
  return logits;
}

// `choice` with the experts of losing groups at minus infinity.
at::Tensor WithinBestGroups(const at::Tensor& choice, const RouterSpec& spec) {
  const int64_t tokens = choice.size(0), size = spec.num_experts / spec.groups;
  const at::Tensor grouped = choice.view({tokens, spec.groups, size});
  const at::Tensor group_scores =
      spec.group_score == GroupScore::kBest ? grouped.amax(-1) : std::get<0>(grouped.topk(std::min<int64_t>(2, size), -1)).sum(-1);
  const at::Tensor best = std::get<1>(group_scores.topk(spec.groups_per_token, -1, /*largest=*/true, /*sorted=*/false));
  const at::Tensor losing = at::ones({tokens, spec.groups}, choice.options().dtype(at::kBool)).scatter_(1, best, false);
  return grouped.masked_fill(losing.unsqueeze(-1), -std::numeric_limits<double>::infinity()).view({tokens, spec.num_experts});
}

}  // namespace

Routing Route(const at::Tensor& logits, const at::Tensor& correction_bias, const RouterSpec& spec) {
  FT_CHECK(logits.dim() == 2 && logits.size(1) == spec.num_experts, kInternal, "a router of {} experts got logits of {}", spec.num_experts, logits.size(1));
  const at::Tensor scores = Scores(logits, spec.score);
  at::Tensor choice = correction_bias.defined() ? scores + correction_bias : scores;
  if (spec.group_score != GroupScore::kNone) choice = WithinBestGroups(choice, spec);
  Routing routing;
  routing.experts = std::get<1>(choice.topk(spec.experts_per_token, -1));
  routing.weights = scores.gather(1, routing.experts);
  if (spec.score == RouterScore::kChosen) routing.weights = at::softmax(routing.weights, -1);
  if (spec.renormalise) routing.weights = routing.weights / (routing.weights.sum(-1, true) + spec.epsilon);
  if (spec.scaling_factor != 1.0) routing.weights = routing.weights * spec.scaling_factor;
  return routing;
}

at::Tensor RouteBackward(const at::Tensor& dweights, const at::Tensor& logits, const Routing& routing, const RouterSpec& spec) {
  const at::Tensor scores = Scores(logits, spec.score);
  at::Tensor d = spec.scaling_factor != 1.0 ? dweights * spec.scaling_factor : dweights;
  at::Tensor raw = scores.gather(1, routing.experts);
  if (spec.score == RouterScore::kChosen) raw = at::softmax(raw, -1);
  if (spec.renormalise) {
    const at::Tensor sum = raw.sum(-1, true) + spec.epsilon;
    d = (d - (d * raw).sum(-1, true) / sum) / sum;
  }
  if (spec.score == RouterScore::kChosen) d = raw * (d - (d * raw).sum(-1, true));
  at::Tensor dscores = at::zeros_like(logits).scatter_(1, routing.experts, d);
  switch (spec.score) {
    case RouterScore::kSoftmax:
      return scores * (dscores - (dscores * scores).sum(-1, true));
    case RouterScore::kSigmoid:
      return dscores.mul_(scores).mul_(1 - scores);
    case RouterScore::kChosen:
      break;
  }
  return dscores;
}

Dispatch DispatchOf(const at::Tensor& experts, int64_t num_experts) {
  const at::Tensor flat = experts.reshape({-1});
  const at::Tensor slots = std::get<1>(flat.sort(/*stable=*/std::optional<bool>(true), /*dim=*/0, /*descending=*/false));
  const at::Tensor counts = at::bincount(flat, {}, num_experts).cpu();
  std::vector<int64_t> offsets = {0};
  for (int64_t e = 0; e < num_experts; ++e) offsets.push_back(offsets.back() + counts.const_data_ptr<int64_t>()[e]);
  return DispatchAgain(slots, std::move(offsets), experts.size(1));
}

Dispatch DispatchAgain(const at::Tensor& slots, std::vector<int64_t> offsets, int64_t experts_per_token) {
  Dispatch dispatch;
  dispatch.offsets = std::move(offsets);
  dispatch.slots = slots;
  dispatch.tokens = slots.div(experts_per_token, "floor");
  dispatch.position = at::empty_like(slots).scatter_(0, slots, at::arange(slots.size(0), slots.options())).view({-1, experts_per_token});
  return dispatch;
}

LoadBalance::LoadBalance(int64_t layers, double coefficient, double gradient_scale)
    : coefficient_(coefficient), gradient_scale_(gradient_scale), layers_(static_cast<size_t>(layers)) {}

void LoadBalance::Report(int64_t layer, const at::Tensor& logits, const at::Tensor& experts) {
  layers_.at(static_cast<size_t>(layer)) = {at::bincount(experts.reshape({-1}), {}, logits.size(1)).to(at::kFloat), at::softmax(logits, -1).sum(0),
                                            static_cast<double>(logits.size(0))};
}

LoadBalance::Sums LoadBalance::Total() const {
  Sums total;
  for (const Sums& layer : layers_) {
    if (!layer.rows.defined()) continue;
    total.rows = total.rows.defined() ? total.rows + layer.rows : layer.rows;
    total.probability = total.probability.defined() ? total.probability + layer.probability : layer.probability;
    total.tokens += layer.tokens;
  }
  return total;
}

double LoadBalance::Loss() const {
  const Sums total = Total();
  if (!total.rows.defined()) return 0.0;
  const double experts = static_cast<double>(total.rows.size(0));
  return coefficient_ * experts * (total.rows.to(at::kDouble) * total.probability.to(at::kDouble)).sum().item<double>() / (total.tokens * total.tokens);
}

at::Tensor LoadBalance::Gradient(const at::Tensor& logits) const {
  const Sums total = Total();
  const double experts = static_cast<double>(total.rows.size(0));
  // d loss / d probability of an expert is the same for every token: the share of rows it got is a constant.
  const at::Tensor d = total.rows * (coefficient_ * gradient_scale_ * experts / (total.tokens * total.tokens));
  const at::Tensor p = at::softmax(logits, -1);
  return p * (d - (p * d).sum(-1, true));
}

}  // namespace ft
