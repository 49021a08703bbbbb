// Folds a LoRA adapter into base weights, tensor by tensor and shard by shard: W + scale · B·A in fp32,
// rounded once. Memory: one tensor.
#pragma once

#include <string>
#include <vector>

#include "core/engine/model.h"

namespace ft {

struct MergeOptions {
  std::string model;    // base folder
  std::string adapter;  // folder with adapter_model.safetensors
  std::string output;   // existing folder; gets weights (same shards as the base) and index
  std::vector<LoraTarget> targets;
  std::string dtype;    // "" keeps each tensor's own
  std::string device = "cpu";
};

/// Errors: those of the readers; kAdapterMismatch; kStorage.
void MergeAdapter(const MergeOptions& options, const ProgressFn& progress, const CancelToken* cancel);

}  // namespace ft
