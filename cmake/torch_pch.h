// Precompiled for ft_core and its tests: the LibTorch headers that most engine files include, so that each
// of them costs a second instead of ten. A file still includes what it uses; nothing relies on this list.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>
