// Optimizer steps: forward and backward of every micro-batch, clipping, one update. A loss or gradient that is
// not finite is never applied.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/model.h"
#include "core/optim/optimizer_method.h"

namespace ft {

struct StepOptions {
  double learning_rate = 0;
  double max_grad_norm = 0;  // 0: no clipping
  uint64_t seed = 0;
  uint64_t step = 0;
  int64_t checkpointed_layers = 0;  // the first ones; kAllLayers: every one
};

enum class Skipped { kNone, kLossNotFinite, kGradientNotFinite, kLossScaleOverflow };

struct StepResult {
  double loss = 0;       // mean over the supervised tokens of the step
  double grad_norm = 0;  // before clipping; NaN where the loss was not finite and no gradient was made
  int64_t tokens = 0;
  int64_t supervised_tokens = 0;
  bool applied = false;
  Skipped skipped = Skipped::kNone;
  double loss_scale = 1.0;
  double forward_seconds = 0;
  double backward_seconds = 0;
  double optimizer_seconds = 0;
};

class Optimizer {
 public:
  /// Over what is trainable in the model now. Errors: kHandleMisuse when nothing is.
  static std::shared_ptr<Optimizer> Create(std::shared_ptr<Model> model, const OptimizerOptions& options);

  StepResult Step(const std::vector<HostBatch>& batches, const StepOptions& options, const CancelToken* cancel);
  /// Forward and backward only; gradients add up. A step without a single label changes nothing and has loss 0.
  StepResult Accumulate(const std::vector<HostBatch>& batches, const StepOptions& options, const CancelToken* cancel);
  struct Applied {
    double grad_norm = 0;
    bool applied = false;
    Skipped skipped = Skipped::kNone;
  };
  Applied Apply(double learning_rate, double max_grad_norm);
  void ZeroGradients();

  struct NamedGradient {
    std::string name;
    std::vector<int64_t> shape;
    at::Tensor data;  // fp32 CPU contiguous, unscaled
  };
  std::vector<NamedGradient> Gradients();

  /// Moments, masters that no other file holds, step count, loss scale.
  void Save(const std::string& path);
  /// Errors: kCheckpoint when names or shapes differ from this optimizer's.
  void Load(const std::string& path);
  int64_t NumTrainableParameters() const;
  /// Of the method's state: moments and what belongs to them.
  int64_t StateBytes() const;
  const std::shared_ptr<Model>& model() const { return model_; }

 private:
  Optimizer() = default;
  double GradientNorm();
  void CheckUsable() const;

  TrimAfter trim_;
  std::shared_ptr<Model> model_;
  std::shared_ptr<Adapter> adapter_;  // keeps the blocks alive; null in full fine-tuning
  std::vector<ParameterBlock>* blocks_ = nullptr;
  std::unique_ptr<OptimizerMethod> method_;
  double loss_scale_ = 1.0;
  int64_t good_steps_ = 0;  // since the loss scale last changed
  bool scaling_ = false;    // fp16
};

}  // namespace ft
