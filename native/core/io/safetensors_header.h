// The JSON header of a safetensors file: parsing with every check of the format, and layout for writing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/safetensors.h"

namespace ft {

/// The format's own limit on the header's length.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;
inline constexpr uint64_t kSafetensorsPrefix = 8;  // the header's length, u64 little-endian

struct SafetensorsHeader {
  std::vector<TensorEntry> entries;  // by offset; offsets count from the start of the file
  std::map<std::string, std::string> metadata;
};

/// `text` is the header, `data_start` the file offset of the first data byte, `file_size` the file's length.
/// Errors: kSafetensors.
SafetensorsHeader ParseSafetensorsHeader(std::string_view text, uint64_t data_start, uint64_t file_size,
                                         const std::string& path);

/// Prefix and header for `entries`, whose offsets count from the first data byte; padded to 8 bytes.
std::string BuildSafetensorsHeader(const std::vector<TensorEntry>& entries,
                                   const std::map<std::string, std::string>& metadata);

/// Elements × bytes of the dtype. False when a dimension is negative or the product overflows.
bool TensorBytes(const std::vector<int64_t>& shape, DType dtype, uint64_t* nbytes);

/// "[2, 3]"
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace ft
