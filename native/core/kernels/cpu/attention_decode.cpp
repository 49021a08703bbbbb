// One query a row and head against its cached keys: both are read once.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/kernels/cpu/attention_bf16.h"
#include "core/kernels/cpu/bf16_products.h"
#include "core/kernels/cpu/bf16_tiles.h"

namespace ft::kernels::cpu_bf16 {
namespace {

using cpu::Data;

struct HeadTask {
  int64_t row, head;
};

struct Scratch {
  float *scores, *out;
  uint16_t* probabilities;
  int64_t bytes;
  Scratch(char* base, int64_t longest, int64_t d) {
    cpu::Pieces pieces(base);
    scores = pieces.Take<float>(longest);
    out = pieces.Take<float>(d);
    probabilities = pieces.Take<uint16_t>(longest);
    bytes = pieces.used();
  }
};

}  // namespace

at::Tensor AttentionDecode(const at::Tensor& q_in, const at::Tensor& keys, const at::Tensor& values, const std::vector<int64_t>& lengths,
                           const AttentionOptions& options) {
  constexpr int64_t kLanes = 16;
  const cpu::Bf16Tiles& tiles = *cpu::BestBf16Tiles();
  const at::Tensor q = q_in.contiguous(), out = at::empty({q.size(0), q.size(1), values.size(3)}, q.options());
  const at::Tensor sinks = options.sinks.defined() ? options.sinks.contiguous() : options.sinks;
  const int64_t rows = q.size(0), heads = q.size(1), d = q.size(2), dv = values.size(3), kv_heads = keys.size(1), capacity = keys.size(2);
  const at::Tensor bias = options.key_bias.defined() ? (options.key_bias / options.scale).contiguous() : at::Tensor();  // [heads, positions]
  const cpu::ScoreOptions score{static_cast<float>(options.scale), static_cast<float>(options.softcap)};
  const int64_t longest = rows == 0 ? 0 : (*std::max_element(lengths.begin(), lengths.end()) + kLanes - 1) / kLanes * kLanes;
  std::vector<HeadTask> tasks;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t head = 0; head < heads; ++head) tasks.push_back({row, head});
  }
  cpu::RunTasks(tasks, Scratch(nullptr, longest, dv).bytes, [&](const HeadTask& task, char* memory) {
    const Scratch s(memory, longest, dv);
    const int64_t begin = options.window > 0 ? std::max<int64_t>(0, lengths[task.row] - options.window) : 0, count = lengths[task.row] - begin;
    const int64_t first = (task.row * kv_heads + task.head / (heads / kv_heads)) * capacity + begin, query = task.row * heads + task.head;
    std::fill_n(s.scores, (count + kLanes - 1) / kLanes * kLanes, 0.0f);
    if (bias.defined()) std::copy_n(Data<float>(bias) + task.head * bias.size(1) + begin, count, s.scores);
    std::fill_n(s.out, dv, 0.0f);
    tiles.add_dots(Data<uint16_t>(keys) + first * d, d, count, d, Data<uint16_t>(q) + query * d, s.scores);
    float maximum = -std::numeric_limits<float>::infinity(), sum = 0.0f;
    tiles.softmax_row(s.scores, count, 0, count, score, &maximum, &sum, s.probabilities);
    tiles.add_weighted_rows(s.probabilities, Data<uint16_t>(values) + first * dv, dv, count, dv, s.out);
    if (sinks.defined()) sum += std::exp(Data<float>(sinks)[task.head] - maximum);
    tiles.store_row(s.out, dv, 1.0f / sum, Data<uint16_t>(out) + query * dv);
  });
  return out;
}

}  // namespace ft::kernels::cpu_bf16
