#include "kernel_checks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "test.h"

namespace ft::test {
namespace {

// Half a unit in the last place of the largest value, with a little room for fp32 sums.
double Tolerance(at::ScalarType dtype) { return dtype == at::kFloat ? 3e-6 : dtype == at::kHalf ? 6e-4 : 4.5e-3; }

// `terms`: what was added up to give `expected`, where the sum may be far smaller than its terms.
void Agree(const char* what, const at::Tensor& actual, const at::Tensor& expected, double tolerance, const at::Tensor& terms = {}) {
  const std::string where = std::string(what) + " of " + c10::str(expected.sizes()) + " in " + c10::toString(actual.scalar_type());
  if (actual.sizes() != expected.sizes()) return Fail(__FILE__, __LINE__, where + " has shape " + c10::str(actual.sizes()));
  if (expected.numel() == 0) return;
  const double scale = (terms.defined() ? terms : expected).abs().max().item<double>();
  const double error = (actual.to(at::kDouble) - expected).abs().max().item<double>() / std::max(scale, 1e-30);
  if (!(error < tolerance)) Fail(__FILE__, __LINE__, where + ": relative error " + Show(error) + ", expected below " + Show(tolerance));
}

void CheckRmsNormOn(const KernelSet& set, const at::Tensor& x, at::ScalarType dtype) {
  const double eps = 1e-5;
  const at::Tensor w = at::randn({x.size(-1)}).to(dtype), dy = at::randn(x.sizes()).to(dtype);
  const at::Tensor xd = x.to(at::kDouble), wd = w.to(at::kDouble), dyd = dy.to(at::kDouble);
  const at::Tensor rstd_d = (xd.square().mean(-1, true) + eps).rsqrt(), normalized = xd * rstd_d, g = dyd * wd;
  const auto [y, rstd] = set.rms_norm(x, w, eps);
  Agree("RMSNorm", y, normalized * wd, Tolerance(dtype));
  Agree("RMSNorm's rstd", rstd, rstd_d, 3e-6);
  EXPECT(rstd.scalar_type() == at::kFloat);
  EXPECT(at::equal(y, set.rms_norm_apply(x, rstd, w)));
  const auto [dx, dw] = set.rms_norm_backward(dy, x, rstd, w, nullptr);
  at::Tensor again;
  const auto [dx_again, dw_again] = set.rms_norm_backward(dy, x, rstd, w, &again);
  EXPECT(at::equal(again, y) && at::equal(dx_again, dx) && at::equal(dw_again, dw));
  Agree("RMSNorm's dx", dx, (g - normalized * (g * normalized).mean(-1, true)) * rstd_d, Tolerance(dtype), g * rstd_d);
  std::vector<int64_t> rows(x.dim() - 1);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  Agree("RMSNorm's dw", dw, (dyd * normalized).sum(rows) + 1.0, 3e-6, (dyd * normalized).abs().sum(rows) + 1.0);
}

void CheckLayerNormOn(const KernelSet& set, const at::Tensor& x, at::ScalarType dtype, bool has_weight, bool has_bias) {
  const double eps = 1e-5;
  const int64_t n = x.size(-1);
  const at::Tensor w = has_weight ? at::randn({n}).to(dtype) : at::Tensor(), b = has_bias ? at::randn({n}).to(dtype) : at::Tensor();
  const at::Tensor dy = at::randn(x.sizes()).to(dtype), xd = x.to(at::kDouble), dyd = dy.to(at::kDouble);
  const at::Tensor wd = has_weight ? w.to(at::kDouble) : at::ones({n}, at::kDouble), bd = has_bias ? b.to(at::kDouble) : at::zeros({n}, at::kDouble);
  const at::Tensor mean_d = xd.mean(-1, true), rstd_d = ((xd - mean_d).square().mean(-1, true) + eps).rsqrt();
  // How much the rounding of the mean to fp32 may show.
  const at::Tensor normalized = (xd - mean_d) * rstd_d, g = dyd * wd, room = (xd.abs() + 1.0) * rstd_d;
  const double small = 3e-6 * std::max(1.0, room.numel() == 0 ? 0.0 : room.max().item<double>());
  const kernels::LayerNormOutput forward = set.layer_norm(x, w, b, eps);
  Agree("LayerNorm", forward.y, normalized * wd + bd, Tolerance(dtype) + small, normalized.abs() * wd.abs() + bd.abs() + 1.0);
  Agree("LayerNorm's mean", forward.mean, mean_d, 3e-6, xd.abs());
  Agree("LayerNorm's rstd", forward.rstd, rstd_d, 3e-6);
  EXPECT(forward.mean.scalar_type() == at::kFloat && forward.rstd.scalar_type() == at::kFloat);
  EXPECT(at::equal(forward.y, set.layer_norm_apply(x, forward, w, b)));
  const auto [dx, dw, db] = set.layer_norm_backward(dy, x, forward, w);
  const at::Tensor mean = g.mean(-1, true), along = normalized * (g * normalized).mean(-1, true);
  const at::Tensor dx_d = (g - mean - along) * rstd_d;
  Agree("LayerNorm's dx", dx, dx_d, Tolerance(dtype) + small, (g.abs() + mean.abs() + along.abs()) * rstd_d);
  std::vector<int64_t> rows(x.dim() - 1);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  Agree("LayerNorm's dw", dw, (dyd * normalized).sum(rows) + 1.0, small, (dyd * normalized).abs().sum(rows) + 1.0);
  Agree("LayerNorm's db", db, dyd.sum(rows) + 1.0, 3e-6, dyd.abs().sum(rows) + 1.0);
}

}  // namespace

void CheckLayerNorm(const KernelSet& set) {
  for (const auto dtype : set.dtypes) {
    for (const int64_t tokens : set.token_counts) {
      for (const int64_t d : {1, 7, 33, 64}) {
        for (const auto& [weight, bias] : {std::pair{true, true}, {true, false}, {false, true}, {false, false}}) {
          CheckLayerNormOn(set, (at::randn({tokens, d}) + 3).to(dtype), dtype, weight, bias);
        }
        CheckLayerNormOn(set, at::randn({tokens, 7, d}).to(dtype).narrow(1, 2, 3), dtype, true, true);   // strided rows
        CheckLayerNormOn(set, at::randn({tokens, 16, d}).to(dtype).narrow(1, 8, 8), dtype, true, true);  // the same, aligned
      }
    }
    for (const int64_t n : set.long_rows) CheckLayerNormOn(set, at::randn({3, n}).to(dtype), dtype, true, true);
  }
  CheckLayerNormOn(set, at::randn({60, 70, 2}) * 5, at::kFloat, true, true);  // more rows than partial sums hold
  // A large mean: squares minus the squared mean would leave nothing of the variance.
  const at::Tensor far = at::randn({4, 300}) + 4096;
  Agree("LayerNorm far from 0", set.layer_norm(far, {}, {}, 1e-5).rstd, at::var(far.to(at::kDouble), {-1}, 0, true).add(1e-5).rsqrt(), 1e-5);
}

void CheckRmsNorm(const KernelSet& set) {
  for (const auto dtype : set.dtypes) {
    for (const int64_t tokens : set.token_counts) {
      for (const int64_t d : {1, 7, 33, 64}) {
        CheckRmsNormOn(set, at::randn({tokens, d}).to(dtype), dtype);
        CheckRmsNormOn(set, at::randn({tokens, 7, d}).to(dtype).narrow(1, 2, 3), dtype);   // heads inside a product
        CheckRmsNormOn(set, at::randn({tokens, 16, d}).to(dtype).narrow(1, 8, 8), dtype);  // the same, aligned
      }
    }
    for (const int64_t n : set.long_rows) CheckRmsNormOn(set, at::randn({3, n}).to(dtype), dtype);
  }
  CheckRmsNormOn(set, at::randn({60, 70, 2}), at::kFloat);  // more rows than partial sums of d weight hold
}

void CheckRotate(const KernelSet& set) {
  for (const auto dtype : set.dtypes) {
    for (const int64_t tokens : set.token_counts) {
      for (const auto& [head_dim, half] : std::vector<std::pair<int64_t, int64_t>>{{2, 1}, {10, 4}, {17, 8}, {64, 32}, {96, 32}, {128, 64}}) {
        for (const bool inverse : {false, true}) {
          const at::Tensor angle = at::rand({tokens, half}) * 6, x = at::randn({tokens, 9, head_dim}).to(dtype).narrow(1, 1, 5);
          const at::Tensor xd = x.to(at::kDouble), c = angle.cos().to(at::kDouble).unsqueeze(1), s = angle.sin().to(at::kDouble).unsqueeze(1) * (inverse ? -1 : 1);
          const at::Tensor a = xd.narrow(2, 0, half), b = xd.narrow(2, half, half);
          const at::Tensor y = set.rotate(x, angle.cos(), angle.sin(), inverse);
          Agree("rotation", y, at::cat({a * c - b * s, b * c + a * s, xd.narrow(2, 2 * half, head_dim - 2 * half)}, 2), Tolerance(dtype));
          EXPECT(at::equal(y.narrow(2, 2 * half, head_dim - 2 * half), x.narrow(2, 2 * half, head_dim - 2 * half)));
        }
      }
    }
  }
}

namespace {

at::Tensor Activated(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return x * at::sigmoid(x);
    case Activation::kGelu:
      return at::gelu(x, "none");
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kQuickGelu:
      return x * at::sigmoid(1.702 * x);
    case Activation::kRelu2:
      return at::relu(x).square();
  }
  return {};
}

}  // namespace

