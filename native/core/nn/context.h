// What one forward pass carries through the layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/base/cancel.h"
#include "core/nn/batch.h"

namespace ft {

class KvCache;
class LoadBalance;

/// As a number of layers: every one.
inline constexpr int64_t kAllLayers = INT64_MAX;

struct ForwardContext {
  const Batch* batch = nullptr;
  bool training = false;              // dropout on, backward wanted
  uint64_t seed = 0;                  // dropout key
  uint64_t step = 0;                  // dropout key
  double grad_scale = 1.0;            // multiplies d loss: 1 / supervised tokens of the step, times the fp16 loss scale
  at::Tensor anchor;                  // scalar that requires grad: ties frozen-input sites into the graph
  KvCache* cache = nullptr;           // generation only
  LoadBalance* load_balance = nullptr;  // where the loss asks routers for balance; outlives the graph
  const CancelToken* cancel = nullptr;
  int64_t checkpointed_layers = 0;    // so many of the first layers run again in backward; the results are the same bits
};

}  // namespace ft
