/* A planner that does to the process which it runs in what the configuration's key "fault" says, in the call that "call" says. Without a
 * fault it declares one class and one KV group and emits one item. For the tests of workers; never loaded into a test's own process. */
#define _GNU_SOURCE
#include <plimsoll/abi.h>
#include <plimsoll/pipeline.h>

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct plimsoll_planner {
  const plimsoll_host* host;
  char fault[32], call[32];
};

static plimsoll_str str(const char* text) {
  plimsoll_str out = {text, strlen(text)};
  return out;
}

static void* wait_for_ever(void* nothing) {
  for (;;) pause();
  return nothing;
}
static void end_with_zero(void) { _exit(0); }

/* Bytes of its own on the channel of the worker, as if the worker had sent them. */
static void forge(uint32_t size, const char* bytes, size_t n) {
  if (send(3, &size, sizeof size, MSG_NOSIGNAL) < 0 || send(3, bytes, n, MSG_NOSIGNAL) < 0) return;
}

/* Far below what a stack holds; written to, so that it is not left out. */
static void overflow_stack(const char* from) {
  char page[4096];
  memset(page, *from, sizeof page);
  if (page[1] == *from) overflow_stack(page);
  if (page[2] != *from) puts(page);
}

static void disturb(const struct plimsoll_planner* self, const char* call) {
  const char* const fault = self->fault;
  if (strcmp(self->call, call) != 0) return;
  if (strcmp(fault, "abort") == 0) abort();
  if (strcmp(fault, "segv") == 0) *(volatile int*)8 = 1;
  if (strcmp(fault, "stack") == 0) overflow_stack(self->fault);
  if (strcmp(fault, "kill") == 0) raise(SIGKILL);
  if (strcmp(fault, "exit") == 0) exit(0);
  if (strcmp(fault, "_exit") == 0) _exit(7);
  if (strcmp(fault, "hang") == 0)
    for (;;) {
    }
  if (strcmp(fault, "sleep") == 0)
    for (;;) pause();
  if (strcmp(fault, "fork") == 0 && fork() == 0) wait_for_ever(NULL);
  if (strcmp(fault, "thread") == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_ever, NULL);
  }
  if (strcmp(fault, "shell") == 0 && system("true") != 0) return;
  if (strcmp(fault, "parent") == 0) kill(getppid(), SIGKILL);
  if (strcmp(fault, "socket") == 0) close(socket(AF_INET, SOCK_STREAM, 0));
  if (strcmp(fault, "print") == 0) printf("a line\n");
  if (strcmp(fault, "complain") == 0) fprintf(stderr, "a complaint\n");
  if (strcmp(fault, "flood") == 0)
    for (int i = 0; i < 100000; ++i) printf("%099d\n", i);
  if (strcmp(fault, "chdir") == 0 && chdir("/") != 0) abort();
  if (strcmp(fault, "umask") == 0) umask(0);
  if (strcmp(fault, "close") == 0)
    for (int i = 0; i < 64; ++i) close(i);
  if (strcmp(fault, "dup") == 0) dup2(0, 3);
  if (strcmp(fault, "atexit") == 0) atexit(end_with_zero);
  if (strcmp(fault, "memory") == 0)
    for (;;) {
      char* const more = malloc(1 << 20);
      if (more == NULL) abort();
      memset(more, 1, 1 << 20);
    }
  if (strcmp(fault, "log") == 0)
    for (int i = 0; i < 5000; ++i) self->host->log(self->host, PLIMSOLL_LOG_INFO, str("a word"));
  if (strcmp(fault, "forge_huge") == 0) forge(UINT32_MAX, "x", 1);
  if (strcmp(fault, "forge_empty") == 0) forge(0, "", 0);
  if (strcmp(fault, "forge_kind") == 0) forge(3, "\x77xx", 3);
  if (strcmp(fault, "forge_short") == 0) forge(1, "\x01", 1);             /* done, and nothing else */
  if (strcmp(fault, "forge_error") == 0) forge(4, "\x02\xff\xff\xff", 4); /* failed, with half a code */
  if (strcmp(fault, "forge_logs") == 0)
    for (int i = 0; i < 100000; ++i) forge(2, "\x03\x01", 2);
  if (strcmp(fault, "forge_cut") == 0) {
    forge(1000, "\x01", 1);
    _exit(0);
  }
}

