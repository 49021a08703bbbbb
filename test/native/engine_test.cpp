// Does the engine compute what the reference computes, for every split, recomputation and reload?
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "core/engine/generation.h"
#include "core/engine/merge.h"
#include "core/engine/optimizer.h"
#include "core/engine/sampling.h"
#include "core/io/safetensors.h"
#include "core/nn/expected_tensors.h"
#include "nn_reference.h"
#include "test.h"

namespace ft::test {
namespace {

constexpr double kTolerance = 2e-5;  // fp32 against float64

// Biases and norms away from 0 and 1, so that each of them matters.
void Shake(Model& model) {
  at::NoGradGuard no_grad;
  at::manual_seed(3);
  for (const auto& named : model.decoder().NamedTensors()) {
    if (named.tensor.dim() == 1) at::Tensor(named.tensor).add_(at::randn_like(named.tensor), 0.2);
  }
}

std::vector<LoraTarget> AllTargets(Model& model, int64_t r = 3) {
  std::vector<LoraTarget> targets;
  for (LinearGroup* group : model.decoder().Groups()) {
    for (const LinearPart& part : group->parts) {
      if (part.name != "lm_head") targets.push_back({part.name, r++ % 4 + 1, 0.5 + 0.25 * static_cast<double>(r % 3)});
    }
  }
  return targets;
}

std::shared_ptr<Adapter> AddAdapter(const std::shared_ptr<Model>& model, const std::vector<LoraTarget>& targets, double dropout = 0) {
  AdapterOptions options;
  options.targets = targets;
  options.dropout = dropout;
  options.seed = 5;
  auto adapter = Adapter::Create(model, options);
  at::NoGradGuard no_grad;
  at::manual_seed(11);
  for (ParameterBlock& block : adapter->blocks()) {  // B away from 0, or A has no gradient
    for (const ParameterView& view : block.views) block.master.narrow(0, view.offset, view.numel).normal_(0, 0.2);
    block.MasterChanged();
  }
  return adapter;
}

Weights CopyAdapter(Adapter& adapter) {
  Weights weights;
  for (const ParameterBlock& block : adapter.blocks()) {
    for (const ParameterView& view : block.views) {
      weights[view.name] = block.master.narrow(0, view.offset, view.numel).view(view.shape).to(at::kDouble).clone().requires_grad_(true);
    }
  }
  return weights;
}

void ExpectGradients(Optimizer& optimizer, const Weights& reference, int64_t supervised, double tolerance) {
  for (const auto& gradient : optimizer.Gradients()) {
    const at::Tensor expected = reference.at(gradient.name).grad();
    if (!expected.defined()) {
      Fail(__FILE__, __LINE__, "the reference has no gradient for " + gradient.name);
      continue;
    }
    const double error = RelativeError(gradient.data.view(gradient.shape), expected / static_cast<double>(supervised));
    if (!(error <= tolerance)) Fail(__FILE__, __LINE__, gradient.name + ": relative error " + Show(error));
  }
}

StepOptions Options(uint64_t step = 0, bool checkpointing = false) {
  StepOptions options;
  options.learning_rate = 1e-2;
  options.max_grad_norm = 1.0;
  options.seed = 9;
  options.step = step;
  options.checkpointed_layers = checkpointing ? kAllLayers : 0;
  return options;
}

// All gradients as one vector, for comparisons of the engine with itself.
at::Tensor Flat(Optimizer& optimizer) {
  std::vector<at::Tensor> parts;
  for (const auto& gradient : optimizer.Gradients()) parts.push_back(gradient.data.view({-1}));
  return at::cat(parts);
}

const char* kVariants[] = {
    "",
    R"(,"sliding_window":4,"use_sliding_window":true,"max_window_layers":1)",
    R"(,"rope_scaling":{"rope_type":"linear","factor":3.0})",
    R"(,"rope_scaling":{"rope_type":"dynamic","factor":2.0})",
    R"(,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":16})",
    R"(,"rope_scaling":{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":8})",
};

}  // namespace