void CheckGate(const KernelSet& set) {
  for (const auto dtype : set.dtypes) {
    for (const auto activation : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kQuickGelu, Activation::kRelu2}) {
      for (const int64_t tokens : set.token_counts) {
        for (const int64_t n : {1, 7, 24, 40, 2056}) {
          if (n > 100 && tokens > 5) continue;
          const at::Tensor u = (at::randn({tokens, 2 * n}) * 3).to(dtype), dy = at::randn({tokens, n}).to(dtype);
          const at::Tensor gate = u.narrow(1, 0, n).to(at::kDouble), up = u.narrow(1, n, n).to(at::kDouble), d = dy.to(at::kDouble);
          // What errors are measured against grows as the activation does.
          const at::Tensor growth = activation == Activation::kRelu2 ? 1 + 2 * gate.abs() : at::ones_like(gate);
          const at::Tensor y = set.gate(u, activation);
          Agree("gate", y, Activated(gate, activation) * up, Tolerance(dtype), gate * up * growth);
          const at::Tensor leaf = gate.clone().requires_grad_(true);
          Activated(leaf, activation).backward(d * up);
          const at::Tensor du = set.gate_backward(dy, u, activation, nullptr);
          Agree("gate's gradient", du, at::cat({leaf.grad(), d * Activated(gate, activation)}, 1), Tolerance(dtype),
                at::cat({d * up * growth, d * gate * growth}, 1));
          at::Tensor again;
          EXPECT(at::equal(set.gate_backward(dy, u, activation, &again), du) && at::equal(again, y));
        }
      }
    }
  }
  const at::Tensor extreme = at::tensor({-1e4f, 1e4f, -90.0f, 90.0f, 1.0f, 1.0f, 1.0f, 1.0f}).unsqueeze(0), ones = at::ones({1, 4});
  for (const auto activation : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh}) {
    Agree("gate far out", set.gate(extreme, activation), at::tensor({0.0, 1e4, 0.0, 90.0}, at::kDouble).unsqueeze(0), 1e-6);
    Agree("gate's gradient far out", set.gate_backward(ones, extreme, activation, nullptr).narrow(1, 0, 4), at::tensor({0.0, 1.0, 0.0, 1.0}, at::kDouble).unsqueeze(0), 1e-6);
  }
}

