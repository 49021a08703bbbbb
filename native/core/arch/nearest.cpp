#include "core/arch/nearest.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/io/safetensors.h"
#include "core/nn/expected_tensors.h"

namespace ft {
namespace {

bool Fits(const ConfigReader& config, const Candidate& candidate, const WeightFolder& weights) {
  try {
    return CheckTensors(candidate.parse(config), weights).unused.empty();
  } catch (const Error&) {
    return false;  // another family's config, or its tensors
  }
}

size_t CommonBeginning(const std::string& a, const std::string& b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin()).first - a.begin());
}

}  // namespace

std::vector<std::string> FittingFamilies(const ConfigReader& config, const std::string& model_type, const std::string& folder,
                                         const std::vector<Candidate>& candidates) {
  std::vector<std::string> fitting;
  try {
    const WeightFolder weights = WeightFolder::Open(folder);
    for (const Candidate& candidate : candidates) {
      if (Fits(config, candidate, weights)) fitting.emplace_back(candidate.model_type);
    }
  } catch (const Error&) {
    return {};
  }
  std::stable_sort(fitting.begin(), fitting.end(), [&](const std::string& a, const std::string& b) {
    return CommonBeginning(a, model_type) > CommonBeginning(b, model_type);
  });
  return fitting;
}

}  // namespace ft
