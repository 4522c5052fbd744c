/* plimsoll/host.h - the planner for hosts in C, or in any language that can call C (ctypes, cgo, JNI).
 *
 *   plimsoll_context* context;
 *   char *error = NULL, *plan;
 *   if (plimsoll_context_create(NULL, NULL, NULL, &context, &error) != PLIMSOLL_HOST_OK) { puts(error); ... }
 *   plimsoll_plan_json(context, "{\"model\": \"org/name\", \"devices\": \"2xH100\"}", &plan);
 *   puts(plan);
 *   plimsoll_free(plan);
 *   plimsoll_free(context);
 *
 * STRINGS  NUL-terminated UTF-8. What comes in is read during the call and never kept.
 * MEMORY   everything that a function hands out through a pointer - texts, contexts, plans - belongs to the caller,
 *          who gives it to plimsoll_free once. A plan does not need its context any more.
 * ERRORS   a function returns PLIMSOLL_HOST_OK or the reason. `error`, where it is not NULL, then receives a JSON object
 *          {"code", "message", "where"}, and NULL on success. No exception and no signal leaves a function.
 * THREADS  every function may be called on any number of threads at once, also with the same context or plan. Only
 *          plimsoll_free wants its object for itself.
 */
#ifndef PLIMSOLL_HOST_H
#define PLIMSOLL_HOST_H
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PLIMSOLL_HOST_EXPORT __attribute__((visibility("default")))
#else
#define PLIMSOLL_HOST_EXPORT
#endif
#ifdef __cplusplus
extern "C" {
#endif

typedef struct plimsoll_context plimsoll_context; /* plugins and catalogues */
typedef struct plimsoll_plan plimsoll_plan;       /* a finished plan, immutable */

/* What a function returns. The numbers stay as they are; more may be added. */
enum {
  PLIMSOLL_HOST_OK = 0,
  PLIMSOLL_HOST_BAD_CONFIG = 1,
  PLIMSOLL_HOST_BAD_CHECKPOINT = 2,
  PLIMSOLL_HOST_BAD_REQUEST = 3, /* an argument that is NULL where it may not be, too */
  PLIMSOLL_HOST_UNSUPPORTED_ARCHITECTURE = 4,
  PLIMSOLL_HOST_MODEL_TOO_LARGE = 5,
  PLIMSOLL_HOST_NO_ROOM_FOR_KV = 6,
  PLIMSOLL_HOST_NO_PAGE_FITS = 7,
  PLIMSOLL_HOST_OUT_OF_MEMORY = 8, /* the plan exceeds the devices' memory */
  PLIMSOLL_HOST_PLUGIN_FAILED = 9,
  PLIMSOLL_HOST_INTERNAL = 10 /* a bug, or no memory for the answer */
};

enum { PLIMSOLL_HOST_DEBUG = 0, PLIMSOLL_HOST_INFO = 1, PLIMSOLL_HOST_WARNING = 2, PLIMSOLL_HOST_ERROR = 3 };

/* Called on the thread that plans, possibly on several at once; `message` lives until it returns. It must not throw. */
typedef void (*plimsoll_host_log)(void* user, int level, const char* message);

/* The library's version, "1.2.3"; static, not to be freed. */
PLIMSOLL_HOST_EXPORT const char* plimsoll_version(void);

/* Frees what a function of this header handed out; NULL is allowed. */
PLIMSOLL_HOST_EXPORT void plimsoll_free(void* handed_out);

/* A context. `options_json`: NULL, or an object of
 *   "plugin_paths": ["DIR", ...]      searched first; BAD_REQUEST where one holds no plugin, PLUGIN_FAILED where all in it are refused
 *   "prefer": ["ID", ...]             plugins that may replace built-in ones, as `replaces` in their manifests says
 *   "catalogue_path": "DIR"           instead of the one that ships with the library; BAD_REQUEST where it is no folder
 *   "trust": "checked" or "open"      whether plugins that others may write are refused (default) or loaded;
 *                                     "open" is PLUGIN_FAILED in a process that has more rights than who started it
 *   "isolation": "strangers", "all" or "off"
 *                                     whose code runs in a worker process: that of plugins that do not come with the library (default),
 *                                     every plugin's, nobody's. One that crashes, hangs, prints or exits there is PLUGIN_FAILED, with
 *                                     its name
 *   "plugin_timeout": 10              seconds that a worker may take for one answer
 *   "online": true                    models of URLs ("hf://ORG/NAME", "https://..."): their configs and headers are fetched, into a cache
 *                                     of this user. false, the default: no socket is opened, and a URL as a model is BAD_REQUEST
 *   "fetch_timeout": 300              seconds that fetching one model may take
 * `log` may be NULL. On failure *out is NULL. */
PLIMSOLL_HOST_EXPORT int plimsoll_context_create(const char* options_json, plimsoll_host_log log, void* user, plimsoll_context** out,
                                                 char** error);

/* Plans, and hands out the document `plimsoll.plan/1`. `request_json`: an object of
 *   "model": "org/name, directory, config.json, .gguf file or a URL", or "config": {the model's config.json}
 *   "draft": a draft model, as "model"; "explain": true to fill the items' formulas
 *   and every option of `plimsoll plan`, named with underscores: "devices", "tp", "engine", "max_length", "set", ...
 * A value has its option's type, or the request is refused with the key: words are strings, counts and fractions numbers
 * ("8" is refused), switches true or false. "devices" and "frontier_kv_dtypes" may be lists of strings, "stage_layers" a list
 * of numbers or "31,30"; sizes are numbers of bytes or "20GiB"; "max_length" is a number, "auto" or "auto:CAP"; "set" is
 * {"engine.KEY": VALUE}, "engine.KEY=VALUE" or a list of such strings. null is the default.
 * A plan that does not fit is a plan: PLIMSOLL_HOST_OK, and "verdict" says so. Where no plan could be made, the
 * document has the verdict "error" and the code is returned. *out_json is NULL only for PLIMSOLL_HOST_INTERNAL. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_json(const plimsoll_context* context, const char* request_json, char** out_json);

/* The weights of the same request: the document `plimsoll.weights/1`. */
PLIMSOLL_HOST_EXPORT int plimsoll_weights_json(const plimsoll_context* context, const char* request_json, char** out_json);

/* The estimator without a model: the documents of `plimsoll estimate`. Returns the code of the result's error. */
PLIMSOLL_HOST_EXPORT int plimsoll_estimate_json(const char* request_json, char** out_json);

/* What a plan predicts beside what an inference engine printed at its start: the document `plimsoll.compare/1`.
 * `request_json`: an object of
 *   "logs": ["TEXT", ...]             what engines printed, each log whole; messages call them "log 1", "log 2", ...
 *   "records": "TEXT"                 starts as JSON objects, one a line
 *   "model": instead of the printed one; "tolerance": 0 to 1, instead of the usual ones
 *   and every option of a plan, which wins over what was printed.
 * PLIMSOLL_HOST_OK wherever the logs could be read: "verdict" says within, beyond, nothing_judged or error. */
PLIMSOLL_HOST_EXPORT int plimsoll_compare_json(const plimsoll_context* context, const char* request_json, char** out_json);

/* Which cards and layouts serve a model: the document `plimsoll.fit/1`. `request_json`: an object of
 *   "on": ["H100", "80GiB", ...]      where to look; every GPU of the catalogue where it is not given
 *   "max_devices": N                  of each card; default 8, at most 64
 *   "for": "64x8K,4x128K"             requests that must be held at once; instead of "max_length" and "max_batch_size", one kind of them
 *   "prices": {"H100": 2.49, ...}     of one card for an hour
 *   "all": true                       every number of devices in every layout that serves
 *   and every key of a plan's request but "devices" and "layout", which are found; degrees that are given are kept.
 * Of each card the fewest that serve it, in the layout that serves it best; fewest devices first, then the lower price, then more headroom.
 * PLIMSOLL_HOST_OK with no rows where none serves it. */
PLIMSOLL_HOST_EXPORT int plimsoll_fit_json(const plimsoll_context* context, const char* request_json, char** out_json);

/* The same plan as an object to ask figures of. On failure *out is NULL. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_create(const plimsoll_context* context, const char* request_json, plimsoll_plan** out, char** error);

enum { PLIMSOLL_HOST_FITS = 0, PLIMSOLL_HOST_TIGHT = 1, PLIMSOLL_HOST_DOES_NOT_FIT = 2 };
/* One of the three above; -1 for NULL. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_verdict(const plimsoll_plan* plan);
/* Ranks of the plan; 0 for NULL. */
PLIMSOLL_HOST_EXPORT uint32_t plimsoll_plan_rank_count(const plimsoll_plan* plan);
/* The whole document; `indent` < 0: one line. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_document(const plimsoll_plan* plan, int indent, char** out_json);

/* Bytes of one rank. */
enum {
  PLIMSOLL_HOST_TOTAL_BYTES = 0,
  PLIMSOLL_HOST_FREE_BYTES = 1,
  PLIMSOLL_HOST_BUDGET_BYTES = 2,
  PLIMSOLL_HOST_WEIGHTS_BYTES = 3,
  PLIMSOLL_HOST_ACTIVATION_BYTES = 4,
  PLIMSOLL_HOST_SIGNAL_BUFFER_BYTES = 5,
  PLIMSOLL_HOST_VISION_CACHE_BYTES = 6,
  PLIMSOLL_HOST_OVERHEAD_BYTES = 7,
  PLIMSOLL_HOST_KV_CACHE_BYTES = 8,
  PLIMSOLL_HOST_UNUSED_BYTES = 9, /* negative: what the rank is short by */
  PLIMSOLL_HOST_WORKSPACE_BYTES = 10
};
/* BAD_REQUEST for a rank or a category that does not exist; *bytes is then untouched. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_rank_bytes(const plimsoll_plan* plan, uint32_t rank, int category, int64_t* bytes);

/* Figures of the whole plan. What belongs to nothing in this plan is 0. */
enum {
  PLIMSOLL_HOST_MAX_LENGTH = 0, /* tokens */
  PLIMSOLL_HOST_MAX_BATCH_SIZE = 1,
  PLIMSOLL_HOST_MAX_SUPPORTED_SEQUENCE_LENGTH = 2, /* tokens of one request alone */
  PLIMSOLL_HOST_MAX_BATCH_AT_MAX_LENGTH = 3,
  PLIMSOLL_HOST_MAX_BATCH_INPUT_TOKENS = 4,
  PLIMSOLL_HOST_KV_PAGES = 5,
  PLIMSOLL_HOST_KV_PAGE_TOKENS = 6,
  PLIMSOLL_HOST_KV_CAPACITY_TOKENS = 7, /* per replica */
  PLIMSOLL_HOST_KV_GROUPS = 8,          /* groups of plimsoll_plan_kv_group */
  PLIMSOLL_HOST_VISION_ENTRY_BYTES = 9,
  PLIMSOLL_HOST_VISION_ENTRIES = 10,
  PLIMSOLL_HOST_STATE_SLOTS = 11,               /* rows of recurrent state as the engine counts them, or requests whose state fits */
  PLIMSOLL_HOST_KV_ENGINE_REPORTED_TOKENS = 12, /* the capacity that the engine prints at its start */
  PLIMSOLL_HOST_KV_TOKEN_BYTES = 13,            /* what one more token takes on a device */
  PLIMSOLL_HOST_KV_RANK_GROUPS = 14,            /* groups of plimsoll_plan_kv_rank_group */
  PLIMSOLL_HOST_KV_SHARED_BLOCKS = 15,          /* 1: all groups of a rank draw blocks of one size from one pool */
  PLIMSOLL_HOST_HOST_MEMORY_BYTES = 16          /* what stays in host memory, of all ranks; no part of any device */
};
/* BAD_REQUEST for NULL and for a figure that does not exist; *value is then untouched. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_limit(const plimsoll_plan* plan, int which, uint64_t* value);

/* Figures with fractions. */
enum {
  PLIMSOLL_HOST_KV_CAPACITY_REQUESTS = 0,     /* requests of max_length that the KV cache holds at once */
  PLIMSOLL_HOST_DEVICE_MEMORY_UTILIZATION = 1 /* 0 to 1, as planned with */
};
/* BAD_REQUEST as above. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_fraction(const plimsoll_plan* plan, int which, double* value);

/* Words of the whole plan. */
enum {
  PLIMSOLL_HOST_BINDING = 0, /* what binds: "KV pages on rank 0 (H100)" */
  PLIMSOLL_HOST_KV_DTYPE = 1 /* "bfloat16" */
};
/* *out_text is the caller's, and NULL on failure: BAD_REQUEST as above, INTERNAL where there is no memory for it. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_text(const plimsoll_plan* plan, int which, char** out_text);

/* Figures of one KV group, whole plan: the most over its ranks. */
enum {
  PLIMSOLL_HOST_GROUP_LAYERS = 0,
  PLIMSOLL_HOST_GROUP_PAGE_BYTES = 1,    /* per device */
  PLIMSOLL_HOST_GROUP_WINDOW_TOKENS = 2, /* 0: no window */
  PLIMSOLL_HOST_GROUP_STATE_BYTES = 3    /* per sequence and device */
};
/* BAD_REQUEST as above, and for a group that does not exist. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_kv_group(const plimsoll_plan* plan, uint32_t group, int which, uint64_t* value);

/* GEOMETRY  how the KV memory of a rank is cut, for the host that lays out the cache. A rank has PLIMSOLL_HOST_KV_RANK_GROUPS groups,
 *           the same in the same order on every rank; there are none where the plan does not fit, under pooled accounting, and
 *           where nothing is cached. A group is layers that store alike, counted as far as the rank's pipeline stage holds them:
 *           a host allocates RANK_BYTES for it. Where PLIMSOLL_HOST_KV_SHARED_BLOCKS is 1 the groups have one pool instead:
 *           RANK_BYTES of the first group is all of it, RANK_PAGES of every group counts its blocks, each of RANK_BLOCK_BYTES. */

/* What a group keeps for a sequence. */
enum {
  PLIMSOLL_HOST_CACHE_FULL = 0,   /* keys and values of every token */
  PLIMSOLL_HOST_CACHE_WINDOW = 1, /* of the last tokens, sliding */
  PLIMSOLL_HOST_CACHE_CHUNK = 2,  /* of the tokens since the last multiple of the window */
  PLIMSOLL_HOST_CACHE_LATENT = 3, /* one compressed vector of every token */
  PLIMSOLL_HOST_CACHE_STATE = 4,  /* recurrent state: rows of fixed size */
  PLIMSOLL_HOST_CACHE_CROSS = 5   /* keys and values of a fixed number of encoder tokens */
};

/* Figures of one group on one rank. What a group of that kind has none of is 0. */
enum {
  PLIMSOLL_HOST_RANK_KIND = 0,  /* a PLIMSOLL_HOST_CACHE_... */
  PLIMSOLL_HOST_RANK_DRAFT = 1, /* 1: of a draft model or a drafting head */
  PLIMSOLL_HOST_RANK_LAYERS = 2,
  PLIMSOLL_HOST_RANK_PAGE_TOKENS = 3,     /* of one page */
  PLIMSOLL_HOST_RANK_PAGE_BYTES = 4,      /* of one page, all the layers together */
  PLIMSOLL_HOST_RANK_PAGES = 5,           /* null pages included */
  PLIMSOLL_HOST_RANK_NULL_PAGES = 6,      /* that no request gets */
  PLIMSOLL_HOST_RANK_STATE_ROWS = 7,      /* 0 for rings in the engine's own pages; RANK_BYTES says what they take */
  PLIMSOLL_HOST_RANK_STATE_ROW_BYTES = 8, /* of one row, all the layers together */
  PLIMSOLL_HOST_RANK_ROWS_PER_SEQUENCE = 9,
  PLIMSOLL_HOST_RANK_KV_HEADS = 10,   /* on this rank; 1 for a latent that is kept whole */
  PLIMSOLL_HOST_RANK_K_ELEMENTS = 11, /* of one head as it is stored; a latent counts as K */
  PLIMSOLL_HOST_RANK_V_ELEMENTS = 12,
  PLIMSOLL_HOST_RANK_LATENT_ELEMENTS = 13, /* part of K_ELEMENTS, as the next */
  PLIMSOLL_HOST_RANK_ROPE_ELEMENTS = 14,
  PLIMSOLL_HOST_RANK_WINDOW_TOKENS = 15,
  PLIMSOLL_HOST_RANK_FIXED_TOKENS = 16, /* encoder tokens of a sequence */
  PLIMSOLL_HOST_RANK_BYTES = 17,        /* all of the group on this rank */
  PLIMSOLL_HOST_RANK_BLOCK_BYTES = 18   /* of one block, where groups share them */
};
/* BAD_REQUEST for NULL and for a rank, group or figure that does not exist; *value is then untouched. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_kv_rank_group(const plimsoll_plan* plan, uint32_t rank, uint32_t group, int which, uint64_t* value);

/* Words of one group on one rank. */
enum {
  PLIMSOLL_HOST_RANK_LABEL = 0,     /* "attn" */
  PLIMSOLL_HOST_RANK_KIND_NAME = 1, /* as documents spell it: "full", "window" (chunks too), "latent", "state", "cross" */
  PLIMSOLL_HOST_RANK_K_DTYPE = 2,   /* "bfloat16"; "" for states */
  PLIMSOLL_HOST_RANK_V_DTYPE = 3
};
/* *out_text is the caller's, and NULL on failure: BAD_REQUEST as above, INTERNAL where there is no memory for it. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_kv_rank_group_text(const plimsoll_plan* plan, uint32_t rank, uint32_t group, int which,
                                                          char** out_text);

/* The numbers of the group's layers on that rank, counted over the whole model, ascending: at most `room` of them are copied
 * to `layers`, which may be NULL where `room` is 0. *count receives how many there are; 0 where they have no numbers.
 * BAD_REQUEST as above; both are then untouched. */
PLIMSOLL_HOST_EXPORT int plimsoll_plan_kv_rank_group_layers(const plimsoll_plan* plan, uint32_t rank, uint32_t group, uint32_t* layers,
                                                            size_t room, size_t* count);

#ifdef __cplusplus
}
#endif
#endif
