/* A planner that does wrong what the configuration's key "fault" names, in what it declares, emits or delegates. Without a
 * fault it declares one class and one KV group. Loaded by the tests of the planner tree and of the ledger. */
#include <plimsoll/abi.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 1000000u
#define BOMB 65536u

struct plimsoll_planner {
  char fault[32];
  const plimsoll_planner_api* api; /* of the child, where there is one */
  const plimsoll_planner* child;
  const plimsoll_host* host;
  const plimsoll_view* view;
};

/* A sink of an earlier call, which nobody may use again. */
static plimsoll_sink kept_sink;

static plimsoll_str str(const char* text) {
  plimsoll_str s;
  s.data = text;
  s.size = strlen(text);
  return s;
}
static int is(const plimsoll_planner* self, const char* fault) { return strcmp(self->fault, fault) == 0; }

static plimsoll_status fail(plimsoll_error* err, plimsoll_status code, const char* where, const char* message) {
  err->code = code;
  memcpy(err->where, where, strlen(where) + 1);
  memcpy(err->message, message, strlen(message) + 1);
  return code;
}

/* The child below "/part", or the planner itself once more. */
static plimsoll_status delegate(plimsoll_planner* self, const plimsoll_host* host, const plimsoll_view* view, plimsoll_error* err) {
  const plimsoll_rename rename = {{"model.", 6}, {"model.part.", 11}};
  const plimsoll_view* sub = view;
  uint64_t members = 0;
  if (is(self, "itself")) return host->planner_for(view, "planner", &self->api, &self->child, err);
  if (is(self, "itself_again")) {
    if (host->subview(view, str(""), NULL, 0, &sub) != PLIMSOLL_OK) return fail(err, PLIMSOLL_E_INTERNAL, "", "no subview");
    return host->planner_for(sub, NULL, &self->api, &self->child, err);
  }
  if (is(self, "no_such_family")) return host->planner_for(view, "nobody", &self->api, &self->child, err);
  if (is(self, "many_views")) {
    while (host->subview(view, str(""), NULL, 0, &sub) == PLIMSOLL_OK) {
    }
    return fail(err, PLIMSOLL_E_CYCLE, "", "the host gave no more views");
  }
  if (host->get_len(view, str("/part"), &members) != PLIMSOLL_OK) return PLIMSOLL_OK;
  if (is(self, "two_steps")) {
    if (host->subview(view, str("/part"), NULL, 0, &sub) != PLIMSOLL_OK || host->subview(sub, str("/inner"), NULL, 0, &sub) != PLIMSOLL_OK)
      return fail(err, PLIMSOLL_E_CONFIG, "/part/inner", "is no object");
  } else if (host->subview(view, str("/part"), &rename, 1, &sub) != PLIMSOLL_OK) {
    return fail(err, PLIMSOLL_E_CONFIG, "/part", "is no object");
  }
  return host->planner_for(sub, NULL, &self->api, &self->child, err);
}

static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out, plimsoll_error* err) {
  plimsoll_planner* self = calloc(1, sizeof *self);
  plimsoll_str fault = {NULL, 0};
  plimsoll_status status;
  if (self == NULL) return PLIMSOLL_E_MEMORY;
  if (host->get_str(view, str("/fault"), &fault) == PLIMSOLL_OK && fault.size < sizeof self->fault)
    memcpy(self->fault, fault.data, fault.size);
  self->host = host;
  self->view = view;
  if (is(self, "creates_nothing")) return free(self), PLIMSOLL_OK;
  if (is(self, "create_fails")) return free(self), fail(err, PLIMSOLL_E_CONFIG, "/depth", "is too small");
  if (is(self, "silent")) return free(self), PLIMSOLL_E_CONFIG;
  if (is(self, "odd_status")) return free(self), 77;
  if (is(self, "unterminated")) {
    memset(err->where, 'w', sizeof err->where);
    memset(err->message, 'm', sizeof err->message);
    return free(self), PLIMSOLL_E_CONFIG;
  }
  if ((status = delegate(self, host, view, err)) != PLIMSOLL_OK) return free(self), status;
  *out = self;
  return PLIMSOLL_OK;
}
static void destroy(plimsoll_planner* self) { free(self); }

