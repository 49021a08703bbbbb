#include "core/base/error.h"
#include "core/optim/adamw.h"
#include "core/optim/adamw_8bit.h"
#include "core/optim/optimizer_method.h"

namespace ft {
namespace {

struct Row {
  const char* type;
  std::unique_ptr<OptimizerMethod> (*make)(const OptimizerOptions&, const std::vector<ParameterBlock>&);
};

constexpr Row kTable[] = {
    {"adamw", MakeAdamW},
    {"adamw_8bit", MakeAdamW8bit},
    {"paged_adamw_8bit", MakePagedAdamW8bit},
};

}  // namespace

std::unique_ptr<OptimizerMethod> MakeOptimizerMethod(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks) {
  for (const Row& row : kTable) {
    if (options.type == row.type) return row.make(options, blocks);
  }
  FT_THROW(kInvalidArgument, "unknown optimizer \"{}\"", options.type);
}

}  // namespace ft
