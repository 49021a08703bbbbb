// Small bf16 matrix products by oneDNN's kernels (AMX or AVX512 bf16), through ATen, and how tasks made of them run.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

namespace ft::kernels::cpu {

/// How many blocks hold n.
inline int64_t Blocks(int64_t n, int64_t block) { return (n + block - 1) / block; }

/// True when this CPU and build run them.
bool HasBf16Products();

/// c [m, n] fp32 (+)= a [m, k] · b, b as pairs (bf16_tiles.h), rows of words b_stride apart; k even. Strides in values, b's in
/// words. Each combination of sizes and strides is compiled once a thread: callers keep to few.
inline void Multiply(int64_t m, int64_t n, int64_t k, const uint16_t* a, int64_t a_stride, const uint16_t* b, int64_t b_stride, float* c,
                     int64_t c_stride, bool add) {
  at::native::cpublas::brgemm(m, n, k, a_stride, b_stride, c_stride, add, reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c);
}

template <typename T>
T* Data(const at::Tensor& x) {
  return static_cast<T*>(x.data_ptr());
}

/// Every task once, on all threads, each thread with `bytes` of aligned scratch. Tasks write disjoint memory, so order is free.
template <typename Task, typename Body>  // body(task, scratch)
void RunTasks(const std::vector<Task>& tasks, int64_t bytes, const Body& body) {
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), static_cast<int64_t>(tasks.size()));
  if (threads == 0) return;
  const int64_t stride = (bytes + 63) / 64 * 64;
  const at::Tensor scratch = at::empty({threads * stride + 64}, at::kByte);
  auto* base = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(scratch.data_ptr()) + 63) / 64 * 64);
  std::atomic<size_t> next{0};
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) {
      for (size_t i = next++; i < tasks.size(); i = next++) body(tasks[i], base + thread * stride);
    }
    at::native::cpublas::brgemm_release();
  });
}

/// Hands out aligned pieces of a thread's scratch; with null as base it only counts.
class Pieces {
 public:
  explicit Pieces(char* base) : base_(base) {}
  template <typename T>
  T* Take(int64_t count) {
    T* piece = reinterpret_cast<T*>(base_ + used_);
    used_ += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return piece;
  }
  int64_t used() const { return used_; }

 private:
  char* base_;
  int64_t used_ = 0;
};

}  // namespace ft::kernels::cpu
