// What the kernels share: a pool of threads, and the form in which MindSpore calls them.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <mutex>

// The interface through which oneDNN borrows threads: the order of the virtual functions is part of its C++ interface
// (oneDNN 3, dnnl_threadpool_iface.hpp), so this declaration must stay as it is.
struct ThreadpoolInterface {
  virtual int get_num_threads() const = 0;
  virtual bool get_in_parallel() const = 0;
  virtual void parallel_for(int count, const std::function<void(int, int)> &work) = 0;
  virtual uint64_t get_flags() const = 0;
  virtual void wait() = 0;
  virtual ~ThreadpoolInterface() = default;
};

// Runs numbered pieces of work. Which thread runs a piece is left to chance, what a piece is never is, so results do
// not depend on the system's scheduling. A caller that finds its helpers busy elsewhere does the work alone.
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
  std::atomic<uint64_t> left_{0};  // number of the round in the high half, pieces nobody has taken in the low half
  std::atomic<int> done_{0}, round_{0}, asleep_{0};
};

Pool &pool();

// One kernel at a time: MindSpore may run independent operators side by side, and all of them want all cores.
std::mutex &turn();

// A kernel as MindSpore calls it (ops.Custom, "aot"): inputs, then outputs. 0 is success.
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
