/* A planner that does wrong what the configuration's key "fault" names, in what it declares, emits or delegates; some of these do
 * right what only few planners do. Without a fault it declares one class and one KV group. Loaded by the tests of the planner tree
 * and of the ledger. Below "/part" there may be a model of its own, which the planner of that one plans. */
#include <plimsoll/abi.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY      1000000u
#define BOMB      65536u
#define LOG_LINES 100000u
#define ANSWER_ID "zoo.answer/1"

struct plimsoll_planner {
  char fault[32];
  const plimsoll_planner_api* api; /* of the child, where there is one */
  const plimsoll_planner* child;
  const plimsoll_host* host;
  const plimsoll_view* view;
  uint32_t answer; /* of the interface zoo.answer/1 */
};

/* A sink of an earlier call, which nobody may use again. */
static plimsoll_sink kept_sink;

static plimsoll_str str(const char* text) {
  plimsoll_str s;
  s.data = text;
  s.size = strlen(text);
  return s;
}
static plimsoll_str none(void) {
  plimsoll_str s = {NULL, 0};
  return s;
}
static int is(const plimsoll_planner* self, const char* fault) { return strcmp(self->fault, fault) == 0; }

/* Cuts what is longer than there is room for. */
static plimsoll_status fail(plimsoll_error* err, plimsoll_status code, const char* where, const char* message) {
  err->code = code;
  snprintf(err->where, sizeof err->where, "%s", where);
  snprintf(err->message, sizeof err->message, "%s", message);
  return code;
}

/* ---- an interface of its own ---------------------------------------------------------------------------- */

typedef struct zoo_answer {
  uint32_t struct_size;
  uint32_t (*answer)(const void* object);
} zoo_answer;

static uint32_t answer_of(const void* object) { return ((const plimsoll_planner*)object)->answer; }
static const zoo_answer answer_table = {PLIMSOLL_SIZE_THROUGH(zoo_answer, answer), answer_of};

static const void* query(const plimsoll_planner* self, plimsoll_str id, const void** object) {
  if (id.size != strlen(ANSWER_ID) || memcmp(id.data, ANSWER_ID, id.size) != 0) return NULL;
  *object = self;
  return &answer_table;
}

/* ---- create --------------------------------------------------------------------------------------------- */

static plimsoll_status tell_keys(const plimsoll_host* host, const plimsoll_view* view, plimsoll_error* err) {
  plimsoll_str key = {NULL, 0};
  char text[512] = "";
  size_t used = 0;
  uint64_t i;
  for (i = 0; used < sizeof text && host->get_key(view, str("/part"), i, &key) == PLIMSOLL_OK; ++i)
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s", i == 0 ? "" : ",", (int)key.size, key.data);
  return fail(err, PLIMSOLL_E_CONFIG, "/part", text);
}

static plimsoll_status tell_json(const plimsoll_host* host, const plimsoll_view* view, plimsoll_error* err) {
  char text[384];
  uint64_t size = 0;
  if (host->get_json(view, str("/part"), text, sizeof text - 1, &size) != PLIMSOLL_OK)
    return fail(err, PLIMSOLL_E_CONFIG, "/part", "is missing");
  text[size < sizeof text ? size : sizeof text - 1] = '\0';
  return fail(err, PLIMSOLL_E_CONFIG, "/part", text);
}

static plimsoll_status tell_number(const plimsoll_host* host, const plimsoll_view* view, plimsoll_error* err) {
  char text[32];
  int64_t number = 0;
  if (host->get_i64(view, str("/part/n"), &number) != PLIMSOLL_OK)
    return fail(err, PLIMSOLL_E_CONFIG, "/part/n", "is missing or no whole number");
  snprintf(text, sizeof text, "%lld", (long long)number);
  return fail(err, PLIMSOLL_E_CONFIG, "/part/n", text);
}

