// What belongs to one JavaScript environment (the main thread or a worker): its channel from the engine thread,
// its pending promises, its handle classes. Only the JavaScript thread of the environment touches it, except
// Channel::Post. When the environment goes away, pending work is cancelled and its results are dropped.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "binding/napi_config.h"
#include "core/base/cancel.h"

namespace ft::binding {

/// Something to do on the JavaScript thread. Destroyed without Run when the environment is gone.
class Message {
 public:
  virtual ~Message() = default;
  virtual void Run(Napi::Env env) = 0;
};

/// The way from the engine thread to a JavaScript thread. Messages arrive in the order of Post.
class Channel {
 public:
  static std::shared_ptr<Channel> Open(Napi::Env env);

  /// Any thread.
  void Post(std::unique_ptr<Message> message);
  bool closed();

  /// JavaScript thread. The event loop lives while something holds the channel.
  void Hold(Napi::Env env);
  void Unhold(Napi::Env env);
  void Close();

 private:
  static void Deliver(napi_env env, napi_value callback, void* context, void* data);

  std::mutex mutex_;
  bool closed_ = false;
  napi_threadsafe_function function_ = nullptr;
  size_t holds_ = 0;
};

/// A promise that has not settled.
struct PendingCall {
  napi_deferred deferred = nullptr;
  Napi::FunctionReference progress;   // may be empty
  std::optional<Napi::Error> thrown;  // by `progress`: what the promise rejects with
  CancelTokenPtr cancel;              // never null
};

enum class HandleKind { kModel, kAdapter, kOptimizer, kPass, kGeneration, kCancel, kSentencepiece, kLock, kCount };

class Environment {
 public:
  static Environment& Of(napi_env env);
  /// Once an environment, from module initialisation.
  static void Create(Napi::Env env);

  uint64_t Begin(PendingCall call);
  /// nullptr when it is over.
  PendingCall* Find(uint64_t id);
  void End(uint64_t id);

  const std::shared_ptr<Channel>& channel() const { return channel_; }

  Napi::FunctionReference error_factory;
  std::array<Napi::FunctionReference, static_cast<size_t>(HandleKind::kCount)> constructors;
  bool constructing = false;  // true while the addon itself makes a handle

 private:
  explicit Environment(Napi::Env env);
  static void CleanUp(void* data);

  Napi::Env env_;
  std::shared_ptr<Channel> channel_;
  std::unordered_map<uint64_t, PendingCall> calls_;
  uint64_t next_id_ = 1;
};

}  // namespace ft::binding
