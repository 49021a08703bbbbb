// LoRA (https://arxiv.org/abs/2106.09685): y += scale · B · A · dropout(x), fp32 masters. The A matrices of a group lie one
// under another, so that all of them are one product; the group's parts share one dropout mask.
#pragma once

#include <memory>

#include "core/adapters/adapter_method.h"

namespace ft {

std::unique_ptr<AdapterMethod> MakeLora(const AdapterOptions& options, Decoder& decoder);

}  // namespace ft
