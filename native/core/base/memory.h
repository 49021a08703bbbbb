// What this process uses and may still use, in bytes. 0 where the system does not say.
#pragma once

#include <cstdint>

namespace ft {

/// Resident now.
uint64_t ResidentBytes();
/// The most that was ever resident.
uint64_t PeakResidentBytes();
/// What can still be allocated before swapping or the out-of-memory killer: the least of the machine's
/// available memory, the room left in the control group (containers) and in the address-space limit.
uint64_t AvailableBytes();

}  // namespace ft
