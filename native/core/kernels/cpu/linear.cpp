// Products of activations with weights in bf16: both operands stay where they are, weights are brought into the layout of
// the small products a slice at a time, and what is added to the result joins it before it is rounded.
#include "core/kernels/linear.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/kernels/cpu/bf16_products.h"
#include "core/kernels/cpu/bf16_tiles.h"

namespace ft::kernels {
namespace {

using cpu::Bf16Tiles;
using cpu::Data;
using cpu::kTile;
using cpu::Multiply;
using cpu::Pieces;
using cpu::RunTasks;

constexpr int64_t kPackedBytes = 8 << 20;   // of weights in their packed form at a time: stays in the last-level cache
constexpr int64_t kTaskRows = 512;          // of x in one task
constexpr int64_t kPanelBytes = 384 << 10;  // of packed weights that one task reuses: stays in a core's cache
constexpr int64_t kDepth = 2048;            // of k in one product
constexpr int64_t kFewRows = 24;            // below, packing would cost more than the product

int64_t Blocks(int64_t n, int64_t block) { return (n + block - 1) / block; }

bool Dense(const at::Tensor& x) { return x.dim() == 2 && x.stride(1) == 1; }

bool FitsTiles(const std::vector<ProductTerm>& terms) {
  if (!cpu::HasBf16Products() || terms.front().x.size(0) < kFewRows) return false;
  return std::all_of(terms.begin(), terms.end(), [](const ProductTerm& term) {
    return term.x.device().is_cpu() && term.x.scalar_type() == at::kBFloat16 && term.w.scalar_type() == at::kBFloat16 && Dense(term.x) && Dense(term.w) &&
           term.x.size(1) % 2 == 0 && term.x.size(1) > 0;
  });
}

// One term as raw memory.
struct Term {
  const uint16_t *x, *w;
  int64_t x_stride, w_stride, k;
  bool by_rows;
  explicit Term(const ProductTerm& term)
      : x(Data<uint16_t>(term.x)), w(Data<uint16_t>(term.w)), x_stride(term.x.stride(0)), w_stride(term.w.stride(0)), k(term.x.size(1)), by_rows(term.by_rows) {}
  int64_t PackedSize() const { return k * kTile; }
  void Pack(const Bf16Tiles& tiles, int64_t column, int64_t columns, uint16_t* out) const {
    if (by_rows) {
      tiles.pack_rows(w + column, w_stride, k, columns, out);
    } else {
      tiles.pack_columns(w + column * w_stride, w_stride, columns, k, out);
    }
  }
};

struct Output {
  uint16_t* y;
  const uint16_t *residual, *bias;  // or null
  int64_t rows, columns;
};

struct PanelTask {
  int64_t first_tile, tiles, first_row, rows;  // tiles counted inside the slice
};

struct RowScratch {
  float* c;     // kTaskRows × kTile, or one tile where nothing has to wait
  uint16_t* x;  // a last block of fewer than kTile rows
  int64_t bytes;
  explicit RowScratch(char* base) {
    Pieces pieces(base);
    c = pieces.Take<float>(kTaskRows * kTile);
    x = pieces.Take<uint16_t>(kTile * kDepth);
    bytes = pieces.used();
  }
};

// A stretch of k in one term.
struct DepthBlock {
  const Term* term;
  int64_t begin, depth;
  int64_t packed;  // where its weights start in a packed tile
};

std::vector<DepthBlock> DepthBlocksOf(const std::vector<Term>& terms) {
  std::vector<DepthBlock> blocks;
  int64_t packed = 0;
  for (const Term& term : terms) {
    for (int64_t begin = 0; begin < term.k; begin += kDepth) {
      const int64_t depth = std::min(kDepth, term.k - begin);
      blocks.push_back({&term, begin, depth, packed});
      packed += depth * kTile;
    }
  }
  return blocks;
}

// c [kTile, kTile] (+)= rows [row, row + rows) of x times one block of packed weights; every product has kTile rows.
void MultiplyBlock(const Bf16Tiles& tiles, const DepthBlock& block, int64_t row, int64_t rows, const uint16_t* packed, float* c, bool add, const RowScratch& s) {
  const Term& term = *block.term;
  const uint16_t* left = term.x + row * term.x_stride + block.begin;
  int64_t stride = term.x_stride;
  if (rows < kTile) {
    tiles.copy_rows(left, stride, rows, block.depth, block.depth, s.x);
    left = s.x, stride = block.depth;
  }
  Multiply(kTile, kTile, block.depth, left, stride, packed + block.packed, c, kTile, add);
}

// The rows of a task times one packed tile of weights. A block of weights stays in a core's cache while it meets all rows.
void MultiplyTile(const Bf16Tiles& tiles, const std::vector<DepthBlock>& blocks, const Output& out, const PanelTask& task, int64_t column,
                  const uint16_t* packed, const RowScratch& s) {
  for (size_t i = 0; i < blocks.size(); ++i) {
    for (int64_t row = 0; row < task.rows; row += kTile) {
      MultiplyBlock(tiles, blocks[i], task.first_row + row, std::min(kTile, task.rows - row), packed, s.c + row * kTile, i > 0, s);
    }
  }
  for (int64_t row = 0; row < task.rows; row += kTile) {
    const int64_t at = (task.first_row + row) * out.columns + column;
    tiles.store_tile(s.c + row * kTile, std::min(kTile, task.rows - row), std::min(kTile, out.columns - column),
                     out.residual == nullptr ? nullptr : out.residual + at, out.bias == nullptr ? nullptr : out.bias + column, out.y + at, out.columns);
  }
}

// Columns [column, column + …) of the result: packs their weights, then multiplies.
void MultiplySlice(const Bf16Tiles& tiles, const std::vector<Term>& terms, const Output& out, int64_t slice_column, int64_t slice_tiles, uint16_t* packed) {
  int64_t tile_size = 0;
  for (const Term& term : terms) tile_size += term.PackedSize();
  std::vector<int64_t> pack_tasks;
  for (int64_t tile = 0; tile < slice_tiles; ++tile) pack_tasks.push_back(tile);
  RunTasks(pack_tasks, 0, [&](int64_t tile, char*) {
    uint16_t* to = packed + tile * tile_size;
    const int64_t column = slice_column + tile * kTile;
    for (const Term& term : terms) {
      term.Pack(tiles, column, std::min(kTile, out.columns - column), to);
      to += term.PackedSize();
    }
  });
  const int64_t panel = std::clamp<int64_t>(kPanelBytes / (tile_size * 2), 1, 8);
  std::vector<PanelTask> tasks;
  for (int64_t row = 0; row < out.rows; row += kTaskRows) {
    for (int64_t tile = 0; tile < slice_tiles; tile += panel) {
      tasks.push_back({tile, std::min(panel, slice_tiles - tile), row, std::min(kTaskRows, out.rows - row)});
    }
  }
  const std::vector<DepthBlock> blocks = DepthBlocksOf(terms);
  RunTasks(tasks, RowScratch(nullptr).bytes, [&](const PanelTask& task, char* scratch) {
    const RowScratch s(scratch);
    for (int64_t tile = task.first_tile; tile < task.first_tile + task.tiles; ++tile) {
      MultiplyTile(tiles, blocks, out, task, slice_column + tile * kTile, packed + tile * tile_size, s);
    }
  });
}

}  // namespace

at::Tensor SumOfProducts(const std::vector<ProductTerm>& inputs, const at::Tensor& bias, const at::Tensor& residual) {
  if (!FitsTiles(inputs)) return composite::SumOfProducts(inputs, bias, residual);
  const Bf16Tiles& tiles = *cpu::BestBf16Tiles();
  std::vector<Term> terms;
  int64_t tile_bytes = 0;
  for (const ProductTerm& input : inputs) {
    terms.emplace_back(input);
    tile_bytes += terms.back().PackedSize() * 2;
  }
  const int64_t columns = inputs.front().by_rows ? inputs.front().w.size(1) : inputs.front().w.size(0);
  const at::Tensor y = at::empty({inputs.front().x.size(0), columns}, inputs.front().x.options());
  const at::Tensor added = residual.defined() ? residual.contiguous() : residual, shift = bias.defined() ? bias.contiguous() : bias;
  const Output out{Data<uint16_t>(y), added.defined() ? Data<uint16_t>(added) : nullptr, shift.defined() ? Data<uint16_t>(shift) : nullptr, y.size(0), columns};
  const int64_t all_tiles = Blocks(columns, kTile), slice = std::clamp<int64_t>(kPackedBytes / tile_bytes, 1, all_tiles);
  const at::Tensor packed = at::empty({slice * tile_bytes / 2}, y.options());
  for (int64_t tile = 0; tile < all_tiles; tile += slice) {
    MultiplySlice(tiles, terms, out, tile * kTile, std::min(slice, all_tiles - tile), Data<uint16_t>(packed));
  }
  return y;
}

}  // namespace ft::kernels
