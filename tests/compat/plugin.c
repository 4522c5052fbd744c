/* A plugin that uses everything that version 1.0 of the ABI has, in one model. It is compiled with the frozen header of every minor, with
 * the current one and with a prepared next one, whose fields are all called `next`: there it fills them too. What crosses lies on the heap
 * and is as long as struct_size says, so that a sanitizer sees who reads beyond it. Loaded by host.c and by the library itself. */
#include <plimsoll/abi.h>
#include <plimsoll/pipeline.h>

#include <stdlib.h>
#include <string.h>

#ifndef COMPAT_MINOR_MIN
#define COMPAT_MINOR_MIN 0 /* the oldest host that it can live with */
#endif
enum { kNext = 77 }; /* what it says in every field of the next minor */

/* Fills struct_size, and what the next minor has beside. */
#ifdef PLIMSOLL_ABI_NEXT
#define FILL(type, object, last) ((object)->next = kNext, (object)->struct_size = PLIMSOLL_SIZE_THROUGH(type, next))
#else
#define FILL(type, object, last) ((object)->struct_size = PLIMSOLL_SIZE_THROUGH(type, last))
#endif
/* As long as it says, from the heap; the caller frees it. */
#define EXACT(object) exact((object), (object)->struct_size)

enum { kLayers = 6, kExperts = 4 };
static const uint32_t layers[kLayers] = {0, 1, 2, 3, 4, 5};

typedef struct numbers {
  uint64_t hidden, heads, kv_heads, vocab;
} numbers;

struct plimsoll_planner {
  int whole; /* the whole model, which asks for the text part of it; else that part */
  numbers n;
  const plimsoll_planner_api* text_api;
  const plimsoll_planner* text;
  uint64_t stored;
};

static plimsoll_str str(const char* text) {
  plimsoll_str s;
  s.data = text;
  s.size = strlen(text);
  return s;
}
static void* exact(const void* from, uint32_t size) {
  void* copy = malloc(size);
  if (copy == NULL) abort();
  return memcpy(copy, from, size);
}
static plimsoll_status report(plimsoll_error* err, plimsoll_status code, const char* where, const char* message) {
  if (code == PLIMSOLL_OK || err == NULL || !PLIMSOLL_HAS(err, plimsoll_error, message)) return code;
  strncpy(err->where, where, sizeof err->where - 1);
  strncpy(err->message, message, sizeof err->message - 1);
  err->struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
  return err->code = code;
}

/* ---- the host table -------------------------------------------------------------------------------------- */

/* Every function of it, and what each must answer for the configuration of the tests. */
static const char* look_around(const plimsoll_host* host, const plimsoll_view* view) {
  uint64_t u = 0, size = 0;
  int64_t i = 0;
  double f = 0;
  uint32_t b = 7;
  char json[64];
  plimsoll_str s = {NULL, 0};
  if (host->get_i64(view, str("/offset"), &i) != PLIMSOLL_OK || i != -3) return "/offset";
  if (host->get_f64(view, str("/scale"), &f) != PLIMSOLL_OK || f < 0.49 || f > 0.51) return "/scale";
  if (host->get_bool(view, str("/tied"), &b) != PLIMSOLL_OK || b != 1) return "/tied";
  if (host->get_str(view, str("/model_type"), &s) != PLIMSOLL_OK || s.size != 6 || memcmp(s.data, "compat", 6) != 0) return "/model_type";
  if (host->get_len(view, str("/kinds"), &u) != PLIMSOLL_OK || u != 2) return "/kinds";
  if (host->get_key(view, str("/pair"), 1, &s) != PLIMSOLL_OK || s.size != 6 || memcmp(s.data, "second", 6) != 0) return "/pair";
  if (host->get_json(view, str("/kinds"), json, sizeof json, &size) != PLIMSOLL_OK || size != 13 ||
      memcmp(json, "[\"one\",\"two\"]", 13) != 0)
    return "/kinds as text";
  u = 99;
  if (host->get_u64(view, str("/absent"), &u) != PLIMSOLL_E_NOT_FOUND || u != 99) return "/absent";
  if (host->get_u64(view, str("/model_type"), &u) != PLIMSOLL_E_TYPE || u != 99) return "/model_type as a number";
  if (host->query(host, str("com.example.nothing/draft.1")) != NULL) return "an interface that is none";
#ifdef PLIMSOLL_ABI_NEXT
  if (PLIMSOLL_HAS(host, plimsoll_host, next)) {
    b = 0;
    if (host->next(view, &b) != PLIMSOLL_OK || b != kNext) return "the next minor's function";
  }
#endif
  return NULL;
}

