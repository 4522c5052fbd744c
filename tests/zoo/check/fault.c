/* A planner that keeps every rule, but for the one that FAULT names. Each is a plugin of its own: `plimsoll check` must find just that rule
 * broken (expectations.yaml). Without a fault it is the plugin that nothing can be said against. */
#define _GNU_SOURCE
#include <plimsoll/abi.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HIDDEN, LAYERS, HEADS, KV_HEADS, WIDTH, FFN, VOCAB, LENGTH, IMAGE, NUMBERS, MOST_LAYERS = 1024 };
static const char* const keys[NUMBERS] = {"/hidden_size", "/num_hidden_layers", "/num_attention_heads", "/num_key_value_heads",
                                          "/head_dim",    "/intermediate_size", "/vocab_size",          "/max_position_embeddings",
                                          "/image_size"};

struct plimsoll_planner {
  uint64_t n[NUMBERS], extra;
  uint32_t layers[MOST_LAYERS];
  const plimsoll_planner_api* api; /* of the child, where there is one */
  const plimsoll_planner* child;
  pid_t thread;
  int asked;
};

static int is(const char* fault) { return strcmp(FAULT, fault) == 0; }
static plimsoll_str str(const char* text) {
  plimsoll_str s;
  s.data = text;
  s.size = strlen(text);
  return s;
}
static plimsoll_status report(plimsoll_error* err, plimsoll_status code, const char* where, const char* message) {
  if (code == PLIMSOLL_OK) return code;
  if (!is("ABI-12") && (err == NULL || !PLIMSOLL_HAS(err, plimsoll_error, message))) return code;
  snprintf(err->where, sizeof err->where, "%s", is("ERR-01") ? "" : where);
  snprintf(err->message, sizeof err->message, "%s%s", is("ERR-01") ? "it is wrong" : message, is("ERR-05") ? " \xff\xfe" : "");
  err->code = code;
  return code;
}

/* What every call runs into. */
static void misbehave(const plimsoll_planner* self) {
  if (is("BOX-01") && fork() == 0) _exit(0);
  if (is("BOX-02")) printf("how do you do\n");
  if (is("BOX-03")) umask(0);
  if (self->asked == 0) ((plimsoll_planner*)self)->asked = 1;
}

/* ---- create ----------------------------------------------------------------------------------------------- */

static const plimsoll_planner_api api;
static int planners, busy;
static plimsoll_family changing;

static plimsoll_status read_numbers(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner* p, plimsoll_error* err) {
  static uint64_t first;
  int i, wrong = 0;
  plimsoll_status status = PLIMSOLL_OK;
  for (i = 0; i < NUMBERS; ++i) {
    const plimsoll_status got = host->get_u64(view, str(keys[i]), &p->n[i]);
    uint64_t n = 0;
    if (is("ABI-13") && got == PLIMSOLL_E_MEMORY) abort();
    if (is("FUZZ-01") && host->get_len(view, str(keys[i]), &n) == PLIMSOLL_OK && n > 10) abort();
    if (is("ERR-03") && i == HEADS && got == PLIMSOLL_OK) p->extra = 100 / p->n[i];
    if (got != PLIMSOLL_OK || p->n[i] == 0 || p->n[i] > (i == LAYERS ? MOST_LAYERS : 1u << 30u)) {
      ++wrong;
      if (status == PLIMSOLL_OK)
        status = report(err, is("ERR-06") && got == PLIMSOLL_E_NOT_FOUND ? 77 : PLIMSOLL_E_CONFIG, keys[i],
                        "is missing, 0, too large or no number");
    }
  }
  if (is("FUZZ-02") && wrong > 1) abort();
  if (is("DET-06") && status == PLIMSOLL_OK) {
    if (first == 0) first = p->n[HIDDEN];
    p->n[HIDDEN] = first;
  }
  return status;
}