static plimsoll_status tell_tensor(const plimsoll_host* host, const plimsoll_view* view, plimsoll_error* err) {
  const plimsoll_tensors* tensors = host->query(host, str(PLIMSOLL_TENSORS_ID));
  plimsoll_str name = {NULL, 0};
  plimsoll_tensor t;
  char text[256];
  memset(&t, 0, sizeof t);
  t.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_tensor, stored_bytes);
  if (tensors == NULL) return fail(err, PLIMSOLL_E_CONFIG, "/tensor", "the host has no such interface");
  if (host->get_str(view, str("/tensor"), &name) != PLIMSOLL_OK) return fail(err, PLIMSOLL_E_CONFIG, "/tensor", "is missing");
  if (tensors->find(view, name, &t) == PLIMSOLL_OK)
    snprintf(text, sizeof text, "%.*s %" PRIu64 "x%" PRIu64 " %" PRIu64 " of %" PRIu64, (int)t.dtype.size, t.dtype.data, t.dims[0],
             t.dims[1], t.stored_bytes, tensors->count(view));
  else snprintf(text, sizeof text, "absent of %" PRIu64, tensors->count(view));
  return fail(err, PLIMSOLL_E_CONFIG, "", text);
}

/* Asks the child for its answer. */
static plimsoll_status tell_answer(const plimsoll_planner* self, plimsoll_error* err) {
  const void* object = NULL;
  const zoo_answer* table = self->child == NULL ? NULL : self->api->query(self->child, str(ANSWER_ID), &object);
  char text[16];
  if (table == NULL) return fail(err, PLIMSOLL_E_CONFIG, "", "nobody answers");
  snprintf(text, sizeof text, "%" PRIu32, table->answer(object));
  return fail(err, PLIMSOLL_E_CONFIG, "", text);
}

static void log_lines(const plimsoll_host* host) {
  char line[32];
  uint32_t i;
  for (i = 0; i < LOG_LINES; ++i) {
    snprintf(line, sizeof line, "line %" PRIu32, i);
    host->log(host, PLIMSOLL_LOG_INFO, str(line));
  }
}

/* The faults that need no child. */
static plimsoll_status refuse(const plimsoll_planner* self, plimsoll_error* err) {
  if (is(self, "create_fails")) return fail(err, PLIMSOLL_E_CONFIG, "/depth", "is too small");
  if (is(self, "not_mine")) return fail(err, PLIMSOLL_E_UNSUPPORTED, "", "is not one of mine");
  if (is(self, "silent")) return PLIMSOLL_E_CONFIG;
  if (is(self, "odd_status")) return 77;
  if (is(self, "keys")) return tell_keys(self->host, self->view, err);
  if (is(self, "json")) return tell_json(self->host, self->view, err);
  if (is(self, "negative")) return tell_number(self->host, self->view, err);
  if (is(self, "tensor")) return tell_tensor(self->host, self->view, err);
  if (is(self, "unterminated")) {
    memset(err->where, 'w', sizeof err->where);
    memset(err->message, 'm', sizeof err->message);
    return PLIMSOLL_E_CONFIG;
  }
  return PLIMSOLL_OK;
}

