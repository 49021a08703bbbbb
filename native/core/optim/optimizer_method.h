// What an optimizer is to the engine: state beside parameter blocks and one update. One file a method, one row
// in optimizer_table.cpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/nn/parameter.h"

namespace ft {

struct OptimizerOptions {
  std::string type = "adamw";
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
};

class OptimizerMethod {
 public:
  virtual ~OptimizerMethod() = default;
  /// Updates every block's master from `grad · grad_scale`, refreshes its compute copy and clears its gradient.
  virtual void Update(std::vector<ParameterBlock>& blocks, double learning_rate, double grad_scale) = 0;
  /// Named state, in a fixed order; loading copies into these tensors.
  virtual std::vector<std::pair<std::string, at::Tensor>> State() = 0;
  virtual int64_t step_count() const = 0;
  virtual void set_step_count(int64_t count) = 0;
};

/// Errors: kInvalidArgument for an unknown type or values outside their range.
std::unique_ptr<OptimizerMethod> MakeOptimizerMethod(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks);

}  // namespace ft
