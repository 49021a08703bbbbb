// What an adapter is to the engine: trainable blocks and something attached to linear groups.
// One file a method, one row in adapter_table.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/nn/decoder.h"
#include "core/nn/parameter.h"

namespace ft {

struct LoraTarget {
  std::string module;  // path as in LinearPart::name, or that of the embedding
  int64_t r = 0;
  double scale = 1.0;  // multiplies B·A·x
  bool tied = false;   // of a head that shares the embedding's weight: its matrices are the embedding's, transposed
};

struct AdapterOptions {
  std::string type = "lora";
  std::vector<LoraTarget> targets;
  double dropout = 0.0;
  std::string init = "kaiming";  // A ~ U(±1/√in), as PEFT's default | gaussian: A ~ N(0, 1/r²); B = 0 either way. Embeddings: A = 0, B ~ N(0, 1)
  uint64_t seed = 0;
};

class AdapterMethod {
 public:
  virtual ~AdapterMethod() = default;
  /// Parameter views carry PEFT's file names.
  virtual std::vector<ParameterBlock>& blocks() = 0;
  /// Makes the groups of `decoder` use this adapter. REQUIRES: the decoder it was made for.
  virtual void Attach() = 0;
  virtual void Detach() = 0;
};

/// Errors: kUnknownTargetModule (a module the decoder has no linear for), kInvalidArgument (type, rank, scale, dropout, init).
std::unique_ptr<AdapterMethod> MakeAdapterMethod(const AdapterOptions& options, Decoder& decoder);

}  // namespace ft
