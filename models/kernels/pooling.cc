// Max-pooling of tensors, NCHW or channels last, with the position of each maximum, the first of equals, as in MindSpore.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "common.h"

namespace {
// Padding before the first row or column; -1 selects that of MindSpore's pad_mode "same".
int64_t before(int32_t given, int64_t size, int64_t results, int32_t kernel, int32_t stride) {
  return given >= 0 ? given : std::max<int64_t>((results - 1) * stride + kernel - size, 0) / 2;
}

// A row of results from windows of 2 × 2 pixels side by side. Without branches, so that the compiler makes vectors of
// it: random comparisons mispredict, and took six times as long.
void pool_row_of_pairs(const float *__restrict upper, int64_t width, int32_t place, int64_t columns,
                       float *__restrict y, int32_t *__restrict at) {
  const float *__restrict lower = upper + width;
  const int32_t below = static_cast<int32_t>(width);
  for (int64_t column = 0; column < columns; ++column) {
    const float others[] = {upper[2 * column + 1], lower[2 * column], lower[2 * column + 1]};
    const int32_t steps[] = {1, below, below + 1};
    float best = upper[2 * column];
    int32_t step = 0;
    for (int other = 0; other < 3; ++other) {
      const bool wins = (others[other] > best) | (others[other] != others[other]);  // NaN wins
      best = wins ? others[other] : best;
      step = wins ? steps[other] : step;
    }
    y[column] = best;
    at[column] = place + 2 * static_cast<int32_t>(column) + step;
  }
}

// Channels last: the channels of a pixel side by side, so that each comparison is one of vectors.
void pool_last(const float *x, const int32_t *g, int64_t above, int64_t aside, const int64_t *in, const int64_t *out,
               float *__restrict y, int32_t *__restrict at) {
  const int64_t channels = in[1], height = in[2], width = in[3];
  for (int64_t row = 0; row < out[2]; ++row) {
    const int64_t top = std::max<int64_t>(row * g[2] - above, 0), bottom = std::min(row * g[2] - above + g[0], height);
    for (int64_t column = 0; column < out[3]; ++column, y += channels, at += channels) {
      const int64_t left = std::max<int64_t>(column * g[3] - aside, 0);
      const int64_t right = std::min(column * g[3] - aside + g[1], width);
      const float *__restrict corner = x + (top * width + left) * channels;
      for (int64_t c = 0; c < channels; ++c) {
        y[c] = corner[c];
        at[c] = static_cast<int32_t>(top * width + left);
      }
      for (int64_t i = top; i < bottom; ++i) {
        for (int64_t j = left; j < right; ++j) {
          const float *__restrict other = x + (i * width + j) * channels;
          const int32_t place = static_cast<int32_t>(i * width + j);
          for (int64_t c = 0; c < channels; ++c) {
            const bool wins = (other[c] > y[c]) | (other[c] != other[c]);  // NaN wins
            y[c] = wins ? other[c] : y[c];
            at[c] = wins ? place : at[c];
          }
        }
      }
    }
  }
}
}  // namespace

// x, geometry (kernel, stride, padding before; rows then columns; whether channels are last) → y, position of each maximum in its image plane
KERNEL(max_pooling) {
  return run("max_pooling", [=] {
    const int32_t *g = static_cast<int32_t *>(data[1]);
    const int64_t height = shapes[0][2], width = shapes[0][3], rows = shapes[2][2], columns = shapes[2][3];
    const int64_t above = before(g[4], height, rows, g[0], g[2]), aside = before(g[5], width, columns, g[1], g[3]);
    const int64_t planes = shapes[0][0] * shapes[0][1];
    const int64_t pieces = std::min<int64_t>(planes, 64);
    const bool pairs = std::all_of(g, g + 4, [](int32_t value) { return value == 2; }) && above == 0 && aside == 0 &&
                       2 * rows <= height && 2 * columns <= width;
    if (g[6] != 0) {
      pool().parallel_for(static_cast<int>(shapes[0][0]), [=](int image, int) {
        const int64_t read = image * shapes[0][1] * height * width, written = image * shapes[0][1] * rows * columns;
        pool_last(static_cast<float *>(data[0]) + read, g, above, aside, shapes[0], shapes[2],
                  static_cast<float *>(data[2]) + written, static_cast<int32_t *>(data[3]) + written);
      });
      return;
    }
    pool().parallel_for(static_cast<int>(pieces), [=](int piece, int) {
      for (int64_t plane = planes * piece / pieces; plane < planes * (piece + 1) / pieces; ++plane) {
        const float *x = static_cast<float *>(data[0]) + plane * height * width;
        float *y = static_cast<float *>(data[2]) + plane * rows * columns;
        int32_t *at = static_cast<int32_t *>(data[3]) + plane * rows * columns;
        for (int64_t row = 0; row < rows; ++row) {
          if (pairs) {
            pool_row_of_pairs(x + 2 * row * width, width, static_cast<int32_t>(2 * row * width), columns,
                              y + row * columns, at + row * columns);
            continue;
          }
          const int64_t top = std::max<int64_t>(row * g[2] - above, 0);
          const int64_t bottom = std::min<int64_t>(row * g[2] - above + g[0], height);
          for (int64_t column = 0; column < columns; ++column) {
            const int64_t left = std::max<int64_t>(column * g[3] - aside, 0);
            const int64_t right = std::min<int64_t>(column * g[3] - aside + g[1], width);
            int64_t best = top * width + left;
            for (int64_t i = top; i < bottom; ++i) {
              for (int64_t j = left; j < right; ++j) {
                const int64_t here = i * width + j;
                // NaN wins, so that a diverged training is detected.
                best = x[here] > x[best] || std::isnan(x[here]) ? here : best;
              }
            }
            y[row * columns + column] = x[best];
            at[row * columns + column] = static_cast<int32_t>(best);
          }
        }
      }
    });
  });
}

// dy, positions, x (for its shape), geometry → dx
KERNEL(max_pooling_gradient) {
  return run("max_pooling_gradient", [=] {
    const int64_t size = shapes[2][2] * shapes[2][3], count = shapes[0][2] * shapes[0][3];
    if (static_cast<int32_t *>(data[3])[6] != 0) {
      const int64_t channels = shapes[0][1];
      pool().parallel_for(static_cast<int>(shapes[0][0]), [=](int image, int) {
        const float *dy = static_cast<float *>(data[0]) + image * channels * count;
        const int32_t *at = static_cast<int32_t *>(data[1]) + image * channels * count;
        float *dx = static_cast<float *>(data[4]) + image * channels * size;
        std::memset(dx, 0, static_cast<size_t>(channels * size) * sizeof(float));
        for (int64_t i = 0; i < count; ++i) {
          for (int64_t c = 0; c < channels; ++c) dx[at[i * channels + c] * channels + c] += dy[i * channels + c];
        }
      });
      return;
    }
    const int64_t planes = shapes[0][0] * shapes[0][1];
    const int64_t pieces = std::min<int64_t>(planes, 64);
    pool().parallel_for(static_cast<int>(pieces), [=](int piece, int) {
      for (int64_t plane = planes * piece / pieces; plane < planes * (piece + 1) / pieces; ++plane) {
        const float *dy = static_cast<float *>(data[0]) + plane * count;
        const int32_t *at = static_cast<int32_t *>(data[1]) + plane * count;
        float *dx = static_cast<float *>(data[4]) + plane * size;
        std::memset(dx, 0, static_cast<size_t>(size) * sizeof(float));
        for (int64_t i = 0; i < count; ++i) dx[at[i]] += dy[i];
      }
    });
  });
}
