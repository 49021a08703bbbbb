// Promises and progress. See submit.h.
#include "binding/submit.h"

namespace ft::binding {

std::pair<Napi::Value, uint64_t> BeginCall(Napi::Env env, const CallOptions& options, const CancelTokenPtr& cancel) {
  PendingCall call;
  napi_value promise = nullptr;
  if (napi_create_promise(env, &call.deferred, &promise) != napi_ok) throw Napi::Error::New(env);
  if (!options.progress.IsEmpty()) call.progress = Napi::Persistent(options.progress);
  call.cancel = cancel;
  return {Napi::Value(env, promise), Environment::Of(env).Begin(std::move(call))};
}

void Reject(Napi::Env env, uint64_t call_id, const ErrorInfo& error) {
  Environment& environment = Environment::Of(env);
  PendingCall* call = environment.Find(call_id);
  if (call == nullptr) return;
  const napi_deferred deferred = call->deferred;
  const Napi::Value reason = call->thrown.has_value() ? call->thrown->Value() : ToJs(env, error);
  environment.End(call_id);
  napi_reject_deferred(env, deferred, reason);
}

void Resolve(Napi::Env env, uint64_t call_id, Napi::Value value) {
  Environment& environment = Environment::Of(env);
  PendingCall* call = environment.Find(call_id);
  if (call == nullptr) return;
  const napi_deferred deferred = call->deferred;
  if (call->thrown.has_value()) {
    const Napi::Value reason = call->thrown->Value();
    environment.End(call_id);
    napi_reject_deferred(env, deferred, reason);
    return;
  }
  environment.End(call_id);
  napi_resolve_deferred(env, deferred, value);
}

Napi::Value RejectedPromise(Napi::Env env, const Napi::Error& error) {
  napi_deferred deferred = nullptr;
  napi_value promise = nullptr;
  if (napi_create_promise(env, &deferred, &promise) != napi_ok) throw Napi::Error::New(env);
  napi_reject_deferred(env, deferred, error.Value());
  return Napi::Value(env, promise);
}

class ProgressReporter::Report : public Message {
 public:
  Report(std::shared_ptr<State> state, uint64_t done, uint64_t total) : state_(std::move(state)), done_(done), total_(total) {}
  ~Report() override { state_->under_way.store(false); }

  void Run(Napi::Env env) override {
    PendingCall* call = Environment::Of(env).Find(state_->call_id);
    if (call == nullptr || call->thrown.has_value()) return;
    const Napi::Function callback = call->progress.Value();
    try {
      callback.Call({Napi::Number::New(env, static_cast<double>(done_)), Napi::Number::New(env, static_cast<double>(total_))});
    } catch (const Napi::Error& error) {
      // The callback may have done anything: look the call up again.
      call = Environment::Of(env).Find(state_->call_id);
      if (call == nullptr) return;
      call->cancel->Cancel();
      call->thrown.emplace(error);
    }
  }

 private:
  std::shared_ptr<State> state_;
  uint64_t done_;
  uint64_t total_;
};

void ProgressReporter::operator()(uint64_t done, uint64_t total) const {
  const auto now = std::chrono::steady_clock::now();
  const bool last = done >= total;
  if (!last && now - state_->last < std::chrono::milliseconds(50)) return;
  if (state_->under_way.exchange(true) && !last) return;
  state_->last = now;
  state_->channel->Post(std::make_unique<Report>(state_, done, total));
}

}  // namespace ft::binding
