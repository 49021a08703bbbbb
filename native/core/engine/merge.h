// Folds a LoRA adapter into base weights, tensor by tensor and shard by shard: W + scale · B·A in fp32,
// rounded once. Quantized weights become plain on the way. Memory: one tensor.
#pragma once

#include <string>
#include <vector>

#include "core/engine/model.h"

namespace ft {

struct MergeOptions {
  std::string model;    // base folder
  std::string arch;     // family to read its config.json as; "": what it calls itself
  std::string adapter;  // folder with adapter_model.safetensors; "": none, the base alone
  std::string output;   // existing folder; gets weights (same shards as the base) and index
  std::vector<LoraTarget> targets;
  std::string dtype;    // "" keeps each tensor's own; quantized ones become what they were made from where that has 16 bits, else bf16
  std::string device = "cpu";
  LoadQuantization quantization;  // plain linear weights are rounded to it first: the base that the adapter was trained on
};

/// A head that shares the embedding's weight gets one of its own where the adapter changes one of them, or both and not tied: config.json
/// has to say so then. Errors: those of the readers; kAdapterMismatch; kStorage.
void MergeAdapter(const MergeOptions& options, const ProgressFn& progress, const CancelToken* cancel);

}  // namespace ft
