// Products of activations with weights in bf16: both operands stay where they are, weights are brought into the layout of
// the small products a slice at a time, and what is added to the result joins it before it is rounded.
#include "core/kernels/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/kernels/cpu/bf16_products.h"
#include "core/kernels/cpu/bf16_tiles.h"

namespace ft::kernels {
namespace {

using cpu::Bf16Tiles;
using cpu::Blocks;
using cpu::Data;
using cpu::kMostFew;
using cpu::kTile;
using cpu::Multiply;
using cpu::Pieces;
using cpu::RunTasks;

constexpr int64_t kPackedBytes = 8 << 20;   // of weights in their packed form at a time: stays in the last-level cache
constexpr int64_t kTaskRows = 512;          // of x in one task
constexpr int64_t kPanelBytes = 384 << 10;  // of packed weights that one task reuses: stays in a core's cache
constexpr int64_t kDepth = 2048;            // of k in one product
constexpr int64_t kGroupBytes = 1 << 20;    // of one packed tile, before more of k waits for another turn
constexpr int64_t kFewRows = 32;            // below, reading the weights is what a product costs
constexpr int64_t kPieceDepth = 128;        // of k in one piece of a source, or of x, for few rows: 16 KB, half of a small nearest cache
constexpr int64_t kMadeRows = 8;            // of a source, made for few rows of x: they stay in a core's nearest cache

bool Dense(const at::Tensor& x) { return x.dim() == 2 && x.stride(1) == 1 && x.stride(0) >= x.size(1); }

bool FitsTiles(const std::vector<ProductTerm>& terms) {
  if (!cpu::HasBf16Products() || terms.front().x.size(0) == 0) return false;
  return std::all_of(terms.begin(), terms.end(), [](const ProductTerm& term) {
    const bool weight = term.source != nullptr || (term.w.scalar_type() == at::kBFloat16 && Dense(term.w));
    return weight && term.x.device().is_cpu() && term.x.scalar_type() == at::kBFloat16 && Dense(term.x) && term.x.size(1) % 2 == 0 && term.x.size(1) > 0;
  });
}

// One term as raw memory.
struct Term {
  const uint16_t *x, *w = nullptr;
  int64_t x_stride, w_stride = 0, k;
  bool by_rows;
  const WeightSource* source;  // or null: w
  explicit Term(const ProductTerm& term)
      : x(Data<uint16_t>(term.x)), x_stride(term.x.stride(0)), k(term.x.size(1)), by_rows(term.by_rows), source(term.source) {
    if (source == nullptr) w = Data<uint16_t>(term.w), w_stride = term.w.stride(0);
  }
};

// A stretch of k in one term.
struct DepthBlock {
  const Term* term;
  int64_t begin, depth;
  int64_t packed;  // where its weights start in a packed tile

  // `unpacked` is scratch for kTile × depth values of a source.
  void Pack(const Bf16Tiles& tiles, int64_t column, int64_t columns, uint16_t* out, uint16_t* unpacked) const {
    if (term->source != nullptr) {
      PackSource(tiles, column, columns, out + packed, unpacked);
    } else if (term->by_rows) {
      tiles.pack_rows(term->w + begin * term->w_stride + column, term->w_stride, depth, columns, kTile, out + packed);
    } else {
      tiles.pack_columns(term->w + column * term->w_stride + begin, term->w_stride, columns, depth, out + packed);
    }
  }

  void PackSource(const Bf16Tiles& tiles, int64_t column, int64_t columns, uint16_t* out, uint16_t* unpacked) const {
    if (term->by_rows) {
      term->source->Read(begin, depth, column, columns, unpacked, kTile);
      tiles.pack_rows(unpacked, kTile, depth, columns, kTile, out);
    } else {
      term->source->Read(column, columns, begin, depth, unpacked, depth);
      tiles.pack_columns(unpacked, depth, columns, depth, out);
    }
  }
};

// Depth blocks whose packed tiles are worked on together.
struct DepthGroup {
  std::vector<DepthBlock> blocks;
  int64_t tile_size = 0;  // values of one packed tile
};

std::vector<DepthGroup> DepthGroupsOf(const std::vector<Term>& terms) {
  std::vector<DepthGroup> groups(1);
  for (const Term& term : terms) {
    for (int64_t begin = 0; begin < term.k; begin += kDepth) {
      if (groups.back().tile_size * 2 >= kGroupBytes) groups.emplace_back();
      DepthGroup& group = groups.back();
      const int64_t depth = std::min(kDepth, term.k - begin);
      group.blocks.push_back({&term, begin, depth, group.tile_size});
      group.tile_size += depth * kTile;
    }
  }
  return groups;
}

struct Output {
  uint16_t* y;
  int64_t stride;
  const uint16_t *residual, *bias;  // or null
  int64_t rows, columns;
  bool transposed;  // y [columns, rows]