void CheckDropout(const KernelSet& set) {
  for (const auto dtype : set.dtypes) {
    for (const int64_t tokens : set.token_counts) {
      for (const int64_t width : {1, 7, 64, 1030, 1032}) {
        const at::Tensor x = at::randn({tokens, width}).to(dtype);
        const at::Tensor rows = at::arange(tokens, at::kLong).div(5, "floor").add(3), positions = at::arange(tokens, at::kLong).remainder(5);
        const kernels::DropoutKey key{0x123456789abcdefull, 7, 3};
        // Bit for bit: a mask that differs between devices would change what a resumed run does.
        EXPECT(at::equal(set.dropout(x, 0.3, key, rows, positions), kernels::Dropout(x, 0.3, key, rows, positions)));
        EXPECT(at::equal(set.dropout(x, 0.0, key, rows, positions), x));
      }
    }
  }
}

void CheckCrossEntropy(const KernelSet& set) {
  for (const auto dtype : set.dtypes) {
    for (const int64_t rows : set.token_counts) {
      for (const int64_t vocab : {1, 2, 61, 512, 4104}) {
        if (vocab != 61 && rows > 5) continue;
        const at::Tensor logits = (at::randn({rows, vocab}) * 4).to(dtype), targets = at::randint(vocab, {rows}, at::kLong);
        const at::Tensor row_scale = vocab % 2 == 0 ? at::randn({rows}) : at::Tensor();
        const at::Tensor exact = logits.to(at::kDouble), lse_d = at::logsumexp(exact, {1});
        at::Tensor d = (exact - lse_d.unsqueeze(1)).exp().scatter_add(1, targets.unsqueeze(1), at::full({rows, 1}, -1.0, exact.options())) * 0.7;
        if (row_scale.defined()) d = d * row_scale.to(at::kDouble).unsqueeze(1);
        const auto [loss, lse, gradient] = set.cross_entropy(logits, targets, 0.7, row_scale, true);
        Agree("log-sum-exp", lse, lse_d, 2e-6, exact.abs() + 1);
        Agree("cross-entropy", loss, lse_d - exact.gather(1, targets.unsqueeze(1)).squeeze(1), 2e-6, exact.abs() + 1);
        const at::Tensor scales = row_scale.defined() ? row_scale.to(at::kDouble) : at::ones({rows}, at::kDouble);  // rounding grows with them
        Agree("cross-entropy's gradient", gradient, d, Tolerance(dtype), scales.abs() + 1);
        const auto [alone, lse_alone, untouched] = set.cross_entropy(logits, targets, 0.7, row_scale, false);
        EXPECT(at::equal(alone, loss) && at::equal(lse_alone, lse) && at::equal(untouched, logits));
      }
    }
    const at::Tensor uneven = at::full({1, 1200}, -60000.0).to(dtype);
    uneven[0][600] = 60000.0;
    const auto [loss, lse, gradient] = set.cross_entropy(uneven, at::full({1}, 600, at::kLong), 1.0, {}, true);
    EXPECT(loss.item<double>() == 0.0 && gradient.abs().max().item<double>() < 1e-30);
    if (set.checks_targets) {
      const auto [bad, bad_lse, bad_gradient] = set.cross_entropy(at::zeros({2, 5}).to(dtype), at::tensor({5, -100}, at::kLong), 1.0, {}, true);
      EXPECT(bad.isnan().all().item<bool>());
    }
    const at::Tensor broken = at::zeros({1, 700}).to(dtype);
    broken[0][650] = std::nanf("");
    EXPECT(std::get<0>(set.cross_entropy(broken, at::zeros({1}, at::kLong), 1.0, {}, true)).isnan().all().item<bool>());
  }
}

