// For ft_bench: wall time of work on a device, from an empty queue to an empty queue.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

namespace ft::bench {

inline void Synchronise(const at::Device& device) {
  if (!device.is_cpu()) at::zeros({1}, at::TensorOptions(device)).item<float>();  // waits for the queue
}

inline double SecondsOf(const at::Device& device, const std::function<void()>& work) {
  Synchronise(device);
  const auto start = std::chrono::steady_clock::now();
  work();
  Synchronise(device);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Median of the passes after one warm-up.
inline double Median(const at::Device& device, const std::function<void()>& work, int passes) {
  work();
  std::vector<double> seconds;
  for (int i = 0; i < passes; ++i) seconds.push_back(SecondsOf(device, work));
  std::nth_element(seconds.begin(), seconds.begin() + passes / 2, seconds.end());
  return seconds[passes / 2];
}

}  // namespace ft::bench
