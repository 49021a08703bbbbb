// A memory arena for tensors: large blocks are cut from regions that stay, so that a training step, which frees and
// asks for the same sizes again and again, touches no fresh page. Best fit, neighbours merge when freed. Regions are
// aligned for huge pages. Free of LibTorch. Any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

namespace ft {

class Arena {
 public:
  static constexpr size_t kAlignment = 64;
  /// Smaller requests are not worth an arena: the C library serves them.
  static constexpr size_t kSmallest = 64 << 10;

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  /// REQUIRES: bytes >= kSmallest. Null when the system has no more memory.
  void* Allocate(size_t bytes);
  /// False when the pointer is none of the arena's.
  bool Free(void* pointer);
  /// Gives regions that hold nothing back to the system; returns their bytes.
  size_t Trim();

  size_t used_bytes() const;
  /// The most that was ever used at a time.
  size_t peak_bytes() const;
  /// Used and kept for reuse.
  size_t reserved_bytes() const;

 private:
  struct Block {
    size_t size = 0;
    bool free = false;
    char* region = nullptr;  // blocks of other regions are no neighbours, wherever they lie
  };
  using Blocks = std::map<char*, Block>;  // by address

  // REQUIRES of all below: mutex_ is held.
  bool Grow(size_t bytes);
  size_t TrimRegions();
  void AddFree(Blocks::iterator block);
  void RemoveFree(Blocks::iterator block);

  mutable std::mutex mutex_;
  Blocks blocks_;
  std::set<std::pair<size_t, char*>> free_;
  std::unordered_map<char*, size_t> regions_;
  size_t used_ = 0, peak_ = 0, reserved_ = 0;
  // Addresses that regions ever had: most pointers of others are told apart without the lock.
  std::atomic<uintptr_t> lowest_{UINTPTR_MAX}, highest_{0};
};

}  // namespace ft
