// Convolutions with oneDNN in its preferred layouts. MindSpore's tensors are plain (NCHW, OIHW), or channels last between
// the layers of a chain: they are converted before and after the primitive where the layouts differ. In bfloat16, the
// arguments of a primitive are rounded, and its sums and results stay float32.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>
#include <vector>

#include "common.h"
#include "onednn.h"

namespace {
// A tensor of a primitive: plain outside, in the primitive's layout inside.
class Port {
 public:
  Port(const void *plain, const void *wanted, bool result) : result_(result) {
    outer_ = inner_ = onednn::memory(plain, nullptr);
    if (onednn::same_layout(plain, wanted)) return;
    void *room = nullptr;
    if (posix_memalign(&room, 4096, onednn::bytes(wanted)) != 0) throw std::bad_alloc();
    inner_ = onednn::memory(wanted, room);
    convert_ = result ? onednn::reorder(wanted, plain) : onednn::reorder(plain, wanted);
  }
  // Before the primitive runs: set the address and convert an argument.
  void *bind(const void *data) {
    onednn::set_data(outer_, data);
    if (convert_ != nullptr && !result_) move(outer_, inner_);
    return inner_;
  }
  // After the primitive: convert a result.
  void finish() {
    if (convert_ != nullptr && result_) move(inner_, outer_);
  }

