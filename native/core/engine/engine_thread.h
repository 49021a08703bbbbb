// The one thread that owns every LibTorch call: GradMode is thread-local and OpenMP keeps a pool a calling
// thread. Tasks run first in, first out. Submit may be called from any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace ft {

class EngineThread {
 public:
  /// The process's engine thread, started on first use and never destroyed: a process that exits in the
  /// middle of a task must not wait for it.
  static EngineThread& Get();

  /// REQUIRES: task does not throw.
  void Submit(std::function<void()> task);


 private:
  EngineThread();
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::thread thread_;
};

}  // namespace ft
