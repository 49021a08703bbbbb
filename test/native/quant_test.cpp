// Quantized weights: every loop against ATen's operators on awkward pieces, products that read them against dense ones,
// errors on normal weights, and refusals.
#include <ATen/ATen.h>

#include <cmath>
#include <functional>

#include "core/kernels/cpu/unpack.h"
#include "core/kernels/int8_rows.h"
#include "core/kernels/linear.h"
#include "core/quant/float8.h"
#include "core/quant/four_bit.h"
#include "core/quant/grouped.h"
#include "core/quant/int8.h"
#include "core/quant/mxfp4.h"
#include "core/quant/stacked_weight.h"
#include "test.h"

namespace ft::test {
namespace {

using quant::PackedWeight;
using Weight = std::shared_ptr<PackedWeight>;

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape);
}

at::Tensor Bytes(at::IntArrayRef shape, int64_t low = 0, int64_t high = 256) { return at::randint(low, high, shape, at::kByte); }

Weight Grouped(int bits, int64_t rows, int64_t columns, int64_t group, bool act_order) {
  at::manual_seed(9);
  const int64_t groups = (columns + group - 1) / group, count = rows * columns;
  quant::GroupedParts parts{bits, rows, columns, Bytes({bits == 4 ? (count + 1) / 2 : count}), at::rand({rows, groups}), Bytes({rows, groups}, 0, 1 << bits), group, {}};
  if (act_order) parts.group_of = at::randint(0, groups, {columns}, at::kInt);
  return quant::MakeGrouped(std::move(parts), "w");
}

Weight Float8(int64_t rows, int64_t columns) {
  at::manual_seed(10);
  return quant::MakeFloat8({Bytes({rows, columns}, 0, 0x7f), at::rand({(rows + 7) / 8, (columns + 15) / 16}), 8, 16}, "w");
}

// [4, 64] of so many bytes and scales.
Weight FourByFour(int64_t codes, int64_t scales) {
  quant::FourBitParts parts;
  parts.code = &quant::Nf4();
  parts.rows = 4, parts.columns = 64;
  parts.codes = Bytes({codes});
  parts.scales.plain = at::ones({scales});
  return quant::MakeFourBit(std::move(parts), "w");
}

struct Case {
  const char* name;
  Weight weight;
};

// One of each scheme, of sizes that no block divides.
std::vector<Case> Everything(int64_t rows, int64_t columns) {
  const at::Tensor w = Normal({rows, columns}, 3) * 0.02;
  std::vector<Case> cases = {
      {"nf4", quant::QuantizeFourBit(quant::Nf4(), w, {}, "w")},
      {"nf4 nested", quant::QuantizeFourBit(quant::Nf4(), w, {true, 64}, "w")},
      {"nf4 blocks of 128", quant::QuantizeFourBit(quant::Nf4(), w, {false, 128}, "w")},
      {"fp4", quant::QuantizeFourBit(quant::Fp4(), w, {}, "w")},
      {"int8", quant::QuantizeInt8(w, 6.0, "w")},
      {"grouped 4", Grouped(4, rows, columns, 24, false)},
      {"grouped 4, activation order", Grouped(4, rows, columns, 24, true)},
      {"grouped 8", Grouped(8, rows, columns, 32, false)},
      {"fp8", Float8(rows, columns)},
      {"dense", quant::MakeDense(w.to(at::kBFloat16))},
  };
  if (columns % 32 == 0) cases.push_back({"mxfp4", quant::MakeMxfp4({Bytes({rows, columns / 32, 16}), Bytes({rows, columns / 32}, 100, 140)}, "w")});
  return cases;
}

bool SameBits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && at::equal(a.contiguous().view(at::kByte), b.contiguous().view(at::kByte));
}

// -0 and 0 are the same value here.
bool SameValues(const at::Tensor& a, const at::Tensor& b) { return at::equal(a, b); }

double MeanSquare(const at::Tensor& x) { return x.to(at::kDouble).square().mean().item<double>(); }

}  // namespace

