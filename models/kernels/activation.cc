// ReLU6 and its gradient.
#include <algorithm>

#include "common.h"

namespace {
constexpr int64_t kPiece = 1 << 15;  // values of a task

int64_t count_of(const int64_t *shape, int rank) {
  int64_t count = 1;
  for (int axis = 0; axis < rank; ++axis) count *= shape[axis];
  return count;
}

template <class Work>
void over_pieces(int64_t count, const Work &work) {
  pool().parallel_for(static_cast<int>((count + kPiece - 1) / kPiece), [&](int index, int) {
    work(index * kPiece, std::min(count, (index + 1) * kPiece));
  });
}
}  // namespace

// x → y
KERNEL(relu6) {
  return run("relu6", [=] {
    const float *x = static_cast<float *>(data[0]);
    float *y = static_cast<float *>(data[1]);
    over_pieces(count_of(shapes[0], ranks[0]), [=](int64_t first, int64_t end) {
      for (int64_t i = first; i < end; ++i) y[i] = std::min(std::max(x[i], 0.0f), 6.0f);
    });
  });
}

// dy, x → dx
KERNEL(relu6_gradient) {
  return run("relu6_gradient", [=] {
    const float *dy = static_cast<float *>(data[0]), *x = static_cast<float *>(data[1]);
    float *dx = static_cast<float *>(data[2]);
    over_pieces(count_of(shapes[0], ranks[0]), [=](int64_t first, int64_t end) {
      for (int64_t i = first; i < end; ++i) dx[i] = x[i] > 0.0f && x[i] < 6.0f ? dy[i] : 0.0f;
    });
  });
}