static plimsoll_status delegate(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner* p, plimsoll_error* err) {
  const plimsoll_view* part = NULL;
  plimsoll_status status = host->subview(view, str("/text_config"), NULL, 0, &part);
  if (status == PLIMSOLL_E_NOT_FOUND) return PLIMSOLL_OK;
  if (status != PLIMSOLL_OK) return report(err, PLIMSOLL_E_CONFIG, "/text_config", "is no object");
  status = host->planner_for(part, str(""), str(""), &p->api, &p->child, err);
  if (status != PLIMSOLL_OK) p->child = NULL;
  if ((is("COMP-02") && status == PLIMSOLL_E_UNSUPPORTED) || (is("COMP-03") && status == PLIMSOLL_E_CYCLE)) return PLIMSOLL_OK;
  if (is("COMP-04") && status != PLIMSOLL_OK && err != NULL) return report(err, status, "", "the text model is wrong");
  return status == PLIMSOLL_E_CYCLE ? report(err, status, "/text_config", "is planned by itself") : status;
}

static plimsoll_status make(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner* p, plimsoll_error* err) {
  plimsoll_str text = {NULL, 0};
  plimsoll_status status;
  uint32_t i;
  if (is("ABI-07") && host->struct_size != PLIMSOLL_SIZE_THROUGH(plimsoll_host, planner_for))
    return report(err, PLIMSOLL_E_ABI, "", "this host is another one");
  if (is("ABI-06")) p->extra += ((const volatile unsigned char*)host)[host->struct_size] & 0u;
  status = host->get_str(view, str("/torch_dtype"), &text);
  if (is("ERR-02") && status == PLIMSOLL_E_TYPE) abort();
  if (is("ABI-15") && status == PLIMSOLL_OK) {
    volatile size_t length = strlen(text.data);
    (void)length;
  }
  if (is("DET-04") && host->get_key(view, str(""), 0, &text) == PLIMSOLL_OK) p->extra += text.size;
  if ((status = read_numbers(host, view, p, err)) != PLIMSOLL_OK) return status;
  for (i = 0; i < p->n[LAYERS]; ++i) p->layers[i] = i;
  return delegate(host, view, p, err);
}

static int create_in_big_frame(void) {
  volatile char frame[512u << 10u];
  unsigned i;
  for (i = 0; i < sizeof frame; i += 4096) frame[i] = 1;
  return frame[4096];
}

/* Long enough for other threads to come in, and no longer on a machine that has other work. */
__attribute__((unused)) static void linger(void) {
  const struct timespec pause = {0, 100000};
  nanosleep(&pause, NULL);
}

__attribute__((unused)) static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out,
                                                      plimsoll_error* err) {
  plimsoll_planner* const p = calloc(1, sizeof *p);
  plimsoll_status status;
  if (is("ERR-08")) p->extra = 0;
  if (p == NULL) return report(err, PLIMSOLL_E_MEMORY, "", "out of memory");
  if (is("THR-02")) {
    if (busy++ != 0) {
      --busy;
      free(p);
      return report(err, PLIMSOLL_E_INTERNAL, "", "is busy");
    }
    linger();
    --busy;
  }
  if (is("RES-01")) {
    void* volatile lost = malloc(100);
    (void)lost;
  }
  if (is("RES-02")) (void)open("/dev/null", O_RDONLY);
  if (is("RES-04")) p->extra = (uint64_t)create_in_big_frame() - 1;
  if (is("ABI-05")) ++changing.signal_bytes;
  if (is("BOX-04")) p->extra = getenv("HOME") == NULL ? 0 : strlen(getenv("HOME"));
  p->thread = gettid();
  status = make(host, view, p, err);
  if (status == PLIMSOLL_OK && is("LIFE-04") && planners >= 64) status = report(err, PLIMSOLL_E_MEMORY, "", "64 planners are there");
  if (status != PLIMSOLL_OK) {
    free(p);
    if (is("LIFE-03")) *out = NULL;
    return status;
  }
  ++planners;
  *out = p;
  return PLIMSOLL_OK;
}
static void destroy(plimsoll_planner* p) {
  if (is("LIFE-02") && !p->asked) abort();
  --planners;
  free(p);
}

/* ---- what is declared --------------------------------------------------------------------------------------- */

static _Thread_local int within;

