#include "core/kernels/cpu/attention_bf16.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/kernels/cpu/bf16_products.h"
#include "core/kernels/cpu/bf16_tiles.h"

namespace ft::kernels::cpu_bf16 {
namespace {

using cpu::Bf16Tiles;
using cpu::Data;
using cpu::kTile;
using cpu::Multiply;
using cpu::Pieces;
using cpu::RunTasks;
using cpu::ScoreOptions;

constexpr int64_t kChunkTiles = 8;  // keys between two updates of the running maximum: 512
constexpr int64_t kWidthStep = 32;  // head sizes are padded to a multiple

int64_t TilesIn(int64_t tokens) { return cpu::Blocks(tokens, kTile); }

// A tensor [tokens, heads, d] as raw memory.
struct HeadMatrix {
  uint16_t* data;
  int64_t token_stride, head_stride;
  explicit HeadMatrix(const at::Tensor& x) : data(Data<uint16_t>(x)), token_stride(x.stride(0)), head_stride(x.stride(1)) {}
  uint16_t* At(int64_t token, int64_t head) const { return data + token * token_stride + head * head_stride; }
};

at::Tensor DenseHeads(const at::Tensor& x) { return x.stride(2) == 1 ? x : x.contiguous(); }

// The batch seen as tiles of its rows.
struct Plan {
  const Bf16Tiles& tiles = *cpu::BestBf16Tiles();
  int64_t q_heads, kv_heads, group, d, width, window;
  ScoreOptions score;
  std::vector<int64_t> offsets;
  std::vector<int64_t> first_tile;  // of each row, among all tiles
  at::Tensor bias;  // of keys: fp32 [q_heads, whole tiles of the longest row], over scale, for the products to add to; or undefined

