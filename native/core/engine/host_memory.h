// LibTorch's CPU tensors in an arena (base/arena.h), for the whole process.
#pragma once

#include <cstddef>

namespace ft {

/// Puts the arena under every CPU tensor made from now on. Idempotent.
void UseTensorArena();

/// Gives back what no tensor holds any more. Called where much was freed that will not be asked for again.
size_t TrimTensorArena();

/// Of the tensors in the arena: bytes now, and the most at a time since the process began. 0 where there is no arena.
struct TensorBytes {
  size_t used = 0, peak = 0, reserved = 0;
};
TensorBytes ArenaTensorBytes();

/// As the first member of an object: trims when the object's other members are gone.
struct TrimAfter {
  TrimAfter() = default;
  TrimAfter(const TrimAfter&) = delete;
  TrimAfter& operator=(const TrimAfter&) = delete;
  ~TrimAfter() { TrimTensorArena(); }
};

}  // namespace ft
