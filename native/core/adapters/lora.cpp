#include "core/adapters/lora.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <map>
#include <set>

#include "core/adapters/embedding_lora.h"
#include "core/adapters/expert_lora.h"
#include "core/base/error.h"
#include "core/kernels/dropout.h"
#include "core/kernels/linear.h"

namespace ft {
namespace {

// Everything LoRA holds of one linear group. Tensors are views of the adapter's one block.
class LoraSite : public LinearAdapter {
 public:
  struct Part {
    int64_t begin, out_features;  // of the group's output
    int64_t rank_begin, r;        // of the stacked A
    double scale;
    at::Tensor b, b_grad;         // [out, r]: compute dtype, fp32
  };
  at::Tensor a, a_grad;  // [sum of r, in]: compute dtype, fp32
  std::vector<Part> parts;
  int64_t group_out = 0;
  std::shared_ptr<const uint64_t> changes;  // of the block
  double dropout = 0.0;
  uint32_t site = 0;

  kernels::ProductTerm Forward(const at::Tensor& x, const TokenKeys& keys, const ForwardContext& context, std::vector<at::Tensor>* saved) override {
    const at::Tensor input = context.training ? Dropped(x, {context.seed, context.step, site}, keys) : x;
    if (context.training) Forget();
    const at::Tensor xa = kernels::SumOfProducts({{input, a}}, {}, {});  // [tokens, sum of r]
    if (saved != nullptr) saved->push_back(xa);
    return {xa, context.cache != nullptr ? KeptScaledB() : ScaledB()};
  }
  /// Frees what is kept from token to token.
  void Forget() { kept_.reset(); }

  InputGradient BackwardInput(const at::Tensor& dy, const std::vector<at::Tensor>&, const BackwardKeys& keys, bool need_dx) override {
    const at::Tensor dxa = kernels::SumOfProducts({{dy, ScaledB(), /*by_rows=*/true}}, {}, {});
    InputGradient input{std::nullopt, {}, {dxa}};
    if (need_dx && dropout == 0) input.term = kernels::ProductTerm{dxa, a, /*by_rows=*/true};
    if (need_dx && dropout > 0) {
      input.addend = Dropped(kernels::SumOfProducts({{dxa, a, /*by_rows=*/true}}, {}, {}), {keys.seed, keys.step, site}, keys.tokens);
    }
    return input;
  }

  void BackwardParameters(const at::Tensor& x, const at::Tensor& dy, const std::vector<at::Tensor>& saved, const InputGradient& input,
                          const BackwardKeys& keys) override {
    const at::Tensor &xa = saved.at(0), &dxa = input.results.at(0);
    for (Part& part : parts) {
      at::Tensor grad = part.b_grad.t();  // [r, out]: the narrow operand first
      kernels::AddOuterProduct(grad, xa.narrow(1, part.rank_begin, part.r), dy.narrow(1, part.begin, part.out_features), part.scale);
    }
    kernels::AddOuterProduct(a_grad, dxa, Dropped(x, {keys.seed, keys.step, site}, keys.tokens), 1.0);
  }

 private:
  at::Tensor Dropped(const at::Tensor& x, const kernels::DropoutKey& key, const TokenKeys& keys) const {
    return dropout > 0 ? kernels::Dropout(x, dropout, key, keys.row_keys, keys.positions) : x;
  }

  at::Tensor kept_;  // KeptScaledB, when *changes was kept_at_
  uint64_t kept_at_ = 0;

  // Making it anew would cost a generated token as much as its product.
  const at::Tensor& KeptScaledB() {
    if (!kept_.defined() || kept_at_ != *changes) kept_ = ScaledB(), kept_at_ = *changes;
    return kept_;
  }

