/* The callee as a plugin in plain C: max_batch and nothing else. */
#include <stdint.h>

#include "plimsoll/abi.h"

static const uint64_t factor = 3;

static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out, plimsoll_error* err) {
  (void)host, (void)view, (void)err;
  *out = (plimsoll_planner*)(uintptr_t)&factor;
  return PLIMSOLL_OK;
}
static void destroy(plimsoll_planner* self) { (void)self; }
static plimsoll_status max_batch(const plimsoll_planner* self, const plimsoll_request* req, uint64_t* out, plimsoll_error* err) {
  (void)err;
  *out = req->max_batch_input_tokens / 2 + *(const uint64_t*)(const void*)self;
  return PLIMSOLL_OK;
}

static const plimsoll_planner_api api = {
    .struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query), .create = create, .destroy = destroy, .max_batch = max_batch};
static const plimsoll_family family = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_family, api),
                                       .aspects = PLIMSOLL_ASPECT_FFN,
                                       .signal_sites = 1,
                                       .id = PLIMSOLL_STR("bench_c"),
                                       .api = &api};
static const plimsoll_family* const families[] = {&family};

__attribute__((visibility("default")))
const plimsoll_plugin plimsoll_plugin_v1 = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini),
                                            .abi_minor = PLIMSOLL_ABI_MINOR,
                                            .id = PLIMSOLL_STR("bench_c"),
                                            .version = PLIMSOLL_STR("1.0.0"),
                                            .n_families = 1,
                                            .families = families};
