// The engine's benchmark harness, without Node. One command a question; each prints JSON lines.
//   ft_bench matmul  --shapes 2048x576x1536,… --dtype bf16 --device cpu     TFLOP/s of x[m, k] · w[n, k]ᵀ
//   ft_bench kernels --tokens 2048 --hidden 576 --ffn 1536 --heads 9 --kv-heads 3 --length 512 --dtype bf16
//   ft_bench step    --model <folder> --dtype bf16 --batch-size 4 --length 512 --method lora --r 16 --steps 5 --profile true
//   ft_bench step    --shape llama-8b --device cuda --batch-size 2 --length 4096      random weights; utilisation and device memory too
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#ifdef FT_WITH_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#endif

#include "arguments.h"
#include "core/base/memory.h"
#include "core/engine/device.h"
#include "core/engine/optimizer.h"
#include "core/kernels/adamw.h"
#include "core/kernels/attention.h"
#include "core/kernels/gate.h"
#include "core/kernels/layer_norm.h"
#include "core/kernels/linear.h"
#include "core/kernels/norm.h"
#include "core/kernels/rope.h"
#include "model_shapes.h"
#include "operator_profile.h"
#include "timing.h"

namespace ft {
namespace {

using bench::Arguments;
using bench::Median;
using bench::SecondsOf;

struct Product {
  int64_t m, k, n;
};

std::vector<Product> ParseShapes(const std::string& text) {
  std::vector<Product> products;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    Product p{};
    long long m = 0, k = 0, n = 0;
    FT_CHECK(std::sscanf(text.substr(at, end - at).c_str(), "%lldx%lldx%lld", &m, &k, &n) == 3 && m > 0 && k > 0 && n > 0, kUsage,
             "a shape is m x k x n as in 2048x576x1536, got {}", text.substr(at, end - at));
    p.m = m, p.k = k, p.n = n;
    products.push_back(p);
    at = end + 1;
  }
  return products;
}

// TFLOP/s, the best of eight passes.
double MatrixRate(const Product& p, const at::TensorOptions& options) {
  const at::Tensor x = at::randn({p.m, p.k}, options);
  std::vector<at::Tensor> weights;
  for (int i = 0; i < 4; ++i) weights.push_back(at::randn({p.n, p.k}, options));
  double best = 0;
  for (int pass = 0; pass < 8; ++pass) {
    const double seconds = SecondsOf(options.device(), [&] {
      for (const at::Tensor& w : weights) at::mm(x, w.t());
    });
    best = std::max(best, 8.0 * static_cast<double>(p.m) * static_cast<double>(p.k) * static_cast<double>(p.n) / seconds / 1e12);
  }
  return best;
}

int Matmul(const Arguments& arguments) {
  const at::NoGradGuard no_grad;
  const at::Device device = ParseDevice(arguments.Text("device", "cpu"));
  const at::ScalarType dtype = ParseDtype(arguments.Text("dtype", "bf16"));
  const auto options = at::TensorOptions(dtype).device(device);
  std::string shapes;
  std::vector<double> rates;
  for (const Product& p : ParseShapes(arguments.Text("shapes", "2048x576x576,2048x576x3072,2048x1536x576"))) {
    const double best = MatrixRate(p, options);
    rates.push_back(best);
    shapes += fmt::format("{}{{\"m\":{},\"k\":{},\"n\":{},\"tflops\":{:.4f}}}", shapes.empty() ? "" : ",", p.m, p.k, p.n, best);
  }
  std::nth_element(rates.begin(), rates.begin() + static_cast<int64_t>(rates.size() / 2), rates.end());
  fmt::print("{{\"event\":\"matmul\",\"dtype\":\"{}\",\"device\":\"{}\",\"threads\":{},\"shapes\":[{}],\"tflops\":{:.4f}}}\n", DtypeName(dtype),
             arguments.Text("device", "cpu"), at::get_num_threads(), shapes, rates[rates.size() / 2]);
  return 0;
}

int Kernels(const Arguments& arguments) {
  const at::NoGradGuard no_grad;
  const at::Device device = ParseDevice(arguments.Text("device", "cpu"));
  const auto options = at::TensorOptions(ParseDtype(arguments.Text("dtype", "bf16"))).device(device);
  const int64_t tokens = arguments.Number("tokens", 2048), hidden = arguments.Number("hidden", 576), ffn = arguments.Number("ffn", 1536);
  const int64_t heads = arguments.Number("heads", 9), kv_heads = arguments.Number("kv-heads", 3), length = arguments.Number("length", 512);
  const int passes = static_cast<int>(arguments.Number("passes", 9));
  const int64_t d = hidden / heads;
  const auto report = [&](const std::string& name, const std::function<void()>& work) {
    fmt::print("{{\"event\":\"kernel\",\"name\":\"{}\",\"milliseconds\":{:.3f}}}\n", name, 1e3 * Median(device, work, passes));
    std::fflush(stdout);
  };
  const at::Tensor x = at::randn({tokens, hidden}, options), w = at::randn({hidden}, options), gate_up = at::randn({tokens, 2 * ffn}, options);
  const at::Tensor dy = at::randn({tokens, ffn}, options), q = at::randn({tokens, heads, d}, options);
  const at::Tensor k = at::randn({tokens, kv_heads, d}, options), v = at::randn({tokens, kv_heads, d}, options);
  const at::Tensor angle = at::rand({tokens, d / 2}, options.dtype(at::kFloat));
  std::vector<int64_t> offsets;
  for (int64_t at = 0; at <= tokens; at += length) offsets.push_back(at);
  FT_CHECK(offsets.back() == tokens, kUsage, "--tokens must be a multiple of --length");
  const kernels::AttentionOptions attention{1.0 / 8, 0};
  const auto rstd = std::get<1>(kernels::RmsNorm(x, w, 1e-6));
  const auto forward = kernels::Attention(q, k, v, offsets, attention);
  const at::Tensor up = at::randn({2 * ffn, hidden}, options), grad_up = at::randn({tokens, 2 * ffn}, options);
  report("product_aten", [&] { at::mm(x, up.t()); });
  report("product", [&] { kernels::SumOfProducts({{x, up}}, {}, {}); });
  report("product_by_rows_aten", [&] { at::mm(grad_up, up); });
  report("product_by_rows", [&] { kernels::SumOfProducts({{grad_up, up, true}}, {}, {}); });
  const int64_t vocab = arguments.Number("vocab", 49152);
  const at::Tensor head = at::randn({vocab, hidden}, options), rows = at::randn({1024, hidden}, options);
  at::Tensor logits;
  report("head_aten", [&] { logits = at::mm(rows, head.t()); });
  report("head", [&] { logits = kernels::SumOfProducts({{rows, head}}, {}, {}); });
  for (const int64_t few : {1, 4, 16, 31}) {
    report(fmt::format("head_{}_rows", few), [&] { kernels::SumOfProducts({{rows.narrow(0, 0, few), head}}, {}, {}); });
  }
  report("head_by_rows_aten", [&] { at::mm(logits, head); });
  report("head_by_rows", [&] { kernels::SumOfProducts({{logits, head, true}}, {}, {}); });
  at::Tensor weight_grad = at::zeros({2 * ffn, hidden}, options), low_grad = at::zeros({2 * ffn, 16}, options.dtype(at::kFloat)), low_grad_t = low_grad.t();
  const at::Tensor low = at::randn({tokens, 16}, options);
  report("outer_product_aten", [&] { weight_grad.addmm_(grad_up.t(), x); });
  report("outer_product", [&] { kernels::AddOuterProduct(weight_grad, grad_up, x, 1.0); });
  report("outer_product_low_aten", [&] { low_grad.add_(at::mm(grad_up.t(), low)); });
  report("outer_product_low", [&] { kernels::AddOuterProduct(low_grad_t, low, grad_up, 1.0); });
  report("rms_norm", [&] { kernels::RmsNorm(x, w, 1e-6); });
  report("rms_norm_backward", [&] { kernels::RmsNormBackward(x, x, rstd, w, {}); });
  report("rms_norm_backward_again", [&] {
    at::Tensor y;
    kernels::RmsNormBackward(x, x, rstd, w, {}, &y);
  });
  const auto layer = kernels::LayerNorm(x, w, w, 1e-5);
  at::Tensor norm_grad = at::zeros({hidden}, options.dtype(at::kFloat)), bias_grad = norm_grad.clone();
  report("layer_norm", [&] { kernels::LayerNorm(x, w, w, 1e-5); });
  report("layer_norm_backward", [&] { kernels::LayerNormBackward(x, x, layer.mean, layer.rstd, w, norm_grad, bias_grad); });
  report("rotate", [&] { kernels::Rotate(q, angle, angle, false); });
  for (const auto& [name, activation] : {std::pair{"gate", Activation::kSilu}, {"gate_gelu", Activation::kGelu}, {"gate_gelu_tanh", Activation::kGeluTanh}}) {
    report(name, [&] { kernels::Gate(gate_up, activation); });
    report(fmt::format("{}_backward", name), [&] { kernels::GateBackward(dy, gate_up, activation); });
    report(fmt::format("{}_backward_again", name), [&] {
      at::Tensor y;
      kernels::GateBackward(dy, gate_up, activation, &y);
    });
  }
  at::Tensor master = at::randn({4 << 20}, options.dtype(at::kFloat)), first = at::zeros_like(master), second = at::zeros_like(master);
  at::Tensor compute = master.to(options.dtype()), gradient = at::zeros_like(compute);
  report("adamw_4m", [&] { kernels::AdamW(master, compute, gradient, first, second, {.learning_rate = 1e-4}); });
  report("sum_of_squares_4m", [&] { kernels::SumOfSquares({gradient}); });
  report("attention", [&] { kernels::Attention(q, k, v, offsets, attention); });
  report("attention_backward", [&] { kernels::AttentionBackward(q, q, k, v, forward, offsets, attention); });
  return 0;
}

HostBatch RandomRows(int64_t rows, int64_t length, int64_t vocab, int64_t seed) {
  HostBatch batch;
  batch.cu_seqlens.push_back(0);
  auto state = static_cast<uint32_t>(seed);
  for (int64_t i = 0; i < rows * length; ++i) {
    state = state * 1664525u + 1013904223u;
    batch.input_ids.push_back(static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(vocab)));
    if ((i + 1) % length == 0) batch.cu_seqlens.push_back(static_cast<int32_t>(i + 1));
  }
  batch.labels = batch.input_ids;
  return batch;
}