/* The child below "/part", or the planner itself once more. */
static plimsoll_status delegate(plimsoll_planner* self, const plimsoll_host* host, const plimsoll_view* view, plimsoll_error* err) {
  static const plimsoll_rename rename = {PLIMSOLL_SIZE_THROUGH(plimsoll_rename, to), 0, PLIMSOLL_STR("model."),
                                         PLIMSOLL_STR("model.part.")};
  static const plimsoll_rename* const renames[] = {&rename};
  const plimsoll_view* sub = view;
  plimsoll_str as = {NULL, 0};
  uint64_t members = 0;
  if (is(self, "itself")) return host->planner_for(view, str("planner"), none(), &self->api, &self->child, err);
  if (is(self, "itself_again")) {
    if (host->subview(view, str(""), NULL, 0, &sub) != PLIMSOLL_OK) return fail(err, PLIMSOLL_E_INTERNAL, "", "no subview");
    return host->planner_for(sub, none(), none(), &self->api, &self->child, err);
  }
  if (is(self, "no_such_family")) return host->planner_for(view, str("nobody"), none(), &self->api, &self->child, err);
  if (is(self, "many_views")) {
    while (host->subview(view, str(""), NULL, 0, &sub) == PLIMSOLL_OK) {
    }
    return fail(err, PLIMSOLL_E_CYCLE, "", "the host gave no more views");
  }
  if (host->get_len(view, str("/part"), &members) != PLIMSOLL_OK) return PLIMSOLL_OK;
  if (is(self, "two_steps")) {
    if (host->subview(view, str("/part"), NULL, 0, &sub) != PLIMSOLL_OK || host->subview(sub, str("/inner"), NULL, 0, &sub) != PLIMSOLL_OK)
      return fail(err, PLIMSOLL_E_CONFIG, "/part/inner", "is no object");
  } else if (host->subview(view, str("/part"), renames, 1, &sub) != PLIMSOLL_OK) {
    return fail(err, PLIMSOLL_E_CONFIG, "/part", "is no object");
  }
  if (is(self, "as_other") && host->get_str(view, str("/as"), &as) != PLIMSOLL_OK) return fail(err, PLIMSOLL_E_CONFIG, "/as", "is missing");
  return host->planner_for(sub, none(), as, &self->api, &self->child, err);
}

static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out, plimsoll_error* err) {
  plimsoll_planner* self = calloc(1, sizeof *self);
  plimsoll_str fault = {NULL, 0};
  plimsoll_status status;
  uint64_t answer = 0;
  if (self == NULL) return PLIMSOLL_E_MEMORY;
  if (host->get_str(view, str("/fault"), &fault) == PLIMSOLL_OK && fault.size < sizeof self->fault)
    memcpy(self->fault, fault.data, fault.size);
  if (host->get_u64(view, str("/answer"), &answer) == PLIMSOLL_OK) self->answer = (uint32_t)answer;
  self->host = host;
  self->view = view;
  if (is(self, "creates_nothing")) return free(self), PLIMSOLL_OK;
  if (is(self, "log_many")) log_lines(host);
  status = refuse(self, err);
  if (status == PLIMSOLL_OK) status = delegate(self, host, view, err);
  if (status == PLIMSOLL_OK && is(self, "asks_query")) status = tell_answer(self, err);
  if (status != PLIMSOLL_OK) return free(self), status;
  *out = self;
  return PLIMSOLL_OK;
}
static void destroy(plimsoll_planner* self) { free(self); }

/* ---- a parent's own sink before the host's -------------------------------------------------------------- */

static plimsoll_status pass_weight(void* ctx, const plimsoll_weight* w) {
  const plimsoll_sink* out = ctx;
  return out->weight(out->ctx, w);
}
static plimsoll_status pass_kv(void* ctx, const plimsoll_kv_group* g) {
  const plimsoll_sink* out = ctx;
  return out->kv(out->ctx, g);
}
static plimsoll_status pass_entry(void* ctx, const plimsoll_entry* e) {
  const plimsoll_sink* out = ctx;
  return out->entry(out->ctx, e);
}
static plimsoll_status pass_item(void* ctx, const plimsoll_item* i) {
  const plimsoll_sink* out = ctx;
  return out->item(out->ctx, i);
}

/* ---- weights -------------------------------------------------------------------------------------------- */

/* What weights() points to while it declares; on its stack. */
typedef struct weight_parts {
  plimsoll_part each[2];
  const plimsoll_part* list[2];
  char label[129];
} weight_parts;

