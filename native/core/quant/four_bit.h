// Blocks of 4-bit codes with one scale each over the flat matrix, as bitsandbytes keeps them: value = table[code] · absmax
// of its block (QLoRA, https://arxiv.org/abs/2305.14314). nf4 and fp4 differ in their table alone.
#pragma once

#include <array>

#include "core/quant/packed_weight.h"

namespace ft::quant {

/// One 4-bit type. `rank` is how many thresholds lie below a value (of its magnitude where the type has a sign bit).
struct FourBitCode {
  const char* name;
  std::array<float, 16> table;
  bool sign_bit;                     // code = codes[rank of |x|] + 8 · (x < 0); else codes[rank of x]
  std::array<float, 15> thresholds;  // ascending; 7 of them with a sign bit
  std::array<uint8_t, 16> codes;
};
const FourBitCode& Nf4();
const FourBitCode& Fp4();

/// The scales of the blocks: fp32, or themselves in 8 bits (double quantization): table[code] · absmax + offset.
struct BlockScales {
  at::Tensor plain;   // fp32 [blocks], or undefined:
  at::Tensor codes;   // uint8 [blocks]
  at::Tensor table;   // fp32 [256]
  at::Tensor absmax;  // fp32 [ceil(blocks / block)]
  int64_t block = 256;
  float offset = 0;

  bool nested() const { return codes.defined(); }
  /// Of blocks [begin, begin + count), on the CPU.
  void Read(int64_t begin, int64_t count, float* out) const;
  /// fp32 [blocks] on their device.
  at::Tensor All() const;
};

struct FourBitParts {
  const FourBitCode* code = nullptr;
  int64_t rows = 0, columns = 0;
  int64_t block = 64;    // values a scale; a multiple of 2
  at::Tensor codes;      // uint8 [ceil(rows · columns / 2)], high nibble first
  BlockScales scales;
  at::Tensor table;      // fp32 [16] where a file brings its own; undefined: the code's
  std::string source_dtype = "float32";  // what the values were quantized from; for files
};

/// Errors: kTensorShape where lengths do not fit rows · columns.
std::shared_ptr<PackedWeight> MakeFourBit(FourBitParts parts, const std::string& name);

struct FourBitOptions {
  bool nested = false;
  int64_t block = 64;
};
/// w [rows, columns] of any float type; the result is on w's device. Errors: kSafetensors where a value is not finite (names
/// `name`).
std::shared_ptr<PackedWeight> QuantizeFourBit(const FourBitCode& code, const at::Tensor& w, const FourBitOptions& options, const std::string& name);

/// For the size of what has not been loaded: bytes of a matrix.
uint64_t FourBitBytes(int64_t rows, int64_t columns, bool nested);

/// bitsandbytes' dynamic map of 8 bits: 256 values from −0.993 to 1, denser near 0 (https://arxiv.org/abs/2110.02861).
const std::array<float, 256>& DynamicMap();
/// Scales in 8 bits; fp32 [blocks] on the CPU.
BlockScales NestScales(const at::Tensor& absmax);

}  // namespace ft::quant
