#include "core/nn/quantization.h"

namespace ft {

const char* StoredQuantization::name() const {
  switch (format) {
    case StoredFormat::kPlain: return "";
    case StoredFormat::kBnb4: return "bitsandbytes 4-bit";
    case StoredFormat::kBnb8: return "bitsandbytes 8-bit";
    case StoredFormat::kGptq: return bits == 4 ? "GPTQ 4-bit" : "GPTQ 8-bit";
    case StoredFormat::kAwq: return "AWQ 4-bit";
    case StoredFormat::kFloat8: return "fp8";
    case StoredFormat::kMxfp4: return "mxfp4";
  }
  return "";
}

}  // namespace ft
