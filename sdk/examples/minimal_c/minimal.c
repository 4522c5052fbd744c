/* A plugin in plain C, without the SDK's C++ header: an embedding, and one layer's worth of fused attention repeated. It shows
 * the contract itself: who fills struct_size, who owns what, how an error is reported. Every function runs on any thread; the
 * planner never changes after create. */
#include <plimsoll/abi.h>

#include <stdlib.h>
#include <string.h>

#define MAX_LAYERS 1024u
#define STR(literal)                                                                                                                       \
  { (literal), sizeof(literal) - 1 }

/* Ours: the header only declares its name. */
struct plimsoll_planner {
  uint64_t hidden, heads, vocab;
  uint32_t n_layers;
  uint32_t layers[MAX_LAYERS];
};

static plimsoll_status fail(plimsoll_error* err, plimsoll_status code, const char* where, const char* message) {
  if (err != NULL && PLIMSOLL_HAS(err, plimsoll_error, message)) {
    err->code = code;
    strncpy(err->where, where, sizeof err->where - 1);
    err->where[sizeof err->where - 1] = '\0';
    strncpy(err->message, message, sizeof err->message - 1);
    err->message[sizeof err->message - 1] = '\0';
  }
  return code;
}

/* A number from 1 to `most`. */
static plimsoll_status read_size(const plimsoll_host* host, const plimsoll_view* view, const char* pointer, uint64_t most, uint64_t* out,
                                 plimsoll_error* err) {
  const plimsoll_str key = {pointer, strlen(pointer)};
  if (host->get_u64(view, key, out) != PLIMSOLL_OK)
    return fail(err, PLIMSOLL_E_CONFIG, pointer, "is missing or no number; a positive number was expected");
  if (*out == 0 || *out > most) return fail(err, PLIMSOLL_E_CONFIG, pointer, "is 0 or too large; check the configuration");
  return PLIMSOLL_OK;
}

static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out, plimsoll_error* err) {
  uint64_t hidden = 0, heads = 0, vocab = 0, layers = 0;
  plimsoll_status status;
  plimsoll_planner* self;
  uint32_t i;
  if ((status = read_size(host, view, "/hidden_size", 1u << 20, &hidden, err)) != PLIMSOLL_OK) return status;
  if ((status = read_size(host, view, "/num_attention_heads", hidden, &heads, err)) != PLIMSOLL_OK) return status;
  if ((status = read_size(host, view, "/vocab_size", 1u << 28, &vocab, err)) != PLIMSOLL_OK) return status;
  if ((status = read_size(host, view, "/num_hidden_layers", MAX_LAYERS, &layers, err)) != PLIMSOLL_OK) return status;
  if (hidden % heads != 0) return fail(err, PLIMSOLL_E_CONFIG, "/num_attention_heads", "does not divide hidden_size; check both");
  self = calloc(1, sizeof *self);
  if (self == NULL) return fail(err, PLIMSOLL_E_MEMORY, "", "out of memory in the planner");
  self->hidden = hidden;
  self->heads = heads;
  self->vocab = vocab;
  self->n_layers = (uint32_t)layers;
  for (i = 0; i < self->n_layers; ++i) self->layers[i] = i;
  *out = self;
  return PLIMSOLL_OK;
}

static void destroy(plimsoll_planner* self) { free(self); }

/* The host keeps nothing that we point to after the call. */
static plimsoll_status weights(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  static const plimsoll_str embedding = STR("embedding"), embedding_name = STR("model.embed_tokens.weight");
  static const plimsoll_str attention = STR("attention.qkv"), attention_name = STR("model.layers.{layer}.qkv.weight");
  if ((aspects & PLIMSOLL_ASPECT_EMBED) != 0) {
    plimsoll_weight w;
    memset(&w, 0, sizeof w);
    w.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, n_parts);
    w.aspect = PLIMSOLL_ASPECT_EMBED;
    w.label = embedding;
    w.pattern = embedding_name;
    w.stage = PLIMSOLL_STAGE_FIRST;
    w.placement = PLIMSOLL_PLACE_VOCAB;
    w.n_dims = 2;
    w.dims[0] = self->vocab;
    w.dims[1] = self->hidden;
    w.in_dim = 1;
    if (out->weight(out->ctx, &w) != PLIMSOLL_OK) return fail(err, PLIMSOLL_E_CONFIG, "", "the host refused the embedding");
  }
  if ((aspects & PLIMSOLL_ASPECT_ATTENTION) != 0) {
    /* q, k and v shard by themselves, in whole heads. */
    const plimsoll_part part = {self->hidden, self->heads, 0};
    plimsoll_part parts[3];
    plimsoll_weight w;
    parts[0] = part;
    parts[1] = part;
    parts[2] = part;
    memset(&w, 0, sizeof w);
    w.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, n_parts);
    w.aspect = PLIMSOLL_ASPECT_ATTENTION;
    w.label = attention;
    w.pattern = attention_name;
    w.layers = self->layers;
    w.n_layers = self->n_layers;
    w.stage = PLIMSOLL_STAGE_OF_LAYER;
    w.placement = PLIMSOLL_PLACE_TP;
    w.shard_dim = 0;
    w.parts = parts;
    w.n_parts = 3;
    w.n_dims = 2;
    w.dims[0] = 3 * self->hidden;
    w.dims[1] = self->hidden;
    w.in_dim = 1;
    w.quantizable = 1;
    if (out->weight(out->ctx, &w) != PLIMSOLL_OK) return fail(err, PLIMSOLL_E_CONFIG, "", "the host refused the attention");
  }
  return PLIMSOLL_OK;
}

static plimsoll_status kv(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  static const plimsoll_str label = STR("attention");
  plimsoll_kv_group g;
  if ((aspects & PLIMSOLL_ASPECT_ATTENTION) == 0) return PLIMSOLL_OK;
  memset(&g, 0, sizeof g);
  g.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_kv_group, bound);
  g.kind = PLIMSOLL_KV_FULL;
  g.label = label;
  g.layers = self->layers;
  g.n_layers = self->n_layers;
  g.kv_heads = self->heads;
  g.query_heads = self->heads;
  g.k_elements = self->hidden / self->heads;
  g.v_elements = self->hidden / self->heads;
  return out->kv(out->ctx, &g) == PLIMSOLL_OK ? PLIMSOLL_OK : fail(err, PLIMSOLL_E_CONFIG, "", "the host refused the KV group");
}

/* What is left NULL gets the host's default: facts from the usual keys, no vision, no activations. */
static const plimsoll_planner_api api = {
    .struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query), .create = create, .destroy = destroy, .weights = weights, .kv = kv};

static const plimsoll_family family = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_family, api),
                                       .aspects = PLIMSOLL_ASPECT_EMBED | PLIMSOLL_ASPECT_ATTENTION,
                                       .signal_policy = PLIMSOLL_SIGNAL_NEVER,
                                       .signal_sites = 1,
                                       .id = "com.acme.minimal",
                                       .api = &api};
static const plimsoll_family* const families[] = {&family};

const plimsoll_plugin plimsoll_plugin_v1 = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini),
                                            .abi_minor = PLIMSOLL_ABI_MINOR,
                                            .abi_minor_min = 0,
                                            .id = "com.acme.minimal",
                                            .version = "1.0.0",
                                            .n_families = 1,
                                            .families = families};
