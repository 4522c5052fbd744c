/* plimsoll/runtime.h - the runtime for hosts in C, or in any language that can call C: which token stands in which page (a KV manager
 * over a plan), and text from a model inside its plan. In libplimsoll_runtime.so, which stands beside libplimsoll.so.
 *
 *   plimsoll_kv* kv;                                                  // pages for a server's own model
 *   plimsoll_kv_create(plan, NULL, &kv, NULL);
 *   plimsoll_kv_admit(kv, 7, prompt, n, NULL, NULL);                  // once
 *   plimsoll_kv_alloc(kv, 7, 2048, &step, NULL);                      // every step: its pages, and what it has to compute
 *   plimsoll_kv_inputs(kv, ids, 1, 0, NULL);                          // page tables of the batch: plimsoll_kv_table
 *   plimsoll_kv_step(kv, ids, tokens, 1, NULL);                       // after the forward pass, with the token each got
 *   plimsoll_kv_release(kv, 7, NULL);                                 // once
 *
 * Strings, memory, errors and codes are as in plimsoll/host.h; plimsoll_free takes these objects too.
 * ERRORS   plimsoll_kv_alloc answers PLIMSOLL_HOST_OUT_OF_MEMORY where pages run out. A call that fails changed nothing.
 * THREADS  an object is used by one thread at a time; objects share nothing.
 */
#ifndef PLIMSOLL_RUNTIME_H
#define PLIMSOLL_RUNTIME_H
#include "plimsoll/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Pages --------------------------------------------------------------------------------------------------------------- */

typedef struct plimsoll_kv plimsoll_kv; /* does not need its plan any more */

/* `options_json`: NULL, or an object of
 *   "replicas": 1              data-parallel copies: the plan's "dp"
 *   "prefix_caching": true     off by itself where a group keeps states or encoder tokens
 *   "slack_tokens": 0          positions past a step's tokens that may be written: drafted tokens
 *   "layout": "max"            pages 0 ... N - 1, the null page is N, rows rounded up to 8 and 16 more; or "exact": the null page is 0
 *   "key_seed": N              of the keys of published pages; drawn from the system where absent
 * BAD_REQUEST for a plan without pages: one that does not fit, or that caches nothing. */
PLIMSOLL_HOST_EXPORT int plimsoll_kv_create(const plimsoll_plan* plan, const char* options_json, plimsoll_kv** out, char** error);

/* Takes a request on: its prompt of `n` tokens, and what it has whatever its length. `options_json`: NULL, or an object of
 *   "replica": 0, "max_length": N   tokens, prompt included; by default 2^31 - 1
 *   "cache_salt": "...", "adapter": "..."   requests share cached pages only where both are equal
 *   "skip_prefix_read": false       nothing of the prompt is taken from the cache */
PLIMSOLL_HOST_EXPORT int plimsoll_kv_admit(plimsoll_kv* kv, uint64_t request, const int32_t* prompt, size_t n, const char* options_json,
                                           char** error);

typedef struct plimsoll_kv_work {
  uint64_t begin_tokens;  /* of the request that are in the cache already */
  uint64_t length_tokens; /* that follow them and are to be computed now */
  uint64_t hit_tokens;    /* that this call found in the cache */
  uint64_t new_pages;     /* that this call took, of all groups */
  int reaches_end;        /* 1: the logits of the last one choose the next token */
} plimsoll_kv_work;
/* Pages for the request's next tokens, at most `most_tokens` of them (0: all), in all groups or in none. */
PLIMSOLL_HOST_EXPORT int plimsoll_kv_alloc(plimsoll_kv* kv, uint64_t request, uint64_t most_tokens, plimsoll_kv_work* work, char** error);

/* Page tables of a batch of `n` requests of one replica that have their pages. */
PLIMSOLL_HOST_EXPORT int plimsoll_kv_inputs(plimsoll_kv* kv, const uint64_t* requests, size_t n, uint32_t replica, char** error);

typedef struct plimsoll_kv_group_inputs {
  const uint32_t* table; /* [lanes][batch][columns] page numbers; NULL for states. Page p begins p * RANK_PAGE_BYTES into the group */
  uint32_t lanes, columns, fill; /* `fill` stands where a request has no page */
  const uint32_t* state_rows;    /* [batch][rows]; NULL for others */
  uint32_t rows;
} plimsoll_kv_group_inputs;
/* One group of what plimsoll_kv_inputs made last. The arrays are the manager's, until its next call. */
PLIMSOLL_HOST_EXPORT int plimsoll_kv_table(const plimsoll_kv* kv, uint32_t group, plimsoll_kv_group_inputs* out);
/* [batch] tokens of each request that were in the cache before the step, in the same order; NULL before plimsoll_kv_inputs. */
PLIMSOLL_HOST_EXPORT const uint32_t* plimsoll_kv_cache_lengths(const plimsoll_kv* kv);

/* After the forward pass: what was to be computed is, and requests whose work reached the end go on with `tokens[i]` (others ignore
 * it). Full pages can be found from now on; pages that no later token sees go back. */