TEST(engine_logits_match_reference) {
  for (const char* extra : kVariants) {
    auto model = RandomModel(TempFolder().string(), "fp32", false, extra);
    Shake(*model);
    const HostBatch batch = MakeRows({9, 1, 37, 37, 2}, 61);
    const at::Tensor logits = model->Forward(batch, nullptr);
    const Weights weights = CopyWeights(model->decoder());
    for (size_t r = 0; r + 1 < batch.cu_seqlens.size(); ++r) {
      const int begin = batch.cu_seqlens[r], end = batch.cu_seqlens[r + 1];
      const at::Tensor expected = ReferenceLogits(model->spec(), weights, {batch.input_ids.begin() + begin, batch.input_ids.begin() + end});
      EXPECT(RelativeError(logits.narrow(0, begin, end - begin), expected) < kTolerance);
    }
  }
}

TEST(engine_eager_attention_is_the_same) {
  const std::string folder = TempFolder().string();
  auto model = RandomModel(folder, "fp32", false, kVariants[1]);
  LoadOptions options;
  options.path = folder;
  options.random_init = true;
  options.seed = 7;
  options.attention = "eager";
  const HostBatch batch = MakeRows({9, 20}, 61);
  EXPECT(RelativeError(Model::Load(options, nullptr, nullptr)->Forward(batch, nullptr), model->Forward(batch, nullptr)) < 1e-5);
  options.attention = "fast";
  EXPECT_THROWS_CODE(Model::Load(options, nullptr, nullptr), kInvalidArgument);
}

TEST(engine_lora_gradients_match_reference) {
  for (const bool checkpointing : {false, true}) {
    for (const char* extra : kVariants) {
      auto model = RandomModel(TempFolder().string(), "fp32", checkpointing, extra);
      Shake(*model);
      const auto targets = AllTargets(*model);
      auto adapter = AddAdapter(model, targets);
      auto optimizer = Optimizer::Create(model, {});
      const HostBatch batch = MakeRows({9, 3, 41, 1}, 61);
      const StepResult result = optimizer->Accumulate({batch}, Options(0, checkpointing), nullptr);
      const Weights leaves = CopyAdapter(*adapter);
      at::AutoGradMode grad(true);
      const at::Tensor loss = ReferenceLoss(model->spec(), WithLora(CopyWeights(model->decoder()), leaves, targets), batch);
      torch::autograd::backward({loss}, {at::ones_like(loss)});
      EXPECT_CLOSE(result.loss, loss.item<double>() / static_cast<double>(CountSupervised(batch)), kTolerance);
      ExpectGradients(*optimizer, leaves, CountSupervised(batch), 1e-4);
    }
  }
}

TEST(engine_full_gradients_match_reference) {
  for (const bool tie : {false, true}) {
    auto model = RandomModel(TempFolder().string(), "fp32", tie);
    Shake(*model);
    model->SetTrainable();
    auto optimizer = Optimizer::Create(model, {});
    const HostBatch batch = MakeRows({9, 3, 20}, 61);
    optimizer->Accumulate({batch}, Options(), nullptr);
    const Weights weights = CopyWeights(model->decoder());
    at::AutoGradMode grad(true);
    const at::Tensor loss = ReferenceLoss(model->spec(), weights, batch);
    torch::autograd::backward({loss}, {at::ones_like(loss)});
    ExpectGradients(*optimizer, weights, CountSupervised(batch), 1e-4);
  }
}

