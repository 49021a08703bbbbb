#include "core/objectives/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "core/kernels/cross_entropy.h"

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows of logits made at a time. Each chunk reads the whole head twice, so that a large head wants large chunks; a chunk
// takes at most twice the head's memory and 320 MB.
int64_t ChunkRows(const LinearGroup& head, const at::Tensor& x) {
  if (x.is_cuda()) return 4096;  // fewer leave a GPU idle
  const int64_t row_bytes = std::max<int64_t>(head.out_features() * static_cast<int64_t>(x.element_size()), 1);
  const int64_t bytes = std::clamp<int64_t>(2 * row_bytes * head.in_features(), 64 << 20, 320 << 20);
  return std::clamp<int64_t>(bytes / row_bytes, 64, 4096);
}

// The supervised rows of a batch with what their products are keyed by.
struct Supervised {
  at::Tensor targets;  // int64 [n]
  TokenKeys keys;      // [n]

  static Supervised Of(const Batch& batch) {
    return {batch.loss_target, {batch.row_keys.index_select(0, batch.loss_source), batch.positions.index_select(0, batch.loss_source)}};
  }
  TokenKeys KeysOf(int64_t begin, int64_t rows) const { return {keys.row_keys.narrow(0, begin, rows), keys.positions.narrow(0, begin, rows)}; }
};

// Rows [begin, begin + rows) of x [supervised, hidden], after the final norm, through the head.
struct Chunk {
  int64_t begin, rows;
  at::Tensor x;
  at::Tensor targets;             // [rows]
  at::Tensor logits;              // [rows, vocab] in the compute dtype, capped
  at::Tensor slope;               // with a cap and a gradient wanted: d capped / d product
  std::vector<at::Tensor> saved;  // of the head's product
};

at::Tensor Capped(at::Tensor product, double softcap) {
  return softcap > 0 ? product.div_(softcap).tanh_().mul_(softcap) : product;
}

Chunk MakeChunk(const at::Tensor& x, const Supervised& rows, int64_t begin, int64_t count, Decoder& decoder, const ForwardContext& context,
                bool gradient) {
  const double softcap = decoder.spec().logit_softcap;
  Chunk chunk{begin, count, x.narrow(0, begin, count), rows.targets.narrow(0, begin, count), {}, {}, {}};
  chunk.logits = Capped(decoder.lm_head().Product(chunk.x, {}, rows.KeysOf(begin, count), context, &chunk.saved), softcap);
  if (softcap > 0 && gradient) chunk.slope = (chunk.logits / softcap).square_().neg_().add_(1);
  return chunk;
}

// REQUIRES: chunk.logits hold their gradient.
at::Tensor ChunkBackward(const Chunk& chunk, const Supervised& rows, LinearGroup& head, const ForwardContext& context, bool need_dx) {
  if (chunk.slope.defined()) chunk.logits.mul_(chunk.slope);
  const BackwardKeys keys{rows.KeysOf(chunk.begin, chunk.rows), context.seed, context.step};
  const LinearGroup::InputGradient input = head.BackwardInput(chunk.logits, chunk.saved, keys, need_dx);
  head.BackwardParameters(chunk.x, chunk.logits, chunk.saved, input, keys);
  return input.dx;
}

// The scale of the logits is put on the head's input, which is narrower.
at::Tensor Scaled(const at::Tensor& x, const Decoder& decoder) {
  const double scale = decoder.spec().logit_scale;
  return scale == 1.0 ? x : x * scale;
}

// Hidden states through the final norm, where there is one.
at::Tensor Normed(const at::Tensor& u, const Decoder& decoder, at::Tensor& aux) {
  return decoder.norm() == nullptr ? u : decoder.norm()->Apply(u, aux);
}

bool NormTrains(const Decoder& decoder) { return decoder.norm() != nullptr && decoder.norm()->trainable(); }

// Gathered rows through the final norm, with what its backward needs.
struct HeadInput {
  at::Tensor u, aux, x;  // gathered hidden, aux of the norm, what the head reads
  HeadInput(const at::Tensor& hidden, const at::Tensor& source, const Decoder& decoder) : u(hidden.index_select(0, source)) {
    x = Scaled(Normed(u, decoder, aux), decoder);
  }
};

// d hidden [tokens, hidden] from the gradient of the normed supervised rows.
at::Tensor ScatterBack(const at::Tensor& dx, const HeadInput& input, const at::Tensor& source, const Decoder& decoder, int64_t tokens, bool need) {
  const at::Tensor scaled = Scaled(dx, decoder);
  const at::Tensor du = decoder.norm() == nullptr ? scaled : decoder.norm()->Backward(scaled, input.u, input.aux, nullptr);
  if (!need) return {};
  return at::zeros({tokens, du.size(1)}, du.options()).index_copy_(0, source, du);
}