static uint64_t count_stored(const plimsoll_host* host, const plimsoll_view* view) {
  const plimsoll_tensors* tensors = host->query(host, str(PLIMSOLL_TENSORS_ID));
  plimsoll_tensor tensor;
  if (tensors == NULL || !PLIMSOLL_HAS(tensors, plimsoll_tensors, find)) return 0;
  memset(&tensor, 0, sizeof tensor);
  tensor.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_tensor, stored_bytes);
  if (tensors->find(view, str("no.such.tensor"), &tensor) != PLIMSOLL_E_NOT_FOUND) return UINT64_MAX;
  if (tensors->at(view, tensors->count(view), &tensor) != PLIMSOLL_E_NOT_FOUND) return UINT64_MAX;
  return tensors->count(view);
}

static plimsoll_status ask_for_text(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner* self, plimsoll_error* err) {
  plimsoll_rename rename, *crosses;
  const plimsoll_rename* renames[1];
  const plimsoll_view* below = NULL;
  plimsoll_status status;
  memset(&rename, 0, sizeof rename);
  rename.from = str("model.");
  rename.to = str("model.language_model.");
  FILL(plimsoll_rename, &rename, to);
  renames[0] = crosses = EXACT(&rename);
  status = host->subview(view, str("/text_config"), renames, 1, &below);
  free(crosses);
  if (status != PLIMSOLL_OK) return report(err, status, "/text_config", "is missing");
  return host->planner_for(below, str("com.example.compat.text"), str(""), &self->text_api, &self->text, err);
}

static plimsoll_status create_any(const plimsoll_host* host, const plimsoll_view* view, int whole, plimsoll_planner** out,
                                  plimsoll_error* err) {
  static const char* const keys[] = {"/hidden_size", "/num_attention_heads", "/num_key_value_heads", "/vocab_size"};
  plimsoll_planner* self;
  plimsoll_status status = PLIMSOLL_OK;
  uint64_t values[4];
  size_t i;
  for (i = 0; i < 4 && status == PLIMSOLL_OK; ++i) status = host->get_u64(view, str(keys[i]), &values[i]);
  if (status != PLIMSOLL_OK) return report(err, PLIMSOLL_E_CONFIG, keys[i - 1], "is missing or no number");
  if ((self = calloc(1, sizeof *self)) == NULL) return report(err, PLIMSOLL_E_MEMORY, "", "no memory");
  self->whole = whole;
  self->n.hidden = values[0];
  self->n.heads = values[1];
  self->n.kv_heads = values[2];
  self->n.vocab = values[3];
  if (whole) {
    const char* wrong = look_around(host, view);
    self->stored = count_stored(host, view);
    host->log(host, PLIMSOLL_LOG_DEBUG, str("made a planner"));
    status = wrong != NULL ? report(err, PLIMSOLL_E_CONFIG, wrong, "is not as it should be") : ask_for_text(host, view, self, err);
  }
  if (status != PLIMSOLL_OK) {
    free(self);
    return status;
  }
  *out = self;
  return PLIMSOLL_OK;
}
static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out,
                              plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  return create_any(host, view, 1, out, err);
}
static plimsoll_status create_text(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out,
                                   plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  return create_any(host, view, 0, out, err);
}
static void destroy(plimsoll_planner* self) PLIMSOLL_NOEXCEPT { free(self); }

