#include "core/base/dtype.h"

#include <array>

namespace ft {
namespace {

struct Row {
  DType dtype;
  size_t size;
  const char* name;
};

// One row a dtype, in the order of the enum.
constexpr std::array<Row, 16> kRows{{
    {DType::kF64, 8, "F64"},
    {DType::kF32, 4, "F32"},
    {DType::kF16, 2, "F16"},
    {DType::kBF16, 2, "BF16"},
    {DType::kI64, 8, "I64"},
    {DType::kI32, 4, "I32"},
    {DType::kI16, 2, "I16"},
    {DType::kI8, 1, "I8"},
    {DType::kU8, 1, "U8"},
    {DType::kBool, 1, "BOOL"},
    {DType::kF8E4M3, 1, "F8_E4M3"},
    {DType::kF8E5M2, 1, "F8_E5M2"},
    {DType::kU64, 8, "U64"},
    {DType::kU32, 4, "U32"},
    {DType::kU16, 2, "U16"},
    {DType::kF8E8M0, 1, "F8_E8M0"},
}};

constexpr bool RowsFollowEnum() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<size_t>(kRows[i].dtype) != i) return false;
  }
  return true;
}
static_assert(RowsFollowEnum());

}  // namespace

size_t DTypeSize(DType dtype) { return kRows[static_cast<size_t>(dtype)].size; }

const char* SafetensorsName(DType dtype) { return kRows[static_cast<size_t>(dtype)].name; }

std::optional<DType> DTypeFromSafetensors(std::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace ft
