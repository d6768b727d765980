// The functions of oneDNN's C interface (version 3) that the convolutions need, loaded at run time from the library in
// MindSpore's package.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace onednn {
// Values of oneDNN's enumerations, dnnl_common_types.h and dnnl_types.h.
constexpr int kCpu = 1;
constexpr int kBfloat16 = 2, kFloat = 3;
constexpr int kAnyLayout = 1, kPlain4 = 5, kPlain5 = 6;  // abcd and abcde: dimensions in their own order
constexpr int kForwardTraining = 64;
constexpr int kDirect = 1;
constexpr int kSource = 129, kSourceGradient = 130, kWeights = 131, kWeightsGradient = 132, kResult = 133,
              kResultGradient = 134;  // arguments of layout queries
constexpr int kArgSource = 1, kArgResult = 17, kArgWeights = 33, kArgSourceGradient = 129, kArgResultGradient = 145,
              kArgWeightsGradient = 161;

struct Argument {
  int which;
  void *memory;
};

struct Version {
  int major, minor, patch;
};

// Opens the copy of the library next to this one, which is not limited by the settings for MindSpore's own use.
// Throws std::runtime_error if it is missing or has another major version.
void open(int threads);

void *layout(const int64_t *dims, int rank, int tag, int type);
void *channels_last(const int64_t *dims, int type);  // rank 4
bool same_layout(const void *one, const void *other);
size_t bytes(const void *layout);
const void *layout_of(const void *description, int what);
void *memory(const void *layout, void *data);
void set_data(void *memory, const void *data);
void *reorder(const void *from, const void *to);
void execute(const void *primitive, std::initializer_list<Argument> arguments);

struct Geometry {
  int64_t strides[2], dilations[2], before[2], after[2];
};
void *forward_description(const void *x, const void *w, const void *y, const Geometry &geometry);
void *source_gradient_description(const void *x, const void *w, const void *y, const Geometry &geometry,
                                  const void *forward);
void *weights_gradient_description(const void *x, const void *w, const void *y, const Geometry &geometry,
                                   const void *forward);
void *primitive(void *description);
}  // namespace onednn
