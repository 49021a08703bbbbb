// What each handle holds, and the one function a file that defines its JavaScript class. Facts that synchronous
// methods answer are captured when the handle is made: they never look at state the engine thread changes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "binding/describe.h"
#include "binding/handle.h"
#include "core/engine/generation.h"
#include "core/engine/model.h"
#include "core/engine/optimizer.h"
#include "core/io/file_lock.h"
#include "core/text/sentencepiece_library.h"

namespace ft::binding {

struct ModelHandle {
  static constexpr HandleKind kKind = HandleKind::kModel;
  std::shared_ptr<Model> model;
  ModelDescription description;
  std::string dtype;
  std::string device;
};

struct AdapterHandle {
  static constexpr HandleKind kKind = HandleKind::kAdapter;
  std::shared_ptr<Adapter> adapter;
  std::vector<ParameterView> tensors;
};

struct OptimizerHandle {
  static constexpr HandleKind kKind = HandleKind::kOptimizer;
  std::shared_ptr<Optimizer> optimizer;
  int64_t trainable_parameters = 0;
  int64_t state_bytes = 0;
};

struct PassHandle {
  static constexpr HandleKind kKind = HandleKind::kPass;
  std::shared_ptr<Pass> pass;
  int64_t tokens = 0;
};

struct GenerationHandle {
  static constexpr HandleKind kKind = HandleKind::kGeneration;
  std::shared_ptr<Generation> generation;
  int64_t rows = 0;
};

struct CancelHandle {
  static constexpr HandleKind kKind = HandleKind::kCancel;
  CancelTokenPtr token;
};

struct SentencepieceHandle {
  static constexpr HandleKind kKind = HandleKind::kSentencepiece;
  std::unique_ptr<SentencepieceModel> model;
};

struct LockHandle {
  static constexpr HandleKind kKind = HandleKind::kLock;
  FileLock lock;
};

void DefineModel(Napi::Env env);
void DefineAdapter(Napi::Env env);
void DefineOptimizer(Napi::Env env);
void DefinePass(Napi::Env env);
void DefineGeneration(Napi::Env env);
void DefineCancel(Napi::Env env);
void DefineSentencepiece(Napi::Env env);
void DefineLock(Napi::Env env);

// Functions of the addon object.
Napi::Value LoadModel(const Napi::CallbackInfo& info);
Napi::Value CreateOptimizer(const Napi::CallbackInfo& info);
Napi::Value CreateCancel(const Napi::CallbackInfo& info);
Napi::Value LoadSentencepiece(const Napi::CallbackInfo& info);
Napi::Value LockFolder(const Napi::CallbackInfo& info);
void DefineFunctions(Napi::Env env, Napi::Object exports);

// Makers that several files use.
struct MadePass {
  std::shared_ptr<Pass> pass;
  at::Tensor logprobs;
};
Napi::Value WrapAdapter(Napi::Env env, AdapterHandle handle);
Napi::Value WrapPass(Napi::Env env, MadePass made);
Napi::Value WrapGeneration(Napi::Env env, GenerationHandle handle);
std::vector<LoraTarget> ToTargets(const Napi::Value& value, const std::string& what);
/// NativeQuantization; undefined: nothing is quantized.
LoadQuantization ToQuantization(const Napi::Value& value, const std::string& what);
/// The token of a NativeCancel argument, or null.
CancelTokenPtr ToCancel(Napi::Env env, const Napi::Value& value, const std::string& what);
/// "bf16" | "fp16" | "fp32"
std::string ToDtype(const Napi::Value& value, const std::string& what);

}  // namespace ft::binding
