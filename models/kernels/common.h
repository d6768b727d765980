// Shared by the kernels: the thread pool, and the signature that MindSpore calls.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <mutex>

// oneDNN's thread pool interface. The order of the virtual functions is part of the C++ interface (oneDNN 3,
// dnnl_threadpool_iface.hpp), so do not change this declaration.
struct ThreadpoolInterface {
  virtual int get_num_threads() const = 0;
  virtual bool get_in_parallel() const = 0;
  virtual void parallel_for(int count, const std::function<void(int, int)> &work) = 0;
  virtual uint64_t get_flags() const = 0;
  virtual void wait() = 0;
  virtual ~ThreadpoolInterface() = default;
};

// Runs numbered tasks. Any thread may run a task, but the tasks themselves are fixed, so results do not depend on
// scheduling. A caller whose helpers are busy runs all tasks itself.
class Pool : public ThreadpoolInterface {
 public:
  explicit Pool(int threads);
  int get_num_threads() const override { return threads_; }
  bool get_in_parallel() const override;
  void parallel_for(int count, const std::function<void(int, int)> &work) override;
  uint64_t get_flags() const override { return 0; }  // synchronous
  void wait() override {}

 private:
  void help();
  void take(uint64_t round);

  const int threads_;
  const std::function<void(int, int)> *work_ = nullptr;
  int count_ = 0;
  std::atomic<uint64_t> left_{0};  // high half: number of the round; low half: tasks not yet taken
  std::atomic<int> done_{0}, round_{0}, asleep_{0};
};

Pool &pool();

// One kernel at a time: MindSpore may run independent operators in parallel, and each uses all cores.
std::mutex &turn();

// Signature of a kernel (ops.Custom, "aot"): inputs, then outputs. Returns 0 on success.
using Pointers = void **;
using Shapes = int64_t **;

template <class Body>
int run(const char *name, Body body) {
  std::lock_guard<std::mutex> mine(turn());
  try {
    body();
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "kernel %s: %s\n", name, error.what());
    return 1;
  }
}

#define KERNEL(name) \
  extern "C" int name([[maybe_unused]] int count, void **data, [[maybe_unused]] int *ranks, int64_t **shapes, \
                      const char **, void *, void *)
