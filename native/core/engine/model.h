// Model, Adapter, Pass and Generation: the handles the binding wraps. All methods run on the engine thread;
// a child holds its model by shared_ptr, so any order of destruction is safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/adapters/adapter_method.h"
#include "core/base/cancel.h"
#include "core/engine/host_memory.h"
#include "core/nn/batch.h"
#include "core/nn/decoder.h"
#include "core/nn/quantization.h"

namespace ft {

struct LoadOptions {
  std::string path;             // folder with config.json
  std::string dtype = "fp32";   // bf16 | fp16 | fp32
  std::string device = "cpu";   // cpu | cuda | cuda:n | mps
  std::string arch;                // family to read the config as; empty: what it calls itself
  std::string attention = "auto";  // auto | flash | eager
  bool random_init = false;
  uint64_t seed = 0;            // of the random initialisation
  LoadQuantization quantization;  // of linear weights, while they are read
  int64_t offload_layers = 0;   // so many of the last layers keep their matrices on the host
};

using ProgressFn = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

class Adapter;

class Model : public std::enable_shared_from_this<Model> {
 public:
  /// Streams the weights tensor by tensor into their final buffers.
  /// Errors: those of ReadDecoderSpec, WeightFolder::Open, CheckTensors; kDeviceUnavailable; kOutOfMemory.
  static std::shared_ptr<Model> Load(const LoadOptions& options, const ProgressFn& progress, const CancelToken* cancel);

  Decoder& decoder() { return *decoder_; }
  const DecoderSpec& spec() const { return decoder_->spec(); }
  /// Tensors of the files it was loaded from that it has no place for.
  const std::vector<std::string>& unused_tensors() const { return unused_tensors_; }

  /// fp32 CPU [tokens, vocab].
  at::Tensor Forward(const HostBatch& batch, const CancelToken* cancel);
  /// fp32 CPU [tokens]; 0 where there is no label.
  at::Tensor LogProbs(const HostBatch& batch);

  struct Evaluation {
    double loss_sum = 0;
    int64_t supervised_tokens = 0;
    int64_t tokens = 0;
  };
  Evaluation Evaluate(const HostBatch& batch);

  /// Makes every weight trainable; once. Errors: kHandleMisuse when an adapter is active.
  void SetTrainable();
  /// The blocks an optimizer updates: the active adapter's, or all weights after SetTrainable.
  std::vector<ParameterBlock>& TrainableBlocks();
  bool HasTrainable() const;
  /// nullptr: the base alone.
  void SetActiveAdapter(Adapter* adapter);
  Adapter* active_adapter() const { return active_adapter_; }

  /// model.safetensors, or shards with model.safetensors.index.json beyond max_shard_bytes. dtype "" keeps the compute dtype.
  void SaveWeights(const std::string& folder, uint64_t max_shard_bytes, const std::string& dtype);
  /// Same shapes, from another folder. After SetTrainable, masters follow too.
  void LoadWeights(const std::string& folder);

  int64_t NumParameters() const;
  uint64_t WeightBytes() const;

  bool pass_live = false;  // one Pass a model

 private:
  TrimAfter trim_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<std::string> unused_tensors_;
  std::vector<ParameterBlock> weight_blocks_;
  Adapter* active_adapter_ = nullptr;
};

class Adapter : public std::enable_shared_from_this<Adapter> {
 public:
  /// Attaches to the model and becomes its active adapter. Errors: kUnknownTargetModule, kInvalidArgument (rank, scale, dropout).
  static std::shared_ptr<Adapter> Create(std::shared_ptr<Model> model, const AdapterOptions& options);
  ~Adapter();

  const std::vector<ParameterView>& tensors() const;
  std::vector<ParameterBlock>& blocks();
  /// Leaves the model, if it is the active adapter. Errors: kHandleMisuse while a Pass is live.
  void Detach();
  // For Model::SetActiveAdapter alone.
  void AttachSites();
  void DetachSites();
  /// adapter_model.safetensors as PEFT reads it, fp32, with the base's own weights of the modules `base_layers`.
  void Save(const std::string& path, const std::vector<std::string>& base_layers = {});
  /// Errors: kAdapterMismatch (names the first tensors that differ).
  void Load(const std::string& path);
  const std::shared_ptr<Model>& model() const { return model_; }

 private:
  Adapter() = default;
  std::shared_ptr<Model> model_;  // outlives the method, whose tensors its groups point at
  std::unique_ptr<AdapterMethod> method_;
};

/// Log-probabilities whose graph is kept for one backward.
class Pass {
 public:
  struct Options {
    uint64_t seed = 0;
    uint64_t step = 0;
    int64_t checkpointed_layers = 0;  // the first ones; kAllLayers: every one
  };
  /// Errors: kHandleMisuse when a Pass of the model is live or nothing is trainable.
  static std::shared_ptr<Pass> Create(std::shared_ptr<Model> model, const HostBatch& batch, const Options& options);
  ~Pass();
  const at::Tensor& logprobs() const { return logprobs_; }  // fp32 CPU [tokens]
  /// grad: fp32 CPU [tokens]. Once; gradients add up in the trainable blocks.
  void Backward(const at::Tensor& grad);
  /// Frees the graph; the Pass is over.
  void Release();

 private:
  Pass() = default;
  std::shared_ptr<Model> model_;
  std::shared_ptr<Adapter> adapter_;  // its matrices are in the graph
  std::shared_ptr<Batch> batch_;   // outlives the graph
  std::shared_ptr<ForwardContext> context_;
  at::Tensor output_;              // [supervised], with graph
  at::Tensor logprobs_;
  at::Tensor scatter_index_;       // int64 [supervised]: token each entry belongs to
  bool over_ = false;
};

}  // namespace ft
