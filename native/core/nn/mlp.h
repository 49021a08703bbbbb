// The dense MLP: down(act(gate(x)) · up(x)), or down(act(up(x))).
#pragma once

#include <memory>
#include <vector>

#include "core/nn/block.h"
#include "core/nn/decoder_spec.h"

namespace ft {

class DenseMlp : public Block {
 public:
  /// `modules`: the layer's layout.
  DenseMlp(const DecoderSpec& spec, const std::vector<ModuleLayout>& modules, const at::TensorOptions& options);

  at::Tensor Forward(const BlockInput& input, const ForwardContext& context) override;
  std::vector<LinearGroup*> Groups() override { return {&in_, &down_}; }
  void AppendWeights(std::vector<WeightRef>* refs) override;

 private:
  LinearGroup in_, down_;
  std::unique_ptr<InputTransform> activation_;
};

}  // namespace ft
