// The modules a DecoderSpec calls for, in module order, with the names and shapes of their weights. Everything that
// has to know a model's parameters (construction, loading, targets of adapters, counts) reads this one list. Free of LibTorch.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "core/nn/decoder_spec.h"

namespace ft {

/// What a module is to the block that it belongs to.
enum class Slot {
  kEmbedding,
  kPositions,
  kProjectIn,
  kEmbeddingNorm,
  kAttentionNorm,
  kQkv,
  kQNorm,
  kKNorm,
  kAttentionOut,
  kAttentionPostNorm,
  kMlpNorm,
  kMlpIn,  // gate and up, or up alone
  kMlpDown,
  kSinks,
  kQueryIn,  // latent attention: to the queries or their latent, that latent's norm, and from it to the queries
  kQueryNorm,
  kQueryUp,
  kKeyValueIn,  // to the latent of keys and values with the shared key, and on from it
  kKeyValueNorm,
  kKeyValueUp,
  kRouter,
  kCorrectionBias,
  kExpertsIn,  // gate and up of every expert
  kExpertsDown,
  kSharedIn,
  kSharedDown,
  kSharedGate,
  kMlpPostNorm,
  kFinalNorm,
  kProjectOut,
  kHead,
};

enum class ModuleKind {
  kEmbedding,  // weight [rows, width]
  kLinear,     // weight [rows, width] or, transposed, [width, rows]; bias [rows]
  kNorm,       // weight [rows] where there is one, bias likewise; with heads, [heads, rows / heads]
  kVector,     // one tensor [rows] by the part's own name
  kBuffer,     // the same in fp32 whatever the model is in, and not trained
  kExperts,    // a linear module for each expert: a part each, or, fused, one tensor [experts, width, rows] for all
};

/// One module, or several that share an input and are one product (q, k and v), or one norm (of several heads).
struct ModuleLayout {
  struct Part {
    std::string name;  // "model.layers.0.self_attn.q_proj"
    int64_t rows;      // out_features, width of the norm, size of the vocabulary
    std::string in_files = {};  // its tensors' name there, where it is another
    bool packed = false;  // its weight is quantized in memory
    const std::string& stored() const { return in_files.empty() ? name : in_files; }
  };
  Slot slot;
  ModuleKind kind;
  std::vector<Part> parts;
  int64_t width = 0;  // in_features, width of an embedding; not of norms
  bool bias = false;
  bool transposed = false;
  NormSpec norm;      // kNorm
  int64_t heads = 0;  // kNorm: heads with a weight each in one tensor; 0: the weight has one dimension
  int64_t experts = 0;      // kExperts
  bool fused = false;       // kExperts
  std::string parameter{};  // kExperts: what transformers 5 and PEFT call the weights of all experts
  bool offloaded = false;  // its weights stay in the memory of the host and visit the device for each product

  int64_t rows() const;
  /// The shape of a part's weight, as it is stored.
  std::vector<int64_t> WeightShape(const Part& part) const;
};

/// The modules of one layer. Which blocks there are, a LayerSpec says.
std::vector<ModuleLayout> LayerLayout(const DecoderSpec& spec, int64_t layer);

/// Width of embedding and head.
int64_t EmbeddingSize(const DecoderSpec& spec);

/// The name in files of a tensor that is named by its module ("lm_head.weight").
std::string StoredName(const DecoderSpec& spec, const std::string& tensor);

/// What stands before the layers, and behind them: final norm and head. A tied head is listed: it is a module there, without
/// a weight of its own.
std::vector<ModuleLayout> StemLayout(const DecoderSpec& spec);
std::vector<ModuleLayout> TopLayout(const DecoderSpec& spec);

/// All of them.
std::vector<ModuleLayout> DecoderLayout(const DecoderSpec& spec);

/// Marks the parts whose weights memory holds quantized, by module path; experts by their parameter.
void MarkPacked(const std::set<std::string>& packed, std::vector<ModuleLayout>* modules);

/// Marks the matrices of linear modules and of experts, but for routers, as staying on the host.
void MarkOffloaded(std::vector<ModuleLayout>* modules);

/// The module of a slot, or nullptr.
const ModuleLayout* FindSlot(const std::vector<ModuleLayout>& modules, Slot slot);

/// The same, where the layout must have it.
const ModuleLayout& LayoutOf(const std::vector<ModuleLayout>& modules, Slot slot);

/// `pattern` with its first "{}" replaced by a number (the layer's, then a head's).
std::string LayerName(const std::string& pattern, int64_t number);

}  // namespace ft