// What the allocator of a CUDA device handed out at most; 0 on other devices.
int64_t PeakDeviceBytes([[maybe_unused]] const at::Device& device) {
#ifdef FT_WITH_CUDA
  if (device.is_cuda()) {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
    return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  }
#endif
  return 0;
}

// The rate of the model's own products at this many tokens: the median of attention's, the MLP's way up and its way down.
double ModelMatrixRate(Decoder& decoder, int64_t tokens) {
  const at::NoGradGuard no_grad;
  const DecoderSpec& spec = decoder.spec();
  const int64_t hidden = spec.hidden_size, ffn = spec.intermediate_size;
  std::vector<double> rates;
  for (const Product& p : {Product{tokens, hidden, hidden}, Product{tokens, hidden, 2 * ffn}, Product{tokens, ffn, hidden}}) {
    rates.push_back(MatrixRate(p, at::TensorOptions(decoder.dtype()).device(decoder.device())));
  }
  std::sort(rates.begin(), rates.end());
  return rates[1];
}

int Step(const Arguments& arguments) {
  LoadOptions load;
  const std::string shape = arguments.Text("shape", "");
  std::optional<bench::ShapeFolder> folder;
  if (!shape.empty()) folder.emplace(shape);
  load.path = folder ? folder->path() : arguments.Text("model", ".");
  load.dtype = arguments.Text("dtype", "bf16");
  load.device = arguments.Text("device", "cpu");
  load.random_init = true;
  load.quantization.scheme = arguments.Text("quantize", "");
  auto model = Model::Load(load, nullptr, nullptr);
  std::shared_ptr<Adapter> adapter;
  const std::string method = arguments.Text("method", "lora");
  if (method == "lora") {
    AdapterOptions options;
    const int64_t r = arguments.Number("r", 16);
    for (LinearGroup* group : model->decoder().Groups()) {
      for (const LinearPart& part : group->parts) {
        if (part.name != model->spec().names.lm_head) options.targets.push_back({part.name, r, 2.0});
      }
    }
    adapter = Adapter::Create(model, options);
  } else {
    FT_CHECK(method == "full", kUsage, "--method is lora or full, got {}", method);
    model->SetTrainable();
  }
  auto optimizer = Optimizer::Create(model, {});
  const int64_t batch_size = arguments.Number("batch-size", 4), length = arguments.Number("length", 512);
  // On a CPU this takes as long as a step: `matmul` answers it there.
  const double matrix_rate = load.device == "cpu" ? 0 : ModelMatrixRate(model->decoder(), batch_size * length);
  std::vector<double> rates;
  StepOptions options;
  options.learning_rate = 1e-4;
  options.max_grad_norm = 1.0;
  options.checkpointed_layers = arguments.Text("gradient-checkpointing", "false") == "true" ? kAllLayers : 0;
  std::optional<bench::OperatorProfile> profile;
  for (int64_t i = 0; i < arguments.Number("steps", 5); ++i) {
    if (i == 1 && arguments.Text("profile", "false") == "true") profile.emplace();
    options.step = static_cast<uint64_t>(i);
    StepResult result;
    const double seconds = SecondsOf(model->decoder().device(), [&] {
      result = optimizer->Step({RandomRows(batch_size, length, model->spec().vocab_size, i)}, options, nullptr);
    });
    fmt::print("{{\"event\":\"step\",\"step\":{},\"loss\":{:.6f},\"grad_norm\":{:.6f},\"tokens\":{},\"seconds\":{:.4f},\"tokens_per_second\":{:.1f},"
               "\"forward_seconds\":{:.4f},\"backward_seconds\":{:.4f},\"optimizer_seconds\":{:.4f},\"peak_rss_bytes\":{}}}\n",
               i + 1, result.loss, result.grad_norm, result.tokens, seconds, static_cast<double>(result.tokens) / seconds, result.forward_seconds,
               result.backward_seconds, result.optimizer_seconds, PeakResidentBytes());
    std::fflush(stdout);
    if (i > 0) rates.push_back(static_cast<double>(result.tokens) / seconds);
  }
  if (matrix_rate > 0 && !rates.empty()) {
    std::nth_element(rates.begin(), rates.begin() + static_cast<int64_t>(rates.size() / 2), rates.end());
    const double rate = rates[rates.size() / 2];
    const double tflops = rate * bench::FlopsPerToken(model->decoder(), method == "full", length) / 1e12;
    fmt::print("{{\"event\":\"summary\",\"model\":\"{}\",\"parameters\":{},\"tokens_per_second\":{:.1f},\"tflops\":{:.2f},\"matrix_tflops\":{:.2f},"
               "\"utilisation\":{:.4f},\"peak_device_bytes\":{}}}\n",
               shape.empty() ? load.path : shape, model->NumParameters(), rate, tflops, matrix_rate, tflops / matrix_rate,
               PeakDeviceBytes(model->decoder().device()));
  }
  if (profile) profile->Print();
  return 0;
}

int Run(int argc, char** argv) {
  const std::map<std::string, int (*)(const Arguments&)> commands = {{"matmul", Matmul}, {"kernels", Kernels}, {"step", Step}};
  const auto command = argc > 1 ? commands.find(argv[1]) : commands.end();
  FT_CHECK(command != commands.end(), kUsage, "usage: ft_bench matmul|kernels|step [--name value …]");
  return command->second(Arguments(argc, argv));
}

}  // namespace
}  // namespace ft

int main(int argc, char** argv) {
  try {
    return ft::Run(argc, argv);
  } catch (const ft::Error& error) {
    fmt::print(stderr, "{} ({})\n", error.what(), ft::ErrorCodeName(error.code()));
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
  }
  return 2;
}