static plimsoll_status matrix(const plimsoll_planner* p, const plimsoll_sink* out, uint32_t aspect, uint32_t stage, const char* name,
                              uint64_t rows, uint64_t columns) {
  plimsoll_weight w;
  char pattern[64];
  memset(&w, 0, sizeof w);
  snprintf(pattern, sizeof pattern, "%s%s.weight",
           aspect == PLIMSOLL_ASPECT_ATTENTION || aspect == PLIMSOLL_ASPECT_FFN ? "layers.{layer}." : "", name);
  w.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, rank) + (is("ABI-01") ? 8 : 0);
  w.aspect = aspect;
  w.label = str(name);
  w.pattern = str(pattern);
  if (aspect == PLIMSOLL_ASPECT_ATTENTION || aspect == PLIMSOLL_ASPECT_FFN) {
    w.layers = p->layers;
    w.n_layers = p->n[LAYERS];
  }
  w.stage = stage;
  w.n_dims = columns == 0 ? 1 : 2;
  w.dims[0] = rows;
  w.dims[1] = columns;
  w.in_dim = columns == 0 ? 0 : 1;
  return out->weight(out->ctx, &w);
}

static plimsoll_status weights(const plimsoll_planner* p, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  static int failed;
  const uint64_t layers = p->n[LAYERS];
  uint64_t ffn = p->n[FFN], heads = p->n[HEADS] * p->n[WIDTH];
  plimsoll_status status;
  misbehave(p);
  if (is("LIFE-05") && p->thread != gettid()) return report(err, PLIMSOLL_E_INTERNAL, "", "this is another thread");
  if (is("ABI-11") && (aspects & ~(uint32_t)PLIMSOLL_ASPECT_ALL) != 0) return report(err, PLIMSOLL_E_ABI, "", "an unknown aspect");
  if (is("P-18") && aspects == PLIMSOLL_ASPECT_ATTENTION) return PLIMSOLL_OK;
  if (is("P-04")) ffn = (1u << 22u) / (layers * layers * layers) + 1;
  if (is("ERR-07") && failed) heads *= 2;
  within = is("THR-03");
  status = is("P-05")
               ? matrix(p, out, PLIMSOLL_ASPECT_EMBED, PLIMSOLL_STAGE_FIRST, "embedding", (uint32_t)(p->n[VOCAB] * p->n[HIDDEN] + 7), 0)
               : matrix(p, out, PLIMSOLL_ASPECT_EMBED, PLIMSOLL_STAGE_FIRST, "embedding", p->n[VOCAB], p->n[HIDDEN]);
  if (status == PLIMSOLL_OK && is("P-08"))
    status = matrix(p, out, PLIMSOLL_ASPECT_EMBED, PLIMSOLL_STAGE_FIRST, "embedding", p->n[VOCAB], p->n[HIDDEN]);
  if (status == PLIMSOLL_OK) status = matrix(p, out, PLIMSOLL_ASPECT_ATTENTION, PLIMSOLL_STAGE_OF_LAYER, "mix", heads, p->n[HIDDEN]);
  if (status == PLIMSOLL_OK)
    status = matrix(p, out, PLIMSOLL_ASPECT_FFN, is("P-10") ? PLIMSOLL_STAGE_EVERY : PLIMSOLL_STAGE_OF_LAYER, "ffn", ffn, p->n[HIDDEN]);
  if (status == PLIMSOLL_OK)
    status = matrix(p, out, PLIMSOLL_ASPECT_HEAD, PLIMSOLL_STAGE_LAST, "head", is("P-05") ? 1 : p->n[VOCAB], p->n[HIDDEN]);
  within = 0;
  if (status != PLIMSOLL_OK && is("ABI-14")) abort();
  if (status != PLIMSOLL_OK) failed = 1;
  if (is("DET-03")) ((plimsoll_planner*)p)->asked = 2;
  return report(err, status, "", "the host refused a class of weights");
}

static plimsoll_status kv(const plimsoll_planner* p, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  plimsoll_kv_group g;
  (void)aspects;
  if (is("DET-03") && p->asked != 2) return PLIMSOLL_OK;
  if (within) return report(err, PLIMSOLL_E_INTERNAL, "", "is busy");
  memset(&g, 0, sizeof g);
  g.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_kv_group, expanded_v_elements);
  g.kind = PLIMSOLL_KV_FULL;
  g.aspect = PLIMSOLL_ASPECT_ATTENTION;
  g.label = str("cache");
  g.layers = is("ABI-16") ? NULL : p->layers;
  g.n_layers = p->n[LAYERS];
  g.kv_heads = p->n[KV_HEADS];
  g.query_heads = p->n[HEADS];
  g.k_elements = g.v_elements = p->n[WIDTH];
  return report(err, out->kv(out->ctx, &g), "", "the host refused the cache");
}