/* A parent's own sink before the host's. */
static plimsoll_status pass_weight(void* ctx, const plimsoll_weight* w) {
  const plimsoll_sink* out = ctx;
  return out->weight(out->ctx, w);
}

static plimsoll_status weights(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  static uint32_t two[2] = {0, 1}, swapped[2] = {1, 0}, twice[2] = {1, 1};
  plimsoll_part parts[2] = {{48, 3, 0}, {16, 1, 1}};
  static uint32_t bomb[BOMB];
  char long_label[129];
  const plimsoll_view* late = NULL;
  const plimsoll_planner_api* late_api = NULL;
  const plimsoll_planner* late_child = NULL;
  uint32_t* many = NULL;
  plimsoll_status status;
  plimsoll_weight w;
  plimsoll_sink relay = {0};
  uint32_t i;
  memset(&w, 0, sizeof w);
  w.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, n_parts);
  w.aspect = PLIMSOLL_ASPECT_ATTENTION;
  w.label = str("zoo.class");
  w.pattern = str("model.{layer}.weight");
  w.layers = two;
  w.n_layers = 2;
  w.placement = PLIMSOLL_PLACE_TP;
  w.n_dims = 2;
  w.dims[0] = 64;
  w.dims[1] = 32;
  w.in_dim = 1;
  w.parts = parts;
  w.n_parts = 2;
  if (is(self, "part_first") && (status = self->api->weights(self->child, aspects, out, err)) != PLIMSOLL_OK) return status;
  if (is(self, "weights_fail")) return fail(err, PLIMSOLL_E_CONFIG, "/width", "is odd");
  if (is(self, "small_struct")) w.struct_size = 64;
  if (is(self, "zero_dim")) w.dims[1] = 0;
  if (is(self, "five_dims")) w.n_dims = 5;
  if (is(self, "parts_sum")) parts[0].extent = 33;
  if (is(self, "parts_wrap")) {
    parts[0].extent = 0 - (uint64_t)15;
    parts[0].units = 0;
    parts[1].extent = 79;
  }
  if (is(self, "part_units")) parts[0].units = 5;
  if (is(self, "many_parts")) w.n_parts = 65;
  if (is(self, "shard_dim")) w.shard_dim = 2;
  if (is(self, "negative_dim")) w.dims[1] = (uint64_t)0 - 5;
  if (is(self, "huge_dim")) w.dims[1] = (uint64_t)1 << 41;
  if (is(self, "negative_part")) parts[0].extent = (uint64_t)0 - 1;
  if (is(self, "null_layers")) w.layers = NULL;
  if (is(self, "null_parts")) w.parts = NULL;
  if (is(self, "two_aspects")) w.aspect = PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN;
  if (is(self, "label_size")) w.label.size = (uint64_t)1 << 62;
  if (is(self, "label_null")) w.label.data = NULL;
  if (is(self, "label_empty")) w.label.size = 0;
  if (is(self, "label_utf8")) w.label = str("zoo.\xff\xfe");
  if (is(self, "label_control")) w.label = str("zoo.\033[2J");
  if (is(self, "label_long")) {
    memset(long_label, 'l', sizeof long_label);
    w.label.data = long_label;
    w.label.size = sizeof long_label;
  }
  if (is(self, "pattern_size")) w.pattern.size = (uint64_t)1 << 62;
  if (is(self, "no_layer_mark")) w.pattern = str("model.weight");
  if (is(self, "unnamed_twice")) w.pattern.size = 0;
  if (is(self, "subview_late") && self->host->subview(self->view, str(""), NULL, 0, &late) == PLIMSOLL_OK) return PLIMSOLL_OK;
  if (is(self, "planner_late")) self->host->planner_for(self->view, NULL, &late_api, &late_child, err);
  if (is(self, "keeps_sink") || is(self, "keeps_for_facts")) kept_sink = *out;
  if (is(self, "null_weight")) out->weight(out->ctx, NULL);
  if (is(self, "bomb")) {
    for (i = 0; i < BOMB; ++i) bomb[i] = i;
    w.layers = bomb;
    w.n_layers = BOMB;
    for (i = 0; i < BOMB; ++i) {
      snprintf(long_label, sizeof long_label, "zoo.class.%u.{layer}", i);
      w.label = w.pattern = str(long_label);
      if ((status = out->weight(out->ctx, &w)) != PLIMSOLL_OK) return status;
    }
  }
  if (is(self, "many_classes")) {
    for (i = 0; i < MANY; ++i) {
      snprintf(long_label, sizeof long_label, "zoo.class.%u.{layer}", i);
      w.label = w.pattern = str(long_label);
      if ((status = out->weight(out->ctx, &w)) != PLIMSOLL_OK) return status;
    }
  }
  if (is(self, "type")) w.dtype = str("float17");
  if (is(self, "format")) w.format = str("crumpled");
  if (is(self, "aspect")) w.aspect = PLIMSOLL_ASPECT_VISION;
  if (is(self, "no_aspect")) w.aspect = 0;
  if (is(self, "stage")) w.stage = 9;
  if (is(self, "placement")) w.placement = 9;
  if (is(self, "role")) w.role = 9;
  if (is(self, "in_dim")) {
    w.quantizable = 1;
    w.in_dim = 200;
  }
  if (is(self, "unordered")) w.layers = swapped;
  if (is(self, "doubled")) w.layers = twice;
  if (is(self, "overflow")) w.dims[1] = (uint64_t)1 << 62;
  if (is(self, "many_experts")) w.experts = (uint64_t)1 << 40;
  if (is(self, "many_layers")) {
    many = malloc(MANY * sizeof *many);
    if (many == NULL) return PLIMSOLL_E_MEMORY;
    for (i = 0; i < MANY; ++i) many[i] = i;
    w.layers = many;
    w.n_layers = MANY;
  }
  status = (aspects & PLIMSOLL_ASPECT_ATTENTION) == 0 ? PLIMSOLL_OK : out->weight(out->ctx, &w);
  free(many);
  if (is(self, "twice") || is(self, "unnamed_twice")) status = out->weight(out->ctx, &w);
  if (is(self, "stubborn")) {
    w.dims[1] = 0;
    out->weight(out->ctx, &w);
    w.dims[1] = 32;
    status = out->weight(out->ctx, &w) * 0;
  }
  if (status != PLIMSOLL_OK) return fail(err, status, "", "the host refused");
  if (self->child == NULL || is(self, "part_first")) return PLIMSOLL_OK;
  relay.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_sink, item);
  relay.ctx = (void*)out;
  relay.weight = pass_weight;
  return self->api->weights(self->child, aspects, is(self, "relays") ? &relay : out, err);
}

