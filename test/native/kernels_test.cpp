// Each kernel against its composite version or against float64.
#include <ATen/ATen.h>

#include <array>
#include <cmath>

#include "core/kernels/adamw.h"
#include "core/kernels/attention.h"
#include "core/kernels/cpu/attention_bf16.h"
#include "core/kernels/cpu/bf16_products.h"
#include "core/kernels/cross_entropy.h"
#include "core/kernels/dropout.h"
#include "core/kernels/gate.h"
#include "core/kernels/linear.h"
#include "core/kernels/norm.h"
#include "core/kernels/rope.h"
#include "nn_reference.h"
#include "test.h"

namespace ft::test {

TEST(kernels_philox_known_answers) {
  // Random123 kat_vectors, philox4x32 10 rounds.
  const auto zero = kernels::Philox({0, 0, 0, 0}, 0);
  EXPECT((zero == std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const auto ones = kernels::Philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffffffffffffull);
  EXPECT((ones == std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(kernels_dropout_matches_composite) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const int64_t width : {1, 7, 64}) {
      const at::Tensor x = at::randn({33, width}).to(dtype);
      const at::Tensor rows = at::arange(33, at::kLong).div(5, "floor"), positions = at::arange(33, at::kLong).remainder(5);
      const kernels::DropoutKey key{42, 7, 3};
      const at::Tensor fast = kernels::Dropout(x, 0.3, key, rows, positions);
      EXPECT(at::equal(fast, kernels::composite::Dropout(x, 0.3, key, rows, positions)));
    }
  }
  const at::Tensor ones = at::ones({1000, 100});
  const at::Tensor tokens = at::arange(1000, at::kLong);
  const at::Tensor dropped = kernels::Dropout(ones, 0.25, {1, 1, 0}, at::zeros_like(tokens), tokens);
  EXPECT_CLOSE(dropped.mean().item<double>(), 1.0, 0.01);
  EXPECT_CLOSE(dropped.eq(0).to(at::kFloat).mean().item<double>(), 0.25, 0.01);
}

TEST(kernels_attention_matches_composite) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const int64_t window : {0, 1, 5, 100}) {
      const std::vector<int64_t> offsets = {0, 1, 8, 15, 40, 73};
      const at::Tensor q = at::randn({73, 6, 10}).to(dtype), k = at::randn({73, 2, 10}).to(dtype), v = at::randn({73, 2, 10}).to(dtype);
      const at::Tensor d = at::randn({73, 6, 10}).to(dtype);
      const kernels::AttentionOptions options{0.3, window};
      const double tolerance = dtype == at::kFloat ? 1e-5 : 4e-2;
      const auto fast = kernels::cpu::Attention(q, k, v, offsets, options), plain = kernels::composite::Attention(q, k, v, offsets, options);
      EXPECT(RelativeError(fast.out, plain.out) < tolerance);
      const auto [fq, fk, fv] = kernels::cpu::AttentionBackward(d, q, k, v, fast, offsets, options);
      const auto [pq, pk, pv] = kernels::composite::AttentionBackward(d, q, k, v, plain, offsets, options);
      if (window == 1) {  // one key a query: the probability is constant
        EXPECT(fq.abs().max().item<double>() < tolerance && fk.abs().max().item<double>() < tolerance);
      } else {
        EXPECT(RelativeError(fq, pq) < tolerance);
        EXPECT(RelativeError(fk, pk) < tolerance);
      }
      EXPECT(RelativeError(fv, pv) < tolerance);
    }
  }
}