TEST(quant_reads_any_piece_of_any_scheme_as_aten_does) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{7, 96}, {5, 33}, {3, 200}, {1, 1}}) {
    for (const Case& c : Everything(rows, columns)) {
      const at::Tensor expected = c.weight->Composite();
      if (!SameValues(c.weight->Dense(at::kFloat), expected)) Fail(__FILE__, __LINE__, std::string(c.name) + ": fp32 differs");
      if (!SameValues(c.weight->Dense(at::kBFloat16), expected.to(at::kBFloat16))) Fail(__FILE__, __LINE__, std::string(c.name) + ": bf16 differs");
      if (!SameValues(c.weight->Dense(at::kHalf), expected.to(at::kHalf))) Fail(__FILE__, __LINE__, std::string(c.name) + ": fp16 differs");
      for (const auto& [row, column] : {std::pair<int64_t, int64_t>{0, 0}, {rows / 2, columns / 3}, {rows - 1, columns - 1}}) {
        const int64_t count = rows - row, width = columns - column, stride = width + 3;
        at::Tensor piece = at::full({count, stride}, 7.0), half = at::full({count, stride}, 7.0, at::kBFloat16);
        c.weight->Read(row, count, column, width, piece.mutable_data_ptr<float>(), stride);
        c.weight->Read(row, count, column, width, reinterpret_cast<uint16_t*>(half.mutable_data_ptr<at::BFloat16>()), stride);
        const at::Tensor want = expected.narrow(0, row, count).narrow(1, column, width);
        const bool same = SameValues(piece.narrow(1, 0, width), want) && SameValues(half.narrow(1, 0, width), want.to(at::kBFloat16));
        const bool kept = piece.narrow(1, width, 3).eq(7.0).all().item<bool>() && half.narrow(1, width, 3).eq(7.0).all().item<bool>();
        if (!same || !kept) Fail(__FILE__, __LINE__, std::string(c.name) + ": a piece differs");
      }
    }
  }
}

template <typename T>
void CompareIsas() {
  using kernels::cpu::UnpackOps;
  const UnpackOps<T>* all[3];
  const int count = kernels::cpu::AllUnpackOps<T>(all);
  at::manual_seed(4);
  const at::Tensor codes = Bytes({400}), table = at::randn({256}), scales = at::randn({32}), x = at::randn({800}) * 3;
  std::vector<T> values(800);
  all[0]->bytes(codes.const_data_ptr<uint8_t>(), 400, 100.0f, 0.03f, values.data());
  for (int i = 0; i < count; ++i) {
    for (const int64_t begin : {0, 1, 2, 63, 64, 129}) {
      for (const int64_t length : {0, 1, 2, 31, 32, 64, 65, 300}) {
        std::vector<std::vector<T>> got, want;
        for (const UnpackOps<T>* ops : {all[i], all[count - 1]}) {
          std::vector<T> a(800, T{1}), b(800, T{1}), c(800, T{1}), d(800, T{1}), e(800, T{1}), f(800, T{1});
          std::vector<uint8_t> outliers(800, 0);
          ops->nibbles(codes.const_data_ptr<uint8_t>(), begin, length, table.const_data_ptr<float>(), scales.const_data_ptr<float>(), 64, a.data());
          ops->affine_nibbles(codes.const_data_ptr<uint8_t>(), begin, length, 7.0f, 0.3f, b.data());
          ops->bytes(codes.const_data_ptr<uint8_t>(), length, 7.0f, 0.3f, c.data());
          ops->signed_bytes(reinterpret_cast<const int8_t*>(codes.const_data_ptr<uint8_t>()), length, 0.3f, d.data());
          ops->coded(codes.const_data_ptr<uint8_t>(), length, table.const_data_ptr<float>(), 0.3f, e.data());
          const float largest = ops->largest_below(values.data(), length, 2.0f, outliers.data());
          ops->round_to_steps(values.data(), length, largest, outliers.data(), f.data());
          auto& to = ops == all[i] ? got : want;
          to = {a, b, c, d, e, f};
          if (i == count - 1) want = got;
        }
        EXPECT(got == want);
      }
    }
    float sum[2] = {}, reference[2] = {};
    all[i]->dot_rows(values.data(), 399, values.data(), 1, 2, sum, 1);
    all[count - 1]->dot_rows(values.data(), 399, values.data(), 1, 2, reference, 1);
    EXPECT_CLOSE(sum[0], reference[0], 1e-5);
    EXPECT_CLOSE(sum[1], reference[1], 1e-5);
  }
}

TEST(quant_loops_agree_on_every_instruction_set) {
  CompareIsas<float>();
  CompareIsas<uint16_t>();
}

