#include "core/engine/generation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "core/engine/sampling.h"
#include "core/kernels/dropout.h"
#include "core/objectives/linear_cross_entropy.h"

namespace ft {
namespace {

void CheckOptions(const GenerateOptions& options) {
  FT_CHECK(options.max_new_tokens > 0, kInvalidArgument, "max_new_tokens must be positive, got {}", options.max_new_tokens);
  FT_CHECK(std::isfinite(options.temperature) && options.temperature >= 0, kInvalidArgument, "temperature must not be negative, got {}", options.temperature);
  FT_CHECK(options.top_k >= 0, kInvalidArgument, "top_k must not be negative, got {}", options.top_k);
  FT_CHECK(options.top_p > 0 && options.top_p <= 1, kInvalidArgument, "top_p must lie in (0, 1], got {}", options.top_p);
  FT_CHECK(std::isfinite(options.repetition_penalty) && options.repetition_penalty > 0, kInvalidArgument,
           "repetition_penalty must be positive, got {}", options.repetition_penalty);
}

// A number in [0, 1) that depends on seed, row and position alone.
double Uniform(uint64_t seed, int64_t row, int64_t position) {
  const auto random = kernels::Philox({static_cast<uint32_t>(row), static_cast<uint32_t>(position), 0, 0}, kernels::MixKey(seed, 0));
  return ((static_cast<uint64_t>(random[0]) << 21) ^ (random[1] >> 11)) * 0x1.0p-53;
}

}  // namespace

std::shared_ptr<Generation> Generation::Start(std::shared_ptr<Model> model, std::vector<std::vector<int32_t>> prompts, const GenerateOptions& options) {
  CheckOptions(options);
  FT_CHECK(!prompts.empty(), kInvalidArgument, "generation needs at least one prompt");
  FT_CHECK(!model->pass_live, kHandleMisuse, "a Pass of this model is live: finish or dispose of it first");
  const DecoderSpec& spec = model->spec();
  size_t longest = 0;
  for (size_t row = 0; row < prompts.size(); ++row) {
    FT_CHECK(!prompts[row].empty(), kInvalidArgument, "prompt {} has no tokens", row);
    for (const int32_t id : prompts[row]) {
      FT_CHECK(id >= 0 && id < spec.vocab_size, kInvalidArgument, "prompt {} holds token {}, outside the vocabulary of {}", row, id, spec.vocab_size);
    }
    longest = std::max(longest, prompts[row].size());
  }
  std::shared_ptr<Generation> generation(new Generation);
  generation->options_ = options;
  generation->ended_.assign(prompts.size(), 0);
  if (options.use_cache) {
    const Decoder& decoder = model->decoder();
    const int64_t capacity = static_cast<int64_t>(longest) + std::min<int64_t>(options.max_new_tokens, 256);
    generation->cache_ = std::make_unique<KvCache>(decoder.CacheShapes(), static_cast<int64_t>(prompts.size()), capacity,
                                                   at::TensorOptions(decoder.dtype()).device(decoder.device()));
  }
  generation->rows_ = std::move(prompts);
  generation->model_ = std::move(model);
  return generation;
}

// Prefill and decoding do not mix, so that one row which has outgrown its cache takes the others along.
void Generation::ForgetOutgrown() {
  const auto longest = model_->decoder().cache_valid_to();
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (cache_->lengths[row] > 0 && cache_->lengths[row] <= longest && static_cast<int64_t>(rows_[row].size()) > longest) {
      std::fill(cache_->lengths.begin(), cache_->lengths.end(), 0);
      return;
    }
  }
}

// Logits of every row's last token, fp32 CPU [rows, vocab]. The tokens a row brings are those the cache has not seen.
at::Tensor Generation::LastLogits(const CancelToken* cancel) {
  HostBatch host;
  host.cu_seqlens.push_back(0);
  std::vector<int64_t> last, past;
  if (cache_) ForgetOutgrown();
  for (size_t row = 0; row < rows_.size(); ++row) {
    const int64_t seen = cache_ ? cache_->lengths[row] : 0;
    host.input_ids.insert(host.input_ids.end(), rows_[row].begin() + seen, rows_[row].end());
    host.cu_seqlens.push_back(static_cast<int32_t>(host.input_ids.size()));
    last.push_back(static_cast<int64_t>(host.input_ids.size()) - 1);
    past.push_back(seen);
  }
  Decoder& decoder = model_->decoder();
  Batch batch = MakeBatch(host, decoder.spec().vocab_size, decoder.device());
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (past[row] > 0) batch.positions.narrow(0, batch.offsets[row], batch.offsets[row + 1] - batch.offsets[row]).add_(past[row]);
  }
  if (cache_) {
    size_t longest = 0;
    for (const auto& row : rows_) longest = std::max(longest, row.size());
    cache_->Reserve(static_cast<int64_t>(longest));
  }
  ForwardContext context;
  context.batch = &batch;
  context.cache = cache_.get();
  context.cancel = cancel;
  const at::Tensor hidden = decoder.Hidden(context);
  if (cache_) {
    for (size_t row = 0; row < rows_.size(); ++row) cache_->lengths[row] = static_cast<int64_t>(rows_[row].size());
  }
  const at::Tensor index = at::tensor(last, at::kLong).to(decoder.device());
  return Logits(hidden.index_select(0, index), decoder, context).cpu();
}

Generation::Next Generation::Step(const CancelToken* cancel) {
  Next next;
  next.tokens.assign(rows_.size(), -1);
  const auto all_ended = [this] { return std::all_of(ended_.begin(), ended_.end(), [](char ended) { return ended != 0; }); };
  if (all_ended()) {
    next.done = true;
    return next;
  }
  at::NoGradGuard no_grad;
  const at::Tensor logits = LastLogits(cancel);
  const SamplingOptions sampling{options_.temperature, options_.top_k, options_.top_p, options_.repetition_penalty};
  const int64_t vocab = logits.size(1);
  ++produced_;
  for (size_t row = 0; row < rows_.size(); ++row) {
    float* values = logits.mutable_data_ptr<float>() + static_cast<int64_t>(row) * vocab;
    const double uniform = Uniform(options_.seed, static_cast<int64_t>(row), static_cast<int64_t>(rows_[row].size()));
    const int32_t token = SampleToken({values, static_cast<size_t>(vocab)}, rows_[row], sampling, uniform);
    // Ended rows go on as dead weight, so that every row of the cache stays in step.
    rows_[row].push_back(token);
    if (ended_[row]) continue;
    next.tokens[row] = token;
    const bool stop = std::find(options_.stop_token_ids.begin(), options_.stop_token_ids.end(), token) != options_.stop_token_ids.end();
    if (stop || produced_ >= options_.max_new_tokens) ended_[row] = 1;
  }
  next.done = all_ended();
  return next;
}

void Generation::Finish(int64_t row) {
  FT_CHECK(row >= 0 && row < static_cast<int64_t>(ended_.size()), kInvalidArgument, "row {} does not exist: there are {}", row, ended_.size());
  ended_[row] = 1;
}

}  // namespace ft
