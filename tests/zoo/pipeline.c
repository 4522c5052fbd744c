/* A planner of a model of one layer that describes its forward pass, and does wrong what the configuration's key "fault" names. */
#include <plimsoll/abi.h>
#include <plimsoll/pipeline.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { kHidden = 8, kVocab = 16, kHeads = 2, kWidth = 4 };

struct plimsoll_planner {
  char fault[32];
};
static plimsoll_pipeline_sink kept; /* of an earlier call, which nobody may use again */

static plimsoll_str str(const char* text) {
  plimsoll_str s;
  s.data = text;
  s.size = strlen(text);
  return s;
}
static int is(const plimsoll_planner* self, const char* fault) { return strcmp(self->fault, fault) == 0; }

static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out, plimsoll_error* err) {
  plimsoll_planner* self = calloc(1, sizeof *self);
  plimsoll_str fault = {NULL, 0};
  (void)err;
  if (self == NULL) return PLIMSOLL_E_MEMORY;
  if (host->get_str(view, str("/fault"), &fault) == PLIMSOLL_OK && fault.size < sizeof self->fault)
    memcpy(self->fault, fault.data, fault.size);
  *out = self;
  return PLIMSOLL_OK;
}
static void destroy(plimsoll_planner* self) { free(self); }

static plimsoll_status matrix(const plimsoll_sink* out, uint32_t aspect, const char* label, const char* pattern, uint32_t layered,
                              uint64_t rows, uint64_t columns) {
  static const uint32_t layers[1] = {0};
  plimsoll_weight w;
  memset(&w, 0, sizeof w);
  w.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, rank);
  w.aspect = aspect;
  w.label = str(label);
  w.pattern = str(pattern);
  if (layered) {
    w.layers = layers;
    w.n_layers = 1;
  }
  w.stage = layered ? PLIMSOLL_STAGE_OF_LAYER : PLIMSOLL_STAGE_FIRST;
  w.n_dims = 2;
  w.dims[0] = rows;
  w.dims[1] = columns;
  w.in_dim = 1;
  return out->weight(out->ctx, &w);
}

static plimsoll_status refused(plimsoll_error* err, plimsoll_status status) {
  static const char text[] = "the host refused it";
  if (status != PLIMSOLL_OK && err != NULL && PLIMSOLL_HAS(err, plimsoll_error, message)) memcpy(err->message, text, sizeof text);
  return status;
}

static plimsoll_status weights(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  plimsoll_status status = PLIMSOLL_OK;
  (void)aspects;
  if (status == PLIMSOLL_OK) status = matrix(out, PLIMSOLL_ASPECT_EMBED, "embedding", "embed.weight", 0, kVocab, kHidden);
  if (status == PLIMSOLL_OK) status = matrix(out, PLIMSOLL_ASPECT_ATTENTION, "mix", "layers.{layer}.mix.weight", 1, kHidden, kHidden);
  if (status == PLIMSOLL_OK) status = matrix(out, PLIMSOLL_ASPECT_FFN, "ffn", "layers.{layer}.ffn.weight", 1, kHidden, kHidden);
  if (status == PLIMSOLL_OK) status = matrix(out, PLIMSOLL_ASPECT_HEAD, "head", "head.weight", 0, kVocab, kHidden);
  if (status == PLIMSOLL_OK && is(self, "two_of_a_label"))
    status = matrix(out, PLIMSOLL_ASPECT_HEAD, "head", "other_head.weight", 0, kVocab, kHidden);
  return refused(err, status);
}

static plimsoll_status kv(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  static const uint32_t layers[1] = {0};
  plimsoll_kv_group g;
  (void)self, (void)aspects;
  memset(&g, 0, sizeof g);
  g.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_kv_group, expanded_v_elements);
  g.kind = PLIMSOLL_KV_FULL;
  g.aspect = PLIMSOLL_ASPECT_ATTENTION;
  g.label = str("cache");
  g.layers = layers;
  g.n_layers = 1;
  g.kv_heads = kHeads;
  g.query_heads = kHeads;
  g.k_elements = kWidth;
  g.v_elements = kWidth;
  return refused(err, out->kv(out->ctx, &g));
}

static plimsoll_status facts(const plimsoll_planner* self, plimsoll_facts* out, plimsoll_error* err) {
  (void)self, (void)err;
  out->n_layers = 1;
  out->max_length = 64;
  out->hidden_elements = kHidden;
  out->vocab_tokens = kVocab;
  return PLIMSOLL_OK;
}

static plimsoll_op op_of(uint32_t kind, uint32_t layer, uint32_t out, uint32_t in) {
  plimsoll_op op;
  memset(&op, 0, sizeof op);
  op.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_op, f);
  op.kind = kind;
  op.layer = layer;
  op.out = out;
  if (in != PLIMSOLL_NO_VALUE) {
    op.n_in = 1;
    op.in[0] = in;
  }
  op.f[0] = 1;
  return op;
}

