#include "core/engine/device.h"

#include <ATen/Context.h>
#include <fmt/format.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#ifdef FT_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

#include <charconv>

#include "core/base/error.h"
#include "core/base/memory.h"

namespace ft {
namespace {

int CudaDevices() {
#ifdef FT_WITH_CUDA
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
#else
  return 0;
#endif
}

[[noreturn]] void Unavailable(const std::string& name, const std::string& reason, const std::string& remedy) {
  throw Error(ErrorCode::kDeviceUnavailable, fmt::format("device \"{}\" is not available: {}", name, reason), remedy).With("device", name);
}

at::Device ParseCuda(const std::string& name) {
  int index = 0;
  if (name.size() > 4) {
    const char* begin = name.data() + 5;
    const char* end = name.data() + name.size();
    const auto [last, error] = std::from_chars(begin, end, index);
    FT_CHECK(name[4] == ':' && error == std::errc() && last == end && index >= 0 && index < 128, kInvalidArgument,
             "device \"{}\" is malformed: expected cpu, cuda, cuda:<n> or mps", name);
  }
#ifdef FT_WITH_CUDA
  const int count = CudaDevices();
  if (count == 0) Unavailable(name, "no NVIDIA GPU or driver was found", "use --device cpu, or check that nvidia-smi lists a GPU");
  if (index >= count) Unavailable(name, fmt::format("this machine has {} CUDA device(s)", count), fmt::format("use cuda:0 to cuda:{}", count - 1));
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
#else
  Unavailable(name, "this build of ft-native has no CUDA support",
              "use --device cpu, or rebuild with a CUDA LibTorch: LIBTORCH=<its folder> npm run build");
#endif
}

}  // namespace

at::Device ParseDevice(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name.rfind("cuda", 0) == 0) return ParseCuda(name);
  if (name == "mps") {
#ifdef FT_WITH_MPS
    if (at::globalContext().hasMPS()) return at::kMPS;
    Unavailable(name, "this Mac has no Metal GPU that LibTorch can use", "use --device cpu");
#else
    Unavailable(name, "this build of ft-native has no MPS support", "use --device cpu; MPS needs a build on an Apple computer");
#endif
  }
  FT_THROW(kInvalidArgument, "device \"{}\" is unknown: expected cpu, cuda, cuda:<n> or mps", name);
}

at::ScalarType ParseDtype(const std::string& name) {
  if (name == "bf16") return at::kBFloat16;
  if (name == "fp16") return at::kHalf;
  if (name == "fp32") return at::kFloat;
  FT_THROW(kInvalidArgument, "dtype \"{}\" is unknown: expected bf16, fp16 or fp32", name);
}

const char* DtypeName(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bf16" : dtype == at::kHalf ? "fp16" : "fp32";
}

std::vector<DeviceDescription> ListDevices() {
  std::vector<DeviceDescription> devices = {{"cpu", fmt::format("CPU, {}", CpuCapability()), 0}};
#ifdef FT_WITH_CUDA
  for (int i = 0; i < CudaDevices(); ++i) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    devices.push_back({fmt::format("cuda:{}", i), properties.name, static_cast<int64_t>(properties.totalGlobalMem)});
  }
#endif
#ifdef FT_WITH_MPS
  if (at::globalContext().hasMPS()) devices.push_back({"mps", "Apple GPU", 0});
#endif
  return devices;
}

bool CpuHasNativeBf16() {
  const std::string capability = CpuCapability();
  return capability == "amx_bf16" || capability == "avx512_bf16";
}

std::string CpuCapability() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool leaf7 = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0;
  const bool amx_bf16 = leaf7 && (d >> 22 & 1) != 0;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (avx512 && amx_bf16) return "amx_bf16";
  if (avx512 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 5 & 1) != 0) return "avx512_bf16";
  if (avx512) return "avx512";
  if (__builtin_cpu_supports("avx2")) return "avx2";
#elif defined(__aarch64__)
  return "neon";
#endif
  return "default";
}

}  // namespace ft
