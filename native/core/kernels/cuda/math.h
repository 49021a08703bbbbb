// The arithmetic of the CUDA kernels, one element or row value at a time, in fp32; shared by device code and CPU tests.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "core/base/activation.h"
#include "core/kernels/adamw_factors.h"
#include "core/kernels/cuda/element.h"

namespace ft::kernels::cuda {

// --- RMSNorm --------------------------------------------------------------------------------------
/// 1 / sqrt(mean(x²) + eps)
FT_HOST_DEVICE inline float ReciprocalRms(float sum_of_squares, int64_t n, float eps) {
  return 1.0f / sqrtf(sum_of_squares / static_cast<float>(n) + eps);
}
FT_HOST_DEVICE inline float RmsScaled(float x, float rstd, float weight) { return x * rstd * weight; }
/// A term of the projection: Σ over the row, divided by n.
FT_HOST_DEVICE inline float RmsProjectionTerm(float dy, float weight, float x, float rstd) { return dy * weight * (x * rstd); }
FT_HOST_DEVICE inline float RmsInputGradient(float dy, float weight, float x, float rstd, float projection) {
  return (dy * weight - x * rstd * projection) * rstd;
}

// --- LayerNorm ------------------------------------------------------------------------------------
FT_HOST_DEVICE inline float LayerNormalized(float x, float mean, float rstd) { return (x - mean) * rstd; }

// --- AdamW ----------------------------------------------------------------------------------------
FT_HOST_DEVICE inline void AdamWUpdate(float grad, const AdamWFactors& f, float& parameter, float& first, float& second) {
  const float g = grad * f.grad_scale;
  first += f.one_minus_b1 * (g - first);
  second = f.b2 * second + f.one_minus_b2 * g * g;
  parameter = parameter * f.decay - f.step_size * first / (sqrtf(second) * f.v_scale + f.eps);
}

// --- activations ----------------------------------------------------------------------------------
constexpr float kSqrtHalf = 0.70710678118654752f;      // 1 / √2
constexpr float kSqrtTwoOverPi = 0.79788456080286536f;  // √(2 / π)
constexpr float kReciprocalSqrtTwoPi = 0.39894228040143268f;
constexpr float kGeluCubic = 0.044715f;

FT_HOST_DEVICE inline float Sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

FT_HOST_DEVICE inline float Activate(Activation activation, float x) {
  switch (activation) {
    case Activation::kSilu:
      return x / (1.0f + expf(-x));
    case Activation::kGelu:
      return 0.5f * x * (1.0f + erff(x * kSqrtHalf));
    case Activation::kGeluTanh:
      return 0.5f * x * (1.0f + tanhf(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x)));
    case Activation::kRelu:
      return x <= 0.0f ? 0.0f : x;  // NaN stays
    case Activation::kQuickGelu:
      return x / (1.0f + expf(-1.702f * x));
    case Activation::kRelu2: {
      const float positive = x <= 0.0f ? 0.0f : x;
      return positive * positive;
    }
  }
  return 0.0f;
}

/// The derivative of Activate at x.
FT_HOST_DEVICE inline float ActivationSlope(Activation activation, float x) {
  switch (activation) {
    case Activation::kSilu: {
      const float sigmoid = Sigmoid(x);
      return sigmoid * (1.0f + x * (1.0f - sigmoid));
    }
    case Activation::kGelu:
      return 0.5f * (1.0f + erff(x * kSqrtHalf)) + x * kReciprocalSqrtTwoPi * expf(-0.5f * x * x);
    case Activation::kGeluTanh: {
      const float inner = tanhf(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x));
      const float inner_slope = kSqrtTwoOverPi * (1.0f + 3.0f * kGeluCubic * x * x);
      return 0.5f * (1.0f + inner) + 0.5f * x * (1.0f - inner * inner) * inner_slope;
    }
    case Activation::kRelu:
      return x > 0.0f ? 1.0f : 0.0f;
    case Activation::kQuickGelu: {
      const float sigmoid = Sigmoid(1.702f * x);
      return sigmoid * (1.0f + 1.702f * x * (1.0f - sigmoid));
    }
    case Activation::kRelu2:
      return x <= 0.0f ? 0.0f : 2.0f * x;
  }
  return 0.0f;
}

// --- Philox4x32-10, as kernels/dropout.h ----------------------------------------------------------
struct Random4 {
  uint32_t at[4];
};

FT_HOST_DEVICE inline Random4 PhiloxRounds(Random4 c, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = 0xD2511F53ull * c.at[0], p1 = 0xCD9E8D57ull * c.at[2];
    c = {{static_cast<uint32_t>(p1 >> 32) ^ c.at[1] ^ k0, static_cast<uint32_t>(p1), static_cast<uint32_t>(p0 >> 32) ^ c.at[3] ^ k1,
          static_cast<uint32_t>(p0)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// --- cross-entropy --------------------------------------------------------------------------------
/// Σ e^x of the values seen, as sum · e^max.
struct ExpSum {
  float max = -FLT_MAX;  // not −∞, whose differences are NaN
  float sum = 0.0f;

  FT_HOST_DEVICE void Add(float x) {
    const float above = x - max;
    if (above > 0.0f) {
      sum = sum * expf(-above) + 1.0f;
      max = x;
    } else {
      sum += expf(above);  // NaN comes here and stays
    }
  }
  FT_HOST_DEVICE void Merge(const ExpSum& other) {
    const float top = fmaxf(max, other.max);
    sum = sum * expf(max - top) + other.sum * expf(other.max - top);
    max = top;
  }
  FT_HOST_DEVICE float Log() const { return max + logf(sum); }
};

/// d loss / d logit · scale, where loss = log-sum-exp − logit[target].
FT_HOST_DEVICE inline float CrossEntropySlope(float logit, float log_sum_exp, bool is_target, float scale) {
  return (expf(logit - log_sum_exp) - (is_target ? 1.0f : 0.0f)) * scale;
}

}  // namespace ft::kernels::cuda