static plimsoll_status linear(const plimsoll_pipeline_sink* sink, uint32_t layer, uint32_t out, uint32_t in, const char* weight,
                              uint32_t flags) {
  plimsoll_op op = op_of(PLIMSOLL_OP_LINEAR, layer, out, in);
  op.flags = flags;
  op.n_weights = 1;
  op.weight[0] = str(weight);
  op.i[0] = PLIMSOLL_ALL_PARTS;
  return sink->op(sink->ctx, &op);
}

static plimsoll_status value(const plimsoll_pipeline_sink* sink, uint32_t rows, uint64_t width, uint32_t* index) {
  plimsoll_value v;
  memset(&v, 0, sizeof v);
  v.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_value, units);
  v.rows = rows;
  v.width = width;
  return sink->value(sink->ctx, &v, index);
}

static plimsoll_status shared(const plimsoll_pipeline_sink* sink, uint32_t key, uint64_t width, uint32_t* index) {
  plimsoll_value v;
  memset(&v, 0, sizeof v);
  v.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_value, units);
  v.rows = PLIMSOLL_ROWS_TOKENS;
  v.width = width;
  return sink->shared(sink->ctx, &v, key, index);
}

/* What the layer reads in place of the residual stream. */
static plimsoll_status leave_shared(const plimsoll_planner* self, uint32_t in, const plimsoll_pipeline_sink* sink) {
  uint32_t kept_value = 0;
  plimsoll_op op;
  plimsoll_status status = shared(sink, is(self, "odd_shared_key") ? PLIMSOLL_MAX_SHARED_VALUES : 3, kHidden, &kept_value);
  op = op_of(PLIMSOLL_OP_ADD, PLIMSOLL_NO_LAYER, kept_value, in);
  return status != PLIMSOLL_OK || is(self, "shared_unset") ? status : sink->op(sink->ctx, &op);
}
static int has_shared(const plimsoll_planner* self) {
  return is(self, "shares") || is(self, "odd_shared_key") || is(self, "two_shared_sizes") || is(self, "shared_unset");
}

static plimsoll_status embed(const plimsoll_planner* self, uint32_t out, const plimsoll_pipeline_sink* sink) {
  plimsoll_status status;
  plimsoll_op op = op_of(PLIMSOLL_OP_EMBED, PLIMSOLL_NO_LAYER, out, PLIMSOLL_NO_VALUE);
  if (is(self, "leaves_unset")) return PLIMSOLL_OK;
  op.n_weights = 1;
  op.weight[0] = str(is(self, "no_such_weight") ? "table" : is(self, "weight_of_a_layer") ? "mix" : "embedding");
  if (is(self, "no_weight")) op.n_weights = 0;
  if (is(self, "odd_kind")) op.kind = 99;
  if (is(self, "odd_flags")) op.flags = 8;
  if (is(self, "adds_to_nothing")) op.flags = PLIMSOLL_OP_ACCUMULATE;
  if (is(self, "many_inputs")) op.n_in = 77;
  if (is(self, "no_number")) op.f[0] = (double)NAN;
  if (is(self, "other_layer")) op.layer = 0;
  if (is(self, "small_op")) op.struct_size = 8;
  status = sink->op(sink->ctx, is(self, "null_op") ? NULL : &op);
  return status == PLIMSOLL_OK && has_shared(self) ? leave_shared(self, out, sink) : status;
}

