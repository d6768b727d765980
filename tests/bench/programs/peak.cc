// What this machine can do at most: multiply-adds a second on one core and on all, in float32 and bfloat16, and bytes a
// second from and to memory. Prints JSON; the argument is the number of threads.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace {
#ifdef __AVX512F__
constexpr int kLanes = 16;
#else
constexpr int kLanes = 8;
#endif
typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));

constexpr int kChains = 12;  // enough to fill two pipelines of latency 4 to 6
constexpr long kRepeats = 20'000'000;
constexpr int kTurns = 9;
constexpr size_t kFloats = 1 << 25;  // 128 MB an array, more than any cache of it

double now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Runs `work(thread)` in all threads at the same time.
void together(int threads, const std::function<void(int)> &work) {
  std::vector<std::thread> all;
  for (int thread = 1; thread < threads; ++thread) all.emplace_back(work, thread);
  work(0);
  for (auto &one : all) one.join();
}

// Work a second, the sum over all threads, by each one's processor time: other programs disturb it little.
double rate(int threads, double work_of_one, const std::function<void()> &work) {
  std::vector<double> shortest(static_cast<size_t>(threads), 1e9);
  for (int turn = 0; turn < kTurns; ++turn) {
    together(threads, [&](int thread) {
      const double begun = now(CLOCK_THREAD_CPUTIME_ID);
      work();
      auto &mine = shortest[static_cast<size_t>(thread)];
      mine = std::min(mine, now(CLOCK_THREAD_CPUTIME_ID) - begun);
    });
  }
  double sum = 0;
  for (const double time : shortest) sum += work_of_one / time;
  return sum;
}

volatile float sink;

void multiply() {
  Vector sums[kChains];
  for (int chain = 0; chain < kChains; ++chain) sums[chain] = Vector{} + static_cast<float>(chain);
  const Vector factor = Vector{} + 0.999f, term = Vector{} + 0.001f;
  for (long i = 0; i < kRepeats / kChains; ++i) {
#pragma GCC unroll 12
    for (int chain = 0; chain < kChains; ++chain) sums[chain] = sums[chain] * factor + term;
  }
  float total = 0;
  for (auto &sum : sums) total += sum[0];
  sink = total;
}

double float_rate(int threads) {
  return rate(threads, 2e-9 * kLanes * (kRepeats / kChains * kChains), multiply);
}

#ifdef __AVX512BF16__
void multiply_half() {
  __m512 sums[kChains];
  for (auto &sum : sums) sum = _mm512_set1_ps(1.0f);
  const __m512bh factor = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
  for (long i = 0; i < kRepeats / kChains; ++i) {
#pragma GCC unroll 12
    for (int chain = 0; chain < kChains; ++chain) sums[chain] = _mm512_dpbf16_ps(sums[chain], factor, factor);
  }
  float parts[16], total = 0;
  for (auto &sum : sums) {
    _mm512_storeu_ps(parts, sum);
    total += parts[0];
  }
  sink = total;
}

double half_rate(int threads) {
  return rate(threads, 64e-9 * (kRepeats / kChains * kChains), multiply_half);
}
#else
double half_rate(int) { return 0; }
#endif

// a = b + 3 c, as in J. McCalpin's STREAM; its way of counting, without what a written line is read for.
double bandwidth(int threads) {
  std::vector<float> a(kFloats), b(kFloats, 1.0f), c(kFloats, 2.0f);
  double shortest = 1e9;
  const auto all = static_cast<size_t>(threads);
  for (int turn = 0; turn < kTurns; ++turn) {
    const double begun = now(CLOCK_MONOTONIC);
    together(threads, [&](int thread) {
      const auto mine = static_cast<size_t>(thread);
      for (size_t i = kFloats * mine / all; i < kFloats * (mine + 1) / all; ++i) a[i] = b[i] + 3.0f * c[i];
    });
    shortest = std::min(shortest, now(CLOCK_MONOTONIC) - begun);
  }
  sink = a[kFloats / 2];
  return 3.0 * kFloats * sizeof(float) / shortest / 1e9;
}
}  // namespace

int main(int, char **words) {
  const int threads = std::atoi(words[1]);
  std::printf("{\"float32_one\": %.1f, \"float32\": %.1f, \"bfloat16\": %.1f, \"bandwidth\": %.1f}\n", float_rate(1),
              float_rate(threads), half_rate(threads), bandwidth(threads));
}
