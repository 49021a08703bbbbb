#include "core/objectives/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// fp32 logits of a chunk stay near 64 MB.
int64_t ChunkRows(int64_t vocab_size) { return std::clamp<int64_t>((16 << 20) / std::max<int64_t>(vocab_size, 1), 64, 4096); }

// The supervised rows of a batch with what their products are keyed by.
struct Supervised {
  at::Tensor targets;  // int64 [n]
  TokenKeys keys;      // [n]

  static Supervised Of(const Batch& batch) {
    return {batch.loss_target, {batch.row_keys.index_select(0, batch.loss_source), batch.positions.index_select(0, batch.loss_source)}};
  }
  TokenKeys KeysOf(int64_t begin, int64_t rows) const { return {keys.row_keys.narrow(0, begin, rows), keys.positions.narrow(0, begin, rows)}; }
};

struct Chunk {
  int64_t begin, rows;
  at::Tensor x;                   // [rows, hidden] after the final norm
  at::Tensor targets;             // [rows, 1]
  at::Tensor logits;              // fp32 [rows, vocab]
  at::Tensor log_sum_exp;         // fp32 [rows, 1]
  std::vector<at::Tensor> saved;  // of the head's product
};

Chunk MakeChunk(const at::Tensor& x, const Supervised& rows, int64_t begin, int64_t count, LinearGroup& head, const ForwardContext& context) {
  Chunk chunk{begin, count, x.narrow(0, begin, count), rows.targets.narrow(0, begin, count).unsqueeze(1), {}, {}, {}};
  chunk.logits = head.Product(chunk.x, rows.KeysOf(begin, count), context, &chunk.saved).to(at::kFloat);
  chunk.log_sum_exp = at::logsumexp(chunk.logits, {1}, /*keepdim=*/true);
  return chunk;
}

at::Tensor TargetLogProbs(const Chunk& chunk) { return (chunk.logits.gather(1, chunk.targets) - chunk.log_sum_exp).squeeze(1); }

// Turns the chunk's logits into softmax − onehot, scaled row by row ([rows, 1]) or by one number, and runs the head's backward.
at::Tensor ChunkBackward(Chunk& chunk, const at::Tensor& row_scale, double scale, const Supervised& rows, LinearGroup& head,
                         uint64_t seed, uint64_t step, bool need_dx) {
  at::Tensor d = chunk.logits.sub_(chunk.log_sum_exp).exp_();
  d.scatter_add_(1, chunk.targets, at::full({chunk.rows, 1}, -1.0, d.options()));
  if (row_scale.defined()) d.mul_(row_scale);
  if (scale != 1.0) d.mul_(scale);
  return head.ProductBackward(chunk.x, d.to(chunk.x.scalar_type()), chunk.saved, rows.KeysOf(chunk.begin, chunk.rows), seed, step, need_dx);
}

// Gathered rows through the final norm, with what its backward needs.
struct HeadInput {
  at::Tensor u, rstd, x;  // gathered hidden, aux of the norm, normed
  HeadInput(const at::Tensor& hidden, const at::Tensor& source, const NormWeight& norm) : u(hidden.index_select(0, source)) {
    x = norm.Apply(u, rstd);
  }
};

// d hidden [tokens, hidden] from the gradient of the normed supervised rows.
at::Tensor ScatterBack(const at::Tensor& dx, const HeadInput& input, const at::Tensor& source, const NormWeight& norm, int64_t tokens, bool need) {
  const at::Tensor du = norm.Backward(dx, input.u, input.rstd, need);
  if (!need) return {};
  return at::zeros({tokens, du.size(1)}, du.options()).index_copy_(0, source, du);
}

