// AdamW with decoupled weight decay (https://arxiv.org/abs/1711.05101), as torch.optim.AdamW(fused=True).
#pragma once

#include <memory>

#include "core/kernels/adamw_factors.h"
#include "core/optim/optimizer_method.h"

namespace ft {

std::unique_ptr<OptimizerMethod> MakeAdamW(const OptimizerOptions& options, const std::vector<ParameterBlock>& blocks);

/// Of the whole family. Errors: kInvalidArgument.
void CheckAdamWOptions(const OptimizerOptions& options);
/// What update number `count` (from 1) asks of a block.
kernels::AdamWStep AdamWStepOf(const OptimizerOptions& options, const ParameterBlock& block, int64_t count, double learning_rate, double grad_scale);

}  // namespace ft
