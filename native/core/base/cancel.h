// A flag that one thread sets and the engine thread reads between micro-batches and layers.
#pragma once

#include <atomic>
#include <memory>

#include "core/base/error.h"

namespace ft {

class CancelToken {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
};

using CancelTokenPtr = std::shared_ptr<CancelToken>;

/// Throws kCancelled when the token (which may be null) is set.
inline void ThrowIfCancelled(const CancelToken* token) {
  if (token != nullptr && token->cancelled()) FT_THROW(kCancelled, "the operation was cancelled");
}

}  // namespace ft
