#include "core/engine/engine_thread.h"

#include <utility>

namespace ft {

EngineThread& EngineThread::Get() {
  static EngineThread* thread = new EngineThread;  // leaked on purpose, see the header
  return *thread;
}

EngineThread::EngineThread() : thread_([this] { Run(); }) { thread_.detach(); }

void EngineThread::Submit(std::function<void()> task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void EngineThread::Run() {
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return !tasks_.empty(); });
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace ft