PLIMSOLL_HOST_EXPORT int plimsoll_kv_step(plimsoll_kv* kv, const uint64_t* requests, const int32_t* tokens, size_t n, char** error);
/* Gives back all that a request holds. */
PLIMSOLL_HOST_EXPORT int plimsoll_kv_release(plimsoll_kv* kv, uint64_t request, char** error);
/* Nothing that is cached now will be found again. */
PLIMSOLL_HOST_EXPORT void plimsoll_kv_reset_prefix_cache(plimsoll_kv* kv);

enum {
  PLIMSOLL_KV_TOTAL_PAGES = 0, /* of all pools of all replicas, null pages excepted; as the next three */
  PLIMSOLL_KV_USED_PAGES = 1,
  PLIMSOLL_KV_FREE_PAGES = 2,
  PLIMSOLL_KV_CACHED_PAGES = 3, /* can be found, used or free */
  PLIMSOLL_KV_HIT_TOKENS = 4,
  PLIMSOLL_KV_QUERIED_TOKENS = 5,
  PLIMSOLL_KV_EVICTIONS = 6,
  PLIMSOLL_KV_REQUESTS = 7,      /* taken on now */
  PLIMSOLL_KV_PREFIX_CACHING = 8 /* 1: on */
};
/* BAD_REQUEST for NULL and for a figure that does not exist; *value is then untouched. */
PLIMSOLL_HOST_EXPORT int plimsoll_kv_metric(const plimsoll_kv* kv, int which, uint64_t* value);

/* ---- Text ---------------------------------------------------------------------------------------------------------------- */

typedef struct plimsoll_generator plimsoll_generator; /* a model in memory; does not need its context any more */

/* Told while weights are read, at the end with both alike. May be NULL. */
typedef void (*plimsoll_load_progress)(void* user, uint64_t done_bytes, uint64_t total_bytes);

/* Plans, refuses what does not fit before anything is taken, and loads the model into what the plan sets aside. `request_json` is that
 * of plimsoll_plan_json; "engine" is "reference" where it is not given. `options_json`: NULL, or an object of
 *   "tokenizer": true        an error where the model has none; false: requests bring ids
 *   "prefix_caching": true, "key_seed": N   as above
 *   "loras": ["NAME=DIRECTORY"]   LoRA adapters to begin with; "max_loras" of the request makes room for them */
PLIMSOLL_HOST_EXPORT int plimsoll_generator_create(const plimsoll_context* context, const char* request_json, const char* options_json,
                                                   plimsoll_load_progress progress, void* user, plimsoll_generator** out, char** error);

/* Told of what a step gave a request: its text, NUL-terminated, and its tokens. Anything but 0 ends all requests as cancelled. */
typedef int (*plimsoll_text_sink)(void* user, uint64_t request, const char* text, const int32_t* tokens, size_t n);

/* Generates, and hands out the document plimsoll.run/1. `requests_json`: {"requests": [...]}, each an object of
 *   "prompt": "text" or "prompt_ids": [5, 9]; "id", "max_new_tokens", "max_length", "temperature", "top_k", "top_p", "seed", "stop",
 *   "stop_ids", "ignore_end", "logprobs", "echo", "cache_salt", "adapter", "images": names of images that were added
 * `sink` may be NULL. A request that cannot be served has its error in its output, and the code is OK. */
PLIMSOLL_HOST_EXPORT int plimsoll_generate_json(plimsoll_generator* generator, const char* requests_json, plimsoll_text_sink sink,
                                                void* user, char** out_json);
/* An image that requests may name: [height, width, 3] bytes of red, green and blue, copied and normalised as the model's
 * preprocessor_config.json says. Sides are multiples of what the model merges; nothing is resized. The same name again replaces it, and
 * NULL takes it away. The plan has room for images where "vision_cache_utilization" of the generator's request says so. BAD_CONFIG: the
 * model's folder does not say how pixels are normalised. `error` as above, may be NULL. */
PLIMSOLL_HOST_EXPORT int plimsoll_generator_image(plimsoll_generator* generator, const char* name, uint32_t height, uint32_t width,
                                                  const uint8_t* rgb, char** error);
/* The plan that it lives inside: the document plimsoll.plan/1. */
PLIMSOLL_HOST_EXPORT int plimsoll_generator_plan(const plimsoll_generator* generator, char** out_json);

/* ---- Vectors ------------------------------------------------------------------------------------------------------------- */

typedef struct plimsoll_embedder plimsoll_embedder; /* a model that gives vectors of texts; does not need its context any more */

/* As plimsoll_generator_create. `options_json`: NULL, or an object of
 *   "tokenizer": true        an error where the model has none; false: requests bring ids
 * BAD_REQUEST for a model that gives words. */
PLIMSOLL_HOST_EXPORT int plimsoll_embedder_create(const plimsoll_context* context, const char* request_json, const char* options_json,
                                                  plimsoll_load_progress progress, void* user, plimsoll_embedder** out, char** error);
/* A vector for each request, as the document plimsoll.embed/1. `requests_json`: {"requests": ["a text", [5, 9, 30], ...]}, a text or a list
 * of ids each. */
PLIMSOLL_HOST_EXPORT int plimsoll_embed_json(plimsoll_embedder* embedder, const char* requests_json, char** out_json);
/* The plan that it lives inside: the document plimsoll.plan/1. */
PLIMSOLL_HOST_EXPORT int plimsoll_embedder_plan(const plimsoll_embedder* embedder, char** out_json);

#ifdef __cplusplus
}
#endif
#endif
