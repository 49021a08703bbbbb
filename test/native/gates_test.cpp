// Gated activations: derivatives by differences, relative accuracy where they nearly vanish, NaN, input that is no plain matrix.
#include <ATen/ATen.h>

#include <cmath>

#include "core/kernels/gate.h"
#include "nn_reference.h"
#include "test.h"

namespace ft::test {
namespace {

constexpr Activation kAll[] = {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kQuickGelu, Activation::kRelu2};

// Gate of x with up = 1: the activation itself, fp32 [n].
at::Tensor Activated(const at::Tensor& x, Activation activation) {
  return kernels::Gate(at::cat({x, at::ones_like(x)}).view({1, -1}), activation).view({-1});
}

// Largest |actual − expected| / |expected| over |x| <= bound.
double RelativeErrorWithin(double bound, const at::Tensor& x, const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual.to(at::kDouble) - expected).abs() / expected.abs()).masked_select(x.abs().le(bound)).max().item<double>();
}

}  // namespace

TEST(gates_backward_is_the_derivative) {
  for (const Activation activation : kAll) {
    const at::Tensor u = at::randn({5, 14}), dy = at::randn({5, 7});
    const at::Tensor analytic = kernels::GateBackward(dy, u, activation);
    for (const int64_t column : {0, 6, 7, 13}) {
      const double h = 1e-2;
      at::Tensor up = u.clone(), down = u.clone();
      up.select(1, column).add_(h), down.select(1, column).sub_(h);
      const at::Tensor numeric = ((kernels::Gate(up, activation) - kernels::Gate(down, activation)) * dy).sum(1) / (2 * h);
      EXPECT(RelativeError(analytic.select(1, column), numeric) < (activation == Activation::kRelu ? 0.2 : 5e-3));
    }
  }
}

TEST(gates_keep_relative_accuracy_in_the_tail) {
  const at::Tensor x = at::linspace(-12.0, 12.0, 40000), xd = x.to(at::kDouble);  // an even count leaves out 0
  const at::Tensor gelu = xd * 0.5 * at::erfc(xd * -std::sqrt(0.5)), tanh = xd * at::sigmoid(2 * std::sqrt(2 / M_PI) * (xd + 0.044715 * xd.pow(3)));
  EXPECT(RelativeErrorWithin(5, x, Activated(x, Activation::kGelu), gelu) < 1e-6);
  EXPECT(RelativeErrorWithin(12, x, Activated(x, Activation::kGelu), gelu) < 1e-5);
  EXPECT(RelativeErrorWithin(4, x, Activated(x, Activation::kGeluTanh), tanh) < 2e-6);
  EXPECT(RelativeErrorWithin(9, x, Activated(x, Activation::kGeluTanh), tanh) < 2e-5);
  EXPECT(RelativeErrorWithin(12, x, Activated(x, Activation::kSilu), xd * at::sigmoid(xd)) < 1e-6);
}

TEST(gates_keep_nan) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const Activation activation : kAll) {
      at::Tensor u = at::ones({1, 80}).to(dtype), again;
      u[0][3] = std::nanf("");
      const at::Tensor d = kernels::GateBackward(at::ones({1, 40}).to(dtype), u, activation, &again);
      for (const at::Tensor& y : {kernels::Gate(u, activation), again, d.narrow(1, 40, 40)}) {
        EXPECT(y[0][3].isnan().item<bool>() && y.isnan().sum().item<int64_t>() == 1);
      }
    }
  }
}

TEST(gates_of_strided_input_are_the_same) {
  for (const Activation activation : kAll) {
    const at::Tensor u = at::randn({7, 26}), dy = at::randn({7, 13});
    const at::Tensor wide = at::cat({u, u}, 1).narrow(1, 26, 26), turned = dy.t().contiguous().t();
    at::Tensor y, strided_y;
    const at::Tensor d = kernels::GateBackward(dy, u, activation, &y), strided = kernels::GateBackward(turned, wide, activation, &strided_y);
    EXPECT((d - strided).abs().max().item<double>() < 2e-6 * d.abs().max().item<double>());
    EXPECT((y - strided_y).abs().max().item<double>() < 2e-6 * y.abs().max().item<double>());
  }
}

}  // namespace ft::test
