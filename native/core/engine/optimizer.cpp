#include "core/engine/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "core/engine/weights.h"
#include "core/io/safetensors.h"
#include "core/kernels/adamw.h"
#include "core/nn/router.h"
#include "core/objectives/linear_cross_entropy.h"

namespace ft {
namespace {

// Dynamic loss scaling of fp16, as torch.amp.GradScaler.
constexpr double kInitialLossScale = 65536.0;
constexpr double kMaxLossScale = 16777216.0;
constexpr int64_t kGrowthInterval = 2000;

class Stopwatch {
 public:
  explicit Stopwatch(double* seconds) : seconds_(seconds), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() { *seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  double* seconds_;
  std::chrono::steady_clock::time_point start_;
};

// What an optimizer file must agree with: names and shapes of every block.
std::string LayoutOf(const std::vector<ParameterBlock>& blocks) {
  uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a
  const auto add = [&hash](const std::string& text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  };
  for (const ParameterBlock& block : blocks) {
    for (const ParameterView& view : block.views) add(fmt::format("{}[{}]@{};", view.name, fmt::join(view.shape, ","), view.offset));
    add(fmt::format("|{}", block.master.numel()));
  }
  return fmt::format("{:016x}", hash);
}

int64_t ParseCount(const std::map<std::string, std::string>& metadata, const std::string& key, const std::string& path) {
  const auto found = metadata.find(key);
  FT_CHECK(found != metadata.end() && !found->second.empty() && found->second.size() < 19 &&
               found->second.find_first_not_of("0123456789") == std::string::npos,
           kCheckpoint, "{} lacks a valid \"{}\" in its metadata", path, key);
  return std::stoll(found->second);
}

}  // namespace

std::shared_ptr<Optimizer> Optimizer::Create(std::shared_ptr<Model> model, const OptimizerOptions& options) {
  FT_CHECK(model->HasTrainable(), kHandleMisuse, "nothing in the model is trainable: add an adapter or call setTrainable() first");
  std::shared_ptr<Optimizer> optimizer(new Optimizer);
  if (model->active_adapter() != nullptr) optimizer->adapter_ = model->active_adapter()->shared_from_this();
  optimizer->blocks_ = &model->TrainableBlocks();
  optimizer->method_ = MakeOptimizerMethod(options, *optimizer->blocks_);
  optimizer->scaling_ = model->decoder().dtype() == at::kHalf;
  optimizer->loss_scale_ = optimizer->scaling_ ? kInitialLossScale : 1.0;
  optimizer->model_ = std::move(model);
  return optimizer;
}

void Optimizer::CheckUsable() const {
  FT_CHECK(model_->active_adapter() == adapter_.get() && model_->HasTrainable(), kHandleMisuse,
           "the model's trainable parameters changed since this optimizer was made: create a new optimizer");
  FT_CHECK(!model_->pass_live, kHandleMisuse, "a Pass of this model is live: finish or dispose of it first");
}

StepResult Optimizer::Accumulate(const std::vector<HostBatch>& batches, const StepOptions& options, const CancelToken* cancel) {
  CheckUsable();
  FT_CHECK(!batches.empty(), kInvalidArgument, "a step needs at least one batch");
  Decoder& decoder = model_->decoder();
  StepResult result;
  result.loss_scale = loss_scale_;
  std::vector<Batch> checked;  // every index is checked before anything is computed
  for (const HostBatch& host : batches) {
    checked.push_back(MakeBatch(host, decoder.spec().vocab_size, decoder.device()));
    result.tokens += checked.back().tokens;
    result.supervised_tokens += checked.back().supervised;
  }
  if (result.supervised_tokens == 0) return result;  // rows without labels teach nothing

  double loss_sum = 0;
  for (const Batch& batch : checked) {
    ThrowIfCancelled(cancel);
    if (batch.supervised == 0) continue;
    ForwardContext context;
    context.batch = &batch;
    context.training = true;
    context.checkpointed_layers = options.checkpointed_layers;
    context.seed = options.seed;
    context.step = options.step;
    context.grad_scale = loss_scale_ / static_cast<double>(result.supervised_tokens);
    context.anchor = at::zeros({}, at::TensorOptions(decoder.device())).requires_grad_(true);
    context.cancel = cancel;
    CrossEntropyResult head;
    // As the mean over the step's supervised tokens, a micro-batch counts by how many it has.
    const MoeSpec& moe = decoder.spec().moe;
    LoadBalance balance(decoder.spec().num_hidden_layers, moe.aux_loss_coef, context.grad_scale * static_cast<double>(batch.supervised));
    if (moe.aux_loss_coef > 0) context.load_balance = &balance;
    {
      const Stopwatch watch(&result.forward_seconds);
      at::AutoGradMode grad(true);
      head = LinearCrossEntropy(decoder.Hidden(context), decoder, context);
      loss_sum += head.token_loss.cpu().to(at::kDouble).sum().item<double>();
      if (context.load_balance != nullptr) loss_sum += balance.Loss() * static_cast<double>(batch.supervised);
    }
    if (!std::isfinite(loss_sum)) {
      result.skipped = Skipped::kLossNotFinite;
      result.grad_norm = std::numeric_limits<double>::quiet_NaN();  // not measured: the backward pass did not run
      break;
    }
    const Stopwatch watch(&result.backward_seconds);
    torch::autograd::backward({head.loss}, {at::ones_like(head.loss)});
  }
  result.loss = loss_sum / static_cast<double>(result.supervised_tokens);
  return result;
}

StepResult Optimizer::Step(const std::vector<HostBatch>& batches, const StepOptions& options, const CancelToken* cancel) {
  StepResult result;
  try {
    result = Accumulate(batches, options, cancel);
  } catch (...) {
    ZeroGradients();  // half a step must not leak into the next
    throw;
  }
  if (result.skipped != Skipped::kNone) {
    ZeroGradients();
    return result;
  }
  if (result.supervised_tokens == 0) {
    result.applied = true;  // there was nothing to apply
    return result;
  }
  const Stopwatch watch(&result.optimizer_seconds);
  const Applied applied = Apply(options.learning_rate, options.max_grad_norm);
  result.grad_norm = applied.grad_norm;
  result.applied = applied.applied;
  result.skipped = applied.skipped;
  return result;
}

double Optimizer::GradientNorm() {
  std::vector<at::Tensor> gradients;
  for (const ParameterBlock& block : *blocks_) gradients.push_back(block.grad);
  return std::sqrt(kernels::SumOfSquares(gradients)) / loss_scale_;
}

Optimizer::Applied Optimizer::Apply(double learning_rate, double max_grad_norm) {
  CheckUsable();
  at::NoGradGuard no_grad;
  Applied applied;
  applied.grad_norm = GradientNorm();
  if (!std::isfinite(applied.grad_norm)) {
    applied.skipped = scaling_ ? Skipped::kLossScaleOverflow : Skipped::kGradientNotFinite;
    if (scaling_) loss_scale_ = std::max(1.0, loss_scale_ / 2), good_steps_ = 0;
    ZeroGradients();
    return applied;
  }
  // As torch.nn.utils.clip_grad_norm_.
  const double clip = max_grad_norm > 0 ? std::min(1.0, max_grad_norm / (applied.grad_norm + 1e-6)) : 1.0;
  for (ParameterBlock& block : *blocks_) ++*block.changes;
  method_->Update(*blocks_, learning_rate, clip / loss_scale_);
  if (scaling_ && ++good_steps_ >= kGrowthInterval) loss_scale_ = std::min(kMaxLossScale, loss_scale_ * 2), good_steps_ = 0;
  applied.applied = true;
  return applied;
}

void Optimizer::ZeroGradients() {
  at::NoGradGuard no_grad;
  for (ParameterBlock& block : *blocks_) block.grad.zero_();
}

std::vector<Optimizer::NamedGradient> Optimizer::Gradients() {
  CheckUsable();
  at::NoGradGuard no_grad;
  std::vector<NamedGradient> gradients;
  for (const ParameterBlock& block : *blocks_) {
    for (const ParameterView& view : block.views) {
      const at::Tensor grad = ReadView(block.grad, view).to(at::kCPU, at::kFloat).div(loss_scale_).contiguous();
      gradients.push_back({view.name, view.shape, grad});
    }
  }
  return gradients;
}

void Optimizer::Save(const std::string& path) {
  std::vector<std::pair<std::string, at::Tensor>> tensors = method_->State();
  for (size_t i = 0; i < blocks_->size(); ++i) {
    if (!(*blocks_)[i].master_saved_elsewhere) tensors.emplace_back(fmt::format("{}.master", i), (*blocks_)[i].master);
  }
  SaveTensors(path, tensors,
              {{"format", "pt"}, {"layout", LayoutOf(*blocks_)}, {"step_count", std::to_string(method_->step_count())},
               {"loss_scale", std::to_string(static_cast<int64_t>(loss_scale_))}, {"good_steps", std::to_string(good_steps_)}});
}

void Optimizer::Load(const std::string& path) {
  CheckUsable();
  at::NoGradGuard no_grad;
  const auto file = SafetensorsFile::Open(path);
  const auto layout = file->metadata().find("layout");
  FT_CHECK(layout != file->metadata().end() && layout->second == LayoutOf(*blocks_), kCheckpoint,
           "{} was written for other trainable parameters (names or shapes differ)", path);
  std::vector<std::pair<std::string, at::Tensor>> tensors = method_->State();
  for (size_t i = 0; i < blocks_->size(); ++i) {
    if (!(*blocks_)[i].master_saved_elsewhere) tensors.emplace_back(fmt::format("{}.master", i), (*blocks_)[i].master);
  }
  for (const auto& [name, tensor] : tensors) {
    const TensorEntry* entry = file->Find(name);
    FT_CHECK(entry != nullptr && entry->shape == tensor.sizes().vec() && entry->dtype == DTypeOf(tensor.scalar_type()), kCheckpoint,
             "{} has no tensor {} of the expected shape and dtype", path, name);
  }
  const int64_t step_count = ParseCount(file->metadata(), "step_count", path);
  const int64_t loss_scale = ParseCount(file->metadata(), "loss_scale", path), good_steps = ParseCount(file->metadata(), "good_steps", path);
  for (const auto& [name, tensor] : tensors) ReadInto(*file, *file->Find(name), tensor);
  method_->set_step_count(step_count);
  loss_scale_ = scaling_ ? std::max(1.0, static_cast<double>(loss_scale)) : 1.0;
  good_steps_ = good_steps;
  for (ParameterBlock& block : *blocks_) block.MasterChanged();
  ZeroGradients();
}

int64_t Optimizer::NumTrainableParameters() const {
  int64_t count = 0;
  for (const ParameterBlock& block : *blocks_) {
    for (const ParameterView& view : block.views) count += view.numel;
  }
  return count;
}

int64_t Optimizer::StateBytes() const {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : method_->State()) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}

}  // namespace ft
