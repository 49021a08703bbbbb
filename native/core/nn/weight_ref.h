// One weight of the model (or several fused in one buffer) with the names of its parts: what loading, saving and full
// fine-tuning walk.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace ft {

struct WeightRef {
  at::Tensor weight;  // contiguous
  at::Tensor* grad;   // where its module looks for the gradient; nullptr: a buffer, which is never trained and keeps its dtype
  bool decay;         // weight decay applies
  struct Part {
    std::string name;            // Hugging Face tensor name
    std::vector<int64_t> shape;  // as it is stored
    int64_t offset;              // elements from the start of the weight
    int64_t numel;
    std::vector<int64_t> strides{};  // of `shape` in the weight; empty: row by row
  };
  std::vector<Part> parts;
};

}  // namespace ft
