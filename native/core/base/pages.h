// Memory in pages of its own, which go with it: for what exists once and for a while, so that it leaves no hole between
// what stays. Free of LibTorch.
#pragma once

#include <cstddef>

namespace ft {

class Pages {
 public:
  Pages() = default;
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { Release(); }

  /// At least `bytes`, aligned to pages. Contents are undefined, and memory handed out before is gone where more is asked for than
  /// there was. Errors: kOutOfMemory.
  void* Reserve(size_t bytes);

 private:
  void Release();

  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace ft
