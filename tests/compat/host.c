/* host PLUGIN.so: a host of its own, in C, that knows of the ABI what its header has: the frozen one of a minor, the current one or a
 * prepared next one, whose fields are all called `next`. It asks the plugin everything once and prints what it got, a line each; what only
 * the next minor has stands in lines of its own, "next ...". What crosses lies on the heap and is as long as struct_size says, so that a
 * sanitizer sees who writes or reads beyond it. Ends with 3 where it refuses the plugin, with 1 where the plugin breaks a rule. */
#include <plimsoll/abi.h>
#include <plimsoll/pipeline.h>

#include <dlfcn.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kNext = 77 };

#ifdef COMPAT_CARELESS /* a canary: reads on where a struct ends */
#define IS_THERE(object, type, field) 1
#else
#define IS_THERE PLIMSOLL_HAS
#endif
#ifdef PLIMSOLL_ABI_NEXT
#define LAST(type, last) PLIMSOLL_SIZE_THROUGH(type, next)
/* What a plugin said there, or that it is too old to say anything. */
#define SHOW_NEXT(what, type, object)                                                                                                      \
  do {                                                                                                                                     \
    if (IS_THERE(object, type, next)) printf("next " #type " of %s: %u\n", what, (unsigned)(object)->next);                                \
    else printf("next " #type " of %s: absent\n", what);                                                                                   \
  } while (0)
#else
#define LAST(type, last)              PLIMSOLL_SIZE_THROUGH(type, last)
#define SHOW_NEXT(what, type, object) (void)(what), (void)(object)
#endif
/* At least what version 1.0 has. */
#define HOLD_SIZE(type, object, last)                                                                                                      \
  hold((object)->struct_size >= PLIMSOLL_SIZE_THROUGH(type, last), #type " has %u bytes", (unsigned)(object)->struct_size)

static void hold(int kept, const char* format, ...) {
  va_list arguments;
  if (kept) return;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
  exit(1);
}
static void hold_status(plimsoll_status status, const char* what, const plimsoll_error* err) {
  hold(status == PLIMSOLL_OK, "%s: %d at \"%s\": %s", what, (int)status, err->where, err->message);
}
static plimsoll_str str(const char* text) {
  plimsoll_str s;
  s.data = text;
  s.size = strlen(text);
  return s;
}
static int same(plimsoll_str text, const char* other) { return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0; }
static void* room(uint32_t size, int filling) {
  void* out = malloc(size);
  if (out == NULL) abort();
  return memset(out, filling, size);
}
#define TEXT(s) (int)(s).size, (s).data

/* ---- the configuration ----------------------------------------------------------------------------------- */

struct plimsoll_view {
  const char* below; /* a JSON pointer, in front of those that are asked for */
};
static const struct value {
  const char *pointer, *text;
  double number;
} kConfig[] = {{"/model_type", "compat", 0},
               {"/hidden_size", NULL, 64},
               {"/num_attention_heads", NULL, 4},
               {"/num_key_value_heads", NULL, 2},
               {"/vocab_size", NULL, 1000},
               {"/offset", NULL, -3},
               {"/scale", NULL, 0.5},
               {"/tied", NULL, 1},
               {"/text_config/hidden_size", NULL, 64},
               {"/text_config/num_attention_heads", NULL, 4},
               {"/text_config/vocab_size", NULL, 500},
               {"/text_config/num_key_value_heads", NULL, 2}};

static plimsoll_status find(const plimsoll_view* view, plimsoll_str pointer, const struct value** out) {
  const size_t below = strlen(view->below);
  size_t i;
  for (i = 0; i < sizeof kConfig / sizeof *kConfig; ++i)
    if (strncmp(kConfig[i].pointer, view->below, below) == 0 && same(pointer, kConfig[i].pointer + below)) {
      *out = &kConfig[i];
      return PLIMSOLL_OK;
    }
  return PLIMSOLL_E_NOT_FOUND;
}
static plimsoll_status number(const plimsoll_view* view, plimsoll_str pointer, double* out) {
  const struct value* found;
  const plimsoll_status status = find(view, pointer, &found);
  if (status != PLIMSOLL_OK) return status;
  if (found->text != NULL) return PLIMSOLL_E_TYPE;
  *out = found->number;
  return PLIMSOLL_OK;
}
static plimsoll_status get_u64(const plimsoll_view* view, plimsoll_str pointer, uint64_t* out) PLIMSOLL_NOEXCEPT {
  double value;
  const plimsoll_status status = number(view, pointer, &value);
  if (status == PLIMSOLL_OK) *out = (uint64_t)value;
  return status;
}
static plimsoll_status get_i64(const plimsoll_view* view, plimsoll_str pointer, int64_t* out) PLIMSOLL_NOEXCEPT {
  double value;
  const plimsoll_status status = number(view, pointer, &value);
  if (status == PLIMSOLL_OK) *out = (int64_t)value;
  return status;
}
static plimsoll_status get_f64(const plimsoll_view* view, plimsoll_str pointer, double* out) PLIMSOLL_NOEXCEPT {
  return number(view, pointer, out);
}
static plimsoll_status get_bool(const plimsoll_view* view, plimsoll_str pointer, uint32_t* out) PLIMSOLL_NOEXCEPT {
  double value;
  const plimsoll_status status = number(view, pointer, &value);
  if (status == PLIMSOLL_OK) *out = value != 0;
  return status;
}
static plimsoll_status get_str(const plimsoll_view* view, plimsoll_str pointer, plimsoll_str* out) PLIMSOLL_NOEXCEPT {
  const struct value* found;
  const plimsoll_status status = find(view, pointer, &found);
  if (status != PLIMSOLL_OK) return status;
  if (found->text == NULL) return PLIMSOLL_E_TYPE;
  *out = str(found->text);
  return PLIMSOLL_OK;
}
/* The list and the object that the plugin looks into. */
static plimsoll_status get_len(const plimsoll_view* view, plimsoll_str pointer, uint64_t* out) PLIMSOLL_NOEXCEPT {
  (void)view;
  if (!same(pointer, "/kinds") && !same(pointer, "/pair")) return PLIMSOLL_E_NOT_FOUND;
  *out = 2;
  return PLIMSOLL_OK;
}
static plimsoll_status get_key(const plimsoll_view* view, plimsoll_str pointer, uint64_t index, plimsoll_str* out) PLIMSOLL_NOEXCEPT {
  (void)view;
  if (!same(pointer, "/pair") || index > 1) return PLIMSOLL_E_NOT_FOUND;
  *out = str(index == 0 ? "first" : "second");
  return PLIMSOLL_OK;
}
static plimsoll_status get_json(const plimsoll_view* view, plimsoll_str pointer, char* buffer, uint64_t capacity,
                                uint64_t* size) PLIMSOLL_NOEXCEPT {
  static const char kinds[] = "[\"one\",\"two\"]";
  (void)view;
  if (!same(pointer, "/kinds")) return PLIMSOLL_E_NOT_FOUND;
  *size = sizeof kinds - 1;
  memcpy(buffer, kinds, (size_t)(*size < capacity ? *size : capacity));
  return PLIMSOLL_OK;
}

/* ---- the rest of the host's table ------------------------------------------------------------------------ */

static const plimsoll_plugin* plugin;
static const plimsoll_host* table;
static plimsoll_view below = {"/text_config"};
static plimsoll_planner* child;

static plimsoll_error* new_error(void) {
  plimsoll_error* err = room(LAST(plimsoll_error, message), 0);
  err->struct_size = LAST(plimsoll_error, message);
  return err;
}
static void log_line(const plimsoll_host* host, uint32_t level, plimsoll_str message) PLIMSOLL_NOEXCEPT {
  (void)host;
  printf("log %u: %.*s\n", (unsigned)level, TEXT(message));
}
static uint64_t count(const plimsoll_view* view) PLIMSOLL_NOEXCEPT { return (void)view, 0; }
static plimsoll_status at(const plimsoll_view* view, uint64_t index, plimsoll_tensor* out) PLIMSOLL_NOEXCEPT {
  return (void)view, (void)index, (void)out, PLIMSOLL_E_NOT_FOUND;
}
static plimsoll_status find_tensor(const plimsoll_view* view, plimsoll_str name, plimsoll_tensor* out) PLIMSOLL_NOEXCEPT {
  return (void)view, (void)name, (void)out, PLIMSOLL_E_NOT_FOUND;
}
static const void* query(const plimsoll_host* host, plimsoll_str id) PLIMSOLL_NOEXCEPT {
  static plimsoll_tensors* tensors;
  (void)host;
  if (!same(id, PLIMSOLL_TENSORS_ID)) return NULL;
  if (tensors == NULL) {
    tensors = room(LAST(plimsoll_tensors, find), 0);
    tensors->struct_size = LAST(plimsoll_tensors, find);
    tensors->count = count;
    tensors->at = at;
    tensors->find = find_tensor;
  }
  return tensors;
}
static plimsoll_status subview(const plimsoll_view* view, plimsoll_str pointer, const plimsoll_rename* const* renames, uint64_t n_renames,
                               const plimsoll_view** out) PLIMSOLL_NOEXCEPT {
  uint64_t i;
  (void)view;
  hold(same(pointer, below.below), "a subview of %.*s", TEXT(pointer));
  for (i = 0; i < n_renames; ++i) {
    HOLD_SIZE(plimsoll_rename, renames[i], to);
    printf("rename %.*s to %.*s\n", TEXT(renames[i]->from), TEXT(renames[i]->to));
    SHOW_NEXT("a rename", plimsoll_rename, renames[i]);
  }
  *out = &below;
  return PLIMSOLL_OK;
}
/* The plugin's own second family, by a table of the host's: complete, whatever minor the plugin is of. */
static const plimsoll_planner_api* childs(void) { return plugin->families[1]->api; }
static plimsoll_status child_weights(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out,
                                     plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  return childs()->weights(self, aspects, out, err);
}
static plimsoll_status child_kv(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out,
                                plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  return childs()->kv(self, aspects, out, err);
}
static plimsoll_status planner_for(const plimsoll_view* view, plimsoll_str family, plimsoll_str as, const plimsoll_planner_api** api,
                                   const plimsoll_planner** out, plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  static plimsoll_planner_api* complete;
  plimsoll_status status;
  hold(as.size == 0 && same(family, "com.example.compat.text"), "a planner of %.*s", TEXT(family));
  status = childs()->create(table, view, &child, err);
  if (complete == NULL) {
    complete = room(LAST(plimsoll_planner_api, query), 0);
    complete->struct_size = LAST(plimsoll_planner_api, query);
    complete->weights = child_weights;
    complete->kv = child_kv;
  }
  *api = complete;
  *out = child;
  return status;
}
#ifdef PLIMSOLL_ABI_NEXT
static plimsoll_status next_of_host(const plimsoll_view* view, uint32_t* out) PLIMSOLL_NOEXCEPT {
  (void)view;
  *out = kNext;
  return PLIMSOLL_OK;
}
#endif
static plimsoll_host* new_table(void) {
  plimsoll_host* host = room(LAST(plimsoll_host, planner_for), 0);
  host->struct_size = LAST(plimsoll_host, planner_for);
  host->abi_minor = PLIMSOLL_ABI_MINOR;
  host->log = log_line;
  host->query = query;
  host->get_u64 = get_u64;
  host->get_i64 = get_i64;
  host->get_f64 = get_f64;
  host->get_bool = get_bool;
  host->get_str = get_str;
  host->get_len = get_len;
  host->get_key = get_key;
  host->get_json = get_json;
  host->subview = subview;
  host->planner_for = planner_for;
#ifdef PLIMSOLL_ABI_NEXT
  host->next = next_of_host;
#endif
  return host;
}

/* ---- what planners declare ------------------------------------------------------------------------------- */

static plimsoll_status take_weight(void* ctx, const plimsoll_weight* w) PLIMSOLL_NOEXCEPT {
  uint64_t i;
  (void)ctx;
  HOLD_SIZE(plimsoll_weight, w, rank);
  printf("weight %.*s: %.*s aspect %u type '%.*s' format '%.*s' layers %" PRIu64 " stage %u place %u role %u quantizable %u",
         TEXT(w->label), TEXT(w->pattern), (unsigned)w->aspect, TEXT(w->dtype), TEXT(w->format), w->n_layers, (unsigned)w->stage,
         (unsigned)w->placement, (unsigned)w->role, (unsigned)w->quantizable);
  for (i = 0; i < w->n_dims; ++i) printf("%s%" PRIu64, i == 0 ? " [" : ", ", w->dims[i]);
  printf("] cut %u in %u experts %" PRIu64 " storage %u memory %u rank %u\n", (unsigned)w->shard_dim, (unsigned)w->in_dim, w->experts,
         (unsigned)w->expert_storage, (unsigned)w->memory, (unsigned)w->rank);
  SHOW_NEXT("a weight", plimsoll_weight, w);
  for (i = 0; i < w->n_parts; ++i) {
    HOLD_SIZE(plimsoll_part, w->parts[i], units);
    printf("  part of %" PRIu64 " in %" PRIu64 " units, replicate %u\n", w->parts[i]->extent, w->parts[i]->units,
           (unsigned)w->parts[i]->replicate);
    SHOW_NEXT("a part", plimsoll_part, w->parts[i]);
  }
  return PLIMSOLL_OK;
}
static plimsoll_status take_kv(void* ctx, const plimsoll_kv_group* g) PLIMSOLL_NOEXCEPT {
  uint64_t i;
  (void)ctx;
  HOLD_SIZE(plimsoll_kv_group, g, expanded_v_elements);
#ifdef PLIMSOLL_ABI_NEXT
  if (g->kind == PLIMSOLL_KV_NEXT) {
    printf("next kind of group: %u\n", (unsigned)g->next);
    return PLIMSOLL_OK;
  }
#endif
  if (g->kind < PLIMSOLL_KV_FULL || g->kind > PLIMSOLL_KV_CROSS) return PLIMSOLL_E_UNSUPPORTED;
  printf("group %.*s: kind %u aspect %u role %u types '%.*s' '%.*s' '%.*s' layer %u of %" PRIu64 " heads %" PRIu64 "/%" PRIu64
         " elements %" PRIu64 "+%" PRIu64 " scales %" PRIu64 " window %" PRIu64 " fixed %" PRIu64 " slot %u bound %u rope %" PRIu64
         " expanded %" PRIu64 "+%" PRIu64 "\n",
         TEXT(g->label), (unsigned)g->kind, (unsigned)g->aspect, (unsigned)g->role, TEXT(g->k_dtype), TEXT(g->v_dtype),
         TEXT(g->scale_dtype), (unsigned)g->layers[0], g->n_layers, g->kv_heads, g->query_heads, g->k_elements, g->v_elements,
         g->scale_elements, g->window_tokens, g->fixed_tokens, (unsigned)g->tokens_per_slot, (unsigned)g->bound, g->rope_elements,
         g->expanded_k_elements, g->expanded_v_elements);
  SHOW_NEXT("a group", plimsoll_kv_group, g);
  for (i = 0; i < g->n_regions; ++i) {
    const plimsoll_state_region* r = g->regions[i];
    HOLD_SIZE(plimsoll_state_region, r, elements_per_draft_token);
    printf("  region %.*s of %" PRIu64 " %.*s in %" PRIu64 " units, %" PRIu64 " a drafted token\n", TEXT(r->label), r->elements,
           TEXT(r->dtype), r->units, r->elements_per_draft_token);
    SHOW_NEXT("a region", plimsoll_state_region, r);
  }
  for (i = 0; i < g->n_fields; ++i) {
    HOLD_SIZE(plimsoll_kv_field, g->record[i], elements);
    printf("  field of %" PRIu64 " %.*s\n", g->record[i]->elements, TEXT(g->record[i]->dtype));
    SHOW_NEXT("a field", plimsoll_kv_field, g->record[i]);
  }
  return PLIMSOLL_OK;
}
static plimsoll_status take_entry(void* ctx, const plimsoll_entry* e) PLIMSOLL_NOEXCEPT {
  (void)ctx;
  HOLD_SIZE(plimsoll_entry, e, encoder_elements);
  printf("entry %.*s: aspect %u modality %u type '%.*s' %" PRIu64 " x %" PRIu64 ", %u a request, encoder %" PRIu64 " x %" PRIu64 "\n",
         TEXT(e->label), (unsigned)e->aspect, (unsigned)e->modality, TEXT(e->dtype), e->rows, e->row_elements,
         (unsigned)e->most_per_request, e->encoder_tokens, e->encoder_elements);
  SHOW_NEXT("an entry", plimsoll_entry, e);
  return PLIMSOLL_OK;
}
static plimsoll_status take_item(void* ctx, const plimsoll_item* i) PLIMSOLL_NOEXCEPT {
  (void)ctx;
  HOLD_SIZE(plimsoll_item, i, phase);
#ifdef PLIMSOLL_ABI_NEXT
  if (i->category == PLIMSOLL_BYTES_NEXT) {
    printf("next category of item: %u\n", (unsigned)i->next);
    return PLIMSOLL_OK;
  }
#endif
  if (i->category < PLIMSOLL_BYTES_ACTIVATION || i->category > PLIMSOLL_BYTES_WORKSPACE) return PLIMSOLL_E_UNSUPPORTED;
  printf("item %.*s: aspect %u rank %u category %u basis %u lifetime %u memory %u bytes %" PRIu64 " '%.*s' '%.*s'\n", TEXT(i->label),
         (unsigned)i->aspect, (unsigned)i->rank, (unsigned)i->category, (unsigned)i->basis, (unsigned)i->lifetime, (unsigned)i->memory,
         i->bytes, TEXT(i->formula), TEXT(i->phase));
  SHOW_NEXT("an item", plimsoll_item, i);
  return PLIMSOLL_OK;
}
#ifdef PLIMSOLL_ABI_NEXT
static plimsoll_status take_next(void* ctx, uint32_t value) PLIMSOLL_NOEXCEPT {
  (void)ctx;
  printf("next of the sink: %u\n", (unsigned)value);
  return PLIMSOLL_OK;
}
#endif
static plimsoll_sink* new_sink(void) {
  plimsoll_sink* sink = room(LAST(plimsoll_sink, item), 0);
  sink->struct_size = LAST(plimsoll_sink, item);
  sink->weight = take_weight;
  sink->kv = take_kv;
  sink->entry = take_entry;
  sink->item = take_item;
#ifdef PLIMSOLL_ABI_NEXT
  sink->next = take_next;
#endif
  return sink;
}

/* ---- the forward pass ------------------------------------------------------------------------------------ */

static plimsoll_status take_value(void* ctx, const plimsoll_value* v, uint32_t* index) PLIMSOLL_NOEXCEPT {
  (void)ctx;
  HOLD_SIZE(plimsoll_value, v, units);
  printf("value of %" PRIu64 " in %" PRIu64 " units, rows %u\n", v->width, v->units, (unsigned)v->rows);
  SHOW_NEXT("a value", plimsoll_value, v);
  *index = 5;
  return PLIMSOLL_OK;
}
static plimsoll_status take_rope(void* ctx, const plimsoll_rope_table* t, uint32_t* index) PLIMSOLL_NOEXCEPT {
  (void)ctx;
  HOLD_SIZE(plimsoll_rope_table, t, long_beyond_tokens);
  printf("table of %u, the last %.2f, times %.2f\n", (unsigned)t->n, t->inverse_frequencies[t->n - 1], t->attention_factor);
  SHOW_NEXT("a table", plimsoll_rope_table, t);
  *index = 0;
  return PLIMSOLL_OK;
}
static plimsoll_status take_op(void* ctx, const plimsoll_op* op) PLIMSOLL_NOEXCEPT {
  (void)ctx;
  HOLD_SIZE(plimsoll_op, op, f);
  printf("op %u sets %u, %u values and weight %.*s, scale %.2f\n", (unsigned)op->kind, (unsigned)op->out, (unsigned)op->n_in,
         TEXT(op->weight[0]), op->f[0]);
  SHOW_NEXT("an op", plimsoll_op, op);
  return PLIMSOLL_OK;
}
static void ask_for_pipeline(const plimsoll_planner_api* api, const plimsoll_planner* planner) {
  plimsoll_pipeline_sink* sink = room(LAST(plimsoll_pipeline_sink, part), 0);
  plimsoll_error* err = new_error();
  const void* object = NULL;
  const plimsoll_pipeline* pipeline = api->query(planner, str(PLIMSOLL_PIPELINE_ID), &object);
  sink->struct_size = LAST(plimsoll_pipeline_sink, part);
  sink->value = take_value;
  sink->rope = take_rope;
  sink->op = take_op;
  hold(api->query(planner, str("com.example.nothing/1"), &object) == NULL, "an interface that is none");
  hold(pipeline != NULL, "no pipeline");
  HOLD_SIZE(plimsoll_pipeline, pipeline, describe);
  hold_status(pipeline->describe(object, PLIMSOLL_ASPECT_EMBED, PLIMSOLL_NO_LAYER, PLIMSOLL_NO_VALUE, 3, sink, err), "describe", err);
  printf("describes layers: %d\n", (int)pipeline->describe(object, PLIMSOLL_ASPECT_ATTENTION, 0, 3, 3, sink, err));
  free(err);
  free(sink);
}

/* ---- the plugin ------------------------------------------------------------------------------------------ */

static void ask_of_request(const plimsoll_planner_api* api, const plimsoll_planner* planner, const plimsoll_sink* sink,
                           plimsoll_error* err) {
  static const uint64_t free_bytes[2] = {1000000, 1000000}, used_bytes[2] = {500, 500};
  static const uint32_t stages[6] = {0, 0, 0, 0, 0, 0};
  plimsoll_request* req = room(LAST(plimsoll_request, engine), 0);
  uint64_t batch = 0;
  req->struct_size = LAST(plimsoll_request, engine);
  req->aspects = PLIMSOLL_ASPECT_ALL;
  req->n_ranks = req->tp = 2;
  req->pp = req->dp = req->ep = req->n_nodes = 1;
  req->explain = 1;
  req->compute_bits = req->kv_bits = req->weight_bits = 16;
  req->max_length = req->max_batch_input_tokens = 2048;
  req->free_bytes = free_bytes;
  req->used_bytes = used_bytes;
  req->stage_of_layer = stages;
  req->n_layers = 6;
  req->engine = &below;
#ifdef PLIMSOLL_ABI_NEXT
  req->next = kNext;
#endif
  hold_status(api->max_batch(planner, req, &batch, err), "max_batch", err);
  printf("max_batch %" PRIu64 "\n", batch);
  req->max_batch_size = batch;
  hold_status(api->activations(planner, req, sink, err), "activations", err);
  hold_status(api->signal_buffers(planner, req, sink, err), "signal_buffers", err);
  free(req);
}

static void ask_for_facts(const plimsoll_planner_api* api, const plimsoll_planner* planner, plimsoll_error* err) {
  plimsoll_facts* facts = room(LAST(plimsoll_facts, draft_layers), 0);
  facts->struct_size = LAST(plimsoll_facts, draft_layers);
  hold_status(api->facts(planner, facts, err), "facts", err);
  HOLD_SIZE(plimsoll_facts, facts, draft_layers);
  hold(facts->struct_size <= LAST(plimsoll_facts, draft_layers), "the facts grew to %u bytes", (unsigned)facts->struct_size);
  printf("facts: layers %u length %" PRIu64 " hidden %" PRIu64 " vocab %" PRIu64 " heads %" PRIu64 "/%" PRIu64 " experts %" PRIu64
         "/%" PRIu64 " draft %" PRIu64 "\n",
         (unsigned)facts->n_layers, facts->max_length, facts->hidden_elements, facts->vocab_tokens, facts->query_heads, facts->kv_heads,
         facts->experts_per_token, facts->experts, facts->draft_layers);
  SHOW_NEXT("the facts", plimsoll_facts, facts);
  free(facts);
}

/* What a host checks before it calls anything; 3 where the plugin cannot be had. */
static int negotiate(void) {
  uint64_t i;
  HOLD_SIZE(plimsoll_plugin, plugin, fini);
  if (plugin->abi_minor_min > PLIMSOLL_ABI_MINOR) {
    printf("refused: needs a host of ABI %u.%u or newer; this host is %u.%u\n", PLIMSOLL_ABI_MAJOR, (unsigned)plugin->abi_minor_min,
           PLIMSOLL_ABI_MAJOR, PLIMSOLL_ABI_MINOR);
    return 3;
  }
  printf("%.*s %.*s of ABI 1.%u\n", TEXT(plugin->id), TEXT(plugin->version), (unsigned)plugin->abi_minor);
  SHOW_NEXT("the plugin", plimsoll_plugin, plugin);
  for (i = 0; i < plugin->n_families; ++i) {
    const plimsoll_family* family = plugin->families[i];
    HOLD_SIZE(plimsoll_family, family, api);
    HOLD_SIZE(plimsoll_planner_api, family->api, query);
    printf("family %.*s: aspects %u signals %u, %u sites of %" PRIu64 "\n", TEXT(family->id), (unsigned)family->aspects,
           (unsigned)family->signal_policy, (unsigned)family->signal_sites, family->signal_bytes);
    SHOW_NEXT("a family", plimsoll_family, family);
  }
  return 0;
}

int main(int argc, char** argv) {
  static plimsoll_view whole = {""};
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  const plimsoll_planner_api* api;
  plimsoll_planner* planner = NULL;
  plimsoll_host* host = new_table();
  plimsoll_sink* sink = new_sink();
  plimsoll_error* err = new_error();
  int code;
  hold(argc == 2, "usage: host PLUGIN.so");
  hold(library != NULL, "%s cannot be loaded", argv[1]);
  plugin = dlsym(library, "plimsoll_plugin_v1");
  hold(plugin != NULL, "%s exports no plimsoll_plugin_v1", argv[1]);
  code = negotiate();
  if (code == 0) {
    table = host;
    api = plugin->families[0]->api;
    hold_status(plugin->init(host, err), "init", err);
    hold_status(api->create(host, &whole, &planner, err), "create", err);
    ask_for_facts(api, planner, err);
    hold_status(api->weights(planner, PLIMSOLL_ASPECT_ALL, sink, err), "weights", err);
    hold_status(api->kv(planner, PLIMSOLL_ASPECT_ALL, sink, err), "kv", err);
    hold_status(api->entries(planner, PLIMSOLL_ASPECT_ALL, sink, err), "entries", err);
    ask_of_request(api, planner, sink, err);
    ask_for_pipeline(api, planner);
#ifdef PLIMSOLL_ABI_NEXT
    if (PLIMSOLL_HAS(api, plimsoll_planner_api, next)) hold_status(api->next(planner, sink), "next", err);
    else printf("next of the planner: absent\n");
#endif
    api->destroy(planner);
    plugin->families[1]->api->destroy(child);
    plugin->fini();
    printf("done\n");
  }
  free(err);
  free(sink);
  free(host);
  return code;
}
