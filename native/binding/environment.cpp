// Channel and Environment. See environment.h.
#include "binding/environment.h"

#include "binding/tasks.h"
#include "core/base/error.h"

namespace ft::binding {

std::shared_ptr<Channel> Channel::Open(Napi::Env env) {
  auto channel = std::make_shared<Channel>();
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "ft-native"), /*max_queue_size=*/0,
                                      /*initial_thread_count=*/1, nullptr, nullptr, nullptr, &Channel::Deliver, &channel->function_);
  if (status != napi_ok) throw Napi::Error::New(env);
  napi_unref_threadsafe_function(env, channel->function_);  // idle: the process may end
  return channel;
}

void Channel::Deliver(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<Message> message(static_cast<Message*>(data));
  if (env == nullptr) return;
  try {
    Napi::HandleScope scope(env);
    message->Run(Napi::Env(env));
  } catch (...) {
    // Only an environment that is being torn down refuses what Run does; nobody is left to tell.
  }
}

void Channel::Post(std::unique_ptr<Message> message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return;
  if (napi_call_threadsafe_function(function_, message.get(), napi_tsfn_nonblocking) == napi_ok) message.release();
}

bool Channel::closed() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return closed_;
}

void Channel::Hold(Napi::Env env) {
  if (holds_++ == 0) napi_ref_threadsafe_function(env, function_);
}

void Channel::Unhold(Napi::Env env) {
  if (--holds_ == 0) napi_unref_threadsafe_function(env, function_);
}

void Channel::Close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return;
  closed_ = true;
  napi_release_threadsafe_function(function_, napi_tsfn_abort);
}

Environment::Environment(Napi::Env env) : env_(env), channel_(Channel::Open(env)) {}

void Environment::Create(Napi::Env env) {
  auto* environment = new Environment(env);
  // Runs before the thread-safe function's own hook (last in, first out), so Post never meets a dead function.
  napi_add_env_cleanup_hook(env, &Environment::CleanUp, environment);
  napi_set_instance_data(
      env, environment, [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); }, nullptr);
}

void Environment::CleanUp(void* data) {
  auto* environment = static_cast<Environment*>(data);
  environment->channel_->Close();
  for (auto& [id, call] : environment->calls_) call.cancel->Cancel();
  environment->calls_.clear();
  ArmExit();
}

Environment& Environment::Of(napi_env env) {
  void* data = nullptr;
  if (napi_get_instance_data(env, &data) != napi_ok || data == nullptr) {
    FT_THROW(kInternal, "the addon is not initialised in this environment");
  }
  return *static_cast<Environment*>(data);
}

uint64_t Environment::Begin(PendingCall call) {
  const uint64_t id = next_id_++;
  calls_.emplace(id, std::move(call));
  channel_->Hold(env_);
  return id;
}

PendingCall* Environment::Find(uint64_t id) {
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : &found->second;
}

void Environment::End(uint64_t id) {
  if (calls_.erase(id) > 0) channel_->Unhold(env_);
}

}  // namespace ft::binding