/* ---- weights --------------------------------------------------------------------------------------------- */

static plimsoll_status send_weight(const plimsoll_sink* out, plimsoll_weight* w) {
  plimsoll_weight* crosses;
  plimsoll_status status;
  FILL(plimsoll_weight, w, rank);
  crosses = EXACT(w);
  status = out->weight(out->ctx, crosses);
  free(crosses);
  return status;
}
static plimsoll_weight matrix(uint32_t aspect, const char* label, const char* pattern, uint64_t rows, uint64_t columns) {
  plimsoll_weight w;
  memset(&w, 0, sizeof w);
  w.aspect = aspect;
  w.label = str(label);
  w.pattern = str(pattern);
  w.n_dims = 2;
  w.dims[0] = rows;
  w.dims[1] = columns;
  w.in_dim = 1;
  return w;
}
static plimsoll_weight of_layers(plimsoll_weight w) {
  w.layers = layers;
  w.n_layers = kLayers;
  w.stage = PLIMSOLL_STAGE_OF_LAYER;
  return w;
}

/* Queries, keys and values in one: three parts, of which the last two are copied where ranks are more than heads. */
static plimsoll_status send_qkv(const numbers* n, const plimsoll_sink* out) {
  const uint64_t width = n->hidden / n->heads;
  plimsoll_weight w = of_layers(matrix(PLIMSOLL_ASPECT_ATTENTION, "attention.qkv_proj", "model.layers.{layer}.qkv_proj.weight",
                                       (n->heads + 2 * n->kv_heads) * width, n->hidden));
  const plimsoll_part* parts[3];
  plimsoll_part* crosses[3];
  plimsoll_status status;
  int i;
  for (i = 0; i < 3; ++i) {
    plimsoll_part part;
    memset(&part, 0, sizeof part);
    part.units = i == 0 ? n->heads : n->kv_heads;
    part.extent = part.units * width;
    part.replicate = i != 0;
    FILL(plimsoll_part, &part, units);
    parts[i] = crosses[i] = EXACT(&part);
  }
  w.placement = PLIMSOLL_PLACE_TP;
  w.quantizable = 1;
  w.parts = parts;
  w.n_parts = 3;
  status = send_weight(out, &w);
  for (i = 0; i < 3; ++i) free(crosses[i]);
  return status;
}