namespace {

// n elements of a larger tensor, of which the eight on either side must stay; `offset` spoils the alignment.
struct Framed {
  at::Tensor whole, before, part;

  Framed(const at::Tensor& values, int64_t offset) {
    const int64_t n = values.numel();
    whole = at::full({n + 16 + offset}, 7.0, values.options());
    part = whole.narrow(0, 8 + offset, n);
    part.copy_(values);
    before = whole.clone();
  }
  bool FrameIsWhole() const {
    const int64_t begin = part.storage_offset(), end = begin + part.numel();
    return at::equal(whole.narrow(0, 0, begin), before.narrow(0, 0, begin)) && at::equal(whole.narrow(0, end, 8), before.narrow(0, end, 8));
  }
};

void CheckAdamWOn(const KernelSet& set, at::ScalarType grad_type, at::ScalarType compute_type, int64_t n, int64_t offset) {
  const bool shared = compute_type == at::kFloat;
  Framed master(at::randn({n}), offset), m(at::randn({n}) * 0.1, offset), v(at::rand({n}) * 0.01, offset);
  Framed grad(at::randn({n}).to(grad_type), offset), other(at::full({n}, std::nanf(""), compute_type), offset);
  at::Tensor compute = shared ? master.part : other.part;
  const kernels::AdamWStep step{.learning_rate = 1e-2, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.1, .count = 3, .grad_scale = 0.7};
  const at::Tensor g = grad.part.to(at::kDouble) * 0.7;
  const at::Tensor parameter_terms = master.part.abs() + 0.05, moment_terms = m.part.abs() + g.abs();
  const at::Tensor m_d = m.part.to(at::kDouble) * 0.8 + g * 0.2, v_d = v.part.to(at::kDouble) * 0.95 + g.square() * 0.05;
  const at::Tensor denominator = (v_d / (1 - std::pow(0.95, 3))).sqrt() + 1e-6;
  const at::Tensor expected = master.part.to(at::kDouble) * (1 - 1e-3) - 1e-2 / (1 - std::pow(0.8, 3)) * m_d / denominator;
  set.adamw(shared ? compute : master.part, compute, grad.part, m.part, v.part, step);
  Agree("AdamW's parameter", master.part, expected, 1e-6, parameter_terms);
  Agree("AdamW's first moment", m.part, m_d, 1e-6, moment_terms);
  Agree("AdamW's second moment", v.part, v_d, 1e-6);
  EXPECT(at::equal(compute, master.part.to(compute_type)) && grad.part.count_nonzero().item<int64_t>() == 0);
  for (const Framed* tensor : {&master, &m, &v, &grad, &other}) EXPECT(tensor->FrameIsWhole());
}

}  // namespace

void CheckAdamW(const KernelSet& set) {
  for (const auto grad_type : set.dtypes) {
    for (const auto compute_type : set.dtypes) {
      for (const int64_t n : {0, 1, 3, 4, 1023, 1030}) {
        CheckAdamWOn(set, grad_type, compute_type, n, 0);
        CheckAdamWOn(set, grad_type, compute_type, n, 1);
      }
    }
  }
  // More than a grid of CUDA blocks takes at once, in packs and one by one.
  CheckAdamWOn(set, at::kBFloat16, at::kBFloat16, 1024 * 1024 + 5, 0);
  CheckAdamWOn(set, at::kFloat, at::kFloat, 1024 * 256 + 5, 1);
}

}  // namespace ft::test
