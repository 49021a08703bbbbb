// How the linear weights of a checkpoint are stored, as its config.json says (quantization_config), and how they are to be
// kept in memory. Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ft {

enum class StoredFormat { kPlain, kBnb4, kBnb8, kGptq, kAwq, kFloat8, kMxfp4 };

struct StoredQuantization {
  StoredFormat format = StoredFormat::kPlain;
  int bits = 16;
  double int8_threshold = 6.0;                   // kBnb8
  int64_t group_size = 128;                      // kGptq, kAwq; -1: a whole column
  bool zeros_plus_one = true;                    // kGptq: the first version of the format stores zero − 1
  int64_t block_rows = 128, block_columns = 128; // kFloat8

  bool packed() const { return format != StoredFormat::kPlain; }
  /// "bitsandbytes 4-bit" …, for people; "" for plain weights.
  const char* name() const;
};

/// What to quantize linear weights to while they are loaded.
struct LoadQuantization {
  std::string scheme;         // a name of quant/scheme_table.h; "": keep what is stored
  bool double_quant = false;  // of 4-bit schemes
  double int8_threshold = 6.0;
  std::vector<std::string> skip_modules;  // module paths that stay as they are; the output head always does
};

}  // namespace ft
