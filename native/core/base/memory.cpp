#include "core/base/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

#ifdef __APPLE__
#include <mach/mach.h>
#endif

namespace ft {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

#ifndef __APPLE__
// "Key:   123 kB" lines of /proc/meminfo and /proc/self/status, in bytes; 0 when absent.
uint64_t ProcField(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.compare(0, key.size(), key) != 0) continue;
    return std::strtoull(line.c_str() + key.size(), nullptr, 10) * 1024;
  }
  return 0;
}

// The number in a control group file; kNoLimit for "max" or a file that is not there.
uint64_t NumberIn(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : kNoLimit;
}

uint64_t StatField(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string name;
  uint64_t value = 0;
  while (file >> name >> value) {
    if (name == key) return value;
  }
  return 0;
}

// Room left in one group. File cache that nobody reads any more counts as free: the kernel drops it first.
uint64_t RoomInGroup(const std::string& folder, const char* limit_file, const char* usage_file, const char* cache_key) {
  const uint64_t limit = NumberIn(folder + "/" + limit_file);
  const uint64_t usage = NumberIn(folder + "/" + usage_file);
  if (limit == kNoLimit || usage == kNoLimit) return kNoLimit;
  const uint64_t used = usage - std::min(usage, StatField(folder + "/memory.stat", cache_key));
  return limit > used ? limit - used : 0;
}

// The least room of this process's group and the groups above it, for cgroup v2 and v1. Inside a container
// the path of /proc/self/cgroup may be the host's, so the mount's root is asked as well.
uint64_t RoomInControlGroups() {
  uint64_t room = kNoLimit;
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find(",memory,") == std::string::npos) continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    std::string group = line.substr(second + 1);
    while (true) {
      const std::string folder = root + (group == "/" ? "" : group);
      room = std::min(
          room, v2 ? RoomInGroup(folder, "memory.max", "memory.current", "inactive_file")
                   : RoomInGroup(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"));
      if (group.empty() || group == "/") break;
      group.resize(group.find_last_of('/'));
    }
  }
  return room;
}

uint64_t RoomInAddressSpace() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kNoLimit;
  const uint64_t used = ProcField("/proc/self/status", "VmSize:");
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}
#endif

}  // namespace

#ifdef __APPLE__

uint64_t ResidentBytes() {
  mach_task_basic_info info{};
  mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
  const auto status = task_info(mach_task_self(), MACH_TASK_BASIC_INFO, reinterpret_cast<task_info_t>(&info), &count);
  return status == KERN_SUCCESS ? info.resident_size : 0;
}

uint64_t PeakResidentBytes() {
  rusage usage{};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<uint64_t>(usage.ru_maxrss) : 0;
}

uint64_t AvailableBytes() {
  vm_statistics64 info{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  if (host_statistics64(mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&info), &count) !=
      KERN_SUCCESS) {
    return 0;
  }
  return (uint64_t{info.free_count} + info.inactive_count) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

#else

uint64_t ResidentBytes() { return ProcField("/proc/self/status", "VmRSS:"); }

uint64_t PeakResidentBytes() {
  if (const uint64_t peak = ProcField("/proc/self/status", "VmHWM:"); peak > 0) return peak;
  rusage usage{};  // in kilobytes on Linux
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<uint64_t>(usage.ru_maxrss) * 1024 : 0;
}

uint64_t AvailableBytes() {
  const uint64_t machine = ProcField("/proc/meminfo", "MemAvailable:");
  const uint64_t room = std::min(RoomInControlGroups(), RoomInAddressSpace());
  if (machine == 0) return room == kNoLimit ? 0 : room;
  return std::min(machine, room);
}

#endif

}  // namespace ft
