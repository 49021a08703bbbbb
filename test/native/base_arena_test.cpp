#include <cstring>
#include <random>
#include <vector>

#include "core/base/arena.h"
#include "test.h"

namespace ft::test {

TEST(arena_blocks_are_aligned_and_do_not_overlap) {
  Arena arena;
  struct Piece {
    char* data;
    size_t size;
    char mark;
  };
  std::vector<Piece> pieces;
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    if (!pieces.empty() && random() % 2 == 0) {
      const size_t index = random() % pieces.size();
      const Piece piece = pieces[index];
      EXPECT(piece.data[0] == piece.mark && piece.data[piece.size - 1] == piece.mark && piece.data[piece.size / 2] == piece.mark);
      EXPECT(arena.Free(piece.data));
      pieces.erase(pieces.begin() + static_cast<int64_t>(index));
      continue;
    }
    const size_t size = Arena::kSmallest + random() % (1 << 20);
    auto* data = static_cast<char*>(arena.Allocate(size));
    EXPECT(data != nullptr && reinterpret_cast<uintptr_t>(data) % Arena::kAlignment == 0);
    std::memset(data, i % 120, size);
    pieces.push_back({data, size, static_cast<char>(i % 120)});
  }
  for (const Piece& piece : pieces) EXPECT(arena.Free(piece.data));
  EXPECT(arena.used_bytes() == 0);
  EXPECT(arena.peak_bytes() >= Arena::kSmallest * 10 && arena.peak_bytes() <= arena.reserved_bytes());
  const size_t reserved = arena.reserved_bytes();
  EXPECT(arena.Trim() == reserved && arena.reserved_bytes() == 0);
}

TEST(arena_reuses_what_was_freed) {
  Arena arena;
  for (int step = 0; step < 50; ++step) {
    std::vector<void*> blocks;
    for (size_t i = 1; i < 30; ++i) blocks.push_back(arena.Allocate(i * 300000));
    for (void* block : blocks) arena.Free(block);
    static size_t first = 0;
    if (step == 0) first = arena.reserved_bytes();
    EXPECT(arena.reserved_bytes() == first);
  }
}

TEST(arena_keeps_regions_in_use_and_refuses_foreign_pointers) {
  Arena arena;
  void* kept = arena.Allocate(1 << 20);
  void* large = arena.Allocate(100 << 20);
  int elsewhere = 0;
  EXPECT(!arena.Free(&elsewhere));
  EXPECT(arena.Free(large) && !arena.Free(large));
  EXPECT(arena.Trim() >= (100 << 20));
  EXPECT(arena.used_bytes() >= (1 << 20));
  std::memset(kept, 1, 1 << 20);
  EXPECT(arena.Allocate(SIZE_MAX - 5) == nullptr);
  EXPECT(arena.Allocate(size_t{1} << 60) == nullptr);
  EXPECT(arena.Free(kept));
}

}  // namespace ft::test
