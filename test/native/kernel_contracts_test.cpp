// The kernels that CPU tensors get, against formulas in float64 (kernel_checks.h).
#include <ATen/ATen.h>

#include "core/kernels/cross_entropy.h"
#include "core/kernels/norm.h"
#include "core/kernels/rope.h"
#include "kernel_checks.h"
#include "test.h"

namespace ft::test {
namespace {

KernelSet OfCpu() {
  KernelSet set;
  set.dtypes = {at::kFloat, at::kBFloat16, at::kHalf};
  set.checks_targets = false;
  set.rms_norm = kernels::RmsNorm;
  set.rms_norm_apply = kernels::RmsNormApply;
  set.rms_norm_backward = [](const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& w, at::Tensor* y) {
    const at::Tensor dw = at::ones({w.numel()});
    const at::Tensor dx = kernels::RmsNormBackward(dy, x, rstd, w, dw, y);
    return std::make_tuple(dx, dw);
  };
  set.layer_norm = kernels::LayerNorm;
  set.layer_norm_apply = [](const at::Tensor& x, const kernels::LayerNormOutput& forward, const at::Tensor& w, const at::Tensor& b) {
    return kernels::LayerNormApply(x, forward.mean, forward.rstd, w, b);
  };
  set.layer_norm_backward = [](const at::Tensor& dy, const at::Tensor& x, const kernels::LayerNormOutput& forward, const at::Tensor& w) {
    const at::Tensor dw = at::ones({x.size(-1)}), db = dw.clone();
    const at::Tensor dx = kernels::LayerNormBackward(dy, x, forward.mean, forward.rstd, w, dw, db);
    return std::make_tuple(dx, dw, db);
  };
  set.rotate = kernels::Rotate;
  set.gate = kernels::Gate;
  set.gate_backward = kernels::GateBackward;
  set.dropout = kernels::composite::Dropout;  // the checks hold it against the CPU version
  set.cross_entropy = [](const at::Tensor& logits, const at::Tensor& targets, double scale, const at::Tensor& row_scale, bool gradient) {
    at::Tensor d = logits.clone();
    const kernels::CrossEntropyGradient wanted{scale, row_scale};
    const auto rows = kernels::CrossEntropy(d, targets, gradient ? &wanted : nullptr);
    return std::make_tuple(rows.loss, rows.lse, d);
  };
  set.adamw = kernels::AdamW;
  return set;
}

void Check(void (*check)(const KernelSet&)) {
  const PoisonedMemory poisoned;
  check(OfCpu());
}

}  // namespace

TEST(kernel_contract_rms_norm) { Check(CheckRmsNorm); }
TEST(kernel_contract_layer_norm) { Check(CheckLayerNorm); }
TEST(kernel_contract_rotate) { Check(CheckRotate); }
TEST(kernel_contract_gate) { Check(CheckGate); }
TEST(kernel_contract_dropout) { Check(CheckDropout); }
TEST(kernel_contract_adamw) { Check(CheckAdamW); }
TEST(kernel_contract_cross_entropy) { Check(CheckCrossEntropy); }

}  // namespace ft::test