 private:
  void move(void *from, void *to) {
    onednn::execute(convert_, {{onednn::kArgSource, from}, {onednn::kArgResult, to}});
  }
  bool result_;
  void *outer_ = nullptr, *inner_ = nullptr, *convert_ = nullptr;
};

// The tensor `geometry`: stride, dilation and padding before (rows, columns), the number of groups, and three flags:
// source and result channels last, bfloat16. A padding of -1 stands for MindSpore's pad_mode "same".
enum Tensor { kX, kW, kY };

struct Shape {
  Shape(const int64_t *x, const int64_t *w, const int64_t *y, const int32_t *geometry)
      : key{x[0], x[1], x[2], x[3], w[0], w[1], w[2], w[3], y[2], y[3]} {
    key.insert(key.end(), geometry, geometry + 10);
    const int64_t groups = geometry[6];
    source_last = geometry[7] != 0;
    result_last = geometry[8] != 0;
    half = geometry[9] != 0;
    source.assign(x, x + 4);
    result.assign(y, y + 4);
    weights.assign(w, w + 4);
    if (groups > 1) weights = {groups, w[0] / groups, w[1], w[2], w[3]};
    for (int axis = 0; axis < 2; ++axis) {
      const int64_t stride = geometry[axis], reach = (w[2 + axis] - 1) * geometry[2 + axis] + 1;
      const int64_t needed = (y[2 + axis] - 1) * stride + reach - x[2 + axis];
      const int64_t before = geometry[4 + axis] < 0 ? std::max<int64_t>(needed, 0) / 2 : geometry[4 + axis];
      how.strides[axis] = stride;
      how.dilations[axis] = geometry[2 + axis] - 1;
      how.before[axis] = before;
      how.after[axis] = needed - before;
    }
  }
  // Of a tensor between kernels, and of the argument or result of a primitive.
  void *outside(Tensor which) const {
    const auto &dims = dimensions(which);
    const int rank = static_cast<int>(dims.size());
    if (is_last(which)) return onednn::channels_last(dims.data(), onednn::kFloat);
    return onednn::layout(dims.data(), rank, rank == 4 ? onednn::kPlain4 : onednn::kPlain5, onednn::kFloat);
  }
  void *inside(Tensor which, bool computed) const {
    const auto &dims = dimensions(which);
    const int type = half && !computed ? onednn::kBfloat16 : onednn::kFloat;
    if (is_last(which)) return onednn::channels_last(dims.data(), type);
    return onednn::layout(dims.data(), static_cast<int>(dims.size()), onednn::kAnyLayout, type);
  }
  const std::vector<int64_t> &dimensions(Tensor which) const {
    return which == kX ? source : which == kW ? weights : result;
  }
  bool is_last(Tensor which) const { return which == kX ? source_last : which == kY && result_last; }
  std::vector<int64_t> key, source, weights, result;
  bool source_last, result_last, half;
  onednn::Geometry how;
};

// A primitive and its three tensors.
struct Step {
  void *primitive;
  std::unique_ptr<Port> x, w, y;
};

struct Convolution {
  Step forward, source_gradient, weights_gradient;
};

Convolution *build(const Shape &shape) {
  using namespace onednn;
  auto in = [&](Tensor which) { return shape.inside(which, false); };
  auto out = [&](Tensor which) { return shape.inside(which, true); };
  void *forward = forward_description(in(kX), in(kW), out(kY), shape.how);
  void *to_x = source_gradient_description(out(kX), in(kW), in(kY), shape.how, forward);
  void *to_w = weights_gradient_description(in(kX), out(kW), in(kY), shape.how, forward);
  auto port = [&](Tensor which, void *description, int what, bool result) {
    return std::make_unique<Port>(shape.outside(which), layout_of(description, what), result);
  };
  return new Convolution{
      {primitive(forward), port(kX, forward, kSource, false), port(kW, forward, kWeights, false),
       port(kY, forward, kResult, true)},
      {primitive(to_x), port(kX, to_x, kSourceGradient, true), port(kW, to_x, kWeights, false),
       port(kY, to_x, kResultGradient, false)},
      {primitive(to_w), port(kX, to_w, kSource, false), port(kW, to_w, kWeightsGradient, true),
       port(kY, to_w, kResultGradient, false)}};
}

Convolution &find(const Shape &shape) {
  static std::map<std::vector<int64_t>, std::unique_ptr<Convolution>> known;
  std::unique_ptr<Convolution> &found = known[shape.key];
  if (found == nullptr) found.reset(build(shape));
  return *found;
}

void to_source(Convolution &all, const void *dy, const void *w, void *dx) {
  Step &step = all.source_gradient;
  onednn::execute(step.primitive, {{onednn::kArgResultGradient, step.y->bind(dy)},
                                   {onednn::kArgWeights, step.w->bind(w)},
                                   {onednn::kArgSourceGradient, step.x->bind(dx)}});
  step.x->finish();
}

void to_weights(Convolution &all, const void *dy, const void *x, void *dw) {
  Step &step = all.weights_gradient;
  onednn::execute(step.primitive, {{onednn::kArgResultGradient, step.y->bind(dy)},
                                   {onednn::kArgSource, step.x->bind(x)},
                                   {onednn::kArgWeightsGradient, step.w->bind(dw)}});
  step.w->finish();
}
}  // namespace

// x, w, geometry → y
KERNEL(convolution) {
  return run("convolution", [=] {
    Shape shape(shapes[0], shapes[1], shapes[3], static_cast<int32_t *>(data[2]));
    Step &step = find(shape).forward;
    onednn::execute(step.primitive, {{onednn::kArgSource, step.x->bind(data[0])},
                                     {onednn::kArgWeights, step.w->bind(data[1])},
                                     {onednn::kArgResult, step.y->bind(data[3])}});
    step.y->finish();
  });
}

// dy, w, x, geometry → dx
KERNEL(convolution_to_source) {
  return run("convolution_to_source", [=] {
    Shape shape(shapes[2], shapes[1], shapes[0], static_cast<int32_t *>(data[3]));
    to_source(find(shape), data[0], data[1], data[4]);
  });
}

// dy, w, x, geometry → dw
KERNEL(convolution_to_weights) {
  return run("convolution_to_weights", [=] {
    Shape shape(shapes[2], shapes[1], shapes[0], static_cast<int32_t *>(data[3]));
    to_weights(find(shape), data[0], data[2], data[4]);
  });
}
