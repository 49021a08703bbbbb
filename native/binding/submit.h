// Submit: the one way from a JavaScript call to the engine thread and back through a promise.
//   work()              engine thread; its result, or the exception it throws, settles the promise
//   convert(env, value) JavaScript thread; makes the JavaScript value
// Correct with worker threads and with an environment that goes away meanwhile (the result is dropped). The
// event loop lives while a promise is pending, and no longer.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "binding/environment.h"
#include "binding/errors.h"
#include "binding/tasks.h"

namespace ft::binding {

/// Optional parts of a call.
struct CallOptions {
  Napi::Function progress;  // (doneBytes, totalBytes); an exception in it cancels the call and rejects with it
  CancelTokenPtr cancel;    // a new one when null; also set when the environment goes away
};

/// Engine side of a progress callback: at most one message under way, at most one in 50 ms.
class ProgressReporter {
 public:
  ProgressReporter(std::shared_ptr<Channel> channel, uint64_t call_id) : state_(std::make_shared<State>()) {
    state_->channel = std::move(channel);
    state_->call_id = call_id;
  }
  void operator()(uint64_t done, uint64_t total) const;

 private:
  struct State {
    std::shared_ptr<Channel> channel;
    uint64_t call_id = 0;
    std::atomic<bool> under_way{false};
    std::chrono::steady_clock::time_point last{};  // engine thread only
  };
  class Report;
  std::shared_ptr<State> state_;
};

/// What work receives besides its captures.
struct CallContext {
  CancelTokenPtr cancel;
  std::optional<ProgressReporter> progress;
};

/// Settles a promise; in submit.cpp, so that the template stays small.
void Reject(Napi::Env env, uint64_t call_id, const ErrorInfo& error);
void Resolve(Napi::Env env, uint64_t call_id, Napi::Value value);
/// A promise that is rejected already: the arguments of an asynchronous method were wrong.
Napi::Value RejectedPromise(Napi::Env env, const Napi::Error& error);
/// Opens a call: its promise, its id.
std::pair<Napi::Value, uint64_t> BeginCall(Napi::Env env, const CallOptions& options, const CancelTokenPtr& cancel);

namespace detail {

/// `void` as a value.
struct Nothing {};

template <class Value, class Convert>
class Settlement : public Message {
 public:
  Settlement(uint64_t call_id, std::optional<Value> value, ErrorInfo error, Convert convert)
      : call_id_(call_id), value_(std::move(value)), error_(std::move(error)), convert_(std::move(convert)) {}

  void Run(Napi::Env env) override {
    if (!value_.has_value()) return Reject(env, call_id_, error_);
    Napi::Value result;
    try {
      result = convert_(env, std::move(*value_));
    } catch (...) {
      return Reject(env, call_id_, Classify(std::current_exception()));
    }
    Resolve(env, call_id_, result);
  }

 private:
  uint64_t call_id_;
  std::optional<Value> value_;
  ErrorInfo error_;
  Convert convert_;
};

}  // namespace detail

/// `work`: Value(CallContext&); `convert`: Napi::Value(Napi::Env, Value).
template <class Work, class Convert>
Napi::Value Submit(Napi::Env env, CallOptions options, Work work, Convert convert) {
  using Value = std::invoke_result_t<Work&, CallContext&>;
  CancelTokenPtr cancel = options.cancel ? options.cancel : std::make_shared<CancelToken>();
  auto [promise, call_id] = BeginCall(env, options, cancel);

  struct Job {
    std::optional<Work> work;
    Convert convert;
    CallContext context;
    std::shared_ptr<Channel> channel;
    uint64_t call_id;
  };
  std::shared_ptr<Channel> channel = Environment::Of(env).channel();
  auto job = std::make_shared<Job>(Job{std::move(work), std::move(convert), CallContext{cancel, std::nullopt}, channel, call_id});
  if (!options.progress.IsEmpty()) job->context.progress.emplace(channel, call_id);

  RunOnEngine([job = std::move(job)] {
    if (job->channel->closed()) return;
    std::optional<Value> value;
    ErrorInfo error;
    try {
      value.emplace((*job->work)(job->context));
    } catch (...) {
      error = Classify(std::current_exception());
    }
    job->work.reset();  // releases the handles it holds, here
    job->channel->Post(std::make_unique<detail::Settlement<Value, Convert>>(job->call_id, std::move(value), std::move(error),
                                                                           std::move(job->convert)));
  });
  return promise;
}

/// For work without a result: the promise resolves to undefined.
template <class Work>
Napi::Value SubmitVoid(Napi::Env env, CallOptions options, Work work) {
  return Submit(
      env, std::move(options),
      [work = std::move(work)](CallContext& context) mutable {
        work(context);
        return detail::Nothing{};
      },
      [](Napi::Env js, detail::Nothing) -> Napi::Value { return js.Undefined(); });
}

using Method = Napi::Value (*)(const Napi::CallbackInfo&);

/// A method that throws what it throws as a JavaScript error.
template <Method kMethod>
Napi::Value Sync(const Napi::CallbackInfo& info) {
  try {
    return kMethod(info);
  } catch (...) {
    RethrowAsJs(info.Env());
  }
}

/// A method that returns a promise, also when its arguments are wrong.
template <Method kMethod>
Napi::Value Async(const Napi::CallbackInfo& info) {
  try {
    try {
      return kMethod(info);
    } catch (...) {
      RethrowAsJs(info.Env());
    }
  } catch (const Napi::Error& error) {
    return RejectedPromise(info.Env(), error);
  }
}

}  // namespace ft::binding