static plimsoll_status text_weights(const numbers* n, const plimsoll_sink* out) {
  plimsoll_status status = send_qkv(n, out);
  plimsoll_weight w = of_layers(matrix(PLIMSOLL_ASPECT_ATTENTION, "attention.norm", "model.layers.{layer}.norm.weight", n->hidden, 0));
  w.n_dims = 1;
  w.in_dim = 0;
  w.dtype = str("float32");
  if (status == PLIMSOLL_OK) status = send_weight(out, &w);
  w = of_layers(matrix(PLIMSOLL_ASPECT_FFN, "ffn.experts", "model.layers.{layer}.experts.{expert}.weight", n->hidden, n->hidden));
  w.placement = PLIMSOLL_PLACE_EXPERT;
  w.experts = kExperts;
  w.quantizable = 1;
  if (status == PLIMSOLL_OK) status = send_weight(out, &w);
  w = of_layers(matrix(PLIMSOLL_ASPECT_FFN, "ffn.stacked", "model.layers.{layer}.stacked.weight", n->hidden, n->hidden));
  w.placement = PLIMSOLL_PLACE_EXPERT;
  w.experts = kExperts;
  w.expert_storage = PLIMSOLL_EXPERTS_STACKED;
  w.shard_dim = PLIMSOLL_WHOLE;
  w.format = str("compat_q3");
  if (status == PLIMSOLL_OK) status = send_weight(out, &w);
  w = of_layers(matrix(PLIMSOLL_ASPECT_FFN, "ffn.concatenated", "model.layers.{layer}.concatenated.weight", n->hidden, n->hidden));
  w.placement = PLIMSOLL_PLACE_EXPERT;
  w.experts = kExperts;
  w.expert_storage = PLIMSOLL_EXPERTS_CONCATENATED;
  if (status == PLIMSOLL_OK) status = send_weight(out, &w);
  w = of_layers(matrix(PLIMSOLL_ASPECT_STATE, "state.in", "model.layers.{layer}.state_in.weight", n->hidden, n->hidden));
  if (status == PLIMSOLL_OK) status = send_weight(out, &w);
  w = matrix(PLIMSOLL_ASPECT_FFN, "ffn.lookup", "model.lookup.weight", n->vocab, n->hidden);
  w.stage = PLIMSOLL_STAGE_EVERY;
  w.placement = PLIMSOLL_PLACE_ONE;
  w.memory = PLIMSOLL_MEMORY_HOST;
  if (status == PLIMSOLL_OK) status = send_weight(out, &w);
  w = matrix(PLIMSOLL_ASPECT_FFN, "ffn.draft", "model.draft.weight", n->hidden, n->hidden);
  w.stage = PLIMSOLL_STAGE_LAST;
  w.role = PLIMSOLL_ROLE_DRAFT;
  return status == PLIMSOLL_OK ? send_weight(out, &w) : status;
}

static plimsoll_status weights(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out,
                               plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  const numbers* n = &self->n;
  plimsoll_status status;
  plimsoll_weight w;
  if (!self->whole) return report(err, text_weights(n, out), "", "the host refused a class of weights");
  status = self->text_api->weights(self->text, aspects & ~(uint32_t)PLIMSOLL_ASPECT_VISION, out, err);
  w = matrix(PLIMSOLL_ASPECT_EMBED, "embedding", "model.embed_tokens.weight", n->vocab, n->hidden);
  w.stage = PLIMSOLL_STAGE_FIRST;
  w.placement = PLIMSOLL_PLACE_VOCAB;
  if (status == PLIMSOLL_OK) status = send_weight(out, &w);
  w = matrix(PLIMSOLL_ASPECT_HEAD, "head", "lm_head.weight", n->vocab, n->hidden);
  w.stage = PLIMSOLL_STAGE_LAST;
  w.placement = PLIMSOLL_PLACE_VOCAB;
  w.role = PLIMSOLL_ROLE_TIED;
  if (status == PLIMSOLL_OK) status = send_weight(out, &w);
  w = matrix(PLIMSOLL_ASPECT_VISION, "vision.patches", "vision.patches.weight", n->hidden, 3);
  w.stage = PLIMSOLL_STAGE_FIRST;
  w.n_dims = 5;
  w.dims[2] = 2;
  w.dims[3] = w.dims[4] = 14;
  if (status == PLIMSOLL_OK) status = send_weight(out, &w);
  w = matrix(PLIMSOLL_ASPECT_VISION, "vision.mask", "vision.mask", 14, 14);
  w.stage = PLIMSOLL_STAGE_FIRST;
  w.role = PLIMSOLL_ROLE_UNUSED;
  if (status == PLIMSOLL_OK) status = send_weight(out, &w);
  return report(err, status, "", "the host refused a class of weights");
}

/* ---- caches ---------------------------------------------------------------------------------------------- */

