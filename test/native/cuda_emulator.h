// CUDA's execution model on one CPU thread, so that the .cu files of native/core/kernels/cuda can be compiled as C++
// and their launches, indices and barriers tested without a GPU. Blocks run one after the other; the threads of a block
// are fibers that change at barriers and warp shuffles, in rising or falling order (a missing barrier shows in one of
// them). It says nothing of speed, of memory that threads race for between barriers, or of the device's own functions.
// Include it before a .cu file, after everything else.
#pragma once

#include <ucontext.h>

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "core/base/activation.h"

#define FT_CUDA_EMULATOR 1
#define __global__
#define __device__
#define __shared__ static  // one block at a time
#define __launch_bounds__(...)

namespace ft::test::cuda_emulator {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

inline Dim3 block_index, block_size, grid_size, thread_index;
inline bool falling_order = false;  // the threads of a block take turns from the last to the first

/// Runs the threads of one block to their end.
class Block {
 public:
  Block(int threads, const std::function<void()>& body) : body_(body), fibers_(threads), warps_((threads + 31) / 32) {
    if (threads <= 0 || threads > 1024 || threads % 32 != 0) throw std::logic_error("a block has whole warps and at most 1024 threads");
    block_.size = threads;
    for (Group& warp : warps_) warp.size = 32;
  }

  void Run() {
    current_ = this;
    for (Fiber& fiber : fibers_) Start(fiber);
    for (size_t left = fibers_.size(); left > 0;) {
      progress_ = false;
      for (size_t turn = 0; turn < fibers_.size(); ++turn) {
        running_ = falling_order ? fibers_.size() - 1 - turn : turn;
        Fiber& fiber = fibers_[running_];
        if (fiber.over) continue;
        thread_index.x = static_cast<unsigned>(running_);
        swapcontext(&scheduler_, &fiber.context);
        if (fiber.over) --left, progress_ = true;
      }
      if (!progress_) throw std::logic_error("threads of a block wait at a barrier that others never reach");
    }
  }

  static void WaitForBlock() { current_->Wait(current_->block_); }

  template <typename T>
  static T ShuffleXor(T value, int mask) {
    static_assert(sizeof(T) <= sizeof(uint64_t));
    Block& block = *current_;
    const size_t self = block.running_;
    std::memcpy(&block.fibers_[self].slot, &value, sizeof(T));
    block.Wait(block.warps_[self / 32]);
    T other;
    std::memcpy(&other, &block.fibers_[self ^ static_cast<size_t>(mask)].slot, sizeof(T));
    block.Wait(block.warps_[self / 32]);
    return other;
  }

 private:
  struct Fiber {
    ucontext_t context;
    bool over = false;
    uint64_t slot = 0;  // what the thread brings to a shuffle
  };
  struct Group {
    int size = 0, arrived = 0;
    uint64_t generation = 0;
  };

  void Wait(Group& group) {
    const uint64_t generation = group.generation;
    if (++group.arrived == group.size) group.arrived = 0, ++group.generation, progress_ = true;
    const size_t self = running_;
    while (group.generation == generation) swapcontext(&fibers_[self].context, &scheduler_);
  }

  void Start(Fiber& fiber) {
    constexpr size_t kStack = 64 << 10;
    static std::vector<std::unique_ptr<char[]>> stacks;
    const size_t index = &fiber - fibers_.data();
    while (stacks.size() <= index) stacks.push_back(std::make_unique<char[]>(kStack));
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stacks[index].get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = &scheduler_;
    makecontext(&fiber.context, &Block::Enter, 0);
  }

  static void Enter() {
    Block& block = *current_;
    const size_t self = block.running_;
    block.body_();
    block.fibers_[self].over = true;
  }

  static inline Block* current_ = nullptr;
  const std::function<void()>& body_;
  std::vector<Fiber> fibers_;
  std::vector<Group> warps_;
  Group block_;
  ucontext_t scheduler_;
  size_t running_ = 0;
  bool progress_ = false;
};

inline void Grid(int64_t blocks, int threads, const std::function<void()>& body) {
  if (blocks <= 0 || blocks > INT32_MAX) throw std::logic_error("a grid has between 1 and 2^31 - 1 blocks");
  grid_size.x = static_cast<unsigned>(blocks);
  block_size.x = static_cast<unsigned>(threads);
  for (int64_t b = 0; b < blocks; ++b) {
    block_index.x = static_cast<unsigned>(b);
    Block(threads, body).Run();
  }
}

}  // namespace ft::test::cuda_emulator

#define blockIdx (::ft::test::cuda_emulator::block_index)
#define blockDim (::ft::test::cuda_emulator::block_size)
#define gridDim (::ft::test::cuda_emulator::grid_size)
#define threadIdx (::ft::test::cuda_emulator::thread_index)
#define __syncthreads() (::ft::test::cuda_emulator::Block::WaitForBlock())
#define __shfl_xor_sync(all, value, mask) (::ft::test::cuda_emulator::Block::ShuffleXor((value), (mask)))

// A namespace of its own: a CUDA build holds the real launches besides these.
#define cuda cuda_emulated

#include "core/kernels/cuda/element.h"

namespace ft::kernels::cuda {

template <typename... Parameters, typename... Arguments>
void Launch(void (*kernel)(Parameters...), int64_t blocks, int threads, Stream, const Arguments&... arguments) {
  ::ft::test::cuda_emulator::Grid(blocks, threads, [&] { kernel(static_cast<Parameters>(arguments)...); });
}

}  // namespace ft::kernels::cuda