  void Store(const Bf16Tiles& tiles, const float* c, int64_t row, int64_t column, int64_t most = kTile) const {
    const int64_t count = std::min(kTile, rows - row), width = std::min(most, columns - column);
    if (transposed) {
      tiles.store_transposed(c, width, count, y + column * stride + row, stride);
      return;
    }
    const int64_t at = row * stride + column;
    tiles.store_tile(c, count, width, residual == nullptr ? nullptr : residual + at, bias == nullptr ? nullptr : bias + column, y + at, stride);
  }
};

// Sums that wait for more groups: fp32 [tile, padded row, kTile]. Without them a task's own scratch serves.
struct Sums {
  float* data = nullptr;
  int64_t padded_rows = 0;
  bool first = true, last = true;  // group
};

struct Slice {
  int64_t first_tile, tiles;
  uint16_t* packed;
};

void PackSlice(const Bf16Tiles& tiles, const DepthGroup& group, const Output& out, const Slice& slice) {
  std::vector<std::pair<int64_t, const DepthBlock*>> tasks;
  for (int64_t tile = 0; tile < slice.tiles; ++tile) {
    for (const DepthBlock& block : group.blocks) tasks.emplace_back(tile, &block);
  }
  const bool sources = std::any_of(group.blocks.begin(), group.blocks.end(), [](const DepthBlock& block) { return block.term->source != nullptr; });
  RunTasks(tasks, sources ? kTile * kDepth * 2 : 0, [&](const std::pair<int64_t, const DepthBlock*>& task, char* scratch) {
    const int64_t column = (slice.first_tile + task.first) * kTile;
    task.second->Pack(tiles, column, std::min(kTile, out.columns - column), slice.packed + task.first * group.tile_size, reinterpret_cast<uint16_t*>(scratch));
  });
}

struct PanelTask {
  int64_t first_tile, end_tile;  // inside the slice
  int64_t first_row, end_row;
};

std::vector<PanelTask> PanelsOf(const Slice& slice, const DepthGroup& group, int64_t rows) {
  const int64_t wanted = 4 * at::get_num_threads();
  // Where there are few tiles, rows are divided further.
  const int64_t block = std::clamp<int64_t>(Blocks(rows * slice.tiles, wanted * kTile) * kTile, kTile, kTaskRows), row_blocks = Blocks(rows, block);
  const int64_t fits = std::clamp<int64_t>(kPanelBytes / (group.tile_size * 2), 1, 8);
  const int64_t panel = std::clamp<int64_t>(slice.tiles * row_blocks / wanted, 1, fits);
  std::vector<PanelTask> tasks;
  for (int64_t row = 0; row < rows; row += block) {
    for (int64_t tile = 0; tile < slice.tiles; tile += panel) {
      tasks.push_back({tile, std::min(tile + panel, slice.tiles), row, std::min(row + block, rows)});
    }
  }
  return tasks;
}

struct RowScratch {
  float* c;     // kTaskRows × kTile
  uint16_t* x;  // a last block of fewer than kTile rows
  int64_t bytes;
  explicit RowScratch(char* base) {
    Pieces pieces(base);
    c = pieces.Take<float>(kTaskRows * kTile);
    x = pieces.Take<uint16_t>(kTile * kDepth);
    bytes = pieces.used();
  }
};

// c [kTile, columns] (+)= rows [row, row + rows) of x times one block of packed weights; every product has kTile rows.
void MultiplyBlock(const Bf16Tiles& tiles, const DepthBlock& block, int64_t row, int64_t rows, int64_t columns, const uint16_t* packed, float* c, bool add,
                   const RowScratch& s) {
  const Term& term = *block.term;
  const uint16_t* left = term.x + row * term.x_stride + block.begin;
  int64_t stride = term.x_stride;
  if (rows < kTile) {
    tiles.copy_rows(left, stride, rows, block.depth, block.depth, s.x);
    left = s.x, stride = block.depth;
  }
  Multiply(kTile, columns, block.depth, left, stride, packed + block.packed, kTile, c, kTile, add);
}

// The rows of a task times one packed tile. A block of weights stays in a core's cache while it meets all rows.
void MultiplyTile(const Bf16Tiles& tiles, const DepthGroup& group, const Output& out, const Slice& slice, const PanelTask& task, int64_t tile,
                  const Sums& sums, const RowScratch& s) {
  const int64_t column = (slice.first_tile + tile) * kTile, computed = Blocks(std::min(kTile, out.columns - column), 16) * 16;
  float* c = sums.data == nullptr ? s.c : sums.data + (column / kTile * sums.padded_rows + task.first_row) * kTile;
  const uint16_t* packed = slice.packed + tile * group.tile_size;
  bool add = !sums.first;
  for (const DepthBlock& block : group.blocks) {
    for (int64_t row = task.first_row; row < task.end_row; row += kTile) {
      MultiplyBlock(tiles, block, row, std::min(kTile, out.rows - row), computed, packed, c + (row - task.first_row) * kTile, add, s);
    }
    add = true;
  }
  if (!sums.last) return;
  for (int64_t row = task.first_row; row < task.end_row; row += kTile) out.Store(tiles, c + (row - task.first_row) * kTile, row, column);
}

void MultiplyAll(const std::vector<Term>& terms, const Output& out) {
  const Bf16Tiles& tiles = *cpu::BestBf16Tiles();
  const std::vector<DepthGroup> groups = DepthGroupsOf(terms);
  int64_t largest = 0;
  for (const DepthGroup& group : groups) largest = std::max(largest, group.tile_size);
  const int64_t all_tiles = Blocks(out.columns, kTile), slice_tiles = std::clamp<int64_t>(kPackedBytes / (largest * 2), 1, all_tiles);
  const at::Tensor packed = at::empty({slice_tiles * largest}, at::kBFloat16);
  at::Tensor waiting;
  Sums sums{nullptr, Blocks(out.rows, kTile) * kTile};
  if (groups.size() > 1) {
    waiting = at::empty({all_tiles * sums.padded_rows * kTile}, at::kFloat);
    sums.data = Data<float>(waiting);
  }
  for (const DepthGroup& group : groups) {
    sums.first = &group == &groups.front(), sums.last = &group == &groups.back();
    for (int64_t tile = 0; tile < all_tiles; tile += slice_tiles) {
      const Slice slice{tile, std::min(slice_tiles, all_tiles - tile), Data<uint16_t>(packed)};
      PackSlice(tiles, group, out, slice);
      RunTasks(PanelsOf(slice, group, out.rows), RowScratch(nullptr).bytes, [&](const PanelTask& task, char* scratch) {
        const RowScratch s(scratch);
        for (int64_t i = task.first_tile; i < task.end_tile; ++i) MultiplyTile(tiles, group, out, slice, task, i, sums, s);
      });
    }
  }
}

// sums [few, kTile] += rows of x times a tile of w, `columns` rows of it. Of a source some rows are made at a time.
void AddFewRows(const Bf16Tiles& tiles, const Term& term, int64_t column, int64_t columns, int64_t few, uint16_t* unpacked, float* sums) {
  const auto add = [&](const uint16_t* w, int64_t stride, int64_t count, int64_t begin, int64_t depth, float* y) {
    tiles.add_few_rows(w, stride, count, depth, term.x + begin, term.x_stride, few, y);
  };
  if (term.source == nullptr) return add(term.w + column * term.w_stride, term.w_stride, columns, 0, term.k, sums);
  for (int64_t row = 0; row < columns; row += kMadeRows) {
    const int64_t count = std::min(kMadeRows, columns - row);
    for (int64_t begin = 0; begin < term.k; begin += kDepth) {
      const int64_t depth = std::min(kDepth, term.k - begin);
      term.source->Read(column + row, count, begin, depth, unpacked, depth);
      add(unpacked, depth, count, begin, depth, sums + row);
    }
  }
}

// Every column of the result once, some at a time: body(column, count). Whole tiles would divide a narrow product unevenly.
template <typename Body>
void ForColumns(const Output& out, const Body& body) {
  constexpr int64_t kShare = 16;
  at::parallel_for(0, Blocks(out.columns, kShare), 1, [&](int64_t begin, int64_t end) {
    const int64_t last = std::min(end * kShare, out.columns);
    for (int64_t column = begin * kShare; column < last; column += kTile) body(column, std::min(kTile, last - column));
  });
}

// Few rows of x: every weight is read once, where it lies, and meets all of them in registers.
void MultiplyFew(const std::vector<Term>& terms, const Output& out) {
  const Bf16Tiles& tiles = *cpu::BestBf16Tiles();
  ForColumns(out, [&](int64_t column, int64_t count) {
    alignas(64) float sums[kMostFew * kTile] = {};
    uint16_t unpacked[kMadeRows * kDepth];
    for (const Term& term : terms) AddFewRows(tiles, term, column, count, out.rows, unpacked, sums);
    out.Store(tiles, sums, 0, column, count);
  });
}

// Rows of x as pairs, words [k / 2, lanes]: a right operand that stays in a core's cache. What is missing of the lanes is 0.
struct LaneTerm {
  const Term* term;
  at::Tensor pairs;
  LaneTerm(const Bf16Tiles& tiles, const Term& of, int64_t rows, int64_t lanes) : term(&of), pairs(at::empty({of.k, lanes}, at::kBFloat16)) {
    alignas(64) uint16_t packed[kPieceDepth * kTile];
    for (int64_t begin = 0; begin < of.k; begin += kPieceDepth) {
      const int64_t depth = std::min(kPieceDepth, of.k - begin);
      tiles.pack_columns(of.x + begin, of.x_stride, rows, depth, packed);
      for (int64_t pair = 0; pair < depth / 2; ++pair) std::copy_n(packed + pair * kTile * 2, lanes * 2, Pairs(begin + 2 * pair, lanes));
    }
  }
  uint16_t* Pairs(int64_t k, int64_t lanes) const { return Data<uint16_t>(pairs) + k * lanes; }
};

// sums [count, lanes] += weights [column, column + count) times the rows. `unpacked` is scratch for kTile × kPieceDepth values.
void AddLanes(const Bf16Tiles& tiles, const LaneTerm& input, int64_t column, int64_t count, int64_t lanes, uint16_t* unpacked, float* sums) {
  const Term& term = *input.term;
  if (term.source == nullptr) return tiles.add_lanes(term.w + column * term.w_stride, term.w_stride, count, term.k, input.Pairs(0, lanes), lanes, sums);
  for (int64_t k = 0; k < term.k; k += kPieceDepth) {
    const int64_t depth = std::min(kPieceDepth, term.k - k);
    term.source->Read(column, count, k, depth, unpacked, depth);
    tiles.add_lanes(unpacked, depth, count, depth, input.Pairs(k, lanes), lanes, sums);
  }
}

// The same for more rows: weights, where they lie, are the left operand and meet the rows as lanes.
void MultiplyLanes(const std::vector<Term>& terms, const Output& out) {
  const Bf16Tiles& tiles = *cpu::BestBf16Tiles();
  const int64_t lanes = Blocks(out.rows, 16) * 16;
  std::vector<LaneTerm> inputs;
  for (const Term& term : terms) inputs.emplace_back(tiles, term, out.rows, lanes);
  ForColumns(out, [&](int64_t column, int64_t count) {
    alignas(64) float sums[kTile * kFewRows] = {}, turned[kTile * kFewRows];
    uint16_t unpacked[kTile * kPieceDepth];
    for (const LaneTerm& input : inputs) AddLanes(tiles, input, column, count, lanes, unpacked, sums);
    tiles.turn_lanes(sums, lanes, turned);
    out.Store(tiles, turned, 0, column, count);
  });
}

// Rows of w meet packed rows of x, so that the weights are read where they lie.
void TransposedProduct(const at::Tensor& y, const ProductTerm& term) {
  const int64_t rows = term.x.size(0), columns = term.w.size(0);
  MultiplyAll({Term({term.w, term.x})}, {Data<uint16_t>(y), columns, nullptr, nullptr, columns, rows, /*transposed=*/true});
}

}  // namespace

at::Tensor SumOfProducts(const std::vector<ProductTerm>& inputs, const at::Tensor& bias, const at::Tensor& residual) {
  const ProductTerm& main = inputs.front();
  const at::Tensor y = at::empty({main.x.size(0), main.by_rows ? main.columns_of_w() : main.rows_of_w()}, main.x.options());
  SumOfProductsInto(y, inputs, bias, residual);
  return y;
}

void SumOfProductsInto(const at::Tensor& y, const std::vector<ProductTerm>& inputs, const at::Tensor& bias, const at::Tensor& residual) {
  if (!FitsTiles(inputs)) return composite::SumOfProductsInto(y, inputs, bias, residual);
  const ProductTerm& main = inputs.front();
  const int64_t rows = y.size(0), columns = y.size(1);
  const bool plain = std::none_of(inputs.begin(), inputs.end(), [](const ProductTerm& term) { return term.by_rows; });
  // Packing is paid for by the rows that meet what was packed: of a lone x and w (the loss head) the shorter one is packed.
  const bool lone = plain && inputs.size() == 1 && main.source == nullptr && !bias.defined() && !residual.defined() && main.x.size(1) * kTile * 2 <= kGroupBytes;
  if (lone && rows >= kFewRows && rows < columns) return TransposedProduct(y, main);
  const at::Tensor added = residual.defined() ? residual.contiguous() : residual, shift = bias.defined() ? bias.contiguous() : bias;
  const Output out{Data<uint16_t>(y), columns, added.defined() ? Data<uint16_t>(added) : nullptr, shift.defined() ? Data<uint16_t>(shift) : nullptr,
                   rows, columns, /*transposed=*/false};
  const auto multiply = !plain || rows >= kFewRows ? MultiplyAll : rows > kMostFew ? MultiplyLanes : MultiplyFew;
  multiply({inputs.begin(), inputs.end()}, out);
}

}  // namespace ft::kernels