static plimsoll_status send_group(const plimsoll_sink* out, plimsoll_kv_group* g) {
  plimsoll_kv_group* crosses;
  plimsoll_status status;
  FILL(plimsoll_kv_group, g, expanded_v_elements);
  crosses = EXACT(g);
  status = out->kv(out->ctx, crosses);
  free(crosses);
  return status;
}
/* Of one layer each. */
static plimsoll_kv_group group(const numbers* n, uint32_t kind, const char* label, uint32_t layer) {
  plimsoll_kv_group g;
  memset(&g, 0, sizeof g);
  g.kind = kind;
  g.aspect = PLIMSOLL_ASPECT_ATTENTION;
  g.label = str(label);
  g.layers = layers + layer;
  g.n_layers = 1;
  g.kv_heads = n->kv_heads;
  g.query_heads = n->heads;
  g.k_elements = g.v_elements = n->hidden / n->heads;
  return g;
}
static plimsoll_status send_record(const numbers* n, const plimsoll_sink* out) {
  plimsoll_kv_group g = group(n, PLIMSOLL_KV_FULL, "full", 0);
  const plimsoll_kv_field* record[2];
  plimsoll_kv_field* crosses[2];
  plimsoll_status status;
  int i;
  for (i = 0; i < 2; ++i) {
    plimsoll_kv_field field;
    memset(&field, 0, sizeof field);
    field.dtype = str(i == 0 ? "bfloat16" : "compat_t5");
    field.elements = g.k_elements;
    FILL(plimsoll_kv_field, &field, elements);
    record[i] = crosses[i] = EXACT(&field);
  }
  g.record = record;
  g.n_fields = 2;
  status = send_group(out, &g);
  for (i = 0; i < 2; ++i) free(crosses[i]);
  return status;
}
static plimsoll_status send_state(const numbers* n, const plimsoll_sink* out) {
  plimsoll_kv_group g = group(n, PLIMSOLL_KV_STATE, "state", 4);
  plimsoll_state_region region, *crosses;
  const plimsoll_state_region* regions[1];
  plimsoll_status status;
  memset(&region, 0, sizeof region);
  region.label = str("ssm");
  region.dtype = str("float32");
  region.elements = n->hidden * 16;
  region.units = n->heads;
  region.elements_per_draft_token = n->hidden;
  FILL(plimsoll_state_region, &region, elements_per_draft_token);
  regions[0] = crosses = EXACT(&region);
  g.aspect = PLIMSOLL_ASPECT_STATE;
  g.kv_heads = g.query_heads = g.k_elements = g.v_elements = 0;
  g.regions = regions;
  g.n_regions = 1;
  status = send_group(out, &g);
  free(crosses);
  return status;
}
static plimsoll_status text_kv(const numbers* n, const plimsoll_sink* out) {
  plimsoll_kv_group g;
  plimsoll_status status = send_record(n, out);
  g = group(n, PLIMSOLL_KV_WINDOW, "window", 1);
  g.window_tokens = 128;
  g.k_dtype = str("float8_e4m3fn");
  g.scale_dtype = str("float32");
  g.scale_elements = g.k_elements;
  if (status == PLIMSOLL_OK) status = send_group(out, &g);
  g = group(n, PLIMSOLL_KV_CHUNK, "chunk", 2);
  g.window_tokens = 256;
  g.bound = 1;
  if (status == PLIMSOLL_OK) status = send_group(out, &g);
  g = group(n, PLIMSOLL_KV_LATENT, "latent", 3);
  g.kv_heads = 1;
  g.k_elements = 48;
  g.v_elements = 0;
  g.rope_elements = 16;
  g.expanded_k_elements = 32;
  g.expanded_v_elements = 16;
  g.tokens_per_slot = 1;
  if (status == PLIMSOLL_OK) status = send_group(out, &g);
  if (status == PLIMSOLL_OK) status = send_state(n, out);
  g = group(n, PLIMSOLL_KV_CROSS, "cross", 5);
  g.fixed_tokens = 64;
  if (status == PLIMSOLL_OK) status = send_group(out, &g);
#ifdef PLIMSOLL_ABI_NEXT
  /* A kind of the next minor goes only to who knows it; `next` of the sink is as new as the kind. */
  if (status == PLIMSOLL_OK && PLIMSOLL_HAS(out, plimsoll_sink, next)) {
    g = group(n, PLIMSOLL_KV_NEXT, "next", 0);
    status = send_group(out, &g);
  }
#endif
  return status;
}
static plimsoll_status kv(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  if (self->whole) return self->text_api->kv(self->text, aspects & ~(uint32_t)PLIMSOLL_ASPECT_VISION, out, err);
  return report(err, text_kv(&self->n, out), "", "the host refused a cache");
}

