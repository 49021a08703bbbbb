// AdamW with decoupled weight decay (https://arxiv.org/abs/1711.05101), as torch.optim.AdamW(fused=True).
#pragma once

#include <memory>

#include "core/optim/optimizer_method.h"

namespace ft {

std::unique_ptr<OptimizerMethod> MakeAdamW(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks);

}  // namespace ft