static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out, plimsoll_error* err) {
  struct plimsoll_planner* const self = calloc(1, sizeof *self);
  plimsoll_str text = {NULL, 0};
  (void)err;
  if (self == NULL) return PLIMSOLL_E_MEMORY;
  self->host = host;
  if (host->get_str(view, str("/fault"), &text) == PLIMSOLL_OK && text.size < sizeof self->fault) memcpy(self->fault, text.data, text.size);
  if (host->get_str(view, str("/call"), &text) == PLIMSOLL_OK && text.size < sizeof self->call) memcpy(self->call, text.data, text.size);
  disturb(self, "create");
  *out = self;
  return PLIMSOLL_OK;
}
static void destroy(plimsoll_planner* self) { free(self); }

static plimsoll_status weights(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  static const plimsoll_weight weight = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, rank),
                                         .aspect = PLIMSOLL_ASPECT_FFN,
                                         .label = PLIMSOLL_STR("up"),
                                         .pattern = PLIMSOLL_STR("up.weight"),
                                         .n_dims = 2,
                                         .dims = {8, 16}};
  (void)aspects, (void)err;
  disturb(self, "weights");
  return out->weight(out->ctx, &weight);
}
static plimsoll_status kv(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  static const uint32_t layers[] = {0, 1};
  static const plimsoll_kv_group group = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_kv_group, expanded_v_elements),
                                          .kind = PLIMSOLL_KV_FULL,
                                          .aspect = PLIMSOLL_ASPECT_ATTENTION,
                                          .label = PLIMSOLL_STR("cache"),
                                          .layers = layers,
                                          .n_layers = 2,
                                          .kv_heads = 2,
                                          .k_elements = 4,
                                          .v_elements = 4};
  (void)aspects, (void)err;
  disturb(self, "kv");
  return out->kv(out->ctx, &group);
}
static plimsoll_status facts(const plimsoll_planner* self, plimsoll_facts* out, plimsoll_error* err) {
  (void)err;
  disturb(self, "facts");
  out->n_layers = 2;
  out->max_length = 1024;
  out->hidden_elements = 16;
  out->vocab_tokens = 100;
  return PLIMSOLL_OK;
}
static plimsoll_status entries(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  (void)aspects, (void)out, (void)err;
  disturb(self, "entries");
  return PLIMSOLL_OK;
}
static plimsoll_status activations(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                   plimsoll_error* err) {
  const plimsoll_item item = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_item, phase),
                              .aspect = PLIMSOLL_ASPECT_FFN,
                              .rank = PLIMSOLL_ALL_RANKS,
                              .category = PLIMSOLL_BYTES_ACTIVATION,
                              .bytes = 1024 * req->max_batch_input_tokens,
                              .label = PLIMSOLL_STR("rows")};
  (void)err;
  if (req->max_length != 77 || strcmp(self->call, "activations") != 0) disturb(self, "activations");
  if (strcmp(self->fault, "endless") == 0)
    for (;;) out->item(out->ctx, &item);
  return out->item(out->ctx, &item);
}
static plimsoll_status max_batch(const plimsoll_planner* self, const plimsoll_request* req, uint64_t* out, plimsoll_error* err) {
  (void)req, (void)err;
  disturb(self, "max_batch");
  *out = 4;
  return PLIMSOLL_OK;
}

static plimsoll_status describe(const void* object, uint32_t aspects, uint32_t layer, uint32_t in, uint32_t out,
                                const plimsoll_pipeline_sink* sink, plimsoll_error* err) {
  (void)aspects, (void)layer, (void)in, (void)out, (void)sink, (void)err;
  disturb(object, "describe");
  return PLIMSOLL_E_UNSUPPORTED;
}
static const void* query(const plimsoll_planner* self, plimsoll_str id, const void** object) {
  static const plimsoll_pipeline table = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_pipeline, describe), .describe = describe};
  if (id.size != sizeof PLIMSOLL_PIPELINE_ID - 1 || memcmp(id.data, PLIMSOLL_PIPELINE_ID, id.size) != 0) return NULL;
  *object = self;
  return &table;
}

static const plimsoll_planner_api api = {.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query),
                                         .create = create,
                                         .destroy = destroy,
                                         .weights = weights,
                                         .kv = kv,
                                         .facts = facts,
                                         .entries = entries,
                                         .activations = activations,
                                         .max_batch = max_batch,
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