class CrossEntropyFunction : public torch::autograd::Function<CrossEntropyFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden, const std::optional<at::Tensor>& /*anchor*/, Decoder* decoder,
                            const ForwardContext* context, bool need_dhidden, at::Tensor* token_loss) {
    const Batch& batch = *context->batch;
    LinearGroup& head = decoder->lm_head();
    const NormWeight& norm = decoder->norm();
    const HeadInput input(hidden, batch.loss_source, norm);
    const Supervised rows = Supervised::Of(batch);
    const bool need_dx = need_dhidden || norm.trainable();
    *token_loss = at::empty({batch.supervised}, hidden.options().dtype(at::kFloat));
    at::Tensor dx = need_dx ? at::empty_like(input.x) : at::Tensor();
    const int64_t step_rows = ChunkRows(head.out_features());
    for (int64_t begin = 0; begin < batch.supervised; begin += step_rows) {
      ThrowIfCancelled(context->cancel);
      const int64_t count = std::min(step_rows, batch.supervised - begin);
      Chunk chunk = MakeChunk(input.x, rows, begin, count, head, *context);
      token_loss->narrow(0, begin, count).copy_(TargetLogProbs(chunk).neg_());
      const at::Tensor dchunk = ChunkBackward(chunk, {}, context->grad_scale, rows, head, context->seed, context->step, need_dx);
      if (need_dx) dx.narrow(0, begin, count).copy_(dchunk);
    }
    ctx->save_for_backward({need_dx ? ScatterBack(dx, input, batch.loss_source, norm, hidden.size(0), need_dhidden) : at::Tensor()});
    return token_loss->sum() * context->grad_scale;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list&) {
    return {ctx->get_saved_variables()[0], at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

class LogProbsFunction : public torch::autograd::Function<LogProbsFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden, const std::optional<at::Tensor>& /*anchor*/, Decoder* decoder,
                            const ForwardContext* context) {
    ctx->save_for_backward({hidden});
    ctx->saved_data["decoder"] = reinterpret_cast<int64_t>(decoder);
    ctx->saved_data["context"] = reinterpret_cast<int64_t>(context);
    return Values(hidden, *decoder, *context);
  }

  static at::Tensor Values(const at::Tensor& hidden, Decoder& decoder, const ForwardContext& context) {
    const Batch& batch = *context.batch;
    const HeadInput input(hidden, batch.loss_source, decoder.norm());
    const Supervised rows = Supervised::Of(batch);
    at::Tensor values = at::empty({batch.supervised}, hidden.options().dtype(at::kFloat));
    const int64_t step_rows = ChunkRows(decoder.lm_head().out_features());
    for (int64_t begin = 0; begin < batch.supervised; begin += step_rows) {
      ThrowIfCancelled(context.cancel);
      const int64_t count = std::min(step_rows, batch.supervised - begin);
      values.narrow(0, begin, count).copy_(TargetLogProbs(MakeChunk(input.x, rows, begin, count, decoder.lm_head(), context)));
    }
    return values;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    auto& decoder = *reinterpret_cast<Decoder*>(ctx->saved_data["decoder"].toInt());
    const auto& context = *reinterpret_cast<const ForwardContext*>(ctx->saved_data["context"].toInt());
    const at::Tensor hidden = ctx->get_saved_variables()[0];
    const Batch& batch = *context.batch;
    const HeadInput input(hidden, batch.loss_source, decoder.norm());
    const Supervised rows = Supervised::Of(batch);
    const bool need_dhidden = ctx->needs_input_grad(0), need_dx = need_dhidden || decoder.norm().trainable();
    at::Tensor dx = need_dx ? at::empty_like(input.x) : at::Tensor();
    const int64_t step_rows = ChunkRows(decoder.lm_head().out_features());
    for (int64_t begin = 0; begin < batch.supervised; begin += step_rows) {
      const int64_t count = std::min(step_rows, batch.supervised - begin);
      Chunk chunk = MakeChunk(input.x, rows, begin, count, decoder.lm_head(), context);
      // d log p = onehot − softmax, hence the sign.
      const at::Tensor scale = grads[0].narrow(0, begin, count).neg().unsqueeze(1);
      const at::Tensor dchunk = ChunkBackward(chunk, scale, 1.0, rows, decoder.lm_head(), context.seed, context.step, need_dx);
      if (need_dx) dx.narrow(0, begin, count).copy_(dchunk);
    }
    const at::Tensor dhidden = need_dx ? ScatterBack(dx, input, batch.loss_source, decoder.norm(), hidden.size(0), need_dhidden) : at::Tensor();
    return {dhidden, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// Ties the loss into the graph where only the head itself trains.
std::optional<at::Tensor> AnchorOf(Decoder& decoder, const ForwardContext& context) {
  return decoder.lm_head().trainable() || decoder.norm().trainable() ? std::optional(context.anchor) : std::nullopt;
}

}  // namespace

CrossEntropyResult LinearCrossEntropy(const at::Tensor& hidden, Decoder& decoder, const ForwardContext& context) {
  CrossEntropyResult result;
  if (!at::GradMode::is_enabled()) {
    result.token_loss = LogProbsFunction::Values(hidden, decoder, context).neg_();
    return result;
  }
  result.loss = CrossEntropyFunction::apply(hidden, AnchorOf(decoder, context), &decoder, &context,
                                            hidden.requires_grad(), &result.token_loss);
  return result;
}

at::Tensor LinearLogProbs(const at::Tensor& hidden, Decoder& decoder, const ForwardContext& context) {
  if (!at::GradMode::is_enabled()) return LogProbsFunction::Values(hidden, decoder, context);
  return LogProbsFunction::apply(hidden, AnchorOf(decoder, context), &decoder, &context);
}

at::Tensor Logits(const at::Tensor& hidden, Decoder& decoder, const ForwardContext& context) {
  at::Tensor rstd;
  const at::Tensor x = decoder.norm().Apply(hidden, rstd);
  return decoder.lm_head().Product(x, {context.batch->row_keys, context.batch->positions}, context, nullptr).to(at::kFloat);
}

}  // namespace ft
