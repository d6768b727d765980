// Batch normalisation in training of tensors with the channels last: rows of channels, read once for the statistics.
#include <algorithm>
#include <cmath>
#include <vector>

#include "common.h"

namespace {
constexpr int64_t kTile = 32768;  // floats, which stay in the second-level cache

// Tiles of whole rows, which depend only on the shape.
struct Tiles {
  explicit Tiles(const int64_t *shape)
      : channels(shape[1]), rows(shape[0] * shape[2] * shape[3]), each(std::max<int64_t>(1, kTile / channels)),
        count((rows + each - 1) / each) {}
  // Calls work(tile, first float, number of rows).
  template <class Work>
  void over(const Work &work) const {
    pool().parallel_for(static_cast<int>(count), [&](int tile, int) {
      const int64_t first = tile * each;
      work(tile, first * channels, std::min(each, rows - first));
    });
  }
  int64_t channels, rows, each, count;
};

using Floats = std::vector<float>;

// Two values for each tile and channel.
struct Pairs {
  explicit Pairs(const Tiles &tiles)
      : one(static_cast<size_t>(tiles.count * tiles.channels)), other(one.size()), channels(tiles.channels) {}
  float *ones(int64_t tile) { return one.data() + tile * channels; }
  float *others(int64_t tile) { return other.data() + tile * channels; }
  Floats one, other;
  int64_t channels;
};
}  // namespace

// x, gamma, beta, epsilon → y, mean, variance (unbiased, for the running one), 1 / sqrt(variance + epsilon)
KERNEL(normalisation_last) {
  return run("normalisation_last", [=] {
    const float *x = static_cast<float *>(data[0]), *gamma = static_cast<float *>(data[1]);
    const float *beta = static_cast<float *>(data[2]);
    const float epsilon = *static_cast<float *>(data[3]);
    float *y = static_cast<float *>(data[4]), *mean = static_cast<float *>(data[5]);
    float *variance = static_cast<float *>(data[6]), *inverse = static_cast<float *>(data[7]);
    const Tiles tiles(shapes[0]);
    const int64_t channels = tiles.channels;
    Pairs found(tiles);  // mean, and sum of squared distances from it
    tiles.over([&](int64_t tile, int64_t start, int64_t rows) {
      float *__restrict middle = found.ones(tile), *__restrict squares = found.others(tile);
      const float *__restrict in = x + start;
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t c = 0; c < channels; ++c) middle[c] += in[row * channels + c];
      for (int64_t c = 0; c < channels; ++c) middle[c] /= static_cast<float>(rows);
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t c = 0; c < channels; ++c) {
          const float away = in[row * channels + c] - middle[c];
          squares[c] += away * away;
        }
      }
    });
    Floats factor(static_cast<size_t>(channels)), shift(factor);
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0, squares = 0;
      const double all = static_cast<double>(tiles.rows);
      auto rows = [&](int64_t tile) { return static_cast<double>(std::min(tiles.each, tiles.rows - tile * tiles.each)); };
      for (int64_t tile = 0; tile < tiles.count; ++tile) sum += rows(tile) * found.ones(tile)[c];
      const double middle = sum / all;
      for (int64_t tile = 0; tile < tiles.count; ++tile) {
        const double away = found.ones(tile)[c] - middle;
        squares += found.others(tile)[c] + rows(tile) * away * away;
      }
      mean[c] = static_cast<float>(middle);
      variance[c] = static_cast<float>(squares / std::max(all - 1.0, 1.0));
      inverse[c] = static_cast<float>(1.0 / std::sqrt(squares / all + epsilon));
      factor[static_cast<size_t>(c)] = gamma[c] * inverse[c];
    }
    tiles.over([&](int64_t, int64_t start, int64_t rows) {
      const float *__restrict in = x + start, *__restrict factors = factor.data();
      float *__restrict out = y + start;
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t c = 0; c < channels; ++c)
          out[row * channels + c] = (in[row * channels + c] - mean[c]) * factors[c] + beta[c];
    });
  });
}

// dy, x, gamma, mean, inverse → dx, dgamma, dbeta
KERNEL(normalisation_last_gradient) {
  return run("normalisation_last_gradient", [=] {
    const float *dy = static_cast<float *>(data[0]), *x = static_cast<float *>(data[1]);
    const float *gamma = static_cast<float *>(data[2]), *mean = static_cast<float *>(data[3]);
    const float *inverse = static_cast<float *>(data[4]);
    float *dx = static_cast<float *>(data[5]), *dgamma = static_cast<float *>(data[6]);
    float *dbeta = static_cast<float *>(data[7]);
    const Tiles tiles(shapes[0]);
    const int64_t channels = tiles.channels;
    Pairs found(tiles);  // sums of dy, and of dy times the distance from the mean
    tiles.over([&](int64_t tile, int64_t start, int64_t rows) {
      float *__restrict plain = found.ones(tile), *__restrict scaled = found.others(tile);
      const float *__restrict in = x + start, *__restrict slope = dy + start;
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t c = 0; c < channels; ++c) {
          const float value = slope[row * channels + c];
          plain[c] += value;
          scaled[c] += value * (in[row * channels + c] - mean[c]);
        }
      }
    });
    Floats factor(static_cast<size_t>(channels)), slope(factor), shift(factor);
    for (int64_t c = 0; c < channels; ++c) {
      const auto at = static_cast<size_t>(c);
      double plain = 0, scaled = 0;
      for (int64_t tile = 0; tile < tiles.count; ++tile) {
        plain += found.ones(tile)[c];
        scaled += found.others(tile)[c];
      }
      const double inv = inverse[c], all = static_cast<double>(tiles.rows);
      dbeta[c] = static_cast<float>(plain);
      dgamma[c] = static_cast<float>(scaled * inv);
      factor[at] = static_cast<float>(gamma[c] * inv);
      slope[at] = static_cast<float>(gamma[c] * inv * inv * inv * scaled / all);
      shift[at] = static_cast<float>(gamma[c] * inv * plain / all);
    }
    tiles.over([&](int64_t, int64_t start, int64_t rows) {
      const float *__restrict in = x + start, *__restrict given = dy + start;
      const float *__restrict a = factor.data(), *__restrict b = slope.data(), *__restrict d = shift.data();
      float *__restrict out = dx + start;
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t at = row * channels + c;
          out[at] = given[at] * a[c] - (in[at] - mean[c]) * b[c] - d[c];
        }
      }
    });
  });
}