static void spoil_sizes(const plimsoll_planner* self, plimsoll_weight* w) {
  if (is(self, "small_struct")) w->struct_size = 64;
  if (is(self, "zero_dim")) w->dims[1] = 0;
  if (is(self, "nine_dims")) w->n_dims = 9;
  if (is(self, "shard_dim")) w->shard_dim = 2;
  if (is(self, "negative_dim")) w->dims[1] = (uint64_t)0 - 5;
  if (is(self, "huge_dim")) w->dims[1] = (uint64_t)1 << 41;
  if (is(self, "overflow")) w->dims[1] = (uint64_t)1 << 62;
  if (is(self, "many_experts")) w->experts = (uint64_t)1 << 40;
  if (is(self, "in_dim")) {
    w->quantizable = 1;
    w->in_dim = 200;
  }
}

static void spoil_parts(const plimsoll_planner* self, plimsoll_weight* w, weight_parts* parts) {
  if (is(self, "parts_sum")) parts->each[0].extent = 33;
  if (is(self, "parts_wrap")) {
    parts->each[0].extent = 0 - (uint64_t)15;
    parts->each[0].units = 0;
    parts->each[1].extent = 79;
  }
  if (is(self, "part_units")) parts->each[0].units = 5;
  if (is(self, "negative_part")) parts->each[0].extent = (uint64_t)0 - 1;
  if (is(self, "small_part")) parts->each[1].struct_size = 4;
  if (is(self, "null_part")) parts->list[1] = NULL;
  if (is(self, "null_parts")) w->parts = NULL;
  if (is(self, "many_parts")) w->n_parts = 65;
}

static void spoil_names(const plimsoll_planner* self, plimsoll_weight* w, weight_parts* parts) {
  if (is(self, "label_size")) w->label.size = (uint64_t)1 << 62;
  if (is(self, "label_null")) w->label.data = NULL;
  if (is(self, "label_empty")) w->label.size = 0;
  if (is(self, "label_utf8")) w->label = str("zoo.\xff\xfe");
  if (is(self, "label_control")) w->label = str("zoo.\033[2J");
  if (is(self, "label_long")) {
    memset(parts->label, 'l', sizeof parts->label);
    w->label.data = parts->label;
    w->label.size = sizeof parts->label;
  }
  if (is(self, "pattern_size")) w->pattern.size = (uint64_t)1 << 62;
  if (is(self, "no_layer_mark")) w->pattern = str("model.weight");
  if (is(self, "unnamed_twice")) w->pattern.size = 0;
  if (is(self, "type")) w->dtype = str("float17");
  if (is(self, "own_type")) w->dtype = str("zoo_t5");
  if (is(self, "format")) w->format = str("crumpled");
  if (is(self, "own_format")) w->format = str("zoo_q3");
}

static void spoil_values(const plimsoll_planner* self, plimsoll_weight* w) {
  static const uint32_t swapped[2] = {1, 0}, twice[2] = {1, 1};
  if (is(self, "two_aspects")) w->aspect = PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN;
  if (is(self, "aspect")) w->aspect = PLIMSOLL_ASPECT_VISION;
  if (is(self, "no_aspect")) w->aspect = 0;
  if (is(self, "stage")) w->stage = 9;
  if (is(self, "placement")) w->placement = 9;
  if (is(self, "role")) w->role = 9;
  if (is(self, "weight_host")) w->memory = PLIMSOLL_MEMORY_HOST;
  if (is(self, "weight_memory")) w->memory = 9;
  if (is(self, "place_one")) {
    w->placement = PLIMSOLL_PLACE_ONE;
    w->rank = 1;
    w->parts = NULL;
    w->n_parts = 0;
  }
  if (is(self, "null_layers")) w->layers = NULL;
  if (is(self, "unordered")) w->layers = swapped;
  if (is(self, "doubled")) w->layers = twice;
}

