#include "core/optim/adamw.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "core/base/error.h"
#include "core/kernels/adamw.h"

namespace ft {
namespace {

class AdamW : public OptimizerMethod {
 public:
  AdamW(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks) : options_(options) {
    for (const ParameterBlock& block : blocks) {
      exp_avg_.push_back(at::zeros_like(block.master));
      exp_avg_sq_.push_back(at::zeros_like(block.master));
    }
  }

  void Update(std::vector<ParameterBlock>& blocks, double learning_rate, double grad_scale) override {
    ++step_count_;
    for (size_t i = 0; i < blocks.size(); ++i) {
      ParameterBlock& block = blocks[i];
      kernels::AdamW(block.master, block.compute, block.grad, exp_avg_[i], exp_avg_sq_[i], AdamWStepOf(options_, block, step_count_, learning_rate, grad_scale));
    }
  }

  std::vector<std::pair<std::string, at::Tensor>> State() override {
    std::vector<std::pair<std::string, at::Tensor>> state;
    for (size_t i = 0; i < exp_avg_.size(); ++i) {
      state.emplace_back(fmt::format("{}.exp_avg", i), exp_avg_[i]);
      state.emplace_back(fmt::format("{}.exp_avg_sq", i), exp_avg_sq_[i]);
    }
    return state;
  }
  int64_t step_count() const override { return step_count_; }
  void set_step_count(int64_t count) override { step_count_ = count; }

 private:
  OptimizerOptions options_;
  std::vector<at::Tensor> exp_avg_, exp_avg_sq_;
  int64_t step_count_ = 0;
};

}  // namespace

void CheckAdamWOptions(const OptimizerOptions& options) {
  FT_CHECK(options.beta1 >= 0 && options.beta1 < 1, kInvalidArgument, "beta1 must lie in [0, 1), got {}", options.beta1);
  FT_CHECK(options.beta2 >= 0 && options.beta2 < 1, kInvalidArgument, "beta2 must lie in [0, 1), got {}", options.beta2);
  FT_CHECK(options.eps > 0 && std::isfinite(options.eps), kInvalidArgument, "eps must be positive, got {}", options.eps);
  FT_CHECK(options.weight_decay >= 0 && std::isfinite(options.weight_decay), kInvalidArgument, "weight_decay must not be negative, got {}", options.weight_decay);
}

kernels::AdamWStep AdamWStepOf(const OptimizerOptions& options, const ParameterBlock& block, int64_t count, double learning_rate, double grad_scale) {
  return {.learning_rate = learning_rate,
          .beta1 = options.beta1,
          .beta2 = options.beta2,
          .eps = options.eps,
          .weight_decay = block.decay ? options.weight_decay : 0.0,
          .count = count,
          .grad_scale = grad_scale};
}

std::unique_ptr<OptimizerMethod> MakeAdamW(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks) {
  CheckAdamWOptions(options);
  return std::make_unique<AdamW>(options, blocks);
}

}  // namespace ft
