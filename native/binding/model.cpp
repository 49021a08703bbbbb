// NativeModel: loading, forward passes, weights on disk.
#include <cstdint>
#include <utility>

#include "binding/convert.h"
#include "binding/handles.h"
#include "core/engine/device.h"
#include "core/engine/packed_weights.h"
#include "core/quant/scheme_table.h"

namespace ft::binding {
namespace {

Napi::Value Info(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.info");
  Napi::Object result = FromDescription(info.Env(), handle->description);
  result.Set("dtype", Napi::String::New(info.Env(), handle->dtype));
  result.Set("device", Napi::String::New(info.Env(), handle->device));
  return result;
}

Napi::Value Forward(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.forward");
  CallOptions options;
  options.cancel = ToCancel(info.Env(), info[1], "signal");
  return Submit(
      info.Env(), options,
      [model = handle->model, batch = ToBatch(info[0], "batch")](CallContext& context) { return model->Forward(batch, context.cancel.get()); },
      [](Napi::Env env, const at::Tensor& logits) { return FromFloats(env, logits); });
}

Napi::Value LogProbs(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.logprobs");
  return Submit(
      info.Env(), {}, [model = handle->model, batch = ToBatch(info[0], "batch")](CallContext&) { return model->LogProbs(batch); },
      [](Napi::Env env, const at::Tensor& logprobs) { return FromFloats(env, logprobs); });
}

Napi::Value Evaluate(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.evaluate");
  return Submit(
      info.Env(), {}, [model = handle->model, batch = ToBatch(info[0], "batch")](CallContext&) { return model->Evaluate(batch); },
      [](Napi::Env env, const Model::Evaluation& evaluation) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("lossSum", FromNumber(env, evaluation.loss_sum));
        result.Set("supervisedTokens", FromInt(env, evaluation.supervised_tokens));
        result.Set("tokens", FromInt(env, evaluation.tokens));
        return result;
      });
}

Napi::Value ForwardPass(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.forwardPass");
  HostBatch batch = ToBatch(info[0], "batch");
  const Napi::Object object = ToObject(info[1], "options");
  Pass::Options options;
  options.seed = ToCounter(object.Get("seed"), "options.seed");
  options.step = ToCounter(object.Get("step"), "options.step");
  options.checkpointed_layers = ToLayers(object.Get("gradientCheckpointing"), "options.gradientCheckpointing");
  return Submit(
      info.Env(), {},
      [model = handle->model, batch = std::move(batch), options](CallContext&) {
        auto pass = Pass::Create(model, batch, options);
        at::Tensor logprobs = pass->logprobs();
        return MadePass{EngineOwned(std::move(pass)), std::move(logprobs)};
      },
      &WrapPass);
}

GenerateOptions ToGenerateOptions(const Napi::Value& value) {
  const Napi::Object object = ToObject(value, "options");
  GenerateOptions options;
  options.max_new_tokens = ToInteger(object.Get("maxNewTokens"), "options.maxNewTokens", 0, INT32_MAX);
  options.temperature = ToNumber(object.Get("temperature"), "options.temperature", 0.0);
  options.top_k = ToInteger(object.Get("topK"), "options.topK", 0, INT32_MAX);
  options.top_p = ToNumber(object.Get("topP"), "options.topP", 0.0, 1.0);
  options.repetition_penalty = ToNumber(object.Get("repetitionPenalty"), "options.repetitionPenalty", 0.0);
  options.seed = ToCounter(object.Get("seed"), "options.seed");
  options.stop_token_ids = ToInt32s(object.Get("stopTokenIds"), "options.stopTokenIds");
  options.use_cache = ToBool(object.Get("useCache"), "options.useCache");
  return options;
}

Napi::Value StartGeneration(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.startGeneration");
  const Napi::Array array = ToArray(info[0], "prompts");
  std::vector<std::vector<int32_t>> prompts;
  for (uint32_t i = 0; i < array.Length(); ++i) prompts.push_back(ToInt32s(array.Get(i), fmt::format("prompts[{}]", i)));
  FT_CHECK(!prompts.empty(), kInvalidArgument, "prompts must not be empty");
  GenerateOptions options = ToGenerateOptions(info[1]);
  return Submit(
      info.Env(), {},
      [model = handle->model, prompts = std::move(prompts), options = std::move(options)](CallContext&) {
        const auto rows = static_cast<int64_t>(prompts.size());
        return GenerationHandle{EngineOwned(Generation::Start(model, prompts, options)), rows};
      },
      &WrapGeneration);
}

Napi::Value AddAdapter(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.addAdapter");
  const Napi::Object object = ToObject(info[0], "options");
  AdapterOptions options;
  options.type = ToText(object.Get("type"), "options.type");
  options.targets = ToTargets(object.Get("targets"), "options.targets");
  options.dropout = ToNumber(object.Get("dropout"), "options.dropout");
  options.init = ToText(object.Get("init"), "options.init");
  options.seed = ToCounter(object.Get("seed"), "options.seed");
  return Submit(
      info.Env(), {},
      [model = handle->model, options = std::move(options)](CallContext&) {
        auto adapter = Adapter::Create(model, options);
        std::vector<ParameterView> tensors = adapter->tensors();
        return AdapterHandle{EngineOwned(std::move(adapter)), std::move(tensors)};
      },
      &WrapAdapter);
}

Napi::Value SetActiveAdapter(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.setActiveAdapter");
  std::shared_ptr<Adapter> adapter;
  if (!IsNothing(info[0])) {
    adapter = Handle<AdapterHandle>::Get(info.Env(), info[0], "Model.setActiveAdapter")->adapter;
    FT_CHECK(adapter->model().get() == handle->model.get(), kHandleMisuse, "this adapter belongs to another model");
  }
  return SubmitVoid(info.Env(), {}, [model = handle->model, adapter = std::move(adapter)](CallContext&) {
    model->SetActiveAdapter(adapter.get());
  });
}

Napi::Value SetTrainable(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.setTrainable");
  return SubmitVoid(info.Env(), {}, [model = handle->model](CallContext&) { model->SetTrainable(); });
}

Napi::Value SaveWeights(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.saveWeights");
  std::string folder = ToPath(info[0], "folder");
  const Napi::Object options = ToObject(info[1], "options");
  const uint64_t max_shard_bytes = ToCounter(options.Get("maxShardBytes"), "options.maxShardBytes");
  const Napi::Value dtype_value = options.Get("dtype");
  std::string dtype = IsNothing(dtype_value) ? "" : ToDtype(dtype_value, "options.dtype");
  return SubmitVoid(info.Env(), {}, [model = handle->model, folder = std::move(folder), max_shard_bytes, dtype = std::move(dtype)](CallContext&) {
    model->SaveWeights(folder, max_shard_bytes, dtype);
  });
}

Napi::Value LoadWeights(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::This(info, "Model.loadWeights");
  return SubmitVoid(info.Env(), {}, [model = handle->model, folder = ToPath(info[0], "folder")](CallContext&) { model->LoadWeights(folder); });
}

}  // namespace

