// Element types as safetensors files name them. Free of LibTorch: the readers and their fuzzers use it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ft {

// The last four are opened and listed, and refused where weights are expected.
enum class DType {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  kF8E4M3,
  kF8E5M2,
  kU64,
  kU32,
  kU16,
  kF8E8M0
};

/// Bytes an element.
size_t DTypeSize(DType dtype);
/// "F32", "BF16" … as in a safetensors header.
const char* SafetensorsName(DType dtype);
std::optional<DType> DTypeFromSafetensors(std::string_view name);

}  // namespace ft