TEST(kernels_attention_in_tiles_matches_composite) {
  if (!kernels::cpu_bf16::Supports(at::empty({1, 1, 8}, at::kBFloat16))) return;
  struct Case {
    std::vector<int64_t> offsets;  // rows: one token, a full tile, one more than a tile, none at all, more than a chunk of tiles
    std::vector<std::pair<int64_t, double>> masks;  // window, softcap
  };
  const std::vector<Case> cases = {{{0, 1}, {{0, 0}, {1, 0.5}}},
                                   {{0, 64}, {{0, 0}, {64, 0}}},
                                   {{0, 65}, {{0, 0}, {63, 0}, {64, 2.5}}},
                                   {{0, 3, 3, 66, 196, 197}, {{0, 0}, {70, 0}, {1, 0}, {0, 2.5}, {64, 1.0}}},
                                   {{0, 700}, {{0, 0}, {300, 0}}}};
  for (const auto& [offsets, masks] : cases) {
    for (const auto& [heads, kv_heads, d] : {std::array<int64_t, 3>{3, 1, 64}, {2, 2, 10}, {5, 5, 33}, {4, 2, 128}, {1, 1, 256}}) {
      for (const auto& [window, softcap] : masks) {
        const int64_t tokens = offsets.back();
        // Heads as they lie inside a fused product: rows further apart than they are long.
        const at::Tensor product = at::randn({tokens, heads + 2 * kv_heads, d}).to(at::kBFloat16);
        const at::Tensor q = product.narrow(1, 0, heads), k = product.narrow(1, heads, kv_heads), v = product.narrow(1, heads + kv_heads, kv_heads);
        const at::Tensor dout = at::randn({tokens, heads, d}).to(at::kBFloat16);
        const kernels::AttentionOptions options{1.5 / std::sqrt(static_cast<double>(d)), window, softcap};
        const auto tiles = kernels::cpu_bf16::Attention(q, k, v, offsets, options), plain = kernels::composite::Attention(q, k, v, offsets, options);
        EXPECT(RelativeError(tiles.out, plain.out) < 1e-2);
        const auto [tq, tk, tv] = kernels::cpu_bf16::AttentionBackward(dout, q, k, v, tiles, offsets, options);
        const auto [pq, pk, pv] = kernels::composite::AttentionBackward(dout, q, k, v, plain, offsets, options);
        if (window == 1 || tokens == 1) {  // one key a query: the probability is constant
          EXPECT(tq.abs().max().item<double>() < 0.1 && tk.abs().max().item<double>() < 0.1);
        } else {
          EXPECT(RelativeError(tq, pq) < 2e-2);
          EXPECT(RelativeError(tk, pk) < 2e-2);
        }
        EXPECT(RelativeError(tv, pv) < 1e-2);
      }
    }
  }
}

TEST(kernels_attention_decode_matches_composite) {
  if (!kernels::cpu_bf16::Supports(at::empty({1, 1, 8}, at::kBFloat16))) return;
  for (const auto& [heads, kv_heads, d] : {std::array<int64_t, 3>{3, 1, 64}, {4, 4, 10}, {6, 2, 33}}) {
    for (const auto& [window, softcap] : {std::pair<int64_t, double>{0, 0}, {5, 0}, {0, 2.0}}) {
      const std::vector<int64_t> lengths = {1, 17, 70};
      const at::Tensor q = at::randn({3, heads, d}).to(at::kBFloat16);
      at::Tensor keys = at::randn({3, kv_heads, 80, d}).to(at::kBFloat16), values = at::randn({3, kv_heads, 80, d}).to(at::kBFloat16);
      for (int64_t row = 0; row < 3; ++row) {  // what is not there yet must not be read into the result
        keys[row].narrow(1, lengths[row], 80 - lengths[row]).fill_(std::nanf(""));
        values[row].narrow(1, lengths[row], 80 - lengths[row]).fill_(std::nanf(""));
      }
      const kernels::AttentionOptions options{0.2, window, softcap};
      EXPECT(RelativeError(kernels::cpu_bf16::AttentionDecode(q, keys, values, lengths, options),
                           kernels::composite::AttentionDecode(q, keys, values, lengths, options)) < 1.5e-2);
    }
  }
}