/* ---- facts and entries ----------------------------------------------------------------------------------- */

static plimsoll_status facts(const plimsoll_planner* self, plimsoll_facts* out, plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  if (!PLIMSOLL_HAS(out, plimsoll_facts, draft_layers)) return report(err, PLIMSOLL_E_ABI, "", "no room for the facts");
  out->n_layers = kLayers;
  out->max_length = 4096;
  out->hidden_elements = self->n.hidden;
  out->vocab_tokens = self->n.vocab;
  out->query_heads = self->n.heads;
  out->kv_heads = self->n.kv_heads;
  out->experts = kExperts;
  out->experts_per_token = 2;
  out->draft_layers = 1;
#ifdef PLIMSOLL_ABI_NEXT
  if (PLIMSOLL_HAS(out, plimsoll_facts, next)) {
    FILL(plimsoll_facts, out, draft_layers);
    return PLIMSOLL_OK;
  }
#endif
  out->struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
  return PLIMSOLL_OK;
}
static plimsoll_status entries(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out,
                               plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  static const char* const labels[] = {"image", "video", "audio"};
  plimsoll_status status = PLIMSOLL_OK;
  uint32_t modality;
  (void)aspects;
  for (modality = PLIMSOLL_MODALITY_IMAGE; modality <= PLIMSOLL_MODALITY_AUDIO && status == PLIMSOLL_OK; ++modality) {
    plimsoll_entry entry, *crosses;
    memset(&entry, 0, sizeof entry);
    entry.aspect = PLIMSOLL_ASPECT_VISION;
    entry.modality = modality;
    entry.most_per_request = 4;
    entry.label = str(labels[modality - 1]);
    entry.rows = 256;
    entry.row_elements = self->n.hidden;
    entry.encoder_tokens = 1024;
    entry.encoder_elements = 32;
    FILL(plimsoll_entry, &entry, encoder_elements);
    crosses = EXACT(&entry);
    status = out->entry(out->ctx, crosses);
    free(crosses);
  }
  return report(err, status, "", "the host refused an entry");
}

/* ---- a request ------------------------------------------------------------------------------------------- */