class CrossEntropyFunction : public torch::autograd::Function<CrossEntropyFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden, const std::optional<at::Tensor>& /*anchor*/, Decoder* decoder,
                            const ForwardContext* context, bool need_dhidden, at::Tensor* token_loss) {
    const Batch& batch = *context->batch;
    LinearGroup& head = decoder->lm_head();
    const HeadInput input(hidden, batch.loss_source, *decoder);
    const Supervised rows = Supervised::Of(batch);
    const bool need_dx = need_dhidden || NormTrains(*decoder);
    *token_loss = at::empty({batch.supervised}, hidden.options().dtype(at::kFloat));
    at::Tensor dx = need_dx ? at::empty_like(input.x) : at::Tensor();
    const int64_t step_rows = ChunkRows(head, input.x);
    for (int64_t begin = 0; begin < batch.supervised; begin += step_rows) {
      ThrowIfCancelled(context->cancel);
      const int64_t count = std::min(step_rows, batch.supervised - begin);
      Chunk chunk = MakeChunk(input.x, rows, begin, count, *decoder, *context, /*gradient=*/true);
      const kernels::CrossEntropyGradient gradient{context->grad_scale, {}};
      token_loss->narrow(0, begin, count).copy_(kernels::CrossEntropy(chunk.logits, chunk.targets, &gradient).loss);
      const at::Tensor dchunk = ChunkBackward(chunk, rows, head, *context, need_dx);
      if (need_dx) dx.narrow(0, begin, count).copy_(dchunk);
    }
    ctx->save_for_backward({need_dx ? ScatterBack(dx, input, batch.loss_source, *decoder, hidden.size(0), need_dhidden) : at::Tensor()});
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
    const HeadInput input(hidden, batch.loss_source, decoder);
    const Supervised rows = Supervised::Of(batch);
    at::Tensor values = at::empty({batch.supervised}, hidden.options().dtype(at::kFloat));
    const int64_t step_rows = ChunkRows(decoder.lm_head(), input.x);
    for (int64_t begin = 0; begin < batch.supervised; begin += step_rows) {
      ThrowIfCancelled(context.cancel);
      const int64_t count = std::min(step_rows, batch.supervised - begin);
      Chunk chunk = MakeChunk(input.x, rows, begin, count, decoder, context, /*gradient=*/false);
      values.narrow(0, begin, count).copy_(kernels::CrossEntropy(chunk.logits, chunk.targets, nullptr).loss.neg_());
    }
    return values;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    auto& decoder = *reinterpret_cast<Decoder*>(ctx->saved_data["decoder"].toInt());
    const auto& context = *reinterpret_cast<const ForwardContext*>(ctx->saved_data["context"].toInt());
    const at::Tensor hidden = ctx->get_saved_variables()[0];
    const Batch& batch = *context.batch;
    const HeadInput input(hidden, batch.loss_source, decoder);
    const Supervised rows = Supervised::Of(batch);
    const bool need_dhidden = ctx->needs_input_grad(0), need_dx = need_dhidden || NormTrains(decoder);
    at::Tensor dx = need_dx ? at::empty_like(input.x) : at::Tensor();
    const int64_t step_rows = ChunkRows(decoder.lm_head(), input.x);
    for (int64_t begin = 0; begin < batch.supervised; begin += step_rows) {
      const int64_t count = std::min(step_rows, batch.supervised - begin);
      Chunk chunk = MakeChunk(input.x, rows, begin, count, decoder, context, /*gradient=*/true);
      const kernels::CrossEntropyGradient gradient{-1.0, grads[0].narrow(0, begin, count)};  // d log p = onehot − softmax
      kernels::CrossEntropy(chunk.logits, chunk.targets, &gradient);
      const at::Tensor dchunk = ChunkBackward(chunk, rows, decoder.lm_head(), context, need_dx);
      if (need_dx) dx.narrow(0, begin, count).copy_(dchunk);
    }
    const at::Tensor dhidden = need_dx ? ScatterBack(dx, input, batch.loss_source, decoder, hidden.size(0), need_dhidden) : at::Tensor();
    return {dhidden, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// Ties the loss into the graph where only the head itself trains.
std::optional<at::Tensor> AnchorOf(Decoder& decoder, const ForwardContext& context) {
  return decoder.lm_head().trainable() || NormTrains(decoder) ? std::optional(context.anchor) : std::nullopt;
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
  at::Tensor aux;
  const at::Tensor x = Scaled(Normed(hidden, decoder, aux), decoder);
  const TokenKeys keys{context.batch->row_keys, context.batch->positions};
  return Capped(decoder.lm_head().Product(x, {}, keys, context, nullptr), decoder.spec().logit_softcap).to(at::kFloat);
}

}  // namespace ft
