#include "onednn.h"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "common.h"

namespace onednn {
namespace {
using Status = int;
using In = const void *;
using Dims = const int64_t *;

struct Functions {
  const Version *(*version)();
  Status (*set_max_cpu_isa)(int);
  Status (*set_max_concurrency)(int);
  Status (*engine_create)(void **, int, size_t);
  Status (*stream_create)(void **, void *, void *);
  Status (*layout_create)(void **, int, Dims, int, int);
  Status (*layout_strides)(void **, int, Dims, int, Dims);
  int (*layout_equal)(In, In);
  size_t (*layout_size)(In);
  In (*query_layout)(In, int, int);
  Status (*forward)(void **, void *, int, int, In, In, In, In, Dims, Dims, Dims, Dims, In);
  Status (*backward_data)(void **, void *, int, In, In, In, Dims, Dims, Dims, Dims, In, In);
  Status (*backward_weights)(void **, void *, int, In, In, In, In, Dims, Dims, Dims, Dims, In, In);
  Status (*reorder)(void **, In, void *, In, void *, In);
  Status (*primitive_create)(void **, In);
  Status (*description_destroy)(void *);
  Status (*execute)(In, void *, int, const Argument *);
  Status (*memory_create)(void **, In, void *, void *);
  Status (*memory_set)(void *, void *);
} f;
void *engine = nullptr, *stream = nullptr;

template <class Function>
void find(void *library, const char *name, Function &function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw std::runtime_error(std::string("oneDNN has no ") + name);
}

void check(Status status, const char *what) {
  if (status != 0) throw std::runtime_error(std::string("oneDNN: ") + what + ": status " + std::to_string(status));
}

std::string beside_this() {
  Dl_info here;
  if (dladdr(reinterpret_cast<void *>(&check), &here) == 0) throw std::runtime_error("dladdr found nothing");
  const std::string path = here.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + "onednn.so";
}

void find_all(void *library) {
  find(library, "dnnl_version", f.version);
  find(library, "dnnl_set_max_cpu_isa", f.set_max_cpu_isa);
  find(library, "dnnl_threadpool_interop_set_max_concurrency", f.set_max_concurrency);
  find(library, "dnnl_engine_create", f.engine_create);
  find(library, "dnnl_threadpool_interop_stream_create", f.stream_create);
  find(library, "dnnl_memory_desc_create_with_tag", f.layout_create);
  find(library, "dnnl_memory_desc_create_with_strides", f.layout_strides);
  find(library, "dnnl_memory_desc_equal", f.layout_equal);
  find(library, "dnnl_memory_desc_get_size", f.layout_size);
  find(library, "dnnl_primitive_desc_query_md", f.query_layout);
  find(library, "dnnl_convolution_forward_primitive_desc_create", f.forward);
  find(library, "dnnl_convolution_backward_data_primitive_desc_create", f.backward_data);
  find(library, "dnnl_convolution_backward_weights_primitive_desc_create", f.backward_weights);
  find(library, "dnnl_reorder_primitive_desc_create", f.reorder);
  find(library, "dnnl_primitive_create", f.primitive_create);
  find(library, "dnnl_primitive_desc_destroy", f.description_destroy);
  find(library, "dnnl_primitive_execute", f.execute);
  find(library, "dnnl_memory_create", f.memory_create);
  find(library, "dnnl_memory_set_data_handle", f.memory_set);
}
}  // namespace

void open(int threads) {
  if (stream != nullptr) return;
  // DEEPBIND: use its own functions instead of those of the copy that MindSpore has loaded.
  void *library = dlopen(beside_this().c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (library == nullptr) throw std::runtime_error(dlerror());
  find_all(library);
  if (f.version()->major != 3) throw std::runtime_error("oneDNN is not of version 3");
  check(f.set_max_cpu_isa(0), "all instruction sets");
  check(f.set_max_concurrency(threads), "threads");
  check(f.engine_create(&engine, kCpu, 0), "engine");
  check(f.stream_create(&stream, engine, &pool()), "stream");
}

void *layout(const int64_t *dims, int rank, int tag, int type) {
  void *made = nullptr;
  check(f.layout_create(&made, rank, dims, type, tag), "layout");
  return made;
}

void *channels_last(const int64_t *dims, int type) {
  const int64_t strides[] = {dims[1] * dims[2] * dims[3], 1, dims[1] * dims[3], dims[1]};
  void *made = nullptr;
  check(f.layout_strides(&made, 4, dims, type, strides), "layout");
  return made;
}

bool same_layout(const void *one, const void *other) { return f.layout_equal(one, other) != 0; }
size_t bytes(const void *layout) { return f.layout_size(layout); }
const void *layout_of(const void *description, int what) { return f.query_layout(description, what, 0); }

void *memory(const void *layout, void *data) {
  void *made = nullptr;
  check(f.memory_create(&made, layout, engine, data), "memory");
  return made;
}

void set_data(void *memory, const void *data) { check(f.memory_set(memory, const_cast<void *>(data)), "data"); }

void *reorder(const void *from, const void *to) {
  void *description = nullptr;
  check(f.reorder(&description, from, engine, to, engine, nullptr), "reorder");
  return primitive(description);
}

void execute(const void *primitive, std::initializer_list<Argument> arguments) {
  check(f.execute(primitive, stream, static_cast<int>(arguments.size()), arguments.begin()), "execute");
}

void *forward_description(const void *x, const void *w, const void *y, const Geometry &g) {
  void *made = nullptr;
  check(f.forward(&made, engine, kForwardTraining, kDirect, x, w, nullptr, y, g.strides, g.dilations, g.before, g.after,
                  nullptr),
        "convolution");
  return made;
}

void *source_gradient_description(const void *x, const void *w, const void *y, const Geometry &g, const void *forward) {
  void *made = nullptr;
  check(f.backward_data(&made, engine, kDirect, x, w, y, g.strides, g.dilations, g.before, g.after, forward, nullptr),
        "gradient of a convolution's input");
  return made;
}

void *weights_gradient_description(const void *x, const void *w, const void *y, const Geometry &g,
                                   const void *forward) {
  void *made = nullptr;
  check(f.backward_weights(&made, engine, kDirect, x, w, nullptr, y, g.strides, g.dilations, g.before, g.after, forward,
                           nullptr),
        "gradient of a convolution's weights");
  return made;
}

void *primitive(void *description) {
  void *made = nullptr;
  check(f.primitive_create(&made, description), "primitive");
  return made;
}
}  // namespace onednn

void start_pool(int threads);

// Call it once before any kernel. Returns 0, or prints the error.
extern "C" int kernels_start(int threads) {
  return run("start", [threads] {
    start_pool(threads);
    onednn::open(threads);
  });
}