static plimsoll_status facts(const plimsoll_planner* p, plimsoll_facts* out, plimsoll_error* err) {
  static volatile int inside;
  (void)err;
  out->struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
  out->n_layers = (uint32_t)p->n[LAYERS];
  out->max_length = p->n[LENGTH];
  out->hidden_elements = p->n[HIDDEN];
  out->vocab_tokens = p->n[VOCAB];
  out->query_heads = p->n[HEADS];
  out->kv_heads = p->n[KV_HEADS];
  if (is("ABI-09")) memset((char*)out + out->struct_size, 0, 8);
  if (is("THR-01")) {
    if (inside++ != 0) out->kv_heads += 1;
    linger();
    --inside;
  }
  return PLIMSOLL_OK;
}

static plimsoll_status entries(const plimsoll_planner* p, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  const uint64_t side = is("P-16") ? 4096 / p->n[IMAGE] + 1 : p->n[IMAGE] / 4 + 1;
  plimsoll_entry e;
  (void)aspects;
  memset(&e, 0, sizeof e);
  e.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_entry, encoder_elements);
  e.aspect = PLIMSOLL_ASPECT_VISION;
  e.modality = PLIMSOLL_MODALITY_IMAGE;
  e.label = str("image");
  e.rows = side;
  e.row_elements = p->n[HIDDEN];
  e.encoder_tokens = side;
  e.encoder_elements = p->n[HIDDEN];
  return report(err, out->entry(out->ctx, &e), "", "the host refused an entry");
}

/* ---- what is priced ----------------------------------------------------------------------------------------- */

static plimsoll_status item(const plimsoll_sink* out, uint32_t category, const char* label, uint32_t rank, uint64_t bytes) {
  plimsoll_item i;
  memset(&i, 0, sizeof i);
  i.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_item, phase);
  i.aspect = PLIMSOLL_ASPECT_ATTENTION;
  i.rank = rank;
  i.category = category;
  i.label = str(label);
  i.bytes = bytes > PLIMSOLL_MAX_ITEM_BYTES ? PLIMSOLL_MAX_ITEM_BYTES : bytes;
  return out->item(out->ctx, &i);
}

static uint64_t times(uint64_t a, uint64_t b) { return b != 0 && a > PLIMSOLL_MAX_ITEM_BYTES / b ? PLIMSOLL_MAX_ITEM_BYTES : a * b; }

static plimsoll_status activations(const plimsoll_planner* p, const plimsoll_request* r, const plimsoll_sink* out, plimsoll_error* err) {
  static unsigned calls;
  const uint64_t row = times(p->n[HIDDEN], r->compute_bits) / 8;
  uint64_t bytes = times(row, r->max_batch_input_tokens) + p->extra;
  plimsoll_status status = PLIMSOLL_OK;
  misbehave(p);
  if (is("ABI-08")) bytes += ((const volatile unsigned char*)r)[r->struct_size] & 0u;
  if (is("FUZZ-03") && r->max_length > UINT32_MAX) abort();
  if (is("DET-01")) bytes += calls++ % 2;
  if (is("DET-02")) bytes += (uint64_t)getpid();
  if (is("P-01")) bytes = (1u << 30u) / (r->max_batch_input_tokens + 1);
  if (is("P-03")) bytes += (1u << 30u) / (r->max_length + 1);
  if (is("P-20")) bytes = (1u << 30u) / (r->compute_bits + 1);
  status = item(out, PLIMSOLL_BYTES_ACTIVATION, is("ABI-17") ? "" : "rows", PLIMSOLL_ALL_RANKS, bytes);
  if (status == PLIMSOLL_OK && is("P-11")) status = item(out, PLIMSOLL_BYTES_ACTIVATION, "gathered", 0, 4096);
  if (status == PLIMSOLL_OK && is("P-19")) status = item(out, PLIMSOLL_BYTES_ACTIVATION, "gathered", r->n_ranks, 4096);
  if (status == PLIMSOLL_OK && p->child != NULL) status = p->api->activations(p->child, r, out, err);
  if (status == PLIMSOLL_OK && p->child != NULL && is("COMP-01")) status = p->api->activations(p->child, r, out, err);
  return report(err, status, "", "the host refused an item");
}
static plimsoll_status signal_buffers(const plimsoll_planner* p, const plimsoll_request* r, const plimsoll_sink* out, plimsoll_error* err) {
  (void)p;
  if (r->n_ranks < 2 && !is("P-15")) return PLIMSOLL_OK;
  return report(err, item(out, PLIMSOLL_BYTES_SIGNAL, "signals", PLIMSOLL_ALL_RANKS, 1u << 20u), "", "the host refused an item");
}
static plimsoll_status max_batch(const plimsoll_planner* p, const plimsoll_request* r, uint64_t* out, plimsoll_error* err) {
  (void)p, (void)err;
  *out = is("P-17") ? 1 + (1ull << 40u) / (r->free_bytes[0] + 1) : r->free_bytes[0] >> 28u;
  return PLIMSOLL_OK;
}
static const void* query(const plimsoll_planner* p, plimsoll_str id, const void** object) {
  static const char name[] = "plimsoll.pipeline/1";
  *object = p;
  return is("ABI-10") && id.size > sizeof name - 1 && memcmp(id.data, name, sizeof name - 1) == 0 ? &api : NULL;
}