/* What only create may ask for; OK where the host answered all the same. */
static plimsoll_status ask_late(const plimsoll_planner* self, plimsoll_error* err) {
  const plimsoll_host* host = self->host;
  const plimsoll_view* view = NULL;
  const plimsoll_planner_api* api = NULL;
  const plimsoll_planner* child = NULL;
  const plimsoll_tensors* tensors;
  plimsoll_tensor t;
  if (is(self, "subview_late")) return host->subview(self->view, str(""), NULL, 0, &view);
  if (is(self, "planner_late")) return host->planner_for(self->view, none(), none(), &api, &child, err);
  tensors = host->query(host, str(PLIMSOLL_TENSORS_ID));
  memset(&t, 0, sizeof t);
  t.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_tensor, stored_bytes);
  return tensors == NULL ? PLIMSOLL_E_NOT_FOUND : tensors->find(self->view, str("model.0.weight"), &t);
}

/* One class after another, each under a name of its own, until the host has enough. */
static plimsoll_status declare_many(plimsoll_weight w, uint32_t n, const plimsoll_sink* out) {
  char label[64];
  plimsoll_status status = PLIMSOLL_OK;
  uint32_t i;
  for (i = 0; i < n && status == PLIMSOLL_OK; ++i) {
    snprintf(label, sizeof label, "zoo.class.%" PRIu32 ".{layer}", i);
    w.label = w.pattern = str(label);
    status = out->weight(out->ctx, &w);
  }
  return status;
}

static plimsoll_status weights(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  static const uint32_t two[2] = {0, 1};
  static uint32_t bomb[BOMB];
  weight_parts parts = {
      {{PLIMSOLL_SIZE_THROUGH(plimsoll_part, units), 0, 48, 3}, {PLIMSOLL_SIZE_THROUGH(plimsoll_part, units), 1, 16, 1}}, {NULL, NULL}, ""};
  const int asked = (aspects & PLIMSOLL_ASPECT_ATTENTION) != 0 || is(self, "ignores_asked");
  uint32_t* many = NULL;
  plimsoll_status status = PLIMSOLL_OK;
  plimsoll_weight w;
  plimsoll_sink relay = {0};
  uint32_t i;
  parts.list[0] = &parts.each[0];
  parts.list[1] = &parts.each[1];
  memset(&w, 0, sizeof w);
  w.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, rank);
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
  w.parts = parts.list;
  w.n_parts = 2;
  if (is(self, "part_first") && (status = self->api->weights(self->child, aspects, out, err)) != PLIMSOLL_OK) return status;
  if (is(self, "weights_fail")) return fail(err, PLIMSOLL_E_CONFIG, "/width", "is odd");
  spoil_sizes(self, &w);
  spoil_parts(self, &w, &parts);
  spoil_names(self, &w, &parts);
  spoil_values(self, &w);
  if ((is(self, "subview_late") || is(self, "planner_late") || is(self, "tensor_late")) && ask_late(self, err) == PLIMSOLL_OK)
    return PLIMSOLL_OK;
  if (is(self, "keeps_sink") || is(self, "keeps_for_facts")) kept_sink = *out;
  if (is(self, "null_weight")) out->weight(out->ctx, NULL);
  if (is(self, "bomb")) {
    for (i = 0; i < BOMB; ++i) bomb[i] = i;
    w.layers = bomb;
    w.n_layers = BOMB;
    if ((status = declare_many(w, BOMB, out)) != PLIMSOLL_OK) return status;
  }
  if (is(self, "many_classes") && (status = declare_many(w, MANY, out)) != PLIMSOLL_OK) return status;
  if (is(self, "many_layers")) {
    many = malloc(MANY * sizeof *many);
    if (many == NULL) return PLIMSOLL_E_MEMORY;
    for (i = 0; i < MANY; ++i) many[i] = i;
    w.layers = many;
    w.n_layers = MANY;
  }
  if (asked) status = out->weight(out->ctx, &w);
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
  relay.kv = pass_kv;
  relay.entry = pass_entry;
  relay.item = is(self, "half_sink") ? NULL : pass_item;
  return self->api->weights(self->child, aspects, is(self, "relays") || is(self, "half_sink") ? &relay : out, err);
}

/* ---- KV groups ------------------------------------------------------------------------------------------ */

