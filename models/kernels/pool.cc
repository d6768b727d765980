// A thread pool: a thread spins for a moment, then sleeps.
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <stdexcept>
#include <thread>

#include "common.h"

namespace {
// Long enough to bridge the gap between two kernels, short enough to release the core soon.
constexpr int kSpins = 4000;
thread_local bool in_piece = false;
Pool *the_pool = nullptr;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

long futex(std::atomic<int> *word, int operation, int value) {
  return syscall(SYS_futex, reinterpret_cast<int *>(word), operation, value, nullptr, nullptr, 0);
}
}  // namespace

Pool::Pool(int threads) : threads_(threads) {
  for (int index = 1; index < threads; ++index) std::thread(&Pool::help, this).detach();
}

bool Pool::get_in_parallel() const { return in_piece; }

void Pool::parallel_for(int count, const std::function<void(int, int)> &work) {
  if (count <= 1 || in_piece || threads_ == 1) {
    for (int index = 0; index < count; ++index) work(index, count);
    return;
  }
  work_ = &work;
  count_ = count;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t round = (left_.load(std::memory_order_relaxed) >> 32) + 1;
  left_.store((round << 32) + static_cast<uint64_t>(count), std::memory_order_release);
  round_.store(static_cast<int>(round));
  if (asleep_.load() > 0) futex(&round_, FUTEX_WAKE_PRIVATE, INT_MAX);
  in_piece = true;
  take(round);
  in_piece = false;
  for (int spins = 0; done_.load(std::memory_order_acquire) < count; ++spins) {
    if (spins < kSpins) relax();
    else sched_yield();
  }
}

void Pool::take(uint64_t round) {
  for (;;) {
    uint64_t left = left_.load(std::memory_order_acquire);
    do {
      if ((left >> 32) != round || (left & 0xffffffffu) == 0) return;
    } while (!left_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel));
    (*work_)(count_ - static_cast<int>(left & 0xffffffffu), count_);
    done_.fetch_add(1, std::memory_order_acq_rel);
  }
}

void Pool::help() {
  in_piece = true;
  int seen = 0;
  for (;;) {
    int now = round_.load();
    for (int spins = 0; now == seen && spins < kSpins; ++spins) {
      relax();
      now = round_.load();
    }
    while (now == seen) {
      asleep_.fetch_add(1);
      futex(&round_, FUTEX_WAIT_PRIVATE, seen);
      asleep_.fetch_sub(1);
      now = round_.load();
    }
    seen = now;
    take(left_.load(std::memory_order_acquire) >> 32);
  }
}

Pool &pool() {
  if (the_pool == nullptr) throw std::logic_error("kernels_start was not called");
  return *the_pool;
}

std::mutex &turn() {
  static std::mutex only;
  return only;
}

void start_pool(int threads) {
  if (the_pool == nullptr) the_pool = new Pool(threads);
}
