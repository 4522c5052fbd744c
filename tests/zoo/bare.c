/* A planner with nothing but create and destroy: every other entry is NULL, so that the host's defaults answer. As `signals` its
 * family has signal buffers of its own size at three sites; as `no_sites` it names no number. */
#include <plimsoll/abi.h>

#ifdef ZOO_signals
#define POLICY     PLIMSOLL_SIGNAL_ALWAYS
#define SITES      3
#define SITE_BYTES 1073741824u
#elif defined(ZOO_no_sites)
#define POLICY     PLIMSOLL_SIGNAL_MULTI_RANK
#define SITES      0
#define SITE_BYTES 0
#else
#define POLICY     PLIMSOLL_SIGNAL_MULTI_RANK
#define SITES      1
#define SITE_BYTES 0
#endif

static int planner;
static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out, plimsoll_error* err) {
  (void)host, (void)view, (void)err;
  *out = (plimsoll_planner*)&planner;
  return PLIMSOLL_OK;
}
static void destroy(plimsoll_planner* self) { (void)self; }
static const plimsoll_planner_api api = {
    .struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query), .create = create, .destroy = destroy};
static const plimsoll_family family = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_family, api),
                                       .aspects = PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN,
                                       .signal_policy = POLICY,
                                       .signal_sites = SITES,
                                       .signal_bytes = SITE_BYTES,
                                       .id = PLIMSOLL_STR(ZOO_ID),
                                       .api = &api};
static const plimsoll_family* const families[] = {&family};
const plimsoll_plugin plimsoll_plugin_v1 = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini),
                                            .abi_minor = PLIMSOLL_ABI_MINOR,
                                            .id = PLIMSOLL_STR(ZOO_ID),
                                            .version = PLIMSOLL_STR("1.0.0"),
                                            .n_families = 1,
                                            .families = families};