/* A kind that has no business with the rest of the group. */
static void spoil_kind(const plimsoll_planner* self, plimsoll_kv_group* g) {
  static const plimsoll_state_region row = {
      PLIMSOLL_SIZE_THROUGH(plimsoll_state_region, elements_per_draft_token), 0, PLIMSOLL_STR("ring"), {NULL, 0}, 10, 0, 5};
  static const plimsoll_state_region* const rows[] = {&row};
  if (is(self, "kv_kind")) g->kind = 77;
  if (is(self, "kv_window")) g->kind = PLIMSOLL_KV_WINDOW;
  if (is(self, "kv_no_regions") || is(self, "kv_null_regions") || is(self, "kv_state_rows")) g->kind = PLIMSOLL_KV_STATE;
  if (is(self, "kv_null_regions")) g->n_regions = 2;
  if (is(self, "kv_state_rows")) {
    g->window_tokens = 3;
    g->regions = rows;
    g->n_regions = 1;
  }
  if (is(self, "kv_latent_heads")) {
    g->kind = PLIMSOLL_KV_LATENT;
    g->kv_heads = 2;
    g->v_elements = 0;
  }
}

/* A head keeps 24 bytes and two float32 of a token. */
static void mix_record(const plimsoll_planner* self, plimsoll_kv_group* g) {
  static const plimsoll_kv_field codes = {PLIMSOLL_SIZE_THROUGH(plimsoll_kv_field, elements), 0, PLIMSOLL_STR("uint8"), 24};
  static const plimsoll_kv_field scales = {PLIMSOLL_SIZE_THROUGH(plimsoll_kv_field, elements), 0, PLIMSOLL_STR("float32"), 2};
  static const plimsoll_kv_field odd = {PLIMSOLL_SIZE_THROUGH(plimsoll_kv_field, elements), 0, PLIMSOLL_STR("float17"), 2};
  static const plimsoll_kv_field* const fields[] = {&codes, &scales};
  static const plimsoll_kv_field* const odd_fields[] = {&codes, &odd};
  static const plimsoll_kv_field* const one_field[] = {&codes, NULL};
  if (strncmp(self->fault, "record", 6) != 0) return;
  g->k_elements = is(self, "record_sum") ? 27 : 26;
  g->v_elements = 0;
  g->record = is(self, "record_type") ? odd_fields : is(self, "record_null_field") ? one_field : fields;
  if (is(self, "record_null")) g->record = NULL;
  g->n_fields = 2;
}