// Biases of every version against scores written out, forward, backward and in a cache.
TEST(kernels_attention_with_a_bias_of_keys) {
  const std::vector<int64_t> offsets = {0, 1, 40, 170};
  for (const auto& [heads, kv_heads, d] : {std::array<int64_t, 3>{3, 3, 10}, {4, 2, 33}}) {
    for (const int64_t window : {0, 7}) {
      const at::Tensor bias = at::randn({heads, 133}).mul_(2);
      const kernels::AttentionOptions options{.scale = 0.3, .window = window, .key_bias = bias};
      const at::Tensor q = at::randn({170, heads, d}), k = at::randn({170, kv_heads, d}), v = at::randn({170, kv_heads, d}), dout = at::randn({170, heads, d});
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const at::Tensor x = q.to(dtype), y = k.to(dtype), z = v.to(dtype), w = dout.to(dtype);
        const double tolerance = dtype == at::kFloat ? 1e-5 : 2e-2;
        std::vector<at::Tensor> leaves = {x.to(at::kDouble), y.to(at::kDouble), z.to(at::kDouble)}, rows;
        for (at::Tensor& leaf : leaves) leaf.set_requires_grad(true);
        for (size_t r = 0; r + 1 < offsets.size(); ++r) {
          const int64_t n = offsets[r + 1] - offsets[r];
          const auto row = [&, begin = offsets[r]](size_t i) { return leaves[i].narrow(0, begin, n).repeat_interleave(heads / leaves[i].size(1), 1).transpose(0, 1); };
          const at::Tensor distance = at::arange(n).unsqueeze(1) - at::arange(n);
          const at::Tensor unseen = distance.lt(0).logical_or(distance.ge(window > 0 ? window : n));
          const at::Tensor scores = at::matmul(row(0), row(1).transpose(1, 2)) * 0.3 + bias.narrow(1, 0, n).unsqueeze(1);
          rows.push_back(at::matmul(at::softmax(scores.masked_fill(unseen, -INFINITY), -1), row(2)).transpose(0, 1));
        }
        const at::Tensor expected = at::cat(rows);
        expected.backward(w.to(at::kDouble));
        for (const bool eager : {false, true}) {
          kernels::AttentionOptions version = options;
          version.eager = eager;
          const kernels::AttentionResult result = kernels::Attention(x, y, z, offsets, version);
          EXPECT(RelativeError(result.out, expected.detach()) < tolerance);
          const auto [dq, dk, dv] = kernels::AttentionBackward(w, x, y, z, result, offsets, version);
          EXPECT(RelativeError(dq, leaves[0].grad()) < tolerance);
          EXPECT(RelativeError(dk, leaves[1].grad()) < tolerance);
          EXPECT(RelativeError(dv, leaves[2].grad()) < tolerance);
          // The last query of the longest row as if its keys had been cached.
          const at::Tensor keys = y.narrow(0, 40, 130).transpose(0, 1).unsqueeze(0).contiguous(), values = z.narrow(0, 40, 130).transpose(0, 1).unsqueeze(0).contiguous();
          EXPECT(RelativeError(kernels::AttentionDecode(x.narrow(0, 169, 1), keys, values, {130}, version), expected.detach().narrow(0, 169, 1)) < tolerance);
        }
      }
    }
  }
}

TEST(kernels_attention_in_tiles_keeps_nan_inside_its_row) {
  if (!kernels::cpu_bf16::Supports(at::empty({1, 1, 8}, at::kBFloat16))) return;
  at::Tensor q = at::randn({100, 1, 64}).to(at::kBFloat16);
  const at::Tensor k = at::randn({100, 1, 64}).to(at::kBFloat16);
  q[20].fill_(std::nanf(""));
  const std::vector<int64_t> offsets = {0, 40, 100};
  const auto forward = kernels::cpu_bf16::Attention(q, k, k, offsets, {0.125, 0});
  EXPECT(forward.out[20].isnan().all().item<bool>());
  EXPECT(!forward.out.narrow(0, 0, 20).isnan().any().item<bool>() && !forward.out.narrow(0, 21, 79).isnan().any().item<bool>());
  const auto [dq, dk, dv] = kernels::cpu_bf16::AttentionBackward(k, q, k, k, forward, offsets, {0.125, 0});
  EXPECT(dk[3].isnan().any().item<bool>() && dv[3].isnan().any().item<bool>());
  EXPECT(!dk.narrow(0, 40, 60).isnan().any().item<bool>());
}