TEST(quant_products_read_sources_as_they_would_dense_weights) {
  const int64_t k = 130;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const int64_t rows : {1, 3, 5, 17, 31, 40}) {
      for (const Case& c : Everything(70, k)) {
        if (type != at::kBFloat16 && c.weight->scheme() != std::string_view("nf4") && c.weight->scheme() != std::string_view("int8")) continue;
        const at::Tensor x = Normal({rows, k}, 5).to(type), dy = Normal({rows, 70}, 6).to(type), bias = Normal({70}, 7).to(type);
        const at::Tensor xa = Normal({rows, 4}, 8).to(type), b = Normal({70, 4}, 9).to(type), residual = Normal({rows, 70}, 10).to(type);
        const at::Tensor dense = c.weight->Dense(type);
        const double tolerance = type == at::kFloat ? 1e-5 : 2e-2;
        const auto close = [&](const at::Tensor& got, const at::Tensor& want) {
          return (got.to(at::kDouble) - want).abs().max().item<double>() <= tolerance * std::max(1.0, want.abs().max().item<double>());
        };
        const at::Tensor wide = dense.to(at::kDouble);
        const at::Tensor y = kernels::SumOfProducts({{x, {}, false, c.weight.get()}, {xa, b}}, bias, residual);
        const at::Tensor want = x.to(at::kDouble).mm(wide.t()) + xa.to(at::kDouble).mm(b.to(at::kDouble).t()) + bias.to(at::kDouble) + residual.to(at::kDouble);
        if (!close(y, want)) Fail(__FILE__, __LINE__, std::string(c.name) + ": forward");
        const at::Tensor dx = kernels::SumOfProducts({{dy, {}, true, c.weight.get()}}, {}, {});
        if (!close(dx, dy.to(at::kDouble).mm(wide))) Fail(__FILE__, __LINE__, std::string(c.name) + ": backward");
        if (rows >= 32 && type == at::kBFloat16) {  // the same packed tiles, so the same bits
          EXPECT(SameBits(y, kernels::SumOfProducts({{x, dense}, {xa, b}}, bias, residual)));
          EXPECT(SameBits(dx, kernels::SumOfProducts({{dy, dense, true}}, {}, {})));
        }
      }
    }
  }
}

TEST(quant_products_of_deep_and_wide_weights) {
  // More columns than one stretch of k, more rows than a tile.
  const at::Tensor w = Normal({200, 4500}, 3) * 0.02, x = Normal({50, 4500}, 4).to(at::kBFloat16), few = x.narrow(0, 0, 2);
  const Weight packed = quant::QuantizeFourBit(quant::Nf4(), w, {true, 64}, "w");
  const at::Tensor dense = packed->Dense(at::kBFloat16);
  EXPECT(SameBits(kernels::SumOfProducts({{x, {}, false, packed.get()}}, at::zeros({200}, at::kBFloat16), {}),
                  kernels::SumOfProducts({{x, dense}}, at::zeros({200}, at::kBFloat16), {})));
  const at::Tensor got = kernels::SumOfProducts({{few, {}, false, packed.get()}}, {}, {}), want = few.to(at::kDouble).mm(dense.to(at::kDouble).t());
  EXPECT((got.to(at::kDouble) - want).abs().max().item<double>() <= 1e-2 * want.abs().max().item<double>());
}

TEST(quant_stacked_parts_read_as_one_matrix) {
  const int64_t columns = 66;
  quant::StackedWeight stacked({5, 9, 2}, columns, at::kCPU);
  const at::Tensor w = Normal({16, columns}, 2);
  stacked.SetPart(0, quant::QuantizeFourBit(quant::Nf4(), w.narrow(0, 0, 5), {}, "a"));
  stacked.SetPart(2, quant::QuantizeInt8(w.narrow(0, 14, 2), 6.0, "c"));
  stacked.SetPart(1, quant::MakeDense(w.narrow(0, 5, 9)));
  EXPECT(!stacked.uniform_input());
  const at::Tensor expected = at::cat({stacked.part(0)->Composite(), w.narrow(0, 5, 9), stacked.part(2)->Composite()});
  EXPECT(at::equal(stacked.Dense(at::kFloat), expected));
  at::Tensor piece = at::empty({8, 10});
  stacked.Read(4, 8, 56, 10, piece.mutable_data_ptr<float>(), 10);
  EXPECT(at::equal(piece, expected.narrow(0, 4, 8).narrow(1, 56, 10)));
  EXPECT_THROWS_CODE(stacked.SetPart(0, quant::MakeDense(at::ones({4, columns}))), kTensorShape);
}

TEST(quant_errors_on_normal_weights) {
  const at::Tensor w = Normal({512, 1024}, 11) * 0.02;
  const double power = MeanSquare(w);
  const auto error = [&](const Weight& packed) { return std::sqrt(MeanSquare(packed->Dense(at::kFloat) - w) / power); };
  // Root mean square error over that of the weights. QLoRA's reason for nf4: it is below fp4.
  const double nf4 = error(quant::QuantizeFourBit(quant::Nf4(), w, {}, "w")), fp4 = error(quant::QuantizeFourBit(quant::Fp4(), w, {}, "w"));
  EXPECT(nf4 > 0.085 && nf4 < 0.10);
  EXPECT(fp4 > 0.11 && fp4 < 0.14);
  const double nested = error(quant::QuantizeFourBit(quant::Nf4(), w, {true, 64}, "w"));
  EXPECT(nested > 0.085 && nested < 1.02 * nf4);
  const double int8 = error(quant::QuantizeInt8(w, 6.0, "w"));
  EXPECT(int8 > 0.006 && int8 < 0.010);
}