  // Every part's B times its scale, in one matrix [out of the group, sum of r] with zeros where parts do not meet.
  at::Tensor ScaledB() const {
    const int64_t out = group_out, rank = a.size(0);
    if (parts.size() == 1 && parts[0].out_features == out) return parts[0].scale == 1.0 ? parts[0].b : parts[0].b * parts[0].scale;
    at::Tensor all = at::zeros({out, rank}, a.options());
    for (const Part& part : parts) {
      at::Tensor place = all.narrow(0, part.begin, part.out_features).narrow(1, part.rank_begin, part.r);
      at::mul_out(place, part.b, at::scalar_tensor(part.scale, at::kDouble));
    }
    return all;
  }
};

class Lora : public AdapterMethod {
 public:
  std::vector<ParameterBlock>& blocks() override { return blocks_; }
  void Attach() override {
    for (const auto& [group, site] : sites_) group->adapter = site.get();
    for (const auto& [linear, site] : expert_sites_) linear->adapter = site.get();
    if (embedding_site_) embedding_->adapter = embedding_site_.get();
  }
  void Detach() override {
    for (const auto& [group, site] : sites_) {
      if (group->adapter == site.get()) group->adapter = nullptr;
      site->Forget();
    }
    for (const auto& [linear, site] : expert_sites_) {
      if (linear->adapter == site.get()) linear->adapter = nullptr;
    }
    if (embedding_site_ && embedding_->adapter == embedding_site_.get()) embedding_->adapter = nullptr;
  }

