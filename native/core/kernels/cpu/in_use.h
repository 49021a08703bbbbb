// Which versions of the CPU kernels this machine runs, for people to read.
#pragma once

#include <string>

namespace ft::kernels::cpu {

/// For example "row operations avx512; bf16 products, attention and losses in tiles of 64 on amx".
std::string KernelsInUse();

}  // namespace ft::kernels::cpu
