// Activation functions by the name Hugging Face configs give them. Free of LibTorch.
#pragma once

namespace ft {

enum class Activation { kSilu, kGelu, kGeluTanh, kRelu, kQuickGelu, kRelu2 };

}  // namespace ft