  std::vector<ParameterBlock> blocks_;
  std::vector<std::pair<LinearGroup*, std::unique_ptr<LoraSite>>> sites_;
  std::vector<std::pair<ExpertLinear*, std::unique_ptr<ExpertLora>>> expert_sites_;
  Stem::Table* embedding_ = nullptr;
  std::unique_ptr<EmbeddingLora> embedding_site_;
};

// Where a matrix lies in the block. `tied`: where the embedding's do.
struct Planned {
  LinearGroup* group;
  bool tied = false;
  uint32_t site;
  std::vector<std::pair<const LinearPart*, const LoraTarget*>> parts;
  int64_t a_offset = 0, rank = 0;
  std::vector<int64_t> b_offsets;
};

void CheckTargets(const AdapterOptions& options) {
  FT_CHECK(!options.targets.empty(), kUnknownTargetModule, "LoRA needs at least one target module");
  FT_CHECK(options.dropout >= 0 && options.dropout < 1, kInvalidArgument, "lora_dropout must lie in [0, 1), got {}", options.dropout);
  FT_CHECK(options.init == "kaiming" || options.init == "gaussian", kInvalidArgument, "unknown initialisation \"{}\"", options.init);
  for (const LoraTarget& target : options.targets) {
    FT_CHECK(target.r > 0, kInvalidArgument, "the rank of {} must be positive, got {}", target.module, target.r);
    FT_CHECK(std::isfinite(target.scale), kInvalidArgument, "the scale of {} is not a number", target.module);
  }
}

void CheckRank(int64_t rank, const std::string& module) {
  FT_CHECK(rank <= (1 << 20), kInvalidArgument, "the rank {} of {} is absurd", rank, module);
}

std::vector<ExpertLoraPlace> PlanExperts(const AdapterOptions& options, Decoder& decoder) {
  std::vector<ExpertLoraPlace> places;
  for (const std::vector<ExpertLinear*>& experts : decoder.Experts()) {
    for (ExpertLoraPlace& place : PlaceExpertLora(experts, options.targets)) places.push_back(std::move(place));
  }
  for (const ExpertLoraPlace& place : places) CheckRank(place.target->r, place.target->module);
  FT_CHECK(places.empty() || options.dropout == 0, kInvalidArgument, "adapters of experts have no dropout, got {}", options.dropout);
  return places;
}

EmbeddingLoraPlace PlanEmbedding(const AdapterOptions& options, Decoder& decoder) {
  EmbeddingLoraPlace place;
  for (const LoraTarget& target : options.targets) {
    if (target.module == decoder.embedding().module) place = {&decoder.embedding(), &target};
  }
  if (place.target != nullptr) CheckRank(place.target->r, place.target->module);
  return place;
}

void CheckTied(const Planned& planned, const EmbeddingLoraPlace& embedding, Decoder& decoder) {
  FT_CHECK(planned.group == &decoder.lm_head() && decoder.spec().tie_word_embeddings, kInvalidArgument,
           "{} does not share the embedding's weight, so its adapter cannot be tied to the embedding's", planned.parts[0].first->name);
  FT_CHECK(embedding.target != nullptr && embedding.target->r == planned.rank, kInvalidArgument,
           "a tied adapter of {} needs one of the embedding, of the same rank", planned.parts[0].first->name);
}

std::vector<Planned> Plan(const AdapterOptions& options, const std::vector<ExpertLoraPlace>& experts, const EmbeddingLoraPlace& embedding, Decoder& decoder) {
  std::map<std::string, const LoraTarget*> wanted;
  for (const LoraTarget& target : options.targets) {
    FT_CHECK(wanted.emplace(target.module, &target).second, kInvalidArgument, "target module {} is named twice", target.module);
  }
  for (const ExpertLoraPlace& place : experts) wanted.erase(place.target->module);
  if (embedding.target != nullptr) wanted.erase(embedding.target->module);
  std::vector<Planned> plan;
  uint32_t site = 0;
  for (LinearGroup* group : decoder.Groups()) {
    Planned planned{group, false, site++, {}, 0, 0, {}};
    for (const LinearPart& part : group->parts) {
      const auto found = wanted.find(part.name);
      if (found == wanted.end()) continue;
      CheckRank(found->second->r, part.name);
      planned.parts.emplace_back(&part, found->second);
      planned.rank += found->second->r;
      planned.tied = found->second->tied;
      wanted.erase(found);
    }
    if (planned.tied) CheckTied(planned, embedding, decoder);
    if (!planned.parts.empty()) plan.push_back(std::move(planned));
  }
  FT_CHECK(wanted.empty(), kUnknownTargetModule, "the model has no linear module {}", wanted.begin()->first);
  return plan;
}

// Matrices start at multiples of 64 bytes in either dtype, but the A matrices of a group touch.
int64_t LayOut(std::vector<Planned>& plan, std::vector<ExpertLoraPlace>& experts, EmbeddingLoraPlace& embedding) {
  constexpr int64_t kAlign = 32;
  int64_t end = 0;
  const auto take = [&end](int64_t numel) {
    const int64_t at = (end + kAlign - 1) / kAlign * kAlign;
    end = at + numel;
    return at;
  };
  if (embedding.target != nullptr) {
    embedding.a_offset = take(embedding.a_numel());
    embedding.b_offset = take(embedding.b_numel());
  }
  for (Planned& planned : plan) {
    if (planned.tied) {
      planned.a_offset = embedding.b_offset, planned.b_offsets = {embedding.a_offset};
      continue;
    }
    planned.a_offset = take(planned.rank * planned.group->in_features());
    for (const auto& [part, target] : planned.parts) planned.b_offsets.push_back(take(part->out_features * target->r));
  }
  for (ExpertLoraPlace& place : experts) {
    place.a_offset = take(place.a_numel());
    place.b_offset = take(place.b_numel());
  }
  return end;
}

// a [rank of one or more adapters, in].
void Initialise(at::Tensor a, int64_t rank, const AdapterOptions& options, at::Generator& generator) {
  const auto r = static_cast<double>(rank), in = static_cast<double>(a.size(1));
  at::Tensor values = at::empty(a.sizes(), at::kFloat);
  if (options.init == "gaussian") {
    values.normal_(0.0, 1.0 / r, generator);
  } else {
    values.uniform_(-1.0 / std::sqrt(in), 1.0 / std::sqrt(in), generator);
  }
  a.copy_(values);
}

ParameterBlock MakeBlock(int64_t numel, const Decoder& decoder) {
  const auto fp32 = at::TensorOptions(at::kFloat).device(decoder.device());
  ParameterBlock block;
  block.master = at::zeros({numel}, fp32);
  block.grad = at::zeros({numel}, fp32);
  block.compute = decoder.dtype() == at::kFloat ? block.master : at::zeros({numel}, fp32.dtype(decoder.dtype()));
  block.master_saved_elsewhere = true;
  return block;
}

// Builds one group's site and its parameter views.
std::unique_ptr<LoraSite> MakeSite(const Planned& planned, const AdapterOptions& options, ParameterBlock& block, at::Generator& generator) {
  const int64_t in = planned.group->in_features();
  const auto view = [](const at::Tensor& flat, int64_t offset, int64_t rows, int64_t columns) {
    return flat.narrow(0, offset, rows * columns).view({rows, columns});
  };
  auto site = std::make_unique<LoraSite>();
  site->group_out = planned.group->out_features();
  site->changes = block.changes;
  site->dropout = options.dropout;
  site->site = planned.site;
  site->a = view(block.compute, planned.a_offset, planned.rank, in);
  site->a_grad = view(block.grad, planned.a_offset, planned.rank, in);
  int64_t rank_begin = 0;
  for (size_t i = 0; i < planned.parts.size(); ++i) {
    const auto& [part, target] = planned.parts[i];
    const int64_t out = part->out_features, r = target->r, a_offset = planned.a_offset + rank_begin * in;
    Initialise(view(block.master, a_offset, r, in), r, options, generator);
    site->parts.push_back({part->begin, out, rank_begin, r, target->scale, view(block.compute, planned.b_offsets[i], out, r),
                           view(block.grad, planned.b_offsets[i], out, r)});
    const std::string prefix = "base_model.model." + part->name;
    std::vector<ParameterView>& views = planned.tied ? block.repeats : block.views;
    views.push_back({prefix + ".lora_A.weight", {r, in}, a_offset, r * in});
    views.push_back({prefix + ".lora_B.weight", {out, r}, planned.b_offsets[i], out * r});
    if (part->in_files != part->name) {  // older files call modules as the base's files do
      const std::string older = "base_model.model." + part->in_files;
      ParameterView &a = views[views.size() - 2], &b = views.back();
      a.older = {{older + ".lora_A.weight", a.shape, a.offset, a.numel}};
      b.older = {{older + ".lora_B.weight", b.shape, b.offset, b.numel}};
    }
    rank_begin += r;
  }
  return site;
}

}  // namespace

std::unique_ptr<AdapterMethod> MakeLora(const AdapterOptions& options, Decoder& decoder) {
  CheckTargets(options);
  std::vector<ExpertLoraPlace> experts = PlanExperts(options, decoder);
  EmbeddingLoraPlace embedding = PlanEmbedding(options, decoder);
  std::vector<Planned> plan = Plan(options, experts, embedding, decoder);
  auto lora = std::make_unique<Lora>();
  lora->blocks_.push_back(MakeBlock(LayOut(plan, experts, embedding), decoder));
  ParameterBlock& block = lora->blocks_.front();
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  if (embedding.target != nullptr) {  // a tied head, which comes later, begins its own way
    block.master.narrow(0, embedding.b_offset, embedding.b_numel()).copy_(at::empty({embedding.b_numel()}, at::kFloat).normal_(0.0, 1.0, generator));
    lora->embedding_ = embedding.table;
    lora->embedding_site_ = MakeEmbeddingLora(embedding, block);
  }
  for (const Planned& planned : plan) lora->sites_.emplace_back(planned.group, MakeSite(planned, options, block, generator));
  for (const ExpertLoraPlace& place : experts) {
    const int64_t r = place.target->r, in = place.linear->in_features();
    Initialise(block.master.narrow(0, place.a_offset, place.a_numel()).view({-1, in}), r, options, generator);
    lora->expert_sites_.emplace_back(place.linear, MakeExpertLora(place, block));
  }
  block.MasterChanged();
  return lora;
}

}  // namespace ft
