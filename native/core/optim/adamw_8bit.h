// AdamW with 8-bit moments (https://arxiv.org/abs/2110.02861), as bitsandbytes stores them: blocks of 256 numbers in the dynamic
// code, tensors of fewer than 4096 numbers in fp32. The paged one keeps the moments in memory that the system may write to disk.
#pragma once

#include <memory>

#include "core/optim/optimizer_method.h"

namespace ft {

std::unique_ptr<OptimizerMethod> MakeAdamW8bit(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks);
/// Errors: kIncompatibleConfig where the parameters are not on the CPU; kStorage when the pages find no room.
std::unique_ptr<OptimizerMethod> MakePagedAdamW8bit(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks);

}  // namespace ft
