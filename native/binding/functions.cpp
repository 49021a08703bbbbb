// Functions of the addon object that belong to no handle.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include <atomic>

#include "binding/convert.h"
#include "binding/handles.h"
#include "core/arch/arch.h"
#include "core/arch/stored_quantization.h"
#include "core/base/memory.h"
#include "core/engine/host_memory.h"
#include "core/engine/device.h"
#include "core/engine/merge.h"
#include "core/io/safetensors.h"
#include "core/kernels/cpu/in_use.h"

namespace ft::binding {
namespace {

#ifdef FT_WITH_MPS
constexpr bool kBuildHasMps = true;
#else
constexpr bool kBuildHasMps = false;
#endif

// What setNumThreads set on the engine thread; 0: LibTorch's default.
std::atomic<int> thread_count{0};

Napi::Value BuildInfo(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  result.Set("libtorch", Napi::String::New(env, TORCH_VERSION));
  result.Set("cuda", Napi::Boolean::New(env, at::globalContext().hasCUDART()));
  result.Set("mps", Napi::Boolean::New(env, kBuildHasMps));
  const std::string sentencepiece = SentencepieceVersion();
  result.Set("sentencepiece", sentencepiece.empty() ? env.Null() : Napi::Value(Napi::String::New(env, sentencepiece)));
  result.Set("cpuCapability", Napi::String::New(env, CpuCapability()));
  result.Set("cpuKernels", Napi::String::New(env, kernels::cpu::KernelsInUse()));
  const int threads = thread_count.load();
  result.Set("threads", FromInt(env, threads > 0 ? threads : at::get_num_threads()));
  result.Set("bf16Native", Napi::Boolean::New(env, CpuHasNativeBf16()));
  Napi::Array devices = Napi::Array::New(env);
  for (const DeviceDescription& device : ListDevices()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", Napi::String::New(env, device.name));
    entry.Set("description", Napi::String::New(env, device.description));
    entry.Set("totalBytes", FromInt(env, device.total_bytes));
    devices.Set(devices.Length(), entry);
  }
  result.Set("devices", devices);
  return result;
}

Napi::Value SetNumThreads(const Napi::CallbackInfo& info) {
  const auto threads = static_cast<int>(ToInteger(info[0], "threads", 1, 4096));
  return SubmitVoid(info.Env(), {}, [threads](CallContext&) {
    at::set_num_threads(threads);
    thread_count.store(threads);
  });
}

Napi::Value Idle(const Napi::CallbackInfo& info) {
  return SubmitVoid(info.Env(), {}, [](CallContext&) {});
}

struct Inspection {
  ModelDescription description;
  std::vector<std::string> files;
};

// An optional argument: the family to read a config as.
std::string ArchOf(const Napi::Value& value) { return value.IsUndefined() ? "" : ToText(value, "arch"); }

Inspection Inspect(const std::string& folder, const std::string& arch) {
  DecoderSpec spec = ReadDecoderSpec(folder, arch);
  const WeightFolder weights = WeightFolder::Open(folder);
  CheckedTensors checked = CheckTensors(spec, weights, ReadStoredQuantization(folder));
  spec.tie_word_embeddings = checked.tie_word_embeddings;
  Inspection inspection{Describe(spec, weights.total_bytes()), {}};
  inspection.description.quantization = checked.stored.name();
  inspection.description.unused_tensors = std::move(checked.unused);
  for (const auto& file : weights.files()) inspection.files.push_back(file->path());
  return inspection;
}

Napi::Value InspectModel(const Napi::CallbackInfo& info) {
  return Submit(
      info.Env(), {}, [folder = ToPath(info[0], "path"), arch = ArchOf(info[1])](CallContext&) { return Inspect(folder, arch); },
      [](Napi::Env env, const Inspection& inspection) -> Napi::Value {
        Napi::Object result = FromDescription(env, inspection.description);
        Napi::Array files = Napi::Array::New(env);
        for (const std::string& file : inspection.files) files.Set(files.Length(), Napi::String::New(env, file));
        result.Set("files", files);
        return result;
      });
}

Napi::Value InspectConfig(const Napi::CallbackInfo& info) {
  const std::string folder = ToPath(info[0], "path");
  ModelDescription description = Describe(ReadDecoderSpec(folder, ArchOf(info[1])), 0);
  description.quantization = ReadStoredQuantization(folder).name();
  return FromDescription(info.Env(), description);
}

Napi::Value ModelTypes(const Napi::CallbackInfo& info) {
  Napi::Array result = Napi::Array::New(info.Env());
  for (const std::string& name : SupportedModelTypes()) result.Set(result.Length(), Napi::String::New(info.Env(), name));
  return result;
}

Napi::Value ReadSafetensorsHeader(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto file = SafetensorsFile::Open(ToPath(info[0], "path"));
  Napi::Object metadata = Napi::Object::New(env);
  for (const auto& [key, value] : file->metadata()) metadata.Set(key, Napi::String::New(env, value));
  Napi::Array tensors = Napi::Array::New(env, file->entries().size());
  uint32_t index = 0;
  for (const TensorEntry& entry : file->entries()) {
    const Napi::HandleScope scope(env);
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", Napi::String::New(env, entry.name));
    object.Set("dtype", Napi::String::New(env, SafetensorsName(entry.dtype)));
    object.Set("shape", FromShape(env, entry.shape));
    tensors.Set(index++, object);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("metadata", metadata);
  result.Set("tensors", tensors);
  return result;
}

Napi::Value Merge(const Napi::CallbackInfo& info) {
  const Napi::Object object = ToObject(info[0], "options");
  MergeOptions options;
  options.model = ToPath(object.Get("model"), "options.model");
  options.arch = ArchOf(object.Get("arch"));
  const Napi::Value adapter = object.Get("adapter");
  if (!IsNothing(adapter)) {
    options.adapter = ToPath(adapter, "options.adapter");
    options.targets = ToTargets(object.Get("targets"), "options.targets");
  }
  options.output = ToPath(object.Get("output"), "options.output");
  const Napi::Value dtype = object.Get("dtype");
  if (!IsNothing(dtype)) options.dtype = ToDtype(dtype, "options.dtype");
  options.device = ToText(object.Get("device"), "options.device");
  options.quantization = ToQuantization(object.Get("quantization"), "options.quantization");
  CallOptions call;
  call.progress = ToCallback(info[1], "onProgress");
  call.cancel = ToCancel(info.Env(), info[2], "signal");
  return SubmitVoid(info.Env(), call, [options = std::move(options)](CallContext& context) {
    ProgressFn progress;
    if (context.progress.has_value()) progress = *context.progress;
    MergeAdapter(options, progress, context.cancel.get());
  });
}

Napi::Value Memory(const Napi::CallbackInfo& info) {
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("rssBytes", FromNumber(info.Env(), static_cast<double>(ResidentBytes())));
  result.Set("peakRssBytes", FromNumber(info.Env(), static_cast<double>(PeakResidentBytes())));
  const TensorBytes tensors = ArenaTensorBytes();
  result.Set("tensorBytes", FromNumber(info.Env(), static_cast<double>(tensors.used)));
  result.Set("peakTensorBytes", FromNumber(info.Env(), static_cast<double>(tensors.peak)));
  result.Set("reservedTensorBytes", FromNumber(info.Env(), static_cast<double>(tensors.reserved)));
  return result;
}

Napi::Value MemoryAvailable(const Napi::CallbackInfo& info) { return FromNumber(info.Env(), static_cast<double>(AvailableBytes())); }

/// The function that makes the public error class from an Error with code, remedy and details.
Napi::Value SetErrorFactory(const Napi::CallbackInfo& info) {
  const Napi::Function factory = ToCallback(info[0], "factory");
  Napi::FunctionReference& slot = Environment::Of(info.Env()).error_factory;
  slot.Reset();
  if (!factory.IsEmpty()) slot = Napi::Persistent(factory);
  return info.Env().Undefined();
}

Napi::Value ProcessExit(const Napi::CallbackInfo& info) {
  PrepareExit();
  return info.Env().Undefined();
}

void Add(Napi::Env env, Napi::Object exports, std::initializer_list<MethodEntry> functions) {
  for (const MethodEntry& entry : functions) {
    exports.Set(entry.name, Napi::Function::New(
                                env, [callback = entry.callback](const Napi::CallbackInfo& info) { return callback(info); }, entry.name));
  }
}

}  // namespace

std::string ToDtype(const Napi::Value& value, const std::string& what) {
  std::string dtype = ToText(value, what);
  FT_CHECK(dtype == "bf16" || dtype == "fp16" || dtype == "fp32", kInvalidArgument, "{} must be bf16, fp16 or fp32, got \"{}\"", what, dtype);
  return dtype;
}

void DefineFunctions(Napi::Env env, Napi::Object exports) {
  Add(env, exports,
      {{"buildInfo", &Sync<BuildInfo>},
       {"setNumThreads", &Async<SetNumThreads>},
       {"idle", &Async<Idle>},
       {"inspectModel", &Async<InspectModel>},
       {"inspectConfig", &Sync<InspectConfig>},
       {"supportedModelTypes", &Sync<ModelTypes>},
       {"loadModel", &Async<LoadModel>},
       {"createOptimizer", &Async<CreateOptimizer>},
       {"createCancel", &Sync<CreateCancel>},
       {"readSafetensorsHeader", &Sync<ReadSafetensorsHeader>},
       {"mergeAdapter", &Async<Merge>},
       {"loadSentencepiece", &Sync<LoadSentencepiece>},
       {"lockFolder", &Sync<LockFolder>},
       {"memory", &Sync<Memory>},
       {"memoryAvailable", &Sync<MemoryAvailable>},
       {"setErrorFactory", &Sync<SetErrorFactory>},
       {"processExit", &Sync<ProcessExit>}});
}

}  // namespace ft::binding