TEST(engine_partial_targets_leave_the_rest_frozen) {
  auto model = RandomModel(TempFolder().string());
  const std::vector<LoraTarget> targets = {{"model.layers.1.self_attn.v_proj", 2, 1.0}, {"model.layers.0.mlp.down_proj", 3, 1.5}, {"lm_head", 2, 0.5}};
  auto adapter = AddAdapter(model, targets);
  auto optimizer = Optimizer::Create(model, {});
  EXPECT_EQ(optimizer->NumTrainableParameters(), 2 * (22 + 12) + 3 * (37 + 22) + 2 * (22 + 61));
  const HostBatch batch = MakeRows({12, 5}, 61);
  optimizer->Accumulate({batch}, Options(), nullptr);
  const Weights leaves = CopyAdapter(*adapter);
  at::AutoGradMode grad(true);
  const at::Tensor loss = ReferenceLoss(model->spec(), WithLora(CopyWeights(model->decoder()), leaves, targets), batch);
  torch::autograd::backward({loss}, {at::ones_like(loss)});
  ExpectGradients(*optimizer, leaves, CountSupervised(batch), 1e-4);
}

TEST(engine_gradients_do_not_depend_on_the_split) {
  auto model = RandomModel(TempFolder().string());
  auto adapter = AddAdapter(model, AllTargets(*model), 0.3);
  auto optimizer = Optimizer::Create(model, {});
  const std::vector<int> lengths = {9, 4, 17, 17, 3, 11, 6, 2};
  const HostBatch together = MakeRows(lengths, 61, 1);
  const StepResult one = optimizer->Accumulate({together}, Options(4), nullptr);
  const at::Tensor expected = Flat(*optimizer);
  optimizer->ZeroGradients();
  std::vector<HostBatch> apart;
  for (size_t r = 0; r < lengths.size(); ++r) {
    const int begin = together.cu_seqlens[r], end = together.cu_seqlens[r + 1];
    HostBatch row;
    row.input_ids.assign(together.input_ids.begin() + begin, together.input_ids.begin() + end);
    row.labels.assign(together.labels.begin() + begin, together.labels.begin() + end);
    row.cu_seqlens = {0, end - begin};
    row.row_ids = {static_cast<int32_t>(r)};
    apart.push_back(row);
  }
  const StepResult eight = optimizer->Accumulate(apart, Options(4), nullptr);
  EXPECT_CLOSE(eight.loss, one.loss, 1e-6);
  EXPECT(RelativeError(Flat(*optimizer), expected) < 1e-5);
  optimizer->ZeroGradients();
  optimizer->Accumulate(apart, Options(5), nullptr);  // another step draws another mask
  EXPECT(RelativeError(Flat(*optimizer), expected) > 1e-3);
}

TEST(engine_checkpointing_changes_nothing) {
  for (const char* dtype : {"fp32", "bf16"}) {
    auto model = RandomModel(TempFolder().string(), dtype);
    auto adapter = AddAdapter(model, AllTargets(*model), 0.2);
    auto optimizer = Optimizer::Create(model, {});
    const HostBatch batch = MakeRows({9, 4, 17}, 61);
    const StepResult off = optimizer->Accumulate({batch}, Options(1, false), nullptr);
    const at::Tensor expected = Flat(*optimizer);
    for (const int64_t layers : {int64_t{1}, int64_t{2}, int64_t{50}, kAllLayers}) {
      optimizer->ZeroGradients();
      StepOptions options = Options(1);
      options.checkpointed_layers = layers;
      const StepResult on = optimizer->Accumulate({batch}, options, nullptr);
      EXPECT_EQ(on.loss, off.loss);
      EXPECT(at::equal(Flat(*optimizer), expected));
    }
  }
}

TEST(engine_passes_are_steps_in_two_halves) {
  auto model = RandomModel(TempFolder().string());
  auto adapter = AddAdapter(model, AllTargets(*model));
  auto optimizer = Optimizer::Create(model, {});
  const HostBatch batch = MakeRows({9, 4, 17}, 61);
  optimizer->Accumulate({batch}, Options(), nullptr);
  const at::Tensor expected = Flat(*optimizer);
  optimizer->ZeroGradients();
  auto pass = Pass::Create(model, batch, {});
  EXPECT(at::equal(pass->logprobs(), model->LogProbs(batch)));
  EXPECT_THROWS_CODE(Pass::Create(model, batch, {}), kHandleMisuse);
  EXPECT_THROWS_CODE(optimizer->Accumulate({batch}, Options(), nullptr), kHandleMisuse);
  pass->Backward(at::full_like(pass->logprobs(), -1.0 / static_cast<double>(CountSupervised(batch))));
  EXPECT(RelativeError(Flat(*optimizer), expected) < 1e-5);
  EXPECT_THROWS_CODE(pass->Backward(at::zeros_like(pass->logprobs())), kHandleDisposed);
}

