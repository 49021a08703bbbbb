// For ft_bench: wall time of every ATen operation that is called directly, by name and input sizes. One at a time.
#pragma once

#include <ATen/record_function.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ft::bench {

class OperatorProfile {
 public:
  OperatorProfile() {
    Current() = this;
    handle_ = at::addGlobalCallback(at::RecordFunctionCallback(&Begin, &End).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  }
  ~OperatorProfile() { at::removeCallback(handle_); }
  OperatorProfile(const OperatorProfile&) = delete;
  OperatorProfile& operator=(const OperatorProfile&) = delete;

  void Print() const {
    std::vector<std::pair<std::string, Total>> rows(totals_.begin(), totals_.end());
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
    for (const auto& [name, total] : rows) {
      fmt::print("{{\"event\":\"operator\",\"name\":\"{}\",\"calls\":{},\"milliseconds\":{:.2f}}}\n", name, total.calls, 1e3 * total.seconds);
    }
  }

 private:
  struct Total {
    int64_t calls = 0;
    double seconds = 0;
  };
  struct Call : at::ObserverContext {
    std::string name;  // empty for calls made by other operations; made at the start, as the inputs may be gone at the end
    std::chrono::steady_clock::time_point start;
  };
  static OperatorProfile*& Current() {
    static OperatorProfile* current = nullptr;
    return current;
  }
  static std::unique_ptr<at::ObserverContext> Begin(const at::RecordFunction& function) {
    if (std::string_view(function.name()).starts_with("autograd::")) return nullptr;  // frames around the operations of a backward pass
    if (Current()->depth_++ > 0) return std::make_unique<Call>();
    auto call = std::make_unique<Call>();
    call->name = function.name();
    for (const c10::IValue& input : function.inputs()) {
      if (input.isTensor() && input.toTensor().defined()) call->name += fmt::format(" {}", fmt::join(input.toTensor().sizes().vec(), "x"));
    }
    call->start = std::chrono::steady_clock::now();
    return call;
  }
  static void End(const at::RecordFunction&, at::ObserverContext* context) {
    const auto* call = static_cast<Call*>(context);
    if (call == nullptr || --Current()->depth_ > 0) return;
    Total& total = Current()->totals_[call->name];
    ++total.calls;
    total.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - call->start).count();
  }

  at::CallbackHandle handle_ = 0;
  int depth_ = 0;
  std::map<std::string, Total> totals_;
};

}  // namespace ft::bench
