/* A planner with nothing but create and destroy: every other entry is NULL, so that the host's defaults answer. */
#include <plimsoll/abi.h>

static int planner;
static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out, plimsoll_error* err) {
  (void)host, (void)view, (void)err;
  *out = (plimsoll_planner*)&planner;
  return PLIMSOLL_OK;
}
static void destroy(plimsoll_planner* self) { (void)self; }
/* Ends after destroy, as a table of an older minor would end somewhere. */
static const plimsoll_planner_api api = {
    .struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, destroy), .create = create, .destroy = destroy};
static const plimsoll_family family = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_family, api),
                                       .aspects = PLIMSOLL_ASPECT_ATTENTION,
                                       .signal_policy = PLIMSOLL_SIGNAL_MULTI_RANK,
                                       .signal_sites = 1,
                                       .id = ZOO_ID,
                                       .api = &api};
static const plimsoll_family* const families[] = {&family};
const plimsoll_plugin plimsoll_plugin_v1 = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini),
                                            .abi_minor = PLIMSOLL_ABI_MINOR,
                                            .id = ZOO_ID,
                                            .version = "1.0.0",
                                            .n_families = 1,
                                            .families = families};