static plimsoll_status kv(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  static const uint32_t two[2] = {0, 1};
  plimsoll_kv_group g;
  char many_label[32];
  uint32_t i;
  memset(&g, 0, sizeof g);
  g.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_kv_group, expanded_v_elements);
  g.kind = PLIMSOLL_KV_FULL;
  g.aspect = PLIMSOLL_ASPECT_ATTENTION;
  g.label = str("zoo.cache");
  g.layers = two;
  g.n_layers = 2;
  g.kv_heads = 1;
  g.k_elements = 16;
  g.v_elements = 16;
  if (is(self, "kv_small_struct")) g.struct_size = 8;
  if (is(self, "kv_no_heads")) g.kv_heads = 0;
  if (is(self, "kv_no_aspect")) g.aspect = 0;
  if (is(self, "kv_two_aspects")) g.aspect = PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN;
  if (is(self, "kv_other_aspect")) g.aspect = PLIMSOLL_ASPECT_STATE;
  if (is(self, "ignores_asked")) g.aspect = PLIMSOLL_ASPECT_FFN;
  if (is(self, "kv_type")) g.k_dtype = str("float17");
  if (is(self, "kv_two_types")) {
    g.k_dtype = str("float16");
    g.v_dtype = str("uint8");
  }
  spoil_kind(self, &g);
  mix_record(self, &g);
  if (is(self, "kv_overflow")) {
    g.k_elements = (uint64_t)1 << 62;
    g.kv_heads = 1u << 20;
  }
  if (is(self, "kv_negative")) g.kv_heads = (uint64_t)0 - 8;
  if (is(self, "kv_wide")) g.kv_heads = (uint64_t)1 << 38;
  if (is(self, "kv_null_layers")) g.layers = NULL;
  if (is(self, "kv_label_size")) g.label.size = (uint64_t)1 << 62;
  if (is(self, "kv_role")) g.role = PLIMSOLL_ROLE_TIED;
  if (is(self, "kv_twice")) out->kv(out->ctx, &g);
  if (is(self, "keeps_sink")) kept_sink.kv(kept_sink.ctx, &g);
  if (is(self, "kv_null")) out->kv(out->ctx, NULL);
  if (is(self, "kv_many_groups")) {
    for (i = 0; i < MANY; ++i) {
      snprintf(many_label, sizeof many_label, "zoo.cache.%" PRIu32, i);
      g.label = str(many_label);
      if (out->kv(out->ctx, &g) != PLIMSOLL_OK) return PLIMSOLL_OK;
    }
  }
  if ((aspects & PLIMSOLL_ASPECT_ATTENTION) == 0 && !is(self, "ignores_asked")) return PLIMSOLL_OK;
  if (is(self, "asks_attention")) {
    const plimsoll_status status = self->api->kv(self->child, PLIMSOLL_ASPECT_ATTENTION, out, err);
    if (status != PLIMSOLL_OK) return status;
  }
  return out->kv(out->ctx, &g) == PLIMSOLL_OK ? PLIMSOLL_OK : fail(err, PLIMSOLL_E_CONFIG, "", "the host refused");
}

/* ---- facts, entries, activations ------------------------------------------------------------------------ */

static plimsoll_status facts(const plimsoll_planner* self, plimsoll_facts* out, plimsoll_error* err) {
  uint32_t size = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
  plimsoll_item item;
  (void)err;
  if (out->struct_size < size) size = out->struct_size;
  memset(out, 0, size);
  out->struct_size = size;
  if (is(self, "facts_size")) out->struct_size = size + 64;
  if (is(self, "facts_small")) out->struct_size = 4;
  if (is(self, "stages")) out->n_layers = 2;
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

/* A sound of ten rows, and only where the fault says so. */
static plimsoll_status entries(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  plimsoll_entry e;
  (void)aspects;
  if (strncmp(self->fault, "entry", 5) != 0) return PLIMSOLL_OK;
  memset(&e, 0, sizeof e);
  e.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_entry, encoder_elements);
  e.aspect = PLIMSOLL_ASPECT_ATTENTION;
  e.modality = PLIMSOLL_MODALITY_AUDIO;
  e.label = str("zoo.audio");
  e.rows = 10;
  e.row_elements = 32;
  e.encoder_tokens = 40;
  e.encoder_elements = 16;
  if (is(self, "entry_modality")) e.modality = 9;
  if (is(self, "entry_bytes")) e.rows = (uint64_t)1 << 41;
  if (is(self, "entry_twice")) out->entry(out->ctx, &e);
  return out->entry(out->ctx, &e) == PLIMSOLL_OK ? PLIMSOLL_OK : fail(err, PLIMSOLL_E_CONFIG, "", "the host refused");
}

static void spoil_item(const plimsoll_planner* self, plimsoll_item* item) {
  if (is(self, "item_no_aspect")) item->aspect = 0;
  if (is(self, "ignores_asked")) item->aspect = PLIMSOLL_ASPECT_FFN;
  if (is(self, "item_rank")) item->rank = 99;
  if (is(self, "item_category")) item->category = 9;
  if (is(self, "item_basis")) item->basis = 9;
  if (is(self, "item_small_struct")) item->struct_size = 12;
  if (is(self, "item_overflow")) item->bytes = UINT64_MAX;
  if (is(self, "item_large")) item->bytes = (uint64_t)1 << 51;
  if (is(self, "item_label")) item->label.size = (uint64_t)1 << 62;
  if (is(self, "item_memory")) item->memory = 9;
  if (is(self, "host_item") || is(self, "host_transient")) item->memory = PLIMSOLL_MEMORY_HOST;
  if (is(self, "host_transient")) item->lifetime = PLIMSOLL_TRANSIENT;
  if (is(self, "workspace")) item->category = PLIMSOLL_BYTES_WORKSPACE;
  if (is(self, "item_phase")) {
    item->lifetime = PLIMSOLL_TRANSIENT;
    item->phase = str("\xc3");
  }
  if (is(self, "items_of_nothing")) item->bytes = 0;
}