TEST(quant_bytes_are_what_a_matrix_takes) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{7, 33}, {128, 256}}) {
    const at::Tensor w = Normal({rows, columns}, 1);
    EXPECT_EQ(quant::QuantizeFourBit(quant::Nf4(), w, {}, "w")->bytes(), quant::FourBitBytes(rows, columns, false));
    EXPECT_EQ(quant::QuantizeFourBit(quant::Fp4(), w, {true, 64}, "w")->bytes(), quant::FourBitBytes(rows, columns, true));
    EXPECT_EQ(quant::QuantizeInt8(w, 6.0, "w")->bytes(), quant::Int8Bytes(rows, columns));
  }
}

TEST(quant_keeps_zeros_and_the_largest_value) {
  at::Tensor w = at::zeros({2, 64});
  w[1][5] = -3.5;
  for (const bool nested : {false, true}) {
    const at::Tensor read = quant::QuantizeFourBit(quant::Nf4(), w, {nested, 64}, "w")->Dense(at::kFloat);
    EXPECT(read.isfinite().all().item<bool>());
    EXPECT_CLOSE(read[1][5].item<double>(), -3.5, 1e-6);
    EXPECT_EQ(read[0].abs().max().item<double>(), 0.0);
    EXPECT_EQ(read[1].abs().sum().item<double>(), read[1][5].abs().item<double>());
  }
  EXPECT(at::equal(quant::QuantizeInt8(w, 6.0, "w")->Dense(at::kFloat), w));
}

TEST(quant_int8_rows_keep_outlier_columns) {
  at::Tensor x = Normal({6, 50}, 12).clamp(-4, 4);
  x[2][7] = 9.0, x[4][31] = -6.0;
  x[5].zero_();
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor in = x.to(type), out = kernels::RoundToInt8Rows(in, 6.0);
    EXPECT(at::equal(out, kernels::composite::RoundToInt8Rows(in, 6.0)));
    EXPECT(at::equal(out.select(1, 7), in.select(1, 7)) && at::equal(out.select(1, 31), in.select(1, 31)));
    EXPECT(!at::equal(out.select(1, 8), in.select(1, 8)));
    EXPECT_EQ(out[5].abs().max().item<double>(), 0.0);
    const double step = x[0].abs().max().item<double>() / 127;
    EXPECT((out[0].to(at::kFloat) - x[0]).abs().max().item<double>() <= step * (type == at::kFloat ? 0.51 : 2.0));
    // Without a threshold the large value decides the steps of its row.
    EXPECT_CLOSE(kernels::RoundToInt8Rows(in, 0.0)[2][7].item<double>(), 9.0, 1e-6);
  }
}

TEST(quant_refuses_what_does_not_fit) {
  const at::Tensor w = Normal({4, 64}, 1);
  at::Tensor broken = w.clone();
  broken[1][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROWS_CODE(quant::QuantizeFourBit(quant::Nf4(), broken, {}, "w"), kSafetensors);
  EXPECT_THROWS_CODE(quant::QuantizeInt8(broken, 6.0, "w"), kSafetensors);
  EXPECT_THROWS_CODE(FourByFour(127, 4), kTensorShape);
  EXPECT_THROWS_CODE(FourByFour(128, 3), kTensorShape);
  EXPECT_EQ(FourByFour(128, 4)->rows(), 4);
  EXPECT_THROWS_CODE(quant::MakeInt8({at::zeros({4, 8}, at::kChar), at::ones({3}), 6.0}, "w"), kTensorShape);
  EXPECT_THROWS_CODE(quant::MakeFloat8({Bytes({4, 8}), at::ones({2, 1}), 128, 128}, "w"), kTensorShape);
  EXPECT_THROWS_CODE(quant::MakeMxfp4({Bytes({4, 2, 15}), Bytes({4, 2})}, "w"), kTensorShape);
  EXPECT_THROWS_CODE(quant::MakeMxfp4({Bytes({4, 2, 16}), Bytes({4, 3})}, "w"), kTensorShape);
  quant::GptqFiles gptq{4, 32, true, at::zeros({8, 16}, at::kInt), at::zeros({2, 2}, at::kInt), at::ones({2, 16}), {}};
  EXPECT_EQ(quant::FromGptq(gptq, 16, 64, "w")->rows(), 16);
  gptq.g_idx = at::full({64}, 2, at::kInt);
  EXPECT_THROWS_CODE(quant::FromGptq(gptq, 16, 64, "w"), kTensorShape);
  EXPECT_THROWS_CODE(quant::FromGptq(gptq, 16, 72, "w"), kTensorShape);
  gptq.bits = 3;
  EXPECT_THROWS_CODE(quant::FromGptq(gptq, 16, 64, "w"), kUnsupportedModel);
}

}  // namespace ft::test