TEST(engine_optimizer_follows_adamw) {
  auto model = RandomModel(TempFolder().string());
  auto adapter = AddAdapter(model, AllTargets(*model));
  OptimizerOptions options;
  options.weight_decay = 0.1;
  auto optimizer = Optimizer::Create(model, options);
  ParameterBlock& block = adapter->blocks().front();
  at::Tensor w = block.master.to(at::kDouble).clone(), m = at::zeros_like(w), v = at::zeros_like(w);
  for (int step = 1; step <= 5; ++step) {
    const HostBatch batch = MakeRows({9, 4, 17}, 61, 2, step);
    optimizer->Accumulate({batch}, Options(), nullptr);
    at::Tensor g = block.grad.to(at::kDouble).clone();
    const double norm = g.norm().item<double>();
    const auto applied = optimizer->Apply(1e-2, 0.5);
    EXPECT_CLOSE(applied.grad_norm, norm, 1e-6);
    g = g * std::min(1.0, 0.5 / (norm + 1e-6));
    m = m * 0.9 + g * 0.1;
    v = v * 0.999 + g * g * 0.001;
    w = w * (1 - 1e-2 * 0.1) - 1e-2 * (m / (1 - std::pow(0.9, step))) / ((v / (1 - std::pow(0.999, step))).sqrt() + 1e-8);
    EXPECT(RelativeError(block.master, w) < 1e-5);
    EXPECT_EQ(block.grad.abs().max().item<float>(), 0.0f);
  }
}

TEST(engine_resumed_steps_are_bit_for_bit) {
  for (const char* dtype : {"fp32", "bf16", "fp16"}) {
    for (const bool full : {false, true}) {
      const std::string folder = TempFolder().string();
      const auto make = [&] {
        auto model = RandomModel(folder, dtype);
        auto adapter = full ? nullptr : AddAdapter(model, AllTargets(*model), 0.1);
        if (full) model->SetTrainable();
        return std::make_tuple(model, adapter, Optimizer::Create(model, {}));
      };
      const auto [model, adapter, optimizer] = make();
      const auto step = [](Optimizer& o, int i) { return o.Step({MakeRows({9, 4}, 61, 2, i), MakeRows({12}, 61, 2, i + 100)}, Options(i), nullptr); };
      for (int i = 0; i < 3; ++i) EXPECT(step(*optimizer, i).applied);
      optimizer->Save(folder + "/optimizer.safetensors");
      if (full) {
        model->SaveWeights(folder, 2000, "");
      } else {
        adapter->Save(folder + "/adapter_model.safetensors");
      }
      const auto [model2, adapter2, optimizer2] = make();
      if (full) {
        model2->LoadWeights(folder);
      } else {
        adapter2->Load(folder + "/adapter_model.safetensors");
      }
      optimizer2->Load(folder + "/optimizer.safetensors");
      for (int i = 3; i < 6; ++i) EXPECT_EQ(step(*optimizer2, i).loss, step(*optimizer, i).loss);
      for (size_t b = 0; b < model->TrainableBlocks().size(); ++b) {
        EXPECT(at::equal(model2->TrainableBlocks()[b].master, model->TrainableBlocks()[b].master));
      }
    }
  }
}