LoadQuantization ToQuantization(const Napi::Value& value, const std::string& what) {
  LoadQuantization quantization;
  if (IsNothing(value)) return quantization;
  const Napi::Object object = ToObject(value, what);
  quantization.scheme = ToText(object.Get("scheme"), what + ".scheme");
  quant::FindScheme(quantization.scheme);
  quantization.double_quant = ToBool(object.Get("doubleQuant"), what + ".doubleQuant");
  quantization.int8_threshold = ToNumber(object.Get("int8Threshold"), what + ".int8Threshold", 0.0);
  const Napi::Array skipped = ToArray(object.Get("skipModules"), what + ".skipModules");
  for (uint32_t i = 0; i < skipped.Length(); ++i) quantization.skip_modules.push_back(ToText(skipped.Get(i), fmt::format("{}.skipModules[{}]", what, i)));
  return quantization;
}

namespace {

struct LoadedModel {
  ModelHandle handle;
  int64_t host_bytes = 0;
};

LoadedModel Load(const LoadOptions& options, CallContext& context) {
  ProgressFn progress;
  if (context.progress.has_value()) progress = *context.progress;
  auto model = Model::Load(options, progress, context.cancel.get());
  LoadedModel loaded;
  loaded.handle.description = Describe(model->spec(), model->WeightBytes());
  loaded.handle.description.unused_tensors = model->unused_tensors();
  loaded.handle.description.quantization = PackedScheme(model->decoder());
  loaded.handle.dtype = DtypeName(model->decoder().dtype());
  loaded.handle.device = model->decoder().device().str();
  if (!model->decoder().device().is_cuda()) loaded.host_bytes = static_cast<int64_t>(model->WeightBytes());
  loaded.handle.model = EngineOwned(std::move(model));
  return loaded;
}

}  // namespace

Napi::Value LoadModel(const Napi::CallbackInfo& info) {
  const Napi::Object object = ToObject(info[0], "options");
  LoadOptions options;
  options.path = ToPath(object.Get("path"), "options.path");
  options.dtype = ToDtype(object.Get("dtype"), "options.dtype");
  options.device = ToText(object.Get("device"), "options.device");
  const std::string init = ToText(object.Get("init"), "options.init");
  FT_CHECK(init == "pretrained" || init == "random", kInvalidArgument, "options.init must be \"pretrained\" or \"random\", got \"{}\"", init);
  options.random_init = init == "random";
  options.seed = ToCounter(object.Get("seed"), "options.seed");
  const Napi::Value arch = object.Get("arch");
  if (!arch.IsUndefined()) options.arch = ToText(arch, "options.arch");
  const Napi::Value attention = object.Get("attention");
  if (!attention.IsUndefined()) options.attention = ToText(attention, "options.attention");
  options.quantization = ToQuantization(object.Get("quantization"), "options.quantization");
  const Napi::Value offload = object.Get("offloadLayers");
  if (!offload.IsUndefined()) options.offload_layers = static_cast<int64_t>(ToCounter(offload, "options.offloadLayers"));
  CallOptions call;
  call.progress = ToCallback(info[1], "onProgress");
  call.cancel = ToCancel(info.Env(), info[2], "signal");
  return Submit(
      info.Env(), call, [options = std::move(options)](CallContext& context) { return Load(options, context); },
      [](Napi::Env env, LoadedModel loaded) -> Napi::Value {
        return Handle<ModelHandle>::Wrap(env, std::make_shared<ModelHandle>(std::move(loaded.handle)), loaded.host_bytes);
      });
}

void DefineModel(Napi::Env env) {
  DefineHandle(env, HandleKind::kModel, "NativeModel",
               {{"info", &Sync<Info>},
                {"forward", &Async<Forward>},
                {"logprobs", &Async<LogProbs>},
                {"evaluate", &Async<Evaluate>},
                {"forwardPass", &Async<ForwardPass>},
                {"startGeneration", &Async<StartGeneration>},
                {"addAdapter", &Async<AddAdapter>},
                {"setActiveAdapter", &Async<SetActiveAdapter>},
                {"setTrainable", &Async<SetTrainable>},
                {"saveWeights", &Async<SaveWeights>},
                {"loadWeights", &Async<LoadWeights>},
                {"dispose", &Sync<Handle<ModelHandle>::Dispose>}});
}

}  // namespace ft::binding
