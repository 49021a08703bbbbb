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
  return set;
}

void Check(void (*check)(const KernelSet&)) {
  const PoisonedMemory poisoned;
  check(OfCpu());
}

}  // namespace

TEST(kernel_contract_rms_norm) { Check(CheckRmsNorm); }
TEST(kernel_contract_rotate) { Check(CheckRotate); }
TEST(kernel_contract_gate) { Check(CheckGate); }
TEST(kernel_contract_dropout) { Check(CheckDropout); }
TEST(kernel_contract_cross_entropy) { Check(CheckCrossEntropy); }

}  // namespace ft::test