static plimsoll_status attend(const plimsoll_planner* self, uint32_t layer, uint32_t residual, const plimsoll_pipeline_sink* sink) {
  uint32_t q = 0, out = 0, ffn = 0, table = 0;
  plimsoll_rope_table rope;
  double frequencies[kWidth / 2] = {1, 0.5};
  plimsoll_op op;
  plimsoll_status status = value(sink, is(self, "odd_rows") ? 7 : PLIMSOLL_ROWS_TOKENS, is(self, "no_width") ? 0 : kHidden, &q);
  if (status == PLIMSOLL_OK) status = value(sink, PLIMSOLL_ROWS_TOKENS, is(self, "other_width") ? kHidden + 1 : kHidden, &out);
  if (status == PLIMSOLL_OK) status = value(sink, PLIMSOLL_ROWS_TOKENS, kHidden, &ffn);
  if (status != PLIMSOLL_OK) return status;
  if (is(self, "reads_unset")) return linear(sink, layer, out, q, "mix", 0);
  if (is(self, "no_such_value")) return linear(sink, layer, 4000, residual, "mix", 0);
  if (has_shared(self)) {
    uint32_t from = 0;
    status = shared(sink, 3, is(self, "two_shared_sizes") ? kHidden + 1 : kHidden, &from);
    if (status == PLIMSOLL_OK) status = linear(sink, layer, q, from, "mix", 0);
  } else {
    status = linear(sink, layer, q, residual, "mix", 0);
  }
  memset(&rope, 0, sizeof rope);
  rope.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_rope_table, long_beyond_tokens);
  rope.n = is(self, "no_frequencies") ? 0 : kWidth / 2;
  rope.inverse_frequencies = frequencies;
  rope.attention_factor = is(self, "odd_factor") ? 0 : 1;
  if (status == PLIMSOLL_OK) status = sink->rope(sink->ctx, &rope, &table);
  op = op_of(PLIMSOLL_OP_ROPE, layer, q, q);
  op.i[0] = kHeads;
  op.i[1] = kWidth;
  op.i[3] = is(self, "long_columns") ? kWidth + 2 : kWidth;
  op.i[5] = is(self, "no_such_table") ? 9 : table;
  if (status == PLIMSOLL_OK) status = sink->op(sink->ctx, &op);
  op = op_of(PLIMSOLL_OP_ATTEND, layer, out, q);
  op.n_in = 3;
  op.in[1] = op.in[2] = q;
  op.kv_group = is(self, "no_group") ? str("") : str(is(self, "no_such_group") ? "pool" : "cache");
  op.i[0] = is(self, "odd_heads") ? 3 : kHeads;
  op.i[1] = kHeads;
  op.i[2] = op.i[3] = kWidth;
  op.i[7] = is(self, "own_cache") ? 1 : is(self, "later_cache") ? 2 : 0;
  if (status == PLIMSOLL_OK) status = sink->op(sink->ctx, &op);
  if (status == PLIMSOLL_OK) status = linear(sink, layer, residual, out, "mix", PLIMSOLL_OP_ACCUMULATE);
  if (is(self, "forever")) return sink->part(sink->ctx, PLIMSOLL_ASPECT_FFN, layer, residual, ffn);
  if (status == PLIMSOLL_OK)
    status = sink->part(sink->ctx, is(self, "odd_part") ? PLIMSOLL_ASPECT_HEAD : PLIMSOLL_ASPECT_FFN, layer, residual, ffn);
  op = op_of(PLIMSOLL_OP_ADD, layer, residual, ffn);
  op.flags = PLIMSOLL_OP_ACCUMULATE;
  if (status == PLIMSOLL_OK) status = sink->op(sink->ctx, &op);
  if (is(self, "keeps_the_sink")) kept = *sink;
  return status;
}

static plimsoll_status head(const plimsoll_planner* self, uint32_t in, uint32_t out, const plimsoll_pipeline_sink* sink) {
  uint32_t last = 0;
  plimsoll_op op;
  plimsoll_status status = value(sink, is(self, "rows_of_tokens") ? PLIMSOLL_ROWS_TOKENS : PLIMSOLL_ROWS_OUTPUTS, kHidden, &last);
  op = op_of(PLIMSOLL_OP_LAST_ROWS, PLIMSOLL_NO_LAYER, last, in);
  if (status == PLIMSOLL_OK) status = sink->op(sink->ctx, &op);
  if (status == PLIMSOLL_OK) status = linear(sink, PLIMSOLL_NO_LAYER, out, last, "head", 0);
  return status;
}

static plimsoll_status describe(const void* object, uint32_t aspects, uint32_t layer, uint32_t in, uint32_t out,
                                const plimsoll_pipeline_sink* sink, plimsoll_error* err) {
  const plimsoll_planner* self = object;
  if (is(self, "unsupported")) {
    strcpy(err->message, "of this kind nobody knows the way");
    return PLIMSOLL_E_UNSUPPORTED;
  }
  if (is(self, "silent")) return PLIMSOLL_E_INTERNAL;
  if (is(self, "ignores_errors")) {
    plimsoll_op op = op_of(99, layer, out, PLIMSOLL_NO_VALUE);
    sink->op(sink->ctx, &op);
    return PLIMSOLL_OK;
  }
  if (is(self, "used_later") && kept.op != NULL) {
    plimsoll_op op = op_of(PLIMSOLL_OP_ADD, layer, out, in);
    kept.op(kept.ctx, &op);
  }
  if (aspects == PLIMSOLL_ASPECT_EMBED) return embed(self, out, sink);
  if (aspects == PLIMSOLL_ASPECT_HEAD) return head(self, in, out, sink);
  if (aspects == PLIMSOLL_ASPECT_FFN)
    return is(self, "forever") ? sink->part(sink->ctx, PLIMSOLL_ASPECT_FFN, layer, in, out) : linear(sink, layer, out, in, "ffn", 0);
  return attend(self, layer, in, sink);
}

static const plimsoll_pipeline pipeline = {PLIMSOLL_SIZE_THROUGH(plimsoll_pipeline, describe), 0, describe};

static const void* query(const plimsoll_planner* self, plimsoll_str id, const void** object) {
  if (id.size != strlen(PLIMSOLL_PIPELINE_ID) || memcmp(id.data, PLIMSOLL_PIPELINE_ID, id.size) != 0 || is(self, "no_pipeline"))
    return NULL;
  *object = self;
  return &pipeline;
}

static const plimsoll_planner_api api = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query),
                                         .create = create,
                                         .destroy = destroy,
                                         .weights = weights,
                                         .kv = kv,
                                         .facts = facts,
                                         .query = query};
static const plimsoll_family family = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_family, api),
                                       .aspects =
                                           PLIMSOLL_ASPECT_EMBED | PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN | PLIMSOLL_ASPECT_HEAD,
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
