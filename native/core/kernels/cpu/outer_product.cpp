// Weight gradients in bf16: dyᵀ · x over the tokens of a batch. dy is transposed once, a tile of x at a time is brought into
// the layout of the small products, sums stay in fp32 until they join the gradient.
#include <ATen/ATen.h>

#include <algorithm>

#include "core/kernels/cpu/bf16_products.h"
#include "core/kernels/cpu/bf16_tiles.h"
#include "core/kernels/linear.h"

namespace ft::kernels {
namespace {

using cpu::Bf16Tiles;
using cpu::Blocks;
using cpu::Data;
using cpu::kTile;
using cpu::Multiply;
using cpu::Pieces;
using cpu::RunTasks;

constexpr int64_t kDepth = 512;            // tokens in one product; the last ones are padded to whole tiles
constexpr int64_t kTaskTiles = 8;          // tiles of dy columns in one task
constexpr int64_t kTransposedBytes = 16 << 20;

bool FitsTiles(const at::Tensor& grad, const at::Tensor& dy, const at::Tensor& x, double scale) {
  const bool plain = grad.scalar_type() == at::kFloat || (grad.scalar_type() == at::kBFloat16 && scale == 1.0 && grad.stride(1) == 1);
  return cpu::HasBf16Products() && plain && x.device().is_cpu() && x.scalar_type() == at::kBFloat16 && dy.scalar_type() == at::kBFloat16 &&
         x.stride(1) == 1 && dy.stride(1) == 1 && x.size(0) >= kTile / 2;
}

struct Operands {
  const uint16_t *dy, *x;
  int64_t dy_stride, x_stride, tokens, n, k;
  Operands(const at::Tensor& dy_in, const at::Tensor& x_in)
      : dy(Data<uint16_t>(dy_in)), x(Data<uint16_t>(x_in)), dy_stride(dy_in.stride(0)), x_stride(x_in.stride(0)), tokens(x_in.size(0)), n(dy_in.size(1)), k(x_in.size(1)) {}
  int64_t DepthBlocks() const { return Blocks(tokens, kDepth); }
  int64_t PaddedTokens() const { return Blocks(tokens, kTile) * kTile; }
  /// Tokens of a depth block, padded to whole tiles.
  int64_t Depth(int64_t block) const { return std::min(kDepth, PaddedTokens() - block * kDepth); }
  /// A transposed tile of dy: [depth blocks, kTile, kDepth].
  int64_t TransposedTileSize() const { return DepthBlocks() * kTile * kDepth; }
};

// Column tile of dy, transposed.
void TransposeTile(const Bf16Tiles& tiles, const Operands& in, int64_t column, uint16_t* rows, uint16_t* out) {
  const int64_t columns = std::min(kTile, in.n - column);
  for (int64_t token = 0; token < in.PaddedTokens(); token += kTile) {
    tiles.copy_rows(in.dy + token * in.dy_stride + column, in.dy_stride, std::min(kTile, in.tokens - token), columns, kTile, rows);
    tiles.transpose(rows, kTile, out + token / kDepth * kTile * kDepth + token % kDepth, kDepth);
  }
}

// Column tile of x over all tokens as pairs; what pads the last tile of tokens is 0.
void PackTile(const Bf16Tiles& tiles, const Operands& in, int64_t column, uint16_t* out) {
  tiles.pack_rows(in.x + column, in.x_stride, in.tokens, std::min(kTile, in.k - column), kTile, out);
  const int64_t packed = (in.tokens + 1) / 2 * 2;
  std::fill(out + packed * kTile, out + in.PaddedTokens() * kTile, uint16_t{0});
}

struct GradTask {
  int64_t column;               // of x
  int64_t first_tile, end_tile;  // of dy's columns, inside the slice
};

void AddTo(const Bf16Tiles& tiles, at::Tensor& grad, int64_t row, int64_t rows, int64_t column, int64_t columns, const float* c, double scale) {
  if (grad.scalar_type() == at::kFloat) {
    tiles.add_tile(c, rows, columns, static_cast<float>(scale), Data<float>(grad) + row * grad.stride(0) + column * grad.stride(1), grad.stride(0), grad.stride(1));
  } else {
    uint16_t* out = Data<uint16_t>(grad) + row * grad.stride(0) + column;
    tiles.store_tile(c, rows, columns, out, nullptr, out, grad.stride(0));
  }
}

// Gradient rows of the dy columns [slice_column, …): `slice_tiles` tiles.
void AddSlice(const Bf16Tiles& tiles, const Operands& in, at::Tensor& grad, int64_t slice_column, int64_t slice_tiles, uint16_t* transposed, double scale) {
  std::vector<int64_t> columns;
  for (int64_t tile = 0; tile < slice_tiles; ++tile) columns.push_back(tile);
  RunTasks(columns, kTile * kTile * 2, [&](int64_t tile, char* scratch) {
    TransposeTile(tiles, in, slice_column + tile * kTile, reinterpret_cast<uint16_t*>(scratch), transposed + tile * in.TransposedTileSize());
  });
  std::vector<GradTask> tasks;
  for (int64_t tile = 0; tile < slice_tiles; tile += kTaskTiles) {
    for (int64_t column = 0; column < in.k; column += kTile) tasks.push_back({column, tile, std::min(tile + kTaskTiles, slice_tiles)});
  }
  const int64_t c_bytes = kTile * kTile * 4;
  RunTasks(tasks, c_bytes + in.PaddedTokens() * kTile * 2, [&](const GradTask& task, char* scratch) {
    auto* c = reinterpret_cast<float*>(scratch);
    auto* packed = reinterpret_cast<uint16_t*>(scratch + c_bytes);
    PackTile(tiles, in, task.column, packed);
    for (int64_t tile = task.first_tile; tile < task.end_tile; ++tile) {
      const int64_t row = slice_column + tile * kTile, rows = std::min(kTile, in.n - row);
      for (int64_t block = 0; block < in.DepthBlocks(); ++block) {
        Multiply(Blocks(rows, 16) * 16, kTile, in.Depth(block), transposed + tile * in.TransposedTileSize() + block * kTile * kDepth, kDepth,
                 packed + block * kDepth * kTile, kTile, c, kTile, block > 0);
      }
      AddTo(tiles, grad, row, rows, task.column, std::min(kTile, in.k - task.column), c, scale);
    }
  });
}

}  // namespace

void AddOuterProduct(at::Tensor& grad, const at::Tensor& dy, const at::Tensor& x, double scale) {
  if (!FitsTiles(grad, dy, x, scale)) return composite::AddOuterProduct(grad, dy, x, scale);
  const Operands in(dy, x);
  const int64_t all_tiles = Blocks(in.n, kTile), slice = std::clamp<int64_t>(kTransposedBytes / (in.TransposedTileSize() * 2), 1, all_tiles);
  const at::Tensor transposed = at::empty({slice * in.TransposedTileSize()}, dy.options());
  for (int64_t tile = 0; tile < all_tiles; tile += slice) {
    AddSlice(*cpu::BestBf16Tiles(), in, grad, tile * kTile, std::min(slice, all_tiles - tile), Data<uint16_t>(transposed), scale);
  }
}

}  // namespace ft::kernels