static plimsoll_status send_item(const plimsoll_sink* out, uint32_t aspect, uint32_t category, uint32_t lifetime, const char* label,
                                 uint64_t bytes) {
  plimsoll_item item, *crosses;
  plimsoll_status status;
  memset(&item, 0, sizeof item);
  item.aspect = aspect;
  item.rank = PLIMSOLL_ALL_RANKS;
  item.category = category;
  item.basis = PLIMSOLL_BASIS_EXACT;
  item.lifetime = lifetime;
  item.bytes = bytes;
  item.label = str(label);
  item.formula = str("as it is");
  item.phase = str(lifetime == PLIMSOLL_TRANSIENT ? "forward" : "");
  FILL(plimsoll_item, &item, phase);
  crosses = EXACT(&item);
  status = out->item(out->ctx, crosses);
  free(crosses);
  return status;
}
static plimsoll_status activations(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                   plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  const uint64_t row = self->n.hidden * req->compute_bits / 8;
  plimsoll_status status = send_item(out, PLIMSOLL_ASPECT_ATTENTION, PLIMSOLL_BYTES_ACTIVATION, PLIMSOLL_TRANSIENT, "attention.rows",
                                     req->max_batch_input_tokens * row);
  if (status == PLIMSOLL_OK) status = send_item(out, PLIMSOLL_ASPECT_FFN, PLIMSOLL_BYTES_ACTIVATION, PLIMSOLL_RESIDENT, "ffn.buffer", 4096);
  if (status == PLIMSOLL_OK)
    status = send_item(out, PLIMSOLL_ASPECT_HEAD, PLIMSOLL_BYTES_WORKSPACE, PLIMSOLL_PER_REQUEST, "head.mask", 512);
#ifdef PLIMSOLL_ABI_NEXT
  if (status == PLIMSOLL_OK && PLIMSOLL_HAS(out, plimsoll_sink, next)) {
    status = send_item(out, PLIMSOLL_ASPECT_HEAD, PLIMSOLL_BYTES_NEXT, PLIMSOLL_RESIDENT, "head.next", 64);
    if (status == PLIMSOLL_OK) status = out->next(out->ctx, PLIMSOLL_HAS(req, plimsoll_request, next) ? req->next : 0);
  }
#endif
  return report(err, status, "", "the host refused an item");
}
static plimsoll_status signal_buffers(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                      plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  (void)self;
  if (req->tp < 2) return PLIMSOLL_OK;
  return report(err, send_item(out, PLIMSOLL_ASPECT_ATTENTION, PLIMSOLL_BYTES_SIGNAL, PLIMSOLL_RESIDENT, "signals", 65536), "",
                "the host refused an item");
}
static plimsoll_status max_batch(const plimsoll_planner* self, const plimsoll_request* req, uint64_t* out,
                                 plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  (void)self, (void)err;
  *out = req->n_ranks > 0 && req->free_bytes[0] >= req->used_bytes[0] && req->stage_of_layer[req->n_layers - 1] + 1 == req->pp ? 32 : 0;
  return PLIMSOLL_OK;
}

/* ---- the forward pass ------------------------------------------------------------------------------------ */

static plimsoll_status send_op(const plimsoll_pipeline_sink* sink, uint32_t kind, uint32_t layer, uint32_t in, uint32_t out,
                               const char* weight) {
  plimsoll_op op, *crosses;
  plimsoll_status status;
  memset(&op, 0, sizeof op);
  op.kind = kind;
  op.layer = layer;
  op.out = out;
  op.n_in = in == PLIMSOLL_NO_VALUE ? 0 : 1;
  op.in[0] = in;
  op.n_weights = 1;
  op.weight[0] = str(weight);
  if (kind == PLIMSOLL_OP_LINEAR) op.i[0] = PLIMSOLL_ALL_PARTS;
  op.f[0] = 1;
  FILL(plimsoll_op, &op, f);
  crosses = EXACT(&op);
  status = sink->op(sink->ctx, crosses);
  free(crosses);
  return status;
}
/* The embedding alone; whoever describes no layers says so. */
static plimsoll_status describe(const void* object, uint32_t aspects, uint32_t layer, uint32_t in, uint32_t out,
                                const plimsoll_pipeline_sink* sink, plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  static const double frequencies[2] = {1, 0.5};
  const plimsoll_planner* self = object;
  plimsoll_rope_table table, *crossing_table;
  plimsoll_value value, *crossing_value;
  plimsoll_status status;
  uint32_t index = 0;
  (void)in;
  if (!self->whole || aspects != PLIMSOLL_ASPECT_EMBED) return report(err, PLIMSOLL_E_UNSUPPORTED, "", "describes no layers");
  memset(&value, 0, sizeof value);
  value.width = self->n.hidden;
  FILL(plimsoll_value, &value, units);
  crossing_value = EXACT(&value);
  status = sink->value(sink->ctx, crossing_value, &index);
  free(crossing_value);
  memset(&table, 0, sizeof table);
  table.n = 2;
  table.inverse_frequencies = frequencies;
  table.attention_factor = 1;
  FILL(plimsoll_rope_table, &table, long_beyond_tokens);
  crossing_table = EXACT(&table);
  if (status == PLIMSOLL_OK) status = sink->rope(sink->ctx, crossing_table, &index);
  free(crossing_table);
  if (status == PLIMSOLL_OK) status = send_op(sink, PLIMSOLL_OP_EMBED, layer, PLIMSOLL_NO_VALUE, out, "embedding");
  return report(err, status, "", "the host refused an op");
}
static const void* query(const plimsoll_planner* self, plimsoll_str id, const void** object) PLIMSOLL_NOEXCEPT {
  static const plimsoll_pipeline pipeline = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_pipeline, describe), .describe = describe};
  if (id.size != sizeof PLIMSOLL_PIPELINE_ID - 1 || memcmp(id.data, PLIMSOLL_PIPELINE_ID, id.size) != 0) return NULL;
  *object = self;
  return &pipeline;
}

