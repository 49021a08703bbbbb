#include "core/adapters/embedding_lora.h"

#include <ATen/ATen.h>

#include "core/kernels/linear.h"

namespace ft {
namespace {

at::Tensor Times(const at::Tensor& x, double scale) { return scale == 1.0 ? x : x * scale; }

}  // namespace

at::Tensor EmbeddingLora::Forward(const at::Tensor& rows, const at::Tensor& ids) {
  return kernels::SumOfProducts({{Times(a.index_select(0, ids), scale), b, /*by_rows=*/true}}, {}, rows);
}

void EmbeddingLora::Backward(const at::Tensor& ids, const at::Tensor& dy) {
  kernels::AddOuterProduct(b_grad, a.index_select(0, ids), dy, scale);
  a_grad.index_add_(0, ids, kernels::SumOfProducts({{dy, b}}, {}, {}).to(a_grad.scalar_type()), scale);
}

std::unique_ptr<EmbeddingLora> MakeEmbeddingLora(const EmbeddingLoraPlace& place, ParameterBlock& block) {
  const int64_t vocabulary = place.table->weight.size(0), width = place.table->weight.size(1), r = place.target->r;
  const auto view = [](const at::Tensor& flat, int64_t offset, int64_t rows, int64_t columns) {
    return flat.narrow(0, offset, rows * columns).view({rows, columns});
  };
  auto lora = std::make_unique<EmbeddingLora>();
  lora->a = view(block.compute, place.a_offset, vocabulary, r), lora->a_grad = view(block.grad, place.a_offset, vocabulary, r);
  lora->b = view(block.compute, place.b_offset, r, width), lora->b_grad = view(block.grad, place.b_offset, r, width);
  lora->scale = place.target->scale;
  const std::string prefix = "base_model.model." + place.table->module;
  block.views.push_back({prefix + ".lora_embedding_A", {r, vocabulary}, place.a_offset, place.a_numel(), {r, vocabulary}, {1, r}});
  block.views.push_back({prefix + ".lora_embedding_B", {width, r}, place.b_offset, place.b_numel(), {width, r}, {1, width}});
  return lora;
}

}  // namespace ft