static plimsoll_status kv(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  static uint32_t two[2] = {0, 1};
  plimsoll_state_region row;
  const plimsoll_state_region* rows[1];
  plimsoll_kv_group g;
  char many_label[32];
  uint32_t i;
  rows[0] = &row;
  memset(&g, 0, sizeof g);
  g.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_kv_group, bound);
  g.kind = PLIMSOLL_KV_FULL;
  g.label = str("zoo.cache");
  g.layers = two;
  g.n_layers = 2;
  g.kv_heads = 1;
  g.k_elements = 16;
  g.v_elements = 16;
  if (is(self, "kv_small_struct")) g.struct_size = 8;
  if (is(self, "kv_no_heads")) g.kv_heads = 0;
  if (is(self, "kv_kind")) g.kind = 77;
  if (is(self, "kv_window")) g.kind = PLIMSOLL_KV_WINDOW;
  if (is(self, "kv_type")) g.dtype = str("float17");
  memset(&row, 0, sizeof row);
  row.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_state_region, elements_per_draft_token);
  row.label = str("ring");
  row.elements = 10;
  row.elements_per_draft_token = 5;
  if (is(self, "kv_state_rows")) {
    g.kind = PLIMSOLL_KV_STATE;
    g.window_tokens = 3;
    g.regions = rows;
    g.n_regions = 1;
  }
  if (is(self, "kv_no_regions")) g.kind = PLIMSOLL_KV_STATE;
  if (is(self, "kv_null_regions")) {
    g.kind = PLIMSOLL_KV_STATE;
    g.n_regions = 2;
  }
  if (is(self, "kv_overflow")) {
    g.k_elements = (uint64_t)1 << 62;
    g.kv_heads = 1u << 20;
  }
  if (is(self, "kv_negative")) g.kv_heads = (uint64_t)0 - 8;
  if (is(self, "kv_wide")) g.kv_heads = (uint64_t)1 << 38;
  if (is(self, "kv_latent_heads")) {
    g.kind = PLIMSOLL_KV_LATENT;
    g.kv_heads = 2;
    g.v_elements = 0;
  }
  if (is(self, "kv_null_layers")) g.layers = NULL;
  if (is(self, "kv_label_size")) g.label.size = (uint64_t)1 << 62;
  if (is(self, "kv_role")) g.role = PLIMSOLL_ROLE_TIED;
  if (is(self, "kv_twice")) out->kv(out->ctx, &g);
  if (is(self, "keeps_sink")) kept_sink.kv(kept_sink.ctx, &g);
  if (is(self, "kv_null")) out->kv(out->ctx, NULL);
  if (is(self, "kv_many_groups")) {
    for (i = 0; i < MANY; ++i) {
      snprintf(many_label, sizeof many_label, "zoo.cache.%u", i);
      g.label = str(many_label);
      if (out->kv(out->ctx, &g) != PLIMSOLL_OK) return PLIMSOLL_OK;
    }
  }
  if ((aspects & PLIMSOLL_ASPECT_ATTENTION) == 0) return PLIMSOLL_OK;
  return out->kv(out->ctx, &g) == PLIMSOLL_OK ? PLIMSOLL_OK : fail(err, PLIMSOLL_E_CONFIG, "", "the host refused");
}