/* ---- the plugin ------------------------------------------------------------------------------------------ */

#ifdef PLIMSOLL_ABI_NEXT
#define FIELD(type, last)    .struct_size = PLIMSOLL_SIZE_THROUGH(type, next), .next = kNext
#define FUNCTION(type, last) .struct_size = PLIMSOLL_SIZE_THROUGH(type, next), .next = next
static plimsoll_status next(const plimsoll_planner* self, const plimsoll_sink* out) PLIMSOLL_NOEXCEPT {
  return out->next(out->ctx, self->whole ? kNext : 0);
}
#else
#define FIELD(type, last)    .struct_size = PLIMSOLL_SIZE_THROUGH(type, last)
#define FUNCTION(type, last) .struct_size = PLIMSOLL_SIZE_THROUGH(type, last)
#endif
static const plimsoll_planner_api whole_api = {FUNCTION(plimsoll_planner_api, query),
                                               .create = create,
                                               .destroy = destroy,
                                               .weights = weights,
                                               .kv = kv,
                                               .facts = facts,
                                               .entries = entries,
                                               .activations = activations,
                                               .signal_buffers = signal_buffers,
                                               .max_batch = max_batch,
                                               .query = query};
static const plimsoll_planner_api text_api = {
    FUNCTION(plimsoll_planner_api, query), .create = create_text, .destroy = destroy, .weights = weights, .kv = kv, .facts = facts};
static const plimsoll_family whole = {FIELD(plimsoll_family, api),
                                      .aspects = PLIMSOLL_ASPECT_ALL,
                                      .signal_policy = PLIMSOLL_SIGNAL_MULTI_RANK,
                                      .signal_sites = 2,
                                      .signal_bytes = 32768,
                                      .id = PLIMSOLL_STR("com.example.compat"),
                                      .api = &whole_api};
static const plimsoll_family text = {
    FIELD(plimsoll_family, api), .aspects = PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN | PLIMSOLL_ASPECT_STATE,
    .signal_policy = PLIMSOLL_SIGNAL_NEVER, .id = PLIMSOLL_STR("com.example.compat.text"), .api = &text_api};
static const plimsoll_family* const families[] = {&whole, &text};

static plimsoll_status init(const plimsoll_host* host, plimsoll_error* err) PLIMSOLL_NOEXCEPT {
  return report(err, PLIMSOLL_HAS(host, plimsoll_host, planner_for) ? PLIMSOLL_OK : PLIMSOLL_E_ABI, "", "the host table is too small");
}
static void fini(void) PLIMSOLL_NOEXCEPT {}

const plimsoll_plugin plimsoll_plugin_v1 = {FIELD(plimsoll_plugin, fini),
                                            .abi_minor = PLIMSOLL_ABI_MINOR,
                                            .abi_minor_min = COMPAT_MINOR_MIN,
                                            .id = PLIMSOLL_STR("com.example.compat"),
                                            .version = PLIMSOLL_STR("1.0.0"),
                                            .n_families = 2,
                                            .families = families,
                                            .init = init,
                                            .fini = fini};
