// The activation x · sigmoid(x), and its gradient.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "common.h"

namespace {
constexpr int64_t kPiece = 65536;

// exp(x) to two units in the last place, without branches or calls, so that the compiler makes vectors of it: 2^n by the
// bits of the exponent, and the Taylor series to x^7 for the rest, within ±0.35. NaN stays NaN.
inline float exponential(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  constexpr float kRound = 12582912.0f;  // 1.5 · 2^23: adding it rounds to a whole number
  const float whole = (x * 1.44269504f + kRound) - kRound;
  const float rest = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  float sum = 1.0f / 5040.0f;
  for (const float term : {1.0f / 720.0f, 1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f, 1.0f})
    sum = sum * rest + term;
  const int32_t bits = (static_cast<int32_t>(whole) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return sum * power;
}

inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

// Calls work(first, last) for pieces of all elements.
template <class Work>
void over(const int64_t *shape, int rank, const Work &work) {
  int64_t all = 1;
  for (int axis = 0; axis < rank; ++axis) all *= shape[axis];
  pool().parallel_for(static_cast<int>((all + kPiece - 1) / kPiece), [&](int piece, int) {
    work(piece * kPiece, std::min(all, (piece + 1) * kPiece));
  });
}
}  // namespace

// x → y
KERNEL(swish) {
  return run("swish", [=] {
    const float *__restrict x = static_cast<float *>(data[0]);
    float *__restrict y = static_cast<float *>(data[1]);
    over(shapes[0], ranks[0], [=](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) y[i] = x[i] * sigmoid(x[i]);
    });
  });
}

// dy, x → dx
KERNEL(swish_gradient) {
  return run("swish_gradient", [=] {
    const float *__restrict dy = static_cast<float *>(data[0]), *__restrict x = static_cast<float *>(data[1]);
    float *__restrict dx = static_cast<float *>(data[2]);
    over(shapes[0], ranks[0], [=](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const float share = sigmoid(x[i]);
        dx[i] = dy[i] * share * (1.0f + x[i] * (1.0f - share));
      }
    });
  });
}
