#include "core/optim/adamw_8bit.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/paged_memory.h"
#include "core/kernels/adamw.h"
#include "core/kernels/adamw_8bit.h"
#include "core/kernels/dynamic_code.h"
#include "core/optim/adamw.h"

namespace ft {
namespace {

constexpr int64_t kLeast8bit = 4096;  // numbers; smaller tensors stay in fp32

// Zeros on a device, or on pages of a file.
class StateMemory {
 public:
  StateMemory(at::Device device, bool paged) : device_(device), paged_(paged) {}
  at::Tensor Zeros(int64_t numel, at::ScalarType dtype) const {
    const auto options = at::TensorOptions(dtype).device(device_);
    if (!paged_ || numel == 0) return at::zeros({numel}, options);
    const std::shared_ptr<void> pages = PagedMemory(static_cast<size_t>(numel) * c10::elementSize(dtype));
    return at::from_blob(pages.get(), {numel}, [pages](void*) {}, options);
  }

 private:
  at::Device device_;
  bool paged_;
};

// The moments of one block: those of its large views behind one another, then those of the small ones.
class BlockState {
 public:
  BlockState(const ParameterBlock& block, const StateMemory& memory) {
    int64_t large = 0, maxima = 0, small = 0;
    for (const ParameterView& view : block.views) {
      if (view.numel >= kLeast8bit) {
        large += view.numel, maxima += (view.numel + kernels::kDynamicBlock - 1) / kernels::kDynamicBlock;
      } else {
        small += view.numel;
      }
    }
    large_ = {memory.Zeros(large, at::kByte), memory.Zeros(maxima, at::kFloat), memory.Zeros(large, at::kByte), memory.Zeros(maxima, at::kFloat)};
    exp_avg_ = memory.Zeros(small, at::kFloat), exp_avg_sq_ = memory.Zeros(small, at::kFloat);
  }

  void Update(ParameterBlock& block, const kernels::AdamWStep& step) {
    const bool shared = block.compute.is_same(block.master);
    int64_t large = 0, maxima = 0, small = 0;
    for (const ParameterView& view : block.views) {
      const auto part = [&view](const at::Tensor& x) { return x.narrow(0, view.offset, view.numel); };
      at::Tensor master = part(block.master), compute = shared ? master : part(block.compute), grad = part(block.grad);
      if (view.numel >= kLeast8bit) {
        const int64_t blocks = (view.numel + kernels::kDynamicBlock - 1) / kernels::kDynamicBlock;
        kernels::Moments8bit moments{large_.exp_avg.narrow(0, large, view.numel), large_.exp_avg_max.narrow(0, maxima, blocks),
                                     large_.exp_avg_sq.narrow(0, large, view.numel), large_.exp_avg_sq_max.narrow(0, maxima, blocks)};
        kernels::AdamW8bit(master, shared ? master : compute, grad, moments, step);
        large += view.numel, maxima += blocks;
      } else {
        at::Tensor m = exp_avg_.narrow(0, small, view.numel), v = exp_avg_sq_.narrow(0, small, view.numel);
        kernels::AdamW(master, shared ? master : compute, grad, m, v, step);
        small += view.numel;
      }
    }
  }

  void AddTo(std::vector<std::pair<std::string, at::Tensor>>* state, size_t index) const {
    const std::pair<const char*, const at::Tensor*> all[] = {
        {"exp_avg_8bit", &large_.exp_avg}, {"exp_avg_max", &large_.exp_avg_max}, {"exp_avg_sq_8bit", &large_.exp_avg_sq}, {"exp_avg_sq_max", &large_.exp_avg_sq_max},
        {"exp_avg", &exp_avg_},            {"exp_avg_sq", &exp_avg_sq_}};
    for (const auto& [name, tensor] : all) {
      if (tensor->numel() > 0) state->emplace_back(fmt::format("{}.{}", index, name), *tensor);
    }
  }

 private:
  kernels::Moments8bit large_;
  at::Tensor exp_avg_, exp_avg_sq_;
};

class AdamW8bit : public OptimizerMethod {
 public:
  AdamW8bit(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks, bool paged) : options_(options) {
    for (const ParameterBlock& block : blocks) states_.emplace_back(block, StateMemory(block.master.device(), paged));
  }

  void Update(std::vector<ParameterBlock>& blocks, double learning_rate, double grad_scale) override {
    ++step_count_;
    for (size_t i = 0; i < blocks.size(); ++i) {
      states_[i].Update(blocks[i], AdamWStepOf(options_, blocks[i], step_count_, learning_rate, grad_scale));
    }
  }

  std::vector<std::pair<std::string, at::Tensor>> State() override {
    std::vector<std::pair<std::string, at::Tensor>> state;
    for (size_t i = 0; i < states_.size(); ++i) states_[i].AddTo(&state, i);
    return state;
  }
  int64_t step_count() const override { return step_count_; }
  void set_step_count(int64_t count) override { step_count_ = count; }

 private:
  OptimizerOptions options_;
  std::vector<BlockState> states_;
  int64_t step_count_ = 0;
};

}  // namespace

std::unique_ptr<OptimizerMethod> MakeAdamW8bit(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks) {
  CheckAdamWOptions(options);
  return std::make_unique<AdamW8bit>(options, blocks, /*paged=*/false);
}

std::unique_ptr<OptimizerMethod> MakePagedAdamW8bit(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks) {
  CheckAdamWOptions(options);
  for (const ParameterBlock& block : blocks) {
    if (!block.master.device().is_cpu()) {
      throw Error(ErrorCode::kIncompatibleConfig, fmt::format("paged_adamw_8bit keeps its state in files of this machine's memory, the model is on {}", block.master.device().str()),
                  "Use adamw_8bit.");
    }
  }
  return std::make_unique<AdamW8bit>(options, blocks, /*paged=*/true);
}

}  // namespace ft
