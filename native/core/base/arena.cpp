#include "core/base/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>

namespace ft {
namespace {

constexpr size_t kGrain = 4096;
constexpr size_t kHugePage = 2 << 20;
constexpr size_t kRegion = 32 << 20;  // a region's least size

size_t RoundUp(size_t value, size_t step) { return (value + step - 1) / step * step; }

// `bytes` (a multiple of kHugePage) at an address that is one too.
char* Map(size_t bytes) {
  const size_t padded = bytes + kHugePage;
  void* got = mmap(nullptr, padded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED) return nullptr;
  auto* begin = static_cast<char*>(got);
  char* aligned = begin + (RoundUp(reinterpret_cast<uintptr_t>(begin), kHugePage) - reinterpret_cast<uintptr_t>(begin));
  if (aligned > begin) munmap(begin, static_cast<size_t>(aligned - begin));
  char *end = aligned + bytes, *padded_end = begin + padded;
  if (padded_end > end) munmap(end, static_cast<size_t>(padded_end - end));
#ifdef MADV_HUGEPAGE
  madvise(aligned, bytes, MADV_HUGEPAGE);  // advice: where the system refuses, small pages serve
#endif
  return aligned;
}

}  // namespace

Arena::~Arena() {
  for (const auto& [region, bytes] : regions_) munmap(region, bytes);
}

bool Arena::Grow(size_t bytes) {
  const size_t size = RoundUp(std::max(bytes, kRegion), kHugePage);
  char* region = size >= bytes ? Map(size) : nullptr;
  if (region == nullptr) return false;
  regions_.emplace(region, size);
  lowest_ = std::min(lowest_.load(), reinterpret_cast<uintptr_t>(region));
  highest_ = std::max(highest_.load(), reinterpret_cast<uintptr_t>(region) + size);
  reserved_ += size;
  AddFree(blocks_.emplace(region, Block{size, true, region}).first);
  return true;
}

void Arena::AddFree(Blocks::iterator block) {
  block->second.free = true;
  free_.emplace(block->second.size, block->first);
}

void Arena::RemoveFree(Blocks::iterator block) {
  free_.erase({block->second.size, block->first});
  block->second.free = false;
}

void* Arena::Allocate(size_t bytes) {
  if (bytes > SIZE_MAX / 2) return nullptr;
  const size_t size = RoundUp(bytes, kGrain);
  const std::lock_guard lock(mutex_);
  auto found = free_.lower_bound({size, nullptr});
  if (found == free_.end()) {
    if (!Grow(size) && (TrimRegions() == 0 || !Grow(size))) return nullptr;
    found = free_.lower_bound({size, nullptr});
  }
  const auto block = blocks_.find(found->second);
  RemoveFree(block);
  const size_t rest = block->second.size - size;
  if (rest >= kSmallest) {
    block->second.size = size;
    AddFree(blocks_.emplace(block->first + size, Block{rest, true, block->second.region}).first);
  }
  used_ += block->second.size;
  peak_ = std::max(peak_, used_);
  return block->first;
}

bool Arena::Free(void* pointer) {
  if (reinterpret_cast<uintptr_t>(pointer) < lowest_ || reinterpret_cast<uintptr_t>(pointer) >= highest_) return false;
  const std::lock_guard lock(mutex_);
  auto block = blocks_.find(static_cast<char*>(pointer));
  if (block == blocks_.end() || block->second.free) return false;
  used_ -= block->second.size;
  if (const auto next = std::next(block); next != blocks_.end() && next->second.free && next->second.region == block->second.region) {
    RemoveFree(next);
    block->second.size += next->second.size;
    blocks_.erase(next);
  }
  if (block != blocks_.begin()) {
    const auto before = std::prev(block);
    if (before->second.free && before->second.region == block->second.region) {
      RemoveFree(before);
      before->second.size += block->second.size;
      blocks_.erase(block);
      block = before;
    }
  }
  AddFree(block);
  return true;
}

size_t Arena::Trim() {
  const std::lock_guard lock(mutex_);
  return TrimRegions();
}

size_t Arena::TrimRegions() {
  size_t given = 0;
  for (auto region = regions_.begin(); region != regions_.end();) {
    const auto block = blocks_.find(region->first);
    if (!block->second.free || block->second.size != region->second) {
      ++region;
      continue;
    }
    RemoveFree(block);
    blocks_.erase(block);
    munmap(region->first, region->second);
    given += region->second;
    region = regions_.erase(region);
  }
  reserved_ -= given;
  return given;
}

size_t Arena::used_bytes() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

size_t Arena::peak_bytes() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

size_t Arena::reserved_bytes() const {
  const std::lock_guard lock(mutex_);
  return reserved_;
}

}  // namespace ft