  Plan(const at::Tensor& q, const at::Tensor& k, const std::vector<int64_t>& rows, const AttentionOptions& options)
      : q_heads(q.size(1)), kv_heads(k.size(1)), group(q_heads / kv_heads), d(q.size(2)), width((d + kWidthStep - 1) / kWidthStep * kWidthStep),
        window(options.window), score{static_cast<float>(options.scale), static_cast<float>(options.softcap)}, offsets(rows) {
    first_tile.push_back(0);
    for (size_t r = 0; r + 1 < offsets.size(); ++r) first_tile.push_back(first_tile.back() + TilesIn(Length(static_cast<int64_t>(r))));
    if (options.key_bias.defined()) {
      int64_t longest = 0;
      for (int64_t r = 0; r < Rows(); ++r) longest = std::max(longest, Length(r));
      bias = at::constant_pad_nd(options.key_bias.narrow(1, 0, longest) / options.scale, {0, TilesIn(longest) * kTile - longest}).contiguous();
    }
  }
  /// Of the kTile keys of a tile, for queries of a head; null: none.
  const float* Bias(int64_t head, int64_t tile) const { return bias.defined() ? Data<float>(bias) + head * bias.size(1) + tile * kTile : nullptr; }
  int64_t Rows() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t Length(int64_t row) const { return offsets[row + 1] - offsets[row]; }
  int64_t Tiles() const { return first_tile.back(); }
  int64_t TileSize() const { return kTile * width; }
  int64_t TokensIn(int64_t row, int64_t tile) const { return std::min(kTile, Length(row) - tile * kTile); }
  /// First tile of keys that queries from `query` on can see.
  int64_t OldestTile(int64_t query) const { return window > 0 ? std::max<int64_t>(0, query - window + 1) / kTile : 0; }
  void CopyTile(const HeadMatrix& x, int64_t row, int64_t tile, int64_t head, uint16_t* out) const {
    tiles.copy_rows(x.At(offsets[row] + tile * kTile, head), x.token_stride, TokensIn(row, tile), d, width, out);
  }
};

struct TileTask {
  int64_t row, tile, head;
};

// One task for each (row, tile, head) or, without tiles, (row, head); long ones first so that no thread ends late.
std::vector<TileTask> TasksOf(const Plan& plan, int64_t heads, bool by_tile) {
  std::vector<int64_t> rows(plan.Rows());
  for (int64_t r = 0; r < plan.Rows(); ++r) rows[r] = r;
  std::stable_sort(rows.begin(), rows.end(), [&](int64_t a, int64_t b) { return plan.Length(a) > plan.Length(b); });
  std::vector<TileTask> tasks;
  for (const int64_t row : rows) {
    const int64_t count = by_tile ? TilesIn(plan.Length(row)) : std::min<int64_t>(plan.Length(row), 1);
    for (int64_t tile = count - 1; tile >= 0; --tile) {
      for (int64_t head = 0; head < heads; ++head) tasks.push_back({row, tile, head});
    }
  }
  return tasks;
}

// ---- forward ----

struct ForwardScratch {
  uint16_t *q, *p;
  float *scores, *out, *maximum, *sum;
  int64_t bytes;
  ForwardScratch(const Plan& plan, char* base) {
    Pieces pieces(base);
    q = pieces.Take<uint16_t>(plan.TileSize());
    p = pieces.Take<uint16_t>(kTile * kChunkTiles * kTile);
    scores = pieces.Take<float>(kTile * kChunkTiles * kTile);
    out = pieces.Take<float>(plan.TileSize());
    maximum = pieces.Take<float>(kTile);
    sum = pieces.Take<float>(kTile);
    bytes = pieces.used();
  }
};

// Every key and value tile in the layout of a right operand, [kv_heads, tiles, …].
struct PackedKeys {
  at::Tensor keys, values;
  int64_t tiles, size;
  PackedKeys(const Plan& plan, const at::Tensor& k, const at::Tensor& v) : tiles(plan.Tiles()), size(plan.TileSize()) {
    keys = at::empty({plan.kv_heads * tiles * size}, k.options());
    values = at::empty({plan.kv_heads * tiles * size}, k.options());
    const HeadMatrix from_k(k), from_v(v);
    RunTasks(TasksOf(plan, plan.kv_heads, true), plan.TileSize() * 2, [&](const TileTask& task, char* scratch) {
      auto* rows = reinterpret_cast<uint16_t*>(scratch);
      plan.CopyTile(from_k, task.row, task.tile, task.head, rows);
      plan.tiles.pack_columns(rows, plan.width, kTile, plan.width, Key(plan, task.row, task.tile, task.head));
      plan.CopyTile(from_v, task.row, task.tile, task.head, rows);
      plan.tiles.pack_rows(rows, plan.width, kTile, plan.width, plan.width, Value(plan, task.row, task.tile, task.head));
    });
  }
  int64_t Index(const Plan& plan, int64_t row, int64_t tile, int64_t head) const { return (head * tiles + plan.first_tile[row] + tile) * size; }
  uint16_t* Key(const Plan& plan, int64_t row, int64_t tile, int64_t head) const { return Data<uint16_t>(keys) + Index(plan, row, tile, head); }
  uint16_t* Value(const Plan& plan, int64_t row, int64_t tile, int64_t head) const { return Data<uint16_t>(values) + Index(plan, row, tile, head); }
};

// Queries of one tile against keys [begin_tile, end_tile), at most kChunkTiles of them.
void AttendChunk(const Plan& plan, const PackedKeys& packed, const TileTask& task, int64_t begin_tile, int64_t end_tile, bool first,
                 const ForwardScratch& s) {
  const int64_t stride = kChunkTiles * kTile, columns = (end_tile - begin_tile) * kTile, first_query = task.tile * kTile;
  const int64_t kv_head = task.head / plan.group;
  for (int64_t j = begin_tile; j < end_tile; ++j) {
    float* scores = s.scores + (j - begin_tile) * kTile;
    const float* bias = plan.Bias(task.head, j);
    for (int64_t r = 0; bias != nullptr && r < kTile; ++r) std::copy_n(bias, kTile, scores + r * stride);
    Multiply(kTile, kTile, plan.width, s.q, plan.width, packed.Key(plan, task.row, j, kv_head), kTile, scores, stride, bias != nullptr);
  }
  for (int64_t r = 0; r < kTile; ++r) {
    const int64_t query = first_query + r, key = begin_tile * kTile;
    const int64_t oldest = plan.window > 0 ? std::max<int64_t>(0, query - plan.window + 1) : 0;
    const int64_t end = std::clamp<int64_t>(query + 1 - key, 0, columns), begin = std::clamp<int64_t>(oldest - key, 0, end);
    const float correction = plan.tiles.softmax_row(s.scores + r * stride, columns, begin, end, plan.score, s.maximum + r, s.sum + r, s.p + r * stride);
    if (!first && correction != 1.0f) plan.tiles.scale_row(s.out + r * plan.width, plan.width, correction);
  }
  for (int64_t j = begin_tile; j < end_tile; ++j) {
    Multiply(kTile, plan.width, kTile, s.p + (j - begin_tile) * kTile, stride, packed.Value(plan, task.row, j, kv_head), plan.width, s.out, plan.width,
             !first || j > begin_tile);
  }
}

// ---- backward ----

struct BackwardScratch {
  uint16_t *k_rows, *v_rows, *k_columns;                           // of all tiles of a row
  uint16_t *q, *dout, *q_pairs, *dout_pairs, *q_cols, *dout_cols;  // of one tile of queries
  uint16_t *p, *ds, *ds_pairs;
  float *scores, *dp, *dq, *lse, *delta;
  int64_t bytes;
  BackwardScratch(const Plan& plan, int64_t longest, char* base) {
    Pieces pieces(base);
    const int64_t size = plan.TileSize();
    for (uint16_t** piece : {&k_rows, &v_rows, &k_columns}) *piece = pieces.Take<uint16_t>(longest * size);
    for (uint16_t** piece : {&q, &dout, &q_pairs, &dout_pairs, &q_cols, &dout_cols}) *piece = pieces.Take<uint16_t>(size);
    for (uint16_t** piece : {&p, &ds, &ds_pairs}) *piece = pieces.Take<uint16_t>(kTile * kTile);
    for (float** piece : {&scores, &dp}) *piece = pieces.Take<float>(kTile * kTile);
    dq = pieces.Take<float>(size);
    for (float** piece : {&lse, &delta}) *piece = pieces.Take<float>(kTile);
    bytes = pieces.used();
  }
};

struct BackwardInput {
  HeadMatrix q, k, v, out, dout, dq;
  const float* lse;  // [tokens, q_heads]
};

void LoadQueries(const Plan& plan, const BackwardInput& in, int64_t row, int64_t tile, int64_t head, const BackwardScratch& s) {
  plan.CopyTile(in.q, row, tile, head, s.q);
  plan.CopyTile(in.dout, row, tile, head, s.dout);
  plan.tiles.pack_rows(s.q, plan.width, kTile, plan.width, plan.width, s.q_pairs);
  plan.tiles.pack_rows(s.dout, plan.width, kTile, plan.width, plan.width, s.dout_pairs);
  plan.tiles.pack_columns(s.q, plan.width, kTile, plan.width, s.q_cols);
  plan.tiles.pack_columns(s.dout, plan.width, kTile, plan.width, s.dout_cols);
  const int64_t count = plan.TokensIn(row, tile), token = plan.offsets[row] + tile * kTile;
  for (int64_t r = 0; r < kTile; ++r) {  // what pads the tile gets probability 0
    s.lse[r] = r < count ? in.lse[(token + r) * plan.q_heads + head] : std::numeric_limits<float>::infinity();
    s.delta[r] = r < count ? plan.tiles.dot_row(s.dout + r * plan.width, in.out.At(token + r, head), plan.d) : 0.0f;
  }
}

// One pair of tiles: scores again, then what they add to dq, dk and dv. dk, dv fp32 [kTile, width].
void BackwardTile(const Plan& plan, int64_t head, int64_t query_tile, int64_t key_tile, const BackwardScratch& s, bool first_dq, float* dk, float* dv) {
  const int64_t width = plan.width, at = key_tile * plan.TileSize(), distance = (query_tile - key_tile) * kTile;
  const float* bias = plan.Bias(head, key_tile);
  for (int64_t k = 0; bias != nullptr && k < kTile; ++k) std::fill_n(s.scores + k * kTile, kTile, bias[k]);
  Multiply(kTile, kTile, width, s.k_rows + at, width, s.q_cols, kTile, s.scores, kTile, bias != nullptr);
  Multiply(kTile, kTile, width, s.v_rows + at, width, s.dout_cols, kTile, s.dp, kTile, false);
  const cpu::TileBand band{plan.window > 0 ? distance - plan.window + 1 : -2 * kTile, distance};
  plan.tiles.softmax_backward(s.scores, s.dp, s.lse, s.delta, band, plan.score, s.p, s.ds, s.ds_pairs);
  Multiply(kTile, width, kTile, s.p, kTile, s.dout_pairs, width, dv, width, true);
  Multiply(kTile, width, kTile, s.ds, kTile, s.q_pairs, width, dk, width, true);
  Multiply(width, kTile, kTile, s.k_columns + at, kTile, s.ds_pairs, kTile, s.dq, kTile, !first_dq);
}

// All query tiles of one row and heads [begin, end) of one group. dk, dv: fp32, the row's tiles, cleared here.
void BackwardRow(const Plan& plan, const BackwardInput& in, int64_t row, int64_t kv_head, int64_t begin_head, int64_t end_head,
                 const BackwardScratch& s, float* dk, float* dv) {
  const int64_t tiles = TilesIn(plan.Length(row)), size = plan.TileSize();
  std::fill_n(dk, tiles * size, 0.0f);
  std::fill_n(dv, tiles * size, 0.0f);
  for (int64_t j = 0; j < tiles; ++j) {
    plan.CopyTile(in.k, row, j, kv_head, s.k_rows + j * size);
    plan.CopyTile(in.v, row, j, kv_head, s.v_rows + j * size);
    plan.tiles.transpose(s.k_rows + j * size, plan.width, s.k_columns + j * size, kTile);
  }
  for (int64_t head = begin_head; head < end_head; ++head) {
    for (int64_t i = 0; i < tiles; ++i) {
      LoadQueries(plan, in, row, i, head, s);
      const int64_t oldest = plan.OldestTile(i * kTile);
      for (int64_t j = oldest; j <= i; ++j) BackwardTile(plan, head, i, j, s, j == oldest, dk + j * size, dv + j * size);
      plan.tiles.store_transposed(s.dq, plan.TokensIn(row, i), plan.d, in.dq.At(plan.offsets[row] + i * kTile, head), in.dq.token_stride);
    }
  }
}

// The sum over `splits` of fp32 tiles, as bf16 rows.
void StoreSum(const Plan& plan, const at::Tensor& partial, int64_t splits, const HeadMatrix& out) {
  const int64_t size = plan.TileSize(), split_stride = plan.kv_heads * plan.Tiles() * size;
  RunTasks(TasksOf(plan, plan.kv_heads, true), size * 4, [&](const TileTask& task, char*) {
    float* sum = Data<float>(partial) + (task.head * plan.Tiles() + plan.first_tile[task.row] + task.tile) * size;
    for (int64_t split = 1; split < splits; ++split) {
      const float* other = sum + split * split_stride;
      for (int64_t i = 0; i < size; ++i) sum[i] += other[i];
    }
    for (int64_t r = 0; r < plan.TokensIn(task.row, task.tile); ++r) {
      plan.tiles.store_row(sum + r * plan.width, plan.d, 1.0f, out.At(plan.offsets[task.row] + task.tile * kTile + r, task.head));
    }
  });
}

}  // namespace

bool Supports(const at::Tensor& q) {
  return cpu::HasBf16Products() && q.device().is_cpu() && q.scalar_type() == at::kBFloat16 && q.size(2) <= 256;
}

AttentionResult Attention(const at::Tensor& q_in, const at::Tensor& k_in, const at::Tensor& v_in, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options) {
  const at::Tensor q = DenseHeads(q_in), k = DenseHeads(k_in), v = DenseHeads(v_in);
  const Plan plan(q, k, offsets, options);
  const PackedKeys packed(plan, k, v);
  AttentionResult result;
  result.out = at::empty(q.sizes(), q.options());
  const at::Tensor lse = at::empty({q.size(0), q.size(1)}, q.options().dtype(at::kFloat));
  const HeadMatrix from_q(q), out(result.out);
  RunTasks(TasksOf(plan, plan.q_heads, true), ForwardScratch(plan, nullptr).bytes, [&](const TileTask& task, char* scratch) {
    const ForwardScratch s(plan, scratch);
    plan.CopyTile(from_q, task.row, task.tile, task.head, s.q);
    std::fill_n(s.maximum, kTile, -std::numeric_limits<float>::infinity());
    std::fill_n(s.sum, kTile, 0.0f);
    const int64_t oldest = plan.OldestTile(task.tile * kTile);
    for (int64_t j = oldest; j <= task.tile; j += kChunkTiles) {
      AttendChunk(plan, packed, task, j, std::min(j + kChunkTiles, task.tile + 1), j == oldest, s);
    }
    for (int64_t r = 0; r < plan.TokensIn(task.row, task.tile); ++r) {
      const int64_t token = plan.offsets[task.row] + task.tile * kTile + r;
      plan.tiles.store_row(s.out + r * plan.width, plan.d, 1.0f / s.sum[r], out.At(token, task.head));
      Data<float>(lse)[token * plan.q_heads + task.head] = s.maximum[r] + std::log(s.sum[r]);
    }
  });
  result.saved = {lse};
  return result;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout_in, const at::Tensor& q_in, const at::Tensor& k_in,
                                                                 const at::Tensor& v_in, const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  const at::Tensor q = DenseHeads(q_in), k = DenseHeads(k_in), v = DenseHeads(v_in), dout = DenseHeads(dout_in);
  const Plan plan(q, k, offsets, options);
  at::Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options()), dv = at::empty(v.sizes(), v.options());
  std::vector<TileTask> tasks = TasksOf(plan, plan.kv_heads, false);
  int64_t longest = 0;
  for (int64_t row = 0; row < plan.Rows(); ++row) longest = std::max(longest, TilesIn(plan.Length(row)));
  // Where there are too few tasks for the threads, the heads of a group are tasks of their own and their dk, dv added up.
  const int64_t splits = static_cast<int64_t>(tasks.size()) < 2 * at::get_num_threads() ? plan.group : 1;
  const int64_t heads_a_split = plan.group / splits;
  if (splits > 1) tasks = TasksOf(plan, plan.q_heads, false);
  const int64_t split_stride = plan.kv_heads * plan.Tiles() * plan.TileSize();
  const at::Tensor dk_sum = at::empty({splits * split_stride}, q.options().dtype(at::kFloat)), dv_sum = at::empty_like(dk_sum);
  const BackwardInput in{HeadMatrix(q), HeadMatrix(k), HeadMatrix(v), HeadMatrix(forward.out), HeadMatrix(dout), HeadMatrix(dq), Data<float>(forward.saved.at(0))};
  RunTasks(tasks, BackwardScratch(plan, longest, nullptr).bytes, [&](const TileTask& task, char* scratch) {
    const int64_t kv_head = splits > 1 ? task.head / plan.group : task.head, split = splits > 1 ? task.head % plan.group : 0;
    const int64_t at = split * split_stride + (kv_head * plan.Tiles() + plan.first_tile[task.row]) * plan.TileSize();
    const int64_t head = kv_head * plan.group + split * heads_a_split;
    BackwardRow(plan, in, task.row, kv_head, head, head + heads_a_split, BackwardScratch(plan, longest, scratch), Data<float>(dk_sum) + at,
                Data<float>(dv_sum) + at);
  });
  StoreSum(plan, dk_sum, splits, HeadMatrix(dk));
  StoreSum(plan, dv_sum, splits, HeadMatrix(dv));
  return {dq, dk, dv};
}

}  // namespace ft::kernels::cpu_bf16
