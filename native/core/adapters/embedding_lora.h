// LoRA on an embedding, as PEFT has it: row i gets scale · (B · A)ᵀ[i], without dropout. In files A is [r, vocabulary] and B
// [width, r]; here both lie the other way round, so that a row of A is one piece and a tied head's own pair is the same memory.
#pragma once

#include <memory>

#include "core/adapters/adapter_method.h"

namespace ft {

class EmbeddingLora : public EmbeddingAdapter {
 public:
  at::Tensor a, a_grad;  // Aᵀ [vocabulary, r]: compute dtype, fp32
  at::Tensor b, b_grad;  // Bᵀ [r, width]
  double scale = 1.0;

  at::Tensor Forward(const at::Tensor& rows, const at::Tensor& ids) override;
  void Backward(const at::Tensor& ids, const at::Tensor& dy) override;
};

/// Where the matrices lie in an adapter's block, in elements. target null: the embedding is not adapted.
struct EmbeddingLoraPlace {
  Stem::Table* table = nullptr;
  const LoraTarget* target = nullptr;
  int64_t a_offset = 0, b_offset = 0;

  int64_t a_numel() const { return table->weight.size(0) * target->r; }
  int64_t b_numel() const { return table->weight.size(1) * target->r; }
};

/// Views of the block, and their names in files.
std::unique_ptr<EmbeddingLora> MakeEmbeddingLora(const EmbeddingLoraPlace& place, ParameterBlock& block);

}  // namespace ft