TEST(engine_never_applies_what_is_not_finite) {
  auto model = RandomModel(TempFolder().string());
  auto adapter = AddAdapter(model, AllTargets(*model));
  auto optimizer = Optimizer::Create(model, {});
  const HostBatch batch = MakeRows({9, 4}, 61);
  at::Tensor norm = model->decoder().NamedTensors()[1].tensor;  // input_layernorm of layer 0
  const at::Tensor kept = norm.clone();
  const at::Tensor before = adapter->blocks().front().master.clone();
  norm[0] = std::numeric_limits<float>::quiet_NaN();
  const StepResult result = optimizer->Step({batch}, Options(), nullptr);
  EXPECT(!result.applied && result.skipped == ::ft::Skipped::kLossNotFinite && std::isnan(result.grad_norm));
  norm.copy_(kept);
  EXPECT(at::equal(adapter->blocks().front().master, before));
  EXPECT(optimizer->Step({batch}, Options(), nullptr).applied);  // nothing of the bad step is left
  adapter->blocks().front().grad[0] = std::numeric_limits<float>::infinity();
  const auto applied = optimizer->Apply(1e-2, 1.0);
  EXPECT(!applied.applied && applied.skipped == ::ft::Skipped::kGradientNotFinite);
  EXPECT_EQ(adapter->blocks().front().grad.abs().max().item<float>(), 0.0f);
}

TEST(engine_a_step_without_labels_changes_nothing) {
  auto model = RandomModel(TempFolder().string());
  auto adapter = AddAdapter(model, AllTargets(*model));
  auto optimizer = Optimizer::Create(model, {});
  const at::Tensor before = adapter->blocks().front().master.clone();
  HostBatch batch = MakeRows({9, 1}, 61);
  std::fill(batch.labels.begin(), batch.labels.end(), -100);
  const StepResult result = optimizer->Step({batch}, Options(), nullptr);
  EXPECT(result.applied && result.supervised_tokens == 0 && result.loss == 0 && result.grad_norm == 0);
  EXPECT(at::equal(adapter->blocks().front().master, before));
  EXPECT(optimizer->Step({batch, MakeRows({9}, 61)}, Options(), nullptr).applied);  // beside rows with labels
}

TEST(engine_generation_is_the_same_with_and_without_cache) {
  for (const char* extra : kVariants) {
    if (std::string(extra).find("dynamic") != std::string::npos) continue;  // there a cache is an approximation by definition
    auto model = RandomModel(TempFolder().string(), "fp32", false, extra);
    Shake(*model);
    for (const double temperature : {0.0, 0.8}) {
      std::vector<std::vector<int32_t>> produced[2];
      for (const bool cache : {false, true}) {
        GenerateOptions options;
        options.max_new_tokens = 45;  // past max_position_embeddings
        options.temperature = temperature;
        options.top_k = 20;
        options.top_p = 0.9;
        options.repetition_penalty = 1.1;
        options.seed = 3;
        options.use_cache = cache;
        auto generation = Generation::Start(model, {{1, 2, 3}, {4}, {5, 6, 7, 8, 9, 10, 11}}, options);
        auto& rows = produced[cache];
        rows.resize(3);
        for (bool done = false; !done;) {
          const auto next = generation->Step(nullptr);
          for (size_t r = 0; r < 3; ++r) {
            if (next.tokens[r] >= 0) rows[r].push_back(next.tokens[r]);
          }
          done = next.done;
        }
        EXPECT_EQ(rows[0].size(), 45u);
      }
      EXPECT(produced[0] == produced[1]);
    }
  }
}

TEST(engine_generation_stops_rows_on_their_own) {
  auto model = RandomModel(TempFolder().string());
  GenerateOptions options;
  options.max_new_tokens = 8;
  auto free_run = Generation::Start(model, {{1, 2}, {3, 4}}, options);
  const int32_t first = free_run->Step(nullptr).tokens[0];
  options.stop_token_ids = {first};
  auto generation = Generation::Start(model, {{1, 2}, {3, 4}}, options);
  EXPECT_EQ(generation->Step(nullptr).tokens[0], first);
  const auto next = generation->Step(nullptr);
  EXPECT_EQ(next.tokens[0], -1);
  generation->Finish(1);
  EXPECT(generation->Step(nullptr).done);
  EXPECT_THROWS_CODE(generation->Finish(2), kInvalidArgument);
}