TEST(kernels_cross_entropy_matches_float64) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto& [rows, vocab] : {std::pair<int64_t, int64_t>{1, 1}, {3, 7}, {5, 1031}}) {
      at::Tensor logits = (at::randn({rows, vocab}) * 8).to(dtype);
      const at::Tensor targets = at::arange(rows, at::kLong).remainder(vocab), row_scale = at::randn({rows});
      const at::Tensor x = logits.to(at::kDouble), lse = at::logsumexp(x, {1}), picked = x.gather(1, targets.unsqueeze(1)).squeeze(1);
      const auto plain = kernels::CrossEntropy(logits, targets, nullptr);
      EXPECT(at::equal(x, logits.to(at::kDouble)));  // untouched
      EXPECT((plain.loss.to(at::kDouble) - (lse - picked)).abs().max().item<double>() < 1e-5);
      const kernels::CrossEntropyGradient gradient{0.37, row_scale};
      const auto rows_of = kernels::CrossEntropy(logits, targets, &gradient);
      EXPECT((rows_of.lse.to(at::kDouble) - lse).abs().max().item<double>() < 1e-5 && at::equal(rows_of.loss, plain.loss));
      at::Tensor d = (x - lse.unsqueeze(1)).exp();
      d.scatter_add_(1, targets.unsqueeze(1), at::full({rows, 1}, -1.0, d.options()));
      EXPECT(RelativeError(logits, d * row_scale.unsqueeze(1) * 0.37) < (dtype == at::kFloat ? 2e-6 : 5e-3) || vocab == 1);
    }
  }
  for (const float bad : {std::nanf(""), INFINITY}) {
    at::Tensor logits = at::zeros({2, 40}, at::kBFloat16);
    logits[1][30] = bad;
    const auto rows = kernels::CrossEntropy(logits, at::zeros({2}, at::kLong), nullptr);
    EXPECT(std::isfinite(rows.loss[0].item<float>()) && !std::isfinite(rows.loss[1].item<float>()));
  }
}

TEST(kernels_sum_of_products_matches_float64) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto& [m, k, n] : {std::array<int64_t, 3>{1, 8, 5}, {1, 70, 130}, {2, 1100, 66}, {3, 96, 65}, {4, 62, 90}, {5, 64, 64}, {17, 700, 79}, {16, 64, 700}, {24, 2, 64}, {9, 190, 65}, {31, 258, 100}, {8, 128, 16}, {65, 34, 130}, {200, 31, 63}, {130, 576, 65}, {600, 96, 192}, {70, 19000, 40}, {40, 66, 700}}) {
      // Strided operands: columns of something wider.
      const at::Tensor x = at::randn({m, k + 3}).to(dtype).narrow(1, 1, k), w = at::randn({n, k + 1}).to(dtype).narrow(1, 0, k);
      const at::Tensor left = at::randn({m, 6}).to(dtype), right = at::randn({6, n}).to(dtype);
      const at::Tensor bias = at::randn({n}).to(dtype), residual = at::randn({m, n}).to(dtype);
      const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
      const double tolerance = dtype == at::kFloat ? 1e-5 : 1e-2;
      EXPECT(RelativeError(kernels::SumOfProducts({{x, w}}, {}, {}), at::mm(wide(x), wide(w).t())) < tolerance);
      EXPECT(RelativeError(kernels::SumOfProducts({{x, w}, {left, right, true}}, bias, residual),
                           at::mm(wide(x), wide(w).t()) + at::mm(wide(left), wide(right)) + wide(bias) + wide(residual)) < tolerance);
      const at::Tensor dy = at::randn({m, n}).to(dtype);
      if (n % 2 == 0) EXPECT(RelativeError(kernels::SumOfProducts({{dy, w, true}}, {}, {}), at::mm(wide(dy), wide(w))) < tolerance);
    }
  }
}

TEST(kernels_sum_of_products_of_many_depths) {
  // The last stretch of a long first term and a second term share packed memory; and few rows by rows.
  for (const auto& [m, k, n, r] : {std::array<int64_t, 4>{64, 16380, 512, 16}, {33, 8190, 70, 4096}, {5, 66, 130, 8}, {13, 300, 130, 6}}) {
    const at::Tensor x = at::randn({m, k}).to(at::kBFloat16), w = at::randn({k, n}).to(at::kBFloat16);
    const at::Tensor left = at::randn({m, r}).to(at::kBFloat16), right = at::randn({r, n}).to(at::kBFloat16);
    const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
    const at::Tensor expected = at::mm(wide(x), wide(w)) + at::mm(wide(left), wide(right));
    EXPECT(RelativeError(kernels::SumOfProducts({{x, w, true}, {left, right, true}}, {}, {}), expected) < 1e-2);
    EXPECT(RelativeError(kernels::SumOfProducts({{x, w.t().contiguous()}, {left, right.t().contiguous()}}, {}, {}), expected) < 1e-2);
  }
}

