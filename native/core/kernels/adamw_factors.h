// What an AdamW update is asked for, and everything in it that is one number a step. Free of LibTorch and of the CUDA toolkit.
#pragma once

#include <cmath>
#include <cstdint>

namespace ft::kernels {

struct AdamWStep {
  double learning_rate = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  int64_t count = 1;       // of this update, from 1: bias correction
  double grad_scale = 1.0;  // the gradient is multiplied with it: clipping, loss scale
};

struct AdamWFactors {
  float decay;         // 1 − lr · weight_decay
  float one_minus_b1;  // of the first moment
  float b2, one_minus_b2;
  float step_size;     // lr / (1 − b1^t)
  float v_scale;       // 1 / sqrt(1 − b2^t)
  float eps;
  float grad_scale;
};

inline AdamWFactors FactorsOf(const AdamWStep& step) {
  const auto count = static_cast<double>(step.count);
  const double bias1 = 1.0 - std::pow(step.beta1, count), bias2 = 1.0 - std::pow(step.beta2, count);
  return {static_cast<float>(1.0 - step.learning_rate * step.weight_decay),
          static_cast<float>(1.0 - step.beta1),
          static_cast<float>(step.beta2),
          static_cast<float>(1.0 - step.beta2),
          static_cast<float>(step.learning_rate / bias1),
          static_cast<float>(1.0 / std::sqrt(bias2)),
          static_cast<float>(step.eps),
          static_cast<float>(step.grad_scale)};
}

}  // namespace ft::kernels
