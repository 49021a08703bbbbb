// Trainable state. A block is one contiguous piece of memory that the optimizer updates as a whole:
// all LoRA matrices of an adapter together, or one weight of the model. Named views lie inside a block.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ft {

struct ParameterView {
  std::string name;             // Hugging Face or PEFT name
  std::vector<int64_t> shape;
  int64_t offset = 0;           // elements from the start of the block
  int64_t numel = 0;
  // Where it does not lie row by row: sizes and strides in the block of what, reshaped, has `shape`. Else empty.
  std::vector<int64_t> sizes{}, strides{};
  // What older files hold in its place, in pieces; the rest of it is then zero.
  std::vector<ParameterView> older{};
};

/// The values of a view of `flat` (a block's compute, master or grad), in its shape; shares memory where it lies row by row.
at::Tensor ReadView(const at::Tensor& flat, const ParameterView& view);
/// Writes values [view.shape] to their place in `flat`.
void WriteView(const at::Tensor& flat, const ParameterView& view, const at::Tensor& values);

struct ParameterBlock {
  at::Tensor compute;  // what the forward pass reads, compute dtype
  at::Tensor master;   // fp32 [numel]; the same memory as `compute` when that is fp32
  at::Tensor grad;     // [numel]: fp32 for adapters, compute dtype for full fine-tuning
  bool decay = true;   // weight decay applies (not for biases and norm weights)
  std::vector<ParameterView> views;
  // Other names that files hold memory of `views` under; what is read must agree.
  std::vector<ParameterView> repeats{};
  // Counts changes of the values, for those who keep something made from them.
  std::shared_ptr<uint64_t> changes = std::make_shared<uint64_t>(0);
  // `master` is written beside the model or adapter (fp32), so an optimizer file need not repeat it.
  bool master_saved_elsewhere = false;

  /// `master` was written: `compute` follows.
  void MasterChanged();
};

}  // namespace ft
