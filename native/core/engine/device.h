// Names of devices and dtypes, checked against what this build and machine have.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace ft {

/// "cpu", "cuda", "cuda:1", "mps". Errors: kDeviceUnavailable (says what this build lacks), kInvalidArgument.
at::Device ParseDevice(const std::string& name);
/// "bf16", "fp16", "fp32". Errors: kInvalidArgument.
at::ScalarType ParseDtype(const std::string& name);
const char* DtypeName(at::ScalarType dtype);

struct DeviceDescription {
  std::string name;
  std::string description;
  int64_t total_bytes = 0;
};
std::vector<DeviceDescription> ListDevices();
/// True where bf16 products run natively on the CPU (AVX512-bf16 or AMX).
bool CpuHasNativeBf16();
std::string CpuCapability();

}  // namespace ft
