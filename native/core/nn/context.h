// What one forward pass carries through the layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/base/cancel.h"
#include "core/nn/batch.h"

namespace ft {

class KvCache;

struct ForwardContext {
  const Batch* batch = nullptr;
  bool training = false;              // dropout on, backward wanted
  bool gradient_checkpointing = false;
  uint64_t seed = 0;                  // dropout key
  uint64_t step = 0;                  // dropout key
  double grad_scale = 1.0;            // multiplies d loss: 1 / supervised tokens of the step, times the fp16 loss scale
  at::Tensor anchor;                  // scalar that requires grad: ties frozen-input sites into the graph
  KvCache* cache = nullptr;           // generation only
  const CancelToken* cancel = nullptr;
};

}  // namespace ft
