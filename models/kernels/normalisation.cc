// Batch normalisation of NCHW tensors in training: statistics of the batch, two passes for the variance.
#include <algorithm>
#include <cmath>
#include <vector>

#include "common.h"

namespace {
constexpr int64_t kSegment = 1024;  // partial sums stay in the first-level cache

// A block of adjacent channels: `length` floats in each image, `per` of them for each channel.
struct Block {
  int64_t images, stride, length, per, first, channels;
};

// Calls work(block) for all channels; the blocks depend only on the shape.
template <class Work>
void over_channels(const int64_t *shape, const Work &work) {
  const int64_t images = shape[0], channels = shape[1], per = shape[2] * shape[3];
  const int64_t size = std::min(channels, std::max<int64_t>(1, 64 / per));
  const int64_t blocks = (channels + size - 1) / size;
  pool().parallel_for(static_cast<int>(blocks), [&](int index, int) {
    const int64_t first = index * size, count = std::min(size, channels - first);
    work(Block{images, channels * per, count * per, per, first, count});
  });
}

// Calls add(partial sums, image offset + position, position) over the images, position by position, and adds the
// partial sums channel by channel: `kSums` sums in one pass over the data.
template <int kSums, class Add>
void sum(const Block &block, const Add &add, double *const (&sums)[kSums]) {
  for (double *one : sums) std::fill(one, one + block.channels, 0.0);
  float partial[kSums][kSegment];
  for (int64_t start = 0; start < block.length; start += kSegment) {
    const int64_t length = std::min(kSegment, block.length - start);
    for (auto &one : partial) std::fill(one, one + length, 0.0f);
    for (int64_t image = 0; image < block.images; ++image) {
      const int64_t offset = image * block.stride + block.first * block.per + start;
      for (int64_t i = 0; i < length; ++i) add(partial, i, offset + i, start + i);
    }
    for (int which = 0; which < kSums; ++which)
      for (int64_t i = 0; i < length; ++i) sums[which][(start + i) / block.per] += partial[which][i];
  }
}

// Values of a channel, repeated for each of its pixels, so that inner loops need no division.
struct Spread {
  Spread(const Block &block, const float *values) : all(static_cast<size_t>(block.length)) {
    for (int64_t i = 0; i < block.length; ++i) all[static_cast<size_t>(i)] = values[i / block.per];
  }
  float operator[](int64_t position) const { return all[static_cast<size_t>(position)]; }
  std::vector<float> all;
};

template <class Value>
void fill(const Block &block, float *result, const Value &value) {
  for (int64_t image = 0; image < block.images; ++image) {
    const int64_t offset = image * block.stride + block.first * block.per;
    for (int64_t i = 0; i < block.length; ++i) result[offset + i] = value(offset + i, i);
  }
}

template <class... Values>
std::vector<float> each(const Block &block, const Values &...) {
  return std::vector<float>(static_cast<size_t>(block.channels));
}
}  // namespace

// x, gamma, beta, epsilon → y, mean, variance (unbiased, for the running one), 1 / sqrt(variance + epsilon)
KERNEL(normalisation) {
  return run("normalisation", [=] {
    const float *x = static_cast<float *>(data[0]), *gamma = static_cast<float *>(data[1]);
    const float *beta = static_cast<float *>(data[2]);
    const float epsilon = *static_cast<float *>(data[3]);
    float *y = static_cast<float *>(data[4]), *mean = static_cast<float *>(data[5]);
    float *variance = static_cast<float *>(data[6]), *inverse = static_cast<float *>(data[7]);
    over_channels(shapes[0], [=](const Block &block) {
      const double count = static_cast<double>(block.images * block.per);
      const int64_t first = block.first;
      std::vector<double> sums(static_cast<size_t>(block.channels));
      sum<1>(block, [=](auto &part, int64_t k, int64_t at, int64_t) { part[0][k] += x[at]; }, {sums.data()});
      for (int64_t c = 0; c < block.channels; ++c) mean[first + c] = static_cast<float>(sums[c] / count);
      const Spread means(block, mean + first);
      sum<1>(block, [&](auto &part, int64_t k, int64_t at, int64_t i) {
        part[0][k] += (x[at] - means[i]) * (x[at] - means[i]);
      }, {sums.data()});
      std::vector<float> factor = each(block), shift = each(block);
      for (int64_t c = 0; c < block.channels; ++c) {
        variance[first + c] = static_cast<float>(sums[c] / std::max(count - 1.0, 1.0));
        inverse[first + c] = static_cast<float>(1.0 / std::sqrt(sums[c] / count + epsilon));
        factor[c] = gamma[first + c] * inverse[first + c];
        shift[c] = beta[first + c];
      }
      const Spread factors(block, factor.data()), shifts(block, shift.data());
      fill(block, y, [&](int64_t at, int64_t i) { return (x[at] - means[i]) * factors[i] + shifts[i]; });
    });
  });
}

// dy, x, gamma, mean, inverse → dx, dgamma, dbeta
KERNEL(normalisation_gradient) {
  return run("normalisation_gradient", [=] {
    const float *dy = static_cast<float *>(data[0]), *x = static_cast<float *>(data[1]);
    const float *gamma = static_cast<float *>(data[2]), *mean = static_cast<float *>(data[3]);
    const float *inverse = static_cast<float *>(data[4]);
    float *dx = static_cast<float *>(data[5]), *dgamma = static_cast<float *>(data[6]);
    float *dbeta = static_cast<float *>(data[7]);
    over_channels(shapes[0], [=](const Block &block) {
      const double count = static_cast<double>(block.images * block.per);
      const int64_t first = block.first;
      const Spread means(block, mean + first);
      std::vector<double> plain(static_cast<size_t>(block.channels)), scaled(plain);
      sum<2>(block, [&](auto &part, int64_t k, int64_t at, int64_t i) {
        part[0][k] += dy[at];
        part[1][k] += dy[at] * (x[at] - means[i]);
      }, {plain.data(), scaled.data()});
      std::vector<float> factor = each(block), slope = each(block), shift = each(block);
      for (int64_t c = 0; c < block.channels; ++c) {
        const double inv = inverse[first + c];
        dbeta[first + c] = static_cast<float>(plain[c]);
        dgamma[first + c] = static_cast<float>(scaled[c] * inv);
        factor[c] = static_cast<float>(gamma[first + c] * inv);
        slope[c] = static_cast<float>(gamma[first + c] * inv * inv * inv * scaled[c] / count);
        shift[c] = static_cast<float>(gamma[first + c] * inv * plain[c] / count);
      }
      const Spread factors(block, factor.data()), slopes(block, slope.data()), shifts(block, shift.data());
      fill(block, dx, [&](int64_t at, int64_t i) {
        return dy[at] * factors[i] - (x[at] - means[i]) * slopes[i] - shifts[i];
      });
    });
  });
}