static plimsoll_status facts(const plimsoll_planner* self, plimsoll_facts* out, plimsoll_error* err) {
  uint32_t size = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
  plimsoll_item item;
  (void)err;
  if (out->struct_size < size) size = out->struct_size;
  memset(out, 0, size);
  out->struct_size = size;
  if (is(self, "facts_layers")) out->n_layers = UINT32_MAX;
  if (is(self, "facts_length")) out->max_length = UINT64_MAX;
  if (is(self, "facts_experts")) out->experts = 1u << 30;
  if (is(self, "keeps_for_facts")) {
    memset(&item, 0, sizeof item);
    item.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_item, phase);
    kept_sink.item(kept_sink.ctx, &item);
  }
  return PLIMSOLL_OK;
}

static plimsoll_status activations(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                   plimsoll_error* err) {
  plimsoll_item item;
  char phase[32];
  uint32_t i;
  (void)req;
  memset(&item, 0, sizeof item);
  item.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_item, phase);
  item.rank = PLIMSOLL_ALL_RANKS;
  item.category = PLIMSOLL_BYTES_ACTIVATION;
  item.bytes = 1000;
  item.label = str("zoo.workspace");
  if (is(self, "item_rank")) item.rank = 99;
  if (is(self, "item_category")) item.category = 9;
  if (is(self, "item_basis")) item.basis = 9;
  if (is(self, "item_small_struct")) item.struct_size = 12;
  if (is(self, "item_overflow")) item.bytes = UINT64_MAX;
  if (is(self, "item_large")) item.bytes = (uint64_t)1 << 51;
  if (is(self, "item_label")) item.label.size = (uint64_t)1 << 62;
  if (is(self, "item_phase")) {
    item.lifetime = PLIMSOLL_TRANSIENT;
    item.phase = str("\xc3");
  }
  if (is(self, "item_null")) out->item(out->ctx, NULL);
  if (is(self, "items_of_nothing")) item.bytes = 0;
  if (is(self, "many_items") || is(self, "items_of_nothing") || is(self, "many_phases")) {
    item.lifetime = PLIMSOLL_TRANSIENT;
    for (i = 0; i < MANY; ++i) {
      snprintf(phase, sizeof phase, "phase %u", i);
      if (is(self, "many_phases")) item.phase = str(phase);
      if (out->item(out->ctx, &item) != PLIMSOLL_OK) return PLIMSOLL_OK;
    }
  }
  if (is(self, "weight_in_activations")) return weights(self, PLIMSOLL_ASPECT_ALL, out, err);
  return out->item(out->ctx, &item) == PLIMSOLL_OK ? PLIMSOLL_OK : fail(err, PLIMSOLL_E_CONFIG, "", "the host refused");
}

static const plimsoll_planner_api api = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query),
                                         .create = create,
                                         .destroy = destroy,
                                         .weights = weights,
                                         .kv = kv,
                                         .facts = facts,
                                         .activations = activations};
static const plimsoll_family family = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_family, api),
                                       .aspects = PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN,
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
