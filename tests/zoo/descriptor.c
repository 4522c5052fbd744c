/* A plugin whose descriptor has the fault that ZOO_<id> names. Loaded by the registry's tests; its planner is never asked. */
#include <plimsoll/abi.h>

#ifdef ZOO_no_symbol
PLIMSOLL_EXPORT const int zoo_nothing_of_interest = 1;
#else

#ifndef ZOO_null_create
static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out, plimsoll_error* err) {
  (void)host, (void)view, (void)out, (void)err;
  return PLIMSOLL_E_INTERNAL;
}
#endif
static void destroy(plimsoll_planner* self) { (void)self; }
static const plimsoll_planner_api api = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query),
#ifndef ZOO_null_create
                                         .create = create,
#endif
                                         .destroy = destroy};
#ifdef ZOO_init_fails
static plimsoll_status init(const plimsoll_host* host, plimsoll_error* err) {
  const char text[] = "no licence was found";
  unsigned i;
  (void)host;
  for (i = 0; i < sizeof text; ++i) err->message[i] = text[i];
  return PLIMSOLL_E_INTERNAL;
}
#endif
#ifdef ZOO_init_once
static plimsoll_status init(const plimsoll_host* host, plimsoll_error* err) {
  static unsigned calls;
  const char text[] = "it was called before";
  unsigned i;
  (void)host;
  for (i = 0; i < sizeof text; ++i) err->message[i] = text[i];
  return calls++ == 0 ? PLIMSOLL_OK : PLIMSOLL_E_INTERNAL;
}
#endif
#ifndef ZOO_null_family
static const plimsoll_family family = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_family, api),
#ifdef ZOO_wrong_aspects
                                       .aspects = PLIMSOLL_ASPECT_ATTENTION | 1024u,
#else
                                       .aspects = PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN,
#endif
#ifdef ZOO_wrong_policy
                                       .signal_policy = PLIMSOLL_SIGNAL_ALWAYS,
#elif defined(ZOO_odd_policy)
                                       .signal_policy = 7,
#else
                                       .signal_policy = PLIMSOLL_SIGNAL_MULTI_RANK,
#endif
#ifdef ZOO_many_sites
                                       .signal_sites = 1000000,
#else
                                       .signal_sites = 1,
#endif
#ifdef ZOO_large_site
                                       .signal_bytes = UINT64_MAX,
#endif
#ifdef ZOO_other_family
                                       .id = PLIMSOLL_STR("somebody_else"),
#else
                                       .id = PLIMSOLL_STR(ZOO_ID),
#endif
                                       .api = &api};
static const plimsoll_family* const families[] = {&family, &family};
#else
static const plimsoll_planner_api* const unused_api = &api;
static const plimsoll_family* const families[] = {0};
#endif

const plimsoll_plugin plimsoll_plugin_v1 = {
#ifdef ZOO_short_struct
    .struct_size = 16,
#else
    .struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini),
#endif
#ifdef ZOO_wrong_minor
    .abi_minor = PLIMSOLL_ABI_MINOR + 3,
#else
    .abi_minor = PLIMSOLL_ABI_MINOR,
#endif
#ifdef ZOO_needs_newer_host
    .abi_minor_min = 42,
#endif
#ifdef ZOO_wrong_id
    .id = PLIMSOLL_STR("an_impostor"),
#else
    .id = PLIMSOLL_STR(ZOO_ID),
#endif
#ifdef ZOO_wrong_version
    .version = PLIMSOLL_STR("9.9.9"),
#else
    .version = PLIMSOLL_STR("1.0.0"),
#endif
#ifdef ZOO_no_families
    .n_families = 0,
#elif defined(ZOO_extra_family)
    .n_families = 2,
#else
    .n_families = 1,
#endif
    .families = families,
#if defined(ZOO_init_fails) || defined(ZOO_init_once)
    .init = init
#endif
};
#ifdef ZOO_null_family
const void* zoo_keep(void);
const void* zoo_keep(void) { return unused_api; }
#endif
#endif