TEST(kernels_outer_product_matches_float64) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto& [tokens, n, k] : {std::array<int64_t, 3>{1, 8, 5}, {32, 16, 64}, {65, 70, 33}, {513, 20, 130}, {600, 600, 65}}) {
      const at::Tensor dy = at::randn({tokens, n + 2}).to(dtype).narrow(1, 1, n), x = at::randn({tokens, k + 3}).to(dtype).narrow(1, 0, k);
      const at::Tensor expected = at::mm(dy.t().to(at::kDouble), x.to(at::kDouble));
      at::Tensor grad = at::ones({n, k}).to(dtype), wide = at::ones({n, k}), turned = at::ones({k, n});
      kernels::AddOuterProduct(grad, dy, x, 1.0);
      EXPECT(RelativeError(grad, expected + 1) < (dtype == at::kFloat ? 1e-5 : 1e-2));
      kernels::AddOuterProduct(wide, dy, x, 0.5);
      // LibTorch's products, for few tokens and on CPUs without bf16 ones, are rounded before they join.
      const bool rounded = dtype == at::kBFloat16 && (tokens < 32 || !kernels::cpu::HasBf16Products());
      EXPECT(RelativeError(wide, expected * 0.5 + 1) < (dtype == at::kFloat ? 1e-5 : rounded ? 1e-2 : 1e-4));
      at::Tensor view = turned.t();
      kernels::AddOuterProduct(view, dy, x, 0.5);
      EXPECT(RelativeError(turned, wide.t()) < (tokens < 32 ? 1e-2 : 1e-5));
    }
  }
}

TEST(kernels_adamw_matches_composite) {
  for (const auto& [grad_type, compute_type] : {std::pair{at::kFloat, at::kFloat}, {at::kFloat, at::kBFloat16}, {at::kBFloat16, at::kBFloat16}, {at::kHalf, at::kHalf}}) {
    for (const int64_t n : {1, 17, 40000}) {
      at::Tensor master = at::randn({n}), m = at::zeros({n}), v = at::zeros({n});
      at::Tensor compute = compute_type == at::kFloat ? master : master.to(compute_type);
      at::Tensor plain = master.clone(), plain_m = m.clone(), plain_v = v.clone();
      at::Tensor plain_compute = compute_type == at::kFloat ? plain : compute.clone();
      for (int64_t count = 1; count <= 3; ++count) {
        at::Tensor grad = at::randn({n}).to(grad_type), plain_grad = grad.clone();
        const kernels::AdamWStep step{.learning_rate = 1e-2, .weight_decay = 0.1, .count = count, .grad_scale = 0.7};
        kernels::AdamW(master, compute, grad, m, v, step);
        kernels::composite::AdamW(plain, plain_compute, plain_grad, plain_m, plain_v, step);
        EXPECT(grad.count_nonzero().item<int64_t>() == 0);
      }
      EXPECT(RelativeError(master, plain) < 1e-6 && RelativeError(m, plain_m) < 1e-6 && RelativeError(v, plain_v) < 1e-6);
      EXPECT(at::equal(compute, compute_type == at::kFloat ? master : master.to(compute_type)));
    }
  }
  const at::Tensor x = at::randn({50001}).to(at::kBFloat16);
  const double squares = x.to(at::kDouble).square().sum().item<double>();
  const at::Tensor wide = at::randn({17}), half = at::randn({40}).to(at::kHalf), none = at::empty({0});
  const double wide_squares = wide.to(at::kDouble).square().sum().item<double>(), half_squares = half.to(at::kDouble).square().sum().item<double>();
  for (const auto sum : {kernels::SumOfSquares, kernels::composite::SumOfSquares}) {
    EXPECT_CLOSE(sum({x}) / squares, 1.0, 1e-5);
    EXPECT_CLOSE(sum({wide, x, none}) / (squares + wide_squares), 1.0, 1e-5);
    EXPECT_CLOSE(sum({half, wide}) / (half_squares + wide_squares), 1.0, 1e-5);
    EXPECT(sum({}) == 0.0 && sum({none}) == 0.0);
    EXPECT(!std::isfinite(sum({wide, at::full({3}, std::nanf(""))})));
  }
}

