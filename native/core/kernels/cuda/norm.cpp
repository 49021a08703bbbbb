#include <ATen/ATen.h>

#include "core/kernels/cuda/ops.h"
#include "core/kernels/cuda/rms_norm.h"
#include "core/kernels/cuda/tensors.h"

namespace ft::kernels::cuda {
namespace {

// x [..., n] as strided rows; copied where two strides do not describe it.
struct Rows {
  at::Tensor kept;
  StridedRows view;

  explicit Rows(const at::Tensor& x) : kept(x) {
    FT_CHECK(x.dim() > 0 && x.size(-1) > 0, kInternal, "a norm needs rows of at least one element, got shape {}", c10::str(x.sizes()));
    const bool three = x.dim() == 3 && x.stride(2) == 1, two = x.dim() == 2 && x.stride(1) == 1;
    if (!three && !two) kept = x.contiguous().view({x.numel() / x.size(-1), x.size(-1)});
    const int64_t inner = kept.dim() == 3 ? kept.size(1) : 1, n = kept.size(-1);
    view = {kept.const_data_ptr(), kept.numel() / n, n, inner, kept.stride(0), kept.dim() == 3 ? kept.stride(1) : 0};
    CheckBlocks(view.rows);
  }
};

std::vector<int64_t> RstdShape(const at::Tensor& x) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = 1;
  return shape;
}

at::Tensor Weight(const at::Tensor& x, const at::Tensor& weight) {
  CheckBeside(x, weight, x.scalar_type(), "a norm's weight");
  CheckShape(weight, {x.size(-1)}, "a norm's weight");
  return weight.contiguous();
}

at::Tensor Rstd(const at::Tensor& x, const at::Tensor& rstd) {
  CheckBeside(x, rstd, at::kFloat, "rstd");
  CheckShape(rstd, RstdShape(x), "rstd");
  return rstd.contiguous();
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const Rows rows(x);
  const at::Tensor w = Weight(x, weight);
  at::Tensor y = at::empty(x.sizes(), x.options()), rstd = at::empty(RstdShape(x), x.options().dtype(at::kFloat));
  LaunchOn(x, [&](Stream stream) {
    LaunchRmsNorm(ElementOf(x), rows.view, w.const_data_ptr(), static_cast<float>(eps), y.mutable_data_ptr(), rstd.mutable_data_ptr<float>(), stream);
  });
  return {y, rstd};
}

at::Tensor RmsNormApply(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight) {
  const Rows rows(x);
  const at::Tensor w = Weight(x, weight), scale = Rstd(x, rstd);
  at::Tensor y = at::empty(x.sizes(), x.options());
  LaunchOn(x, [&](Stream stream) {
    LaunchRmsNormApply(ElementOf(x), rows.view, w.const_data_ptr(), scale.const_data_ptr<float>(), y.mutable_data_ptr(), stream);
  });
  return y;
}

at::Tensor RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight, at::Tensor weight_grad,
                           at::Tensor* y) {
  const Rows rows(x);
  CheckBeside(x, dy, x.scalar_type(), "a norm's gradient");
  CheckShape(dy, x.sizes(), "a norm's gradient");
  const at::Tensor w = Weight(x, weight), scale = Rstd(x, rstd), grad = dy.contiguous();
  at::Tensor dx = at::empty(x.sizes(), x.options());
  if (y != nullptr) *y = at::empty(x.sizes(), x.options());
  LaunchOn(x, [&](Stream stream) {
    LaunchRmsNormBackward(ElementOf(x), grad.const_data_ptr(), rows.view, w.const_data_ptr(), scale.const_data_ptr<float>(), dx.mutable_data_ptr(),
                          y == nullptr ? nullptr : y->mutable_data_ptr(), stream);
  });
  if (!weight_grad.defined() || rows.view.rows == 0) return dx;
  at::Tensor partials = at::empty({RmsNormPartials(rows.view.rows), rows.view.n}, scale.options());
  LaunchOn(x, [&](Stream stream) {
    LaunchRmsNormWeightGradient(ElementOf(x), grad.const_data_ptr(), rows.view, scale.const_data_ptr<float>(), partials.mutable_data_ptr<float>(), stream);
  });
  weight_grad.add_(partials.sum(0).to(weight_grad.scalar_type()));
  return dx;
}

}  // namespace ft::kernels::cuda