TEST(sampling_follows_its_options) {
  const auto sample = [](std::vector<float> logits, SamplingOptions options, double u, const std::vector<int32_t>& seen = {}) {
    return SampleToken(logits, seen, options, u);
  };
  EXPECT_EQ(sample({1, 3, 2}, {}, 0.9), 1);
  EXPECT_EQ(sample({1, 3, 2}, {0, 0, 1, 2.0}, 0, {1}), 2);       // 3 / 2 < 2
  EXPECT_EQ(sample({-1, -3, -2}, {0, 0, 1, 4.0}, 0, {0}), 2);    // −1 · 4 < −2
  EXPECT_EQ(sample({1, 3, 2}, {1.0, 1, 1, 1}, 0.999), 1);        // top-k 1
  EXPECT_EQ(sample({0, 10, 0}, {1.0, 0, 0.5, 1}, 0.999), 1);     // top-p
  EXPECT_EQ(sample({0, 0, 0, 0}, {1.0, 0, 1.0, 1}, 0.6), 2);     // uniform: third quarter
  EXPECT_EQ(sample({0, 0, 0, 0}, {1.0, 0, 1.0, 1}, 0.0), 0);
}

TEST(engine_merge_is_the_adapter) {
  const std::string folder = TempFolder().string(), output = (TempFolder() / "merged").string();
  std::filesystem::create_directories(output);
  auto model = RandomModel(folder);
  model->SaveWeights(folder, 4000, "");
  const auto targets = AllTargets(*model);
  auto adapter = AddAdapter(model, targets);
  adapter->Save(folder + "/adapter_model.safetensors");
  const HostBatch batch = MakeRows({9, 4}, 61);
  const at::Tensor expected = model->Forward(batch, nullptr);
  MergeOptions options;
  options.model = options.adapter = folder;
  options.output = output, options.targets = targets;
  // The adapter's file lies among the base's: WeightFolder reads the index, not the folder.
  MergeAdapter(options, nullptr, nullptr);
  std::filesystem::copy(folder + "/config.json", output + "/config.json");
  LoadOptions load;
  load.path = output;
  EXPECT(RelativeError(Model::Load(load, nullptr, nullptr)->Forward(batch, nullptr), expected) < 1e-5);
}

TEST(engine_saves_and_loads_in_every_dtype) {
  for (const char* dtype : {"fp32", "bf16", "fp16"}) {
    const std::string folder = TempFolder().string();
    auto model = RandomModel(folder, "fp32", true);
    model->SaveWeights(folder, 1 << 30, dtype);
    for (const char* compute : {"fp32", "bf16", "fp16"}) {
      LoadOptions load;
      load.path = folder;
      load.dtype = compute;
      auto again = Model::Load(load, nullptr, nullptr);
      const auto a = model->decoder().NamedTensors(), b = again->decoder().NamedTensors();
      EXPECT_EQ(a.size(), b.size());
      for (size_t i = 0; i < a.size(); ++i) EXPECT(RelativeError(b[i].tensor, a[i].tensor) < 1e-2);
    }
  }
}

TEST(engine_refuses_bad_batches) {
  auto model = RandomModel(TempFolder().string());
  HostBatch batch = MakeRows({4, 3}, 61);
  const auto refused = [&](auto change) {
    HostBatch bad = batch;
    change(bad);
    EXPECT_THROWS_CODE(model->Forward(bad, nullptr), kInvalidArgument);
  };
  refused([](HostBatch& b) { b.input_ids[2] = 61; });
  refused([](HostBatch& b) { b.input_ids[2] = -1; });
  refused([](HostBatch& b) { b.labels[2] = -7; });
  refused([](HostBatch& b) { b.labels.pop_back(); });
  refused([](HostBatch& b) { b.cu_seqlens = {0, 4}; });
  refused([](HostBatch& b) { b.cu_seqlens = {0, 4, 4, 7}; });
  refused([](HostBatch& b) { b.cu_seqlens = {0, 5, 3, 7}; });
  refused([](HostBatch& b) { b.cu_seqlens = {}; });
  refused([](HostBatch& b) { b.row_ids = {1}; });
  refused([](HostBatch& b) { b = HostBatch{}; });
}