/* Bytes that depend on the request. */
static void price(const plimsoll_planner* self, const plimsoll_request* req, plimsoll_item* item) {
  if (is(self, "per_request")) {
    item->lifetime = PLIMSOLL_PER_REQUEST;
    item->label = str("zoo.per_request");
  }
  if (is(self, "batch")) {
    item->bytes = req->max_batch_size * 1048576u;
    item->label = str("zoo.batch");
  }
  if (is(self, "stages")) {
    item->bytes = req->n_layers < 2 ? 0 : 1000 * ((uint64_t)1 + req->stage_of_layer[1]);
    item->label = str("zoo.stages");
  }
}

static plimsoll_status activations(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                   plimsoll_error* err) {
  plimsoll_request attention = *req;
  plimsoll_item item;
  char phase[32];
  uint32_t i;
  if (is(self, "asks_attention")) {
    attention.aspects = PLIMSOLL_ASPECT_ATTENTION;
    if ((i = (uint32_t)self->api->activations(self->child, &attention, out, err)) != PLIMSOLL_OK) return (plimsoll_status)i;
  }
  memset(&item, 0, sizeof item);
  item.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_item, phase);
  item.aspect = PLIMSOLL_ASPECT_ATTENTION;
  item.rank = PLIMSOLL_ALL_RANKS;
  item.category = PLIMSOLL_BYTES_ACTIVATION;
  item.bytes = 1000;
  item.label = str("zoo.workspace");
  spoil_item(self, &item);
  price(self, req, &item);
  if (is(self, "item_null")) out->item(out->ctx, NULL);
  if (is(self, "many_items") || is(self, "items_of_nothing") || is(self, "many_phases")) {
    item.lifetime = PLIMSOLL_TRANSIENT;
    for (i = 0; i < MANY; ++i) {
      snprintf(phase, sizeof phase, "phase %" PRIu32, i);
      if (is(self, "many_phases")) item.phase = str(phase);
      if (out->item(out->ctx, &item) != PLIMSOLL_OK) return PLIMSOLL_OK;
    }
  }
  if (is(self, "weight_in_activations")) return weights(self, PLIMSOLL_ASPECT_ALL, out, err);
  return out->item(out->ctx, &item) == PLIMSOLL_OK ? PLIMSOLL_OK : fail(err, PLIMSOLL_E_CONFIG, "", "the host refused");
}

/* ---- the plugin ----------------------------------------------------------------------------------------- */

static const plimsoll_planner_api api = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query),
                                         .create = create,
                                         .destroy = destroy,
                                         .weights = weights,
                                         .kv = kv,
                                         .facts = facts,
                                         .entries = entries,
                                         .activations = activations,
                                         .query = query};
static const plimsoll_family family = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_family, api),
                                       .aspects = PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN,
                                       .signal_policy = PLIMSOLL_SIGNAL_MULTI_RANK,
                                       .signal_sites = 1,
                                       .id = PLIMSOLL_STR(ZOO_ID),
                                       .api = &api};
static const plimsoll_family* const families[] = {&family};
const plimsoll_plugin plimsoll_plugin_v1 = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini),
                                            .abi_minor = PLIMSOLL_ABI_MINOR,
                                            .id = PLIMSOLL_STR(ZOO_ID),
                                            .version = PLIMSOLL_STR("1.0.0"),
                                            .n_families = 1,
                                            .families = families};
