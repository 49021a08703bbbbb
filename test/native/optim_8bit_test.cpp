// AdamW with 8-bit moments: the published code, kernels against each other, its distance from fp32 AdamW, and state on disk.
#include <ATen/ATen.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "core/base/json.h"
#include "core/base/paged_memory.h"
#include "core/engine/optimizer.h"
#include "core/kernels/adamw.h"
#include "core/kernels/adamw_8bit.h"
#include "core/kernels/dynamic_code.h"
#include "core/optim/optimizer_method.h"
#include "nn_reference.h"
#include "test.h"

namespace ft::test {
namespace {

using kernels::DynamicCode;
using kernels::kDynamicBlock;

kernels::Moments8bit NoMoments(int64_t n) {
  const int64_t blocks = (n + kDynamicBlock - 1) / kDynamicBlock;
  return {at::zeros({n}, at::kByte), at::zeros({blocks}), at::zeros({n}, at::kByte), at::zeros({blocks})};
}

at::Tensor Decoded(const DynamicCode& code, const at::Tensor& codes, const at::Tensor& maxima) {
  at::Tensor out = at::empty({codes.numel()}, at::kFloat);
  for (int64_t begin = 0; begin < codes.numel(); begin += kDynamicBlock) {
    code.DecodeBlock(codes.const_data_ptr<uint8_t>() + begin, maxima[begin / kDynamicBlock].item<float>(), std::min(kDynamicBlock, codes.numel() - begin),
                     out.mutable_data_ptr<float>() + begin);
  }
  return out;
}

// By the definition: the nearest of all values, the lower of two; what is below zero stays there.
uint8_t NearestByDefinition(const DynamicCode& code, float x) {
  int best = 0;
  for (int c = 1; c < 256; ++c) {
    const float midpoint = 0.5f * (code.values()[static_cast<size_t>(c - 1)] + code.values()[static_cast<size_t>(c)]);
    if (x > midpoint) best = c;
  }
  return static_cast<uint8_t>(x < 0 && best > 0 && code.value(static_cast<uint8_t>(best)) == 0.0f ? best - 1 : best);
}

const DynamicCode* const kCodes[] = {&DynamicCode::Signed(), &DynamicCode::Unsigned()};

}  // namespace

TEST(optim_8bit_code_is_the_published_one) {
  std::ifstream file(FT_FIXTURES "/quantization/dynamic-code.json");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const Json json = Json::Parse(text, {});
  for (const DynamicCode* code : kCodes) {
    const auto& expected = json.Find(code == kCodes[0] ? "signed" : "unsigned")->AsArray();
    EXPECT_EQ(expected.size(), size_t{256});
    for (size_t i = 0; i < 256; ++i) EXPECT_EQ(static_cast<int64_t>(std::bit_cast<uint32_t>(code->values()[i])), expected[i].AsInt());
  }
}

TEST(optim_8bit_encodes_to_the_nearest_value) {
  for (const DynamicCode* code : kCodes) {
    std::vector<float> samples = {0.0f, -0.0f, 1.0f, -1.0f, 2.0f, -2.0f, 1e-30f, -1e-30f, 2.9e-8f, -2.9e-8f, INFINITY, -INFINITY};
    for (const float value : code->values()) {
      for (const float x : {value, std::nextafter(value, 2.0f), std::nextafter(value, -2.0f)}) samples.push_back(x);
    }
    for (size_t c = 0; c < 255; ++c) {
      const float midpoint = 0.5f * (code->values()[c] + code->values()[c + 1]);
      for (const float x : {midpoint, std::nextafter(midpoint, 2.0f), std::nextafter(midpoint, -2.0f)}) samples.push_back(x);
    }
    const at::Tensor random = at::pow(10.0, at::rand({20000}).mul(-9)).mul(at::randn({20000}).sign());
    for (int64_t i = 0; i < random.numel(); ++i) samples.push_back(random.const_data_ptr<float>()[i]);
    for (const float x : samples) EXPECT_EQ(static_cast<int>(code->Encode(x)), static_cast<int>(NearestByDefinition(*code, x)));
    EXPECT_EQ(code->value(code->Encode(NAN)), 0.0f);
    for (int c = 0; c < 256; ++c) EXPECT_EQ(static_cast<int>(code->Encode(code->value(static_cast<uint8_t>(c)))), c);
  }
  const std::vector<float> zeros(300, 0.0f), huge = {INFINITY, 1.0f};
  uint8_t codes[2];
  EXPECT_EQ(DynamicCode::Signed().EncodeBlock(zeros.data(), 2, codes), 0.0f);
  EXPECT_EQ(DynamicCode::Signed().value(codes[1]), 0.0f);
  EXPECT(std::isfinite(DynamicCode::Signed().EncodeBlock(huge.data(), 2, codes)));
}

TEST(optim_8bit_kernel_matches_composite) {
  for (const auto& [grad_type, compute_type] : {std::pair{at::kFloat, at::kFloat}, {at::kFloat, at::kBFloat16}, {at::kBFloat16, at::kBFloat16}, {at::kHalf, at::kHalf}}) {
    for (const int64_t n : {1, 255, 257, 70001}) {
      at::Tensor master = at::randn({n}), compute = compute_type == at::kFloat ? master : master.to(compute_type);
      at::Tensor plain = master.clone(), plain_compute = compute_type == at::kFloat ? plain : compute.clone();
      kernels::Moments8bit moments = NoMoments(n), plain_moments = NoMoments(n);
      for (int64_t count = 1; count <= 4; ++count) {
        at::Tensor grad = (at::randn({n}) * 0.01).to(grad_type), plain_grad = grad.clone();
        const kernels::AdamWStep step{.learning_rate = 1e-2, .weight_decay = 0.1, .count = count, .grad_scale = 0.7};
        kernels::AdamW8bit(master, compute, grad, moments, step);
        kernels::composite::AdamW8bit(plain, plain_compute, plain_grad, plain_moments, step);
        EXPECT(grad.count_nonzero().item<int64_t>() == 0 && plain_grad.count_nonzero().item<int64_t>() == 0);
        // A moment on the edge between two codes may fall on either side.
        const auto off = [](const at::Tensor& a, const at::Tensor& b) { return a.to(at::kInt).sub(b.to(at::kInt)).abs(); };
        for (const at::Tensor& d : {off(moments.exp_avg, plain_moments.exp_avg), off(moments.exp_avg_sq, plain_moments.exp_avg_sq)}) {
          EXPECT(d.max().item<int>() <= 1 && d.count_nonzero().item<int64_t>() <= 1 + n / 5000);
        }
        EXPECT(RelativeError(moments.exp_avg_max, plain_moments.exp_avg_max) < 1e-5 && RelativeError(moments.exp_avg_sq_max, plain_moments.exp_avg_sq_max) < 1e-5);
      }
      EXPECT(RelativeError(master, plain) < 2e-4);
      EXPECT(at::equal(compute, compute_type == at::kFloat ? master : master.to(compute_type)));
    }
  }
}

// The bounds of bitsandbytes' own test (tests/test_optim.py, test_optimizer8bit, fp32): after every step the parameters are compared,
// then both go on from the same parameters and moments.
TEST(optim_8bit_stays_within_the_published_tolerance) {
  const int64_t n = 1024 * 97;
  at::manual_seed(1);
  at::Tensor p32 = at::randn({n}) * 0.1, p8 = p32.clone(), m = at::zeros({n}), v = at::zeros({n});
  kernels::Moments8bit moments = NoMoments(n);
  for (int64_t count = 1; count <= 200; ++count) {
    at::Tensor grad = at::randn({n}) * 0.01, same = grad.clone();
    const kernels::AdamWStep step{.learning_rate = 1e-3, .weight_decay = 0.01, .count = count};
    kernels::AdamW(p32, p32, grad, m, v, step);
    kernels::AdamW8bit(p8, p8, same, moments, step);
    const at::Tensor error = p32.sub(p8).abs();
    EXPECT(error.mean().item<double>() < 0.00006);
    EXPECT(error.div(p32.abs().add(1e-9)).mean().item<double>() < 0.0006);
    const at::Tensor m8 = Decoded(DynamicCode::Signed(), moments.exp_avg, moments.exp_avg_max), v8 = Decoded(DynamicCode::Unsigned(), moments.exp_avg_sq, moments.exp_avg_sq_max);
    for (const auto& [exact, coded] : {std::pair{m, m8}, {v, v8}}) EXPECT(at::isclose(exact, coded, 1e-3, 3e-3).logical_not().sum().item<int64_t>() < 20);
    p8.copy_(p32), m.copy_(m8), v.copy_(v8);
  }
}

// Left alone for some hundred steps, both find the same answer of a least-squares problem in float64.
TEST(optim_8bit_learns_what_fp32_learns) {
  at::manual_seed(2);
  const at::Tensor x = at::randn({512, 80}, at::kDouble), answer = at::randn({80, 60}, at::kDouble), y = at::matmul(x, answer);
  const auto loss_after = [&](const char* type, int steps) {
    ParameterBlock block;
    block.master = block.compute = at::zeros({80 * 60});
    block.grad = at::zeros({80 * 60});
    block.views = {{"w", {80, 60}, 0, 80 * 60}};
    std::vector<ParameterBlock> blocks = {block};
    OptimizerOptions options;
    options.type = type;
    const auto method = MakeOptimizerMethod(options, blocks);
    double loss = 0;
    for (int i = 0; i < steps; ++i) {
      const at::Tensor error = at::matmul(x, blocks[0].master.view({80, 60}).to(at::kDouble)) - y;
      loss = error.square().mean().item<double>();
      blocks[0].grad.copy_(at::matmul(x.t(), error).div_(512.0).view({-1}));
      method->Update(blocks, 2e-2, 1.0);
    }
    return loss;
  };
  const double start = loss_after("adamw", 1);
  for (const int steps : {100, 300}) {
    const double exact = loss_after("adamw", steps), coded = loss_after("adamw_8bit", steps);
    EXPECT(exact < start / 20);
    EXPECT(std::fabs(coded - exact) < 0.005 * start);
    EXPECT_EQ(loss_after("paged_adamw_8bit", steps), coded);
  }
}

TEST(optim_8bit_resumes_bit_for_bit) {
  for (const char* type : {"adamw_8bit", "paged_adamw_8bit"}) {
    const std::string folder = TempFolder().string();
    OptimizerOptions options;
    options.type = type;
    const auto make = [&] {
      auto model = RandomModel(folder, "bf16");
      AdapterOptions lora;
      for (LinearGroup* group : model->decoder().Groups()) {
        for (const LinearPart& part : group->parts) lora.targets.push_back({part.name, part.name.find("q_proj") != std::string::npos ? 3 : 257, 0.5});
      }
      auto adapter = Adapter::Create(model, lora);
      return std::make_tuple(model, adapter, Optimizer::Create(model, options));
    };
    const auto step = [](Optimizer& optimizer, int i) {
      StepOptions settings;
      settings.learning_rate = 1e-2, settings.max_grad_norm = 1.0, settings.step = static_cast<uint64_t>(i);
      return optimizer.Step({MakeRows({9, 14}, 61, 2, i)}, settings, nullptr);
    };
    const auto [model, adapter, optimizer] = make();
    int64_t large = 0, small = 0;
    for (const ParameterView& view : adapter->blocks()[0].views) (view.numel >= 4096 ? large : small) += view.numel;
    EXPECT(large > 0 && small > 0);
    EXPECT(optimizer->StateBytes() > 2 * large + 8 * small && optimizer->StateBytes() < 2 * large + 8 * small + large / 20);
    for (int i = 0; i < 3; ++i) EXPECT(step(*optimizer, i).applied);
    optimizer->Save(folder + "/optimizer.safetensors");
    adapter->Save(folder + "/adapter_model.safetensors");
    const auto [model2, adapter2, optimizer2] = make();
    adapter2->Load(folder + "/adapter_model.safetensors");
    optimizer2->Load(folder + "/optimizer.safetensors");
    for (int i = 3; i < 6; ++i) EXPECT_EQ(step(*optimizer2, i).loss, step(*optimizer, i).loss);
    EXPECT(at::equal(adapter2->blocks()[0].master, adapter->blocks()[0].master));
    OptimizerOptions exact;
    const auto other = Optimizer::Create(model2, exact);
    EXPECT_THROWS_CODE(other->Load(folder + "/optimizer.safetensors"), kCheckpoint);
  }
}

TEST(optim_paged_memory_is_zeros_and_says_where_it_finds_no_room) {
  const auto memory = PagedMemory(1 << 20);
  const auto* bytes = static_cast<const unsigned char*>(memory.get());
  EXPECT(std::all_of(bytes, bytes + (1 << 20), [](unsigned char b) { return b == 0; }));
  const char* before = std::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("TMPDIR", (TempFolder() / "none").c_str(), 1);
  EXPECT_THROWS_CODE(PagedMemory(4096), kStorage);
  if (before == nullptr) {
    ::unsetenv("TMPDIR");
  } else {
    ::setenv("TMPDIR", kept.c_str(), 1);
  }
}

}  // namespace ft::test
