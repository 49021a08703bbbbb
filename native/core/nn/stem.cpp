#include "core/nn/stem.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/base/error.h"

namespace ft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor Scaled(const at::Tensor& x, double scale) { return scale == 1.0 ? x : x * scale; }

at::Tensor RowsOf(const Stem::Table& table, const at::Tensor& ids, double scale) {
  const at::Tensor rows = table.weight.index_select(0, ids);
  return Scaled(table.adapter != nullptr ? table.adapter->Forward(rows, ids) : rows, scale);
}

// RowsOf; gradients are added outside the graph: to the table's, and to the adapter's blocks.
class EmbeddingFunction : public torch::autograd::Function<EmbeddingFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& anchor, const at::Tensor& ids, const Stem::Table* table, double scale) {
    (void)anchor;
    ctx->save_for_backward({ids});
    ctx->saved_data["table"] = reinterpret_cast<int64_t>(table);
    ctx->saved_data["scale"] = scale;
    return RowsOf(*table, ids, scale);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto& table = *reinterpret_cast<const Stem::Table*>(ctx->saved_data["table"].toInt());
    const at::Tensor ids = ctx->get_saved_variables()[0], dy = Scaled(grads[0], ctx->saved_data["scale"].toDouble());
    at::Tensor grad = table.grad;
    if (grad.defined()) grad.index_add_(0, ids, dy.to(grad.scalar_type()));
    if (table.adapter != nullptr) table.adapter->Backward(ids, dy);
    return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

double EmbeddingScale(const DecoderSpec& spec, at::ScalarType dtype) {
  if (!spec.round_embedding_multiplier) return spec.embedding_multiplier;
  return at::scalar_tensor(spec.embedding_multiplier, dtype).item<double>();
}

Stem::Table MakeTable(const ModuleLayout& layout, const at::TensorOptions& options) {
  const ModuleLayout::Part& part = layout.parts.at(0);
  return {at::empty({part.rows, layout.width}, options), {}, part.name, part.stored() + ".weight"};
}

}  // namespace

Stem::Stem(const DecoderSpec& spec, const at::TensorOptions& options, const std::set<std::string>& packed)
    : scale_(EmbeddingScale(spec, c10::typeMetaToScalarType(options.dtype()))), offset_(spec.position_offset), max_positions_(spec.max_position_embeddings) {
  std::vector<ModuleLayout> modules = StemLayout(spec);
  MarkPacked(packed, &modules);
  tokens_ = MakeTable(LayoutOf(modules, Slot::kEmbedding), options);
  if (const ModuleLayout* layout = FindSlot(modules, Slot::kPositions)) positions_ = MakeTable(*layout, options);
  if (const ModuleLayout* layout = FindSlot(modules, Slot::kProjectIn)) project_in_.emplace(*layout, options);
  if (const ModuleLayout* layout = FindSlot(modules, Slot::kEmbeddingNorm)) norm_.emplace(*layout, options);
}

at::Tensor Stem::Rows(const Table& table, const at::Tensor& ids, double scale, const ForwardContext& context) const {
  if (at::GradMode::is_enabled() && table.trainable()) return EmbeddingFunction::apply(context.anchor, ids, &table, scale);
  return RowsOf(table, ids, scale);
}

at::Tensor Stem::Forward(const ForwardContext& context, int64_t longest) {
  at::Tensor x = Rows(tokens_, context.batch->input_ids, scale_, context), positions;
  if (positions_.weight.defined()) {
    if (longest > max_positions_) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("a row of {} tokens is longer than the {} positions that the model has learned", longest, max_positions_),
                  fmt::format("Use rows of at most {} tokens (max_seq_length, or fewer new tokens).", max_positions_));
    }
    positions = Rows(positions_, context.batch->positions + offset_, 1.0, context);
  }
  if (project_in_) {
    x = project_in_->Forward(x, nullptr, positions, context);
  } else if (positions.defined()) {
    x = x + positions;
  }
  return norm_ ? norm_->Forward(x, context) : x;
}

std::vector<LinearGroup*> Stem::Groups() { return project_in_ ? std::vector<LinearGroup*>{&*project_in_} : std::vector<LinearGroup*>{}; }

void Stem::AppendWeights(std::vector<WeightRef>* refs) {
  for (Table* table : {&tokens_, &positions_}) {
    if (!table->weight.defined()) continue;
    refs->push_back({table->weight, &table->grad, true, {{table->name, table->weight.sizes().vec(), 0, table->weight.numel()}}});
  }
  if (project_in_) project_in_->AppendWeights(refs);
  if (norm_) norm_->AppendWeights(refs);
}

}  // namespace ft
