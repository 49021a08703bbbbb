#include "core/engine/model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "core/arch/arch.h"
#include "core/arch/stored_quantization.h"
#include "core/engine/device.h"
#include "core/engine/packed_weights.h"
#include "core/engine/weights.h"
#include "core/io/safetensors.h"
#include "core/kernels/attention.h"
#include "core/nn/expected_tensors.h"
#include "core/objectives/linear_cross_entropy.h"

namespace ft {
namespace {

ForwardContext InferenceContext(const Batch& batch, const CancelToken* cancel) {
  ForwardContext context;
  context.batch = &batch;
  context.cancel = cancel;
  return context;
}

// flash asks for a kernel that this device has; auto takes it where it is.
void CheckAttention(const std::string& attention, const at::Device& device, at::ScalarType dtype, int64_t head_dim) {
  FT_CHECK(attention == "auto" || attention == "flash" || attention == "eager", kInvalidArgument,
           "attention \"{}\" is unknown: expected auto, flash or eager", attention);
  if (attention == "flash" && !kernels::HasFlashAttention(device, dtype, head_dim)) {
    throw Error(ErrorCode::kIncompatibleConfig,
                fmt::format("there is no flash attention for device {}, dtype {} and heads of {} in this build", device.str(), DtypeName(dtype), head_dim),
                "use --attention auto or eager");
  }
}

}  // namespace

std::shared_ptr<Model> Model::Load(const LoadOptions& options, const ProgressFn& progress, const CancelToken* cancel) {
  UseTensorArena();
  const at::ScalarType dtype = ParseDtype(options.dtype);
  const at::Device device = ParseDevice(options.device);
  DecoderSpec spec = ReadDecoderSpec(options.path, options.arch);
  const LatentSpec& latent = spec.latent;
  const int64_t head_dim = latent.present() ? std::max(latent.nope_dim + latent.rope_dim, latent.v_dim) : spec.head_dim;
  CheckAttention(options.attention, device, dtype, head_dim);
  auto model = std::make_shared<Model>();
  if (options.random_init) {
    model->decoder_ = std::make_unique<Decoder>(spec, dtype, device, PackedModules(spec, nullptr, options.quantization), options.offload_layers);
    RandomiseWeights(*model->decoder_, options.seed, options.quantization);
  } else {
    const WeightFolder folder = WeightFolder::Open(options.path);
    const CheckedTensors tensors = CheckTensors(spec, folder, ReadStoredQuantization(options.path));  // before anything is allocated
    spec.tie_word_embeddings = tensors.tie_word_embeddings;
    model->decoder_ = std::make_unique<Decoder>(spec, dtype, device, PackedModules(spec, &tensors, options.quantization), options.offload_layers);
    LoadWeightsInto(*model->decoder_, tensors, options.quantization, progress, cancel);
    model->unused_tensors_ = tensors.unused;
  }
  TrimTensorArena();
  if (options.attention == "eager") model->decoder_->UseEagerAttention();
  return model;
}

at::Tensor Model::Forward(const HostBatch& host, const CancelToken* cancel) {
  at::NoGradGuard no_grad;
  const Batch batch = MakeBatch(host, spec().vocab_size, decoder_->device());
  const ForwardContext context = InferenceContext(batch, cancel);
  return Logits(decoder_->Hidden(context), *decoder_, context).cpu().contiguous();
}

at::Tensor Model::LogProbs(const HostBatch& host) {
  at::NoGradGuard no_grad;
  const Batch batch = MakeBatch(host, spec().vocab_size, decoder_->device());
  const ForwardContext context = InferenceContext(batch, nullptr);
  const at::Tensor values = LinearLogProbs(decoder_->Hidden(context), *decoder_, context);
  at::Tensor result = at::zeros({batch.tokens}, values.options());
  result.index_copy_(0, batch.loss_source + 1, values);
  return result.cpu();
}

Model::Evaluation Model::Evaluate(const HostBatch& host) {
  at::NoGradGuard no_grad;
  const Batch batch = MakeBatch(host, spec().vocab_size, decoder_->device());
  if (batch.supervised == 0) return {0, 0, batch.tokens};
  const ForwardContext context = InferenceContext(batch, nullptr);
  const CrossEntropyResult result = LinearCrossEntropy(decoder_->Hidden(context), *decoder_, context);
  return {result.token_loss.cpu().to(at::kDouble).sum().item<double>(), batch.supervised, batch.tokens};
}

void Model::SetTrainable() {
  FT_CHECK(active_adapter_ == nullptr, kHandleMisuse, "full fine-tuning and an active adapter exclude each other: dispose of the adapter first");
  if (const std::string scheme = PackedScheme(*decoder_); !scheme.empty()) {
    throw Error(ErrorCode::kIncompatibleConfig, fmt::format("weights in {} cannot be trained themselves", scheme),
                "train an adapter on them (method qlora or lora), or load the model without quantization");
  }
  if (weight_blocks_.empty()) weight_blocks_ = decoder_->MakeTrainable();
}

bool Model::HasTrainable() const { return active_adapter_ != nullptr || !weight_blocks_.empty(); }

std::vector<ParameterBlock>& Model::TrainableBlocks() { return active_adapter_ ? active_adapter_->blocks() : weight_blocks_; }

void Model::SetActiveAdapter(Adapter* adapter) {
  FT_CHECK(adapter == nullptr || weight_blocks_.empty(), kHandleMisuse, "all weights of this model are trainable: it cannot take an adapter");
  FT_CHECK(!pass_live, kHandleMisuse, "a Pass of this model is live: finish or dispose of it before changing adapters");
  if (active_adapter_ != nullptr) active_adapter_->DetachSites();
  active_adapter_ = adapter;
  if (adapter != nullptr) adapter->AttachSites();
}

void Model::SaveWeights(const std::string& folder, uint64_t max_shard_bytes, const std::string& dtype) {
  FT_CHECK(max_shard_bytes > 0, kInvalidArgument, "maxShardBytes must be positive");
  SaveWeightsOf(*decoder_, folder, max_shard_bytes, dtype.empty() ? decoder_->dtype() : ParseDtype(dtype));
}

void Model::LoadWeights(const std::string& path) {
  FT_CHECK(!pass_live, kHandleMisuse, "a Pass of this model is live: finish or dispose of it first");
  FT_CHECK(decoder_->PackedParts().empty(), kIncompatibleConfig, "the weights of a quantized model are not replaced: load the model again");
  at::NoGradGuard no_grad;
  const WeightFolder folder = WeightFolder::Open(path);
  LoadWeightsInto(*decoder_, CheckTensors(spec(), folder), {}, nullptr, nullptr);
  for (ParameterBlock& block : weight_blocks_) {
    if (!block.master.is_same(block.compute)) block.master.copy_(block.compute);
    ++*block.changes;
  }
}

int64_t Model::NumParameters() const { return CountParameters(spec()); }

uint64_t Model::WeightBytes() const { return decoder_->WeightBytes(); }

}  // namespace ft