TEST(kernels_norm_matches_float64) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::randn({17, 3, 33}).to(dtype), w = at::randn({33}).to(dtype), dy = at::randn({17, 3, 33}).to(dtype);
    const at::Tensor xd = x.to(at::kDouble), wd = w.to(at::kDouble), dyd = dy.to(at::kDouble);
    const at::Tensor rstd_d = (xd.square().mean(-1, true) + 1e-6).rsqrt();
    const auto [y, rstd] = kernels::RmsNorm(x, w, 1e-6);
    const double tolerance = dtype == at::kFloat ? 1e-6 : 8e-3;
    EXPECT(RelativeError(y, xd * rstd_d * wd) < tolerance);
    EXPECT(at::equal(y, kernels::RmsNormApply(x, rstd, w)));
    at::Tensor dw = at::full({33}, 1.0, x.options());
    const at::Tensor dx = kernels::RmsNormBackward(dy, x, rstd, w, dw);
    const at::Tensor g = dyd * wd, normalized = xd * rstd_d;
    EXPECT(RelativeError(dx, (g - normalized * (g * normalized).mean(-1, true)) * rstd_d) < tolerance);
    EXPECT(RelativeError(dw, (dyd * normalized).sum({0, 1}) + 1.0) < tolerance * 4);
  }
}

TEST(kernels_row_ops_match_composite_on_odd_and_strided_input) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const double tolerance = dtype == at::kFloat ? 2e-6 : 8e-3;
    for (const int64_t tokens : {1, 5, 131}) {
      for (const int64_t d : {2, 6, 17, 70}) {
        const at::Tensor product = at::randn({tokens, 7, d}).to(dtype), w = at::randn({d}).to(dtype);
        const at::Tensor x = product.narrow(1, 2, 3), dy = at::randn({tokens, 3, d}).to(dtype);
        const auto [fast, rstd] = kernels::RmsNorm(x, w, 1e-5);
        const auto [plain, plain_rstd] = kernels::composite::RmsNorm(x, w, 1e-5);
        EXPECT(RelativeError(fast, plain) < tolerance && RelativeError(rstd, plain_rstd) < 2e-6);
        at::Tensor dw = at::zeros({d}, x.options()), plain_dw = at::zeros({d}, x.options());
        EXPECT(RelativeError(kernels::RmsNormBackward(dy, x, rstd, w, dw), kernels::composite::RmsNormBackward(dy, x, rstd, w, plain_dw)) < tolerance);
        EXPECT(RelativeError(dw, plain_dw) < tolerance * 2);
        const at::Tensor angle = at::rand({tokens, d / 2}) * 6;
        for (const bool inverse : {false, true}) {
          EXPECT(RelativeError(kernels::Rotate(x, angle.cos(), angle.sin(), inverse), kernels::composite::Rotate(x, angle.cos(), angle.sin(), inverse)) < tolerance);
        }
        const at::Tensor gate_up = (at::randn({tokens, 2 * d}) * 20).to(dtype), dgate = at::randn({tokens, d}).to(dtype);
        EXPECT(RelativeError(kernels::Gate(gate_up, Activation::kSilu), kernels::composite::Gate(gate_up, Activation::kSilu)) < tolerance);
        EXPECT(RelativeError(kernels::GateBackward(dgate, gate_up, Activation::kSilu), kernels::composite::GateBackward(dgate, gate_up, Activation::kSilu)) < tolerance);
      }
    }
  }
}

TEST(kernels_row_ops_keep_nan) {
  at::Tensor x = at::zeros({1, 4}, at::kBFloat16);
  x[0][0] = std::nanf("");
  EXPECT(std::get<0>(kernels::RmsNorm(x, at::ones({4}, at::kBFloat16), 1e-6)).isnan().all().item<bool>());
}

TEST(kernels_rope_turns_back) {
  const at::Tensor x = at::randn({9, 3, 10});
  const at::Tensor angle = at::rand({9, 4}) * 6;
  const at::Tensor y = kernels::Rotate(x, angle.cos(), angle.sin(), false);
  EXPECT(RelativeError(kernels::Rotate(y, angle.cos(), angle.sin(), true), x) < 1e-6);
  EXPECT(at::equal(y.narrow(2, 8, 2), x.narrow(2, 8, 2)));  // beyond the rotated dimensions
  const at::Tensor a = x.narrow(2, 0, 4), b = x.narrow(2, 4, 4), c = angle.cos().unsqueeze(1), s = angle.sin().unsqueeze(1);
  EXPECT(RelativeError(y.narrow(2, 0, 4), a * c - b * s) < 1e-6);
  EXPECT(RelativeError(y.narrow(2, 4, 4), b * c + a * s) < 1e-6);
}

}  // namespace ft::test
