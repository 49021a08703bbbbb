#include "core/base/pages.h"

#include <sys/mman.h>

#include "core/base/error.h"

namespace ft {

void* Pages::Reserve(size_t bytes) {
  if (bytes <= bytes_) return data_;
  Release();
  void* got = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FT_CHECK(got != MAP_FAILED, kOutOfMemory, "the system has no {} bytes of memory left", bytes);
  data_ = got, bytes_ = bytes;
  return data_;
}

void Pages::Release() {
  if (data_ != nullptr) munmap(data_, bytes_);
  data_ = nullptr, bytes_ = 0;
}

}  // namespace ft
