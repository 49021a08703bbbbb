#include "core/engine/host_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <cstring>

#include "core/base/arena.h"

namespace ft {
namespace {

// Never destroyed: tensors may outlive every static.
Arena& TheArena() {
  static auto* arena = new Arena;
  return *arena;
}

c10::Allocator* g_small = nullptr;  // what served everything before: blocks below Arena::kSmallest

void Free(void* pointer) {
  if (!TheArena().Free(pointer)) g_small->raw_deallocate(pointer);
}

class ArenaAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes < Arena::kSmallest ? g_small->raw_allocate(bytes) : TheArena().Allocate(bytes);
    TORCH_CHECK(data != nullptr || bytes == 0, "DefaultCPUAllocator: can't allocate memory: you tried to allocate ", bytes, " bytes.");
    return {data, data, &Free, at::Device(at::kCPU)};
  }
  // oneDNN asks for bare pointers.
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

}  // namespace

void UseTensorArena() {
#if !defined(__SANITIZE_ADDRESS__)  // an arena hides what the sanitizer looks for
  static const bool installed = [] {
    g_small = c10::GetCPUAllocator();
    c10::SetCPUAllocator(new ArenaAllocator, /*priority=*/1);
    return true;
  }();
  (void)installed;
#endif
}

TensorBytes ArenaTensorBytes() { return {TheArena().used_bytes(), TheArena().peak_bytes(), TheArena().reserved_bytes()}; }

size_t TrimTensorArena() { return TheArena().Trim(); }

}  // namespace ft
