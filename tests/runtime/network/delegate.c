/* A TFLite external delegate whose work can be seen: it takes the network's last operator and leaves its output as it finds it.
 *
 * It does not start, or fails while running, as long as the file named by its option `broken` exists; while the file of
 * `hang` exists its runs hang. The structures are the part of TensorFlow Lite's C API (core/c/common.h) that is used.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { int size; int data[]; } IntArray;
typedef struct Context Context;
typedef struct Node Node;
typedef struct Registration {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  int (*prepare)(Context *, Node *);
  int (*invoke)(Context *, Node *);
  const char *(*profiling_string)(const Context *, const Node *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *registration_external;
  void *async_kernel;
  uint64_t inplace_operator;
} Registration;
typedef struct Delegate {
  void *data;
  int (*Prepare)(Context *, struct Delegate *);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void *opaque;
} Delegate;
struct Context {
  size_t tensors_size;
  int (*GetExecutionPlan)(Context *, IntArray **);
  void *tensors, *impl;
  void *resize, *report, *add, *get_node;
  int (*Replace)(Context *, Registration, const IntArray *, Delegate *);
};

static char broken[4096], hang[4096];

static int present(const char *path) { return path[0] && access(path, F_OK) == 0; }

static int prepare_node(Context *c, Node *n) { return 0; }

static int invoke(Context *c, Node *n) {
  while (present(hang)) usleep(10000);
  return present(broken) ? 1 : 0;
}

static int prepare(Context *context, Delegate *delegate) {
  IntArray *plan;
  if (context->GetExecutionPlan(context, &plan) != 0 || plan->size < 1) return 1;
  Registration kernel;
  memset(&kernel, 0, sizeof kernel);
  kernel.prepare = prepare_node;
  kernel.invoke = invoke;
  kernel.builtin_code = 51; /* kTfLiteBuiltinDelegate */
  kernel.custom_name = "Visible";
  kernel.version = 1;
  IntArray *last = malloc(sizeof(IntArray) + sizeof(int));
  last->size = 1;
  last->data[0] = plan->data[plan->size - 1];
  int status = context->Replace(context, kernel, last, delegate);
  free(last);
  return status;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  for (size_t i = 0; i < count; i++) {
    if (!strcmp(keys[i], "broken")) strncpy(broken, values[i], sizeof broken - 1);
    if (!strcmp(keys[i], "hang")) strncpy(hang, values[i], sizeof hang - 1);
  }
  if (present(broken)) {
    if (report) report("the device is not there");
    return NULL;
  }
  Delegate *delegate = calloc(1, sizeof(Delegate));
  delegate->Prepare = prepare;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