/* ---- the plugin --------------------------------------------------------------------------------------------- */

static void on_signal(int number) { (void)number; }
static plimsoll_status init(const plimsoll_host* host, plimsoll_error* err) {
  static int calls;
  Dl_info info;
  (void)host;
  if (is("LOAD-03")) signal(SIGUSR2, on_signal);
  if (is("LOAD-02") && dladdr((const void*)keys, &info) != 0 && strchr(info.dli_fname, ' ') != NULL)
    return report(err, PLIMSOLL_E_INTERNAL, "", "my path has a space");
  if (is("LIFE-01") && calls++ > 0) return report(err, PLIMSOLL_E_INTERNAL, "", "I was started before");
  return PLIMSOLL_OK;
}
#ifdef FAULT_DESTRUCTOR
__attribute__((destructor)) static void at_the_end(void) { _exit(3); }
#endif
#ifdef FAULT_UNDEFINED
const char* plimsoll_version(void); /* of the host's own library */
static const char* (*volatile of_host)(void) = plimsoll_version;
#endif
#ifdef FAULT_EXPORT
__attribute__((visibility("default"))) int zoo_is_seen(void) { return 1; }
#endif

static const plimsoll_planner_api api = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query),
#ifndef FAULT_NO_CREATE
                                         .create = create,
#endif
                                         .destroy = destroy,
                                         .weights = weights,
                                         .kv = kv,
                                         .facts = facts,
                                         .entries = entries,
                                         .activations = activations,
                                         .signal_buffers = signal_buffers,
                                         .max_batch = max_batch,
                                         .query = query};
#define FAMILY                                                                                                                             \
  {                                                                                                                                        \
    .struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_family, api), .aspects = PLIMSOLL_ASPECT_ALL,                                            \
    .signal_policy = PLIMSOLL_SIGNAL_MULTI_RANK, .signal_sites = 1, .id = PLIMSOLL_STR(ZOO_ID), .api = &api                                \
  }
static plimsoll_family changing = FAMILY;
static const plimsoll_family steady = FAMILY;
#ifdef FAULT_CHANGES
static const plimsoll_family* const families[] = {&changing};
#else
static const plimsoll_family* const families[] = {&steady};
#endif
#ifdef FAULT_NO_TABLE
#define plimsoll_plugin_v1 plimsoll_plugin_v9
PLIMSOLL_EXPORT extern const plimsoll_plugin plimsoll_plugin_v9;
#endif
const plimsoll_plugin plimsoll_plugin_v1 = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini),
                                            .abi_minor = PLIMSOLL_ABI_MINOR,
                                            .id = PLIMSOLL_STR(ZOO_ID),
#ifdef FAULT_VERSION
                                            .version = PLIMSOLL_STR("9.9.9"),
#else
                                            .version = PLIMSOLL_STR("1.0.0"),
#endif
                                            .n_families = 1,
                                            .families = families,
                                            .init = init};
const void* zoo_keep(void);
__attribute__((visibility("hidden"))) const void* zoo_keep(void) {
#ifdef FAULT_UNDEFINED
  (void)of_host;
#endif
  return families[0] == &changing ? (const void*)&steady : (const void*)&changing;
}
