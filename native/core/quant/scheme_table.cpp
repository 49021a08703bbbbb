#include "core/quant/scheme_table.h"

#include <fmt/ranges.h>

#include <array>

#include "core/quant/four_bit.h"
#include "core/quant/int8.h"

namespace ft::quant {
namespace {

template <const FourBitCode& (*kCode)()>
std::shared_ptr<PackedWeight> FourBit(const at::Tensor& w, const SchemeOptions& options, const std::string& name) {
  return QuantizeFourBit(kCode(), w, {options.double_quant, 64}, name);
}
uint64_t SizeOfFourBit(int64_t rows, int64_t columns, const SchemeOptions& options) { return FourBitBytes(rows, columns, options.double_quant); }

std::shared_ptr<PackedWeight> Int8(const at::Tensor& w, const SchemeOptions& options, const std::string& name) {
  return QuantizeInt8(w, options.int8_threshold, name);
}
uint64_t SizeOfInt8(int64_t rows, int64_t columns, const SchemeOptions&) { return Int8Bytes(rows, columns); }

constexpr std::array<Scheme, 3> kSchemes = {{
    {"nf4", 4, FourBit<Nf4>, SizeOfFourBit},
    {"fp4", 4, FourBit<Fp4>, SizeOfFourBit},
    {"int8", 8, Int8, SizeOfInt8},
}};

}  // namespace

const Scheme& FindScheme(const std::string& name) {
  for (const Scheme& scheme : kSchemes) {
    if (name == scheme.name) return scheme;
  }
  FT_THROW(kInvalidArgument, "there is no quantization \"{}\": known are {}", name, fmt::join(SchemeNames(), ", "));
}

std::vector<std::string> SchemeNames() {
  std::vector<std::string> names;
  for (const Scheme& scheme : kSchemes) names.emplace_back(scheme.name);
  return names;
}

}  // namespace ft::quant