TEST(engine_refuses_bad_adapters) {
  auto model = RandomModel(TempFolder().string());
  const auto make = [&](std::vector<LoraTarget> targets, double dropout = 0.0) {
    AdapterOptions options;
    options.targets = std::move(targets);
    options.dropout = dropout;
    return Adapter::Create(model, options);
  };
  EXPECT_THROWS_CODE(make({}), kUnknownTargetModule);
  EXPECT_THROWS_CODE(make({{"model.layers.9.self_attn.q_proj", 2, 1.0}}), kUnknownTargetModule);
  EXPECT_THROWS_CODE(make({{"model.layers.0.self_attn.q_proj", 0, 1.0}}), kInvalidArgument);
  EXPECT_THROWS_CODE(make({{"model.layers.0.self_attn.q_proj", 2, 1.0}}, 1.0), kInvalidArgument);
  EXPECT_THROWS_CODE(make({{"model.layers.0.self_attn.q_proj", 2, 1.0}, {"model.layers.0.self_attn.q_proj", 2, 1.0}}), kInvalidArgument);
  EXPECT_THROWS_CODE(Optimizer::Create(model, {}), kHandleMisuse);
}

TEST(engine_adapters_come_and_go) {
  auto model = RandomModel(TempFolder().string());
  const HostBatch batch = MakeRows({6}, 61);
  const at::Tensor base = model->Forward(batch, nullptr);
  auto first = AddAdapter(model, AllTargets(*model));
  const at::Tensor with_first = model->Forward(batch, nullptr);
  EXPECT(!at::equal(with_first, base));
  auto optimizer = Optimizer::Create(model, {});
  auto second = AddAdapter(model, AllTargets(*model, 2));
  EXPECT_THROWS_CODE(optimizer->Step({batch}, Options(), nullptr), kHandleMisuse);  // of the first
  model->SetActiveAdapter(first.get());
  EXPECT(at::equal(model->Forward(batch, nullptr), with_first));
  second.reset();
  EXPECT(at::equal(model->Forward(batch, nullptr), with_first));
  optimizer.reset();
  first.reset();
  EXPECT(at::equal(model->Forward(batch, nullptr), base));
}

TEST(engine_evaluation_follows_its_adapter) {
  for (const char* dtype : {"fp32", "bf16"}) {
    const std::string folder = TempFolder().string();
    auto model = RandomModel(folder, dtype);
    auto adapter = AddAdapter(model, AllTargets(*model));
    auto optimizer = Optimizer::Create(model, {});
    const HostBatch batch = MakeRows({9, 12}, 61, 2, 1);
    const auto loss = [&] {
      const auto result = model->Evaluate(batch);
      return result.loss_sum / static_cast<double>(result.supervised_tokens);
    };
    adapter->Save(folder + "/adapter_model.safetensors");
    optimizer->Save(folder + "/optimizer.safetensors");
    std::vector<double> losses;
    for (int i = 0; i < 3; ++i) {
      losses.push_back(loss());
      EXPECT_CLOSE(optimizer->Step({batch}, Options(i), nullptr).loss, losses.back(), 1e-6);
      EXPECT(loss() != losses.back());
    }
    adapter->Load(folder + "/adapter_model.safetensors");
    EXPECT_EQ(loss(), losses.front());
    EXPECT(optimizer->Step({batch}, Options(0), nullptr).applied);
    optimizer->Load(folder + "/optimizer.safetensors");  // its weights are the adapter's as they were loaded
    adapter->Load(folder + "/adapter_model.safetensors");
    EXPECT_EQ(loss(), losses.front());
  }
}

}  // namespace ft::test
