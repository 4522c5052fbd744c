/* plimsoll/abi.h - the whole contract between a host and a planner plugin. C11, no other includes.
 *
 * A plugin is a folder with `plugin.yaml` and one shared library that exports one constant,
 * `plimsoll_plugin_v1`. It links nothing of ours: whatever it may ask comes in the host table. It offers
 * *families*; a family makes an immutable *planner* from a read-only *view* of a model's configuration.
 * The planner declares what exists (weight classes, KV groups, entries of media caches) and prices what only
 * it knows (activations, workspaces); the host multiplies, shards, adds and explains.
 *
 * RULES. In brackets who enforces one: [host] it refuses the plugin, or fails the call, and names both;
 * [sdk] plimsoll/plugin.hpp does it for who uses it; [nobody] yet, so a breach does whatever it does.
 * Numbers are for ever: a rule that goes leaves its number unused.
 *  R-01 [host] Every struct that crosses begins with struct_size, which whoever FILLS the struct sets to
 *       PLIMSOLL_SIZE_THROUGH(type, last field it knows), never to sizeof, which counts tail padding. One
 *       that is smaller than in version 1.0 is refused.
 *  R-02 [sdk] Fields are only ever appended. A reader touches one only where PLIMSOLL_HAS() says it is there.
 *  R-03 [host] Of an out struct the caller sets struct_size to its capacity; the callee fills no more, sets
 *       struct_size to what it filled, and that is at least what version 1.0 has.
 *  R-04 [host] Arrays of structs cross as arrays of pointers, none of them NULL, so that every struct can grow.
 *  R-05 [host] Texts are a pointer and a length, printable UTF-8 within the limits below.
 *  R-06 [nobody] Texts and arrays stay the writer's and are valid until the call returns; those of static
 *       tables until fini(). The reader copies what it keeps.
 *  R-07 [nobody] Nobody frees memory of the other side.
 *  R-08 [sdk] Status 0 is success. Otherwise the callee fills *err, unless err is NULL or too small.
 *  R-09 [sdk] No exception, longjmp or signal leaves a function.
 *  R-10 [nobody] [any]: any thread, several at once, also on one planner.
 *  R-11 [host] [serial]: the host makes one such call at a time.
 *  R-12 [host] [in-call]: only between entry and return of the plugin function that received the pointer, on
 *       the thread of that call. A sink that is used later fails the call in which that happens.
 *  R-13 [host] [in-create]: only between entry and return of create, on its thread.
 *  R-14 [host] Planner functions do no I/O, read no clock, environment or device, start no thread and no
 *       process, and leave signals, locale, folder and umask alone: same input, same output. What a worker sees of
 *       that (output, processes, threads, sockets, signals, descriptors, folder, umask) ends the call; in a host's own
 *       process nobody looks.
 *  R-15 [host] What manifest and library both say (id, version, minors, families and all their fields) is equal.
 *  R-16 [host] A family has create and destroy; create that succeeds has made a planner.
 *  R-17 [host] A class, a group, an entry and an item have exactly one aspect, one that its family counts.
 *  R-18 [host] What has no asked aspect is dropped on its way, whoever asked. Declare everything, if you like.
 *  R-19 [nobody] Aspects add up: what is declared for ALL is the sum of what is declared for each.
 *  R-20 [host] No tensor is in two classes, no layer twice under one group's label.
 *  R-21 [host] Layer lists ascend; a list that is not there has no entries.
 *  R-22 [host] Counts and sizes stay within the limits below; a size that wrapped is beyond them.
 *  R-23 [host] An enumerated value that the host does not know is refused, never guessed.
 *  R-24 [host] A type and a storage format is one that the host knows, or that the plugin's own manifest defines.
 *  R-25 [host] subview and planner_for nest at most 8 deep; nobody is asked for the part that he is planning: E_CYCLE.
 *  R-26 [host] E_UNSUPPORTED from create means "not mine": the next family that claims the model is asked.
 *  R-27 [host] Interface ids are `name/N` or `name/draft.N` (lower-case letters, digits, - and _, parts joined by
 *       points; vendors begin with their reverse domain). query answers NULL for an id that it does not know, or
 *       that is none. A draft is another interface than what it becomes, so it is never mistaken for it.
 *  R-28 [nobody] What a planner says of itself it says the same way every time, to whoever asks.
 * UNITS are part of a name: _bytes, _bits, _tokens, _elements, _ranks. Sizes are unsigned 64-bit integers.
 * PROMISE Within a major nothing is removed, moved or re-typed. A minor only appends: fields, entries of tables, enumerated values,
 *       interfaces. A host runs plugins of its own major that are of its minor or older, and newer ones that can live with its minor.
 */
#ifndef PLIMSOLL_ABI_H
#define PLIMSOLL_ABI_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#if __cplusplus < 201703L
#error "plimsoll/abi.h needs C++17 or newer (-std=c++17), or C11"
#endif
#define PLIMSOLL_NOEXCEPT                  noexcept /* part of the type since C++17: a throwing function will not fit */
#define PLIMSOLL_SIZE_THROUGH(type, field) (static_cast<uint32_t>(offsetof(type, field) + sizeof(type::field)))
static_assert(sizeof(void*) == 8, "the planner ABI is one of 64-bit systems");
extern "C" {
#else
#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L
#error "plimsoll/abi.h needs C11 or newer (-std=c11), or C++17"
#endif
#define PLIMSOLL_NOEXCEPT
#define PLIMSOLL_SIZE_THROUGH(type, field) ((uint32_t)(offsetof(type, field) + sizeof(((type*)0)->field)))
_Static_assert(sizeof(void*) == 8, "the planner ABI is one of 64-bit systems");
#endif
#if defined(__GNUC__)
#define PLIMSOLL_EXPORT __attribute__((visibility("default")))
#else
#define PLIMSOLL_EXPORT
#endif

#define PLIMSOLL_ABI_MAJOR             1u /* also the number in the entry symbol's name */
#define PLIMSOLL_ABI_MINOR             0u /* grows when something is appended */
#define PLIMSOLL_HAS(ptr, type, field) ((ptr)->struct_size >= PLIMSOLL_SIZE_THROUGH(type, field))
/* A plimsoll_str of a literal, as an initialiser. */
#define PLIMSOLL_STR(literal)                                                                                                              \
  { literal, sizeof(literal) - 1 }
#define PLIMSOLL_ALL_RANKS UINT32_MAX
#define PLIMSOLL_WHOLE     UINT32_MAX /* as a shard_dim: nothing is cut */

/* Limits. Whoever goes beyond is refused as a faulty plugin, with the planner's and the label's name;
 * a planner answers E_CONFIG where a configuration asks for more. */
#define PLIMSOLL_MAX_LABEL_BYTES    128u  /* of a label or a phase; a label has at least one, printable UTF-8 */
#define PLIMSOLL_MAX_NAME_BYTES     64u   /* of a type, a storage format, a family or an interface */
#define PLIMSOLL_MAX_PATTERN_BYTES  512u  /* of the name of a tensor */
#define PLIMSOLL_MAX_FORMULA_BYTES  1024u /* the rest is not kept */
#define PLIMSOLL_MAX_LAYERS         65536u
#define PLIMSOLL_MAX_LISTED_LAYERS  1048576u /* entries of all layer lists of a model's classes; as many of its KV groups */
#define PLIMSOLL_MAX_WEIGHT_CLASSES 16384u
#define PLIMSOLL_MAX_DIMS           8u
#define PLIMSOLL_MAX_KV_GROUPS      1024u
#define PLIMSOLL_MAX_PARTS          64u
#define PLIMSOLL_MAX_FIELDS         16u /* of a mixed record */
#define PLIMSOLL_MAX_REGIONS        64u
#define PLIMSOLL_MAX_ENTRIES        64u
#define PLIMSOLL_MAX_EXPERTS        1048576u
#define PLIMSOLL_MAX_EXTENT         1099511627776u    /* a dimension, a head's width times the heads, tokens: 2^40 */
#define PLIMSOLL_MAX_ITEMS          4096u             /* of one plan, and one more for each rank; 0 bytes count */
#define PLIMSOLL_MAX_PHASES         64u               /* with names of their own */
#define PLIMSOLL_MAX_ITEM_BYTES     1125899906842624u /* on a rank, times the batch where it is of a request: 2^50 */
#define PLIMSOLL_MAX_SIGNAL_SITES   4096u
#define PLIMSOLL_MAX_LOG_LINES      256u /* of one plugin in one context; the rest is counted, not shown */

typedef int32_t plimsoll_status;
enum {
  PLIMSOLL_OK = 0,
  PLIMSOLL_E_CONFIG = 1,      /* the model configuration is wrong or incomplete: the user's to fix */
  PLIMSOLL_E_UNSUPPORTED = 2, /* valid, but this planner does not handle it; from create: the next may try */
  PLIMSOLL_E_OVERFLOW = 3,    /* a byte count does not fit 64 bits */
  PLIMSOLL_E_NOT_FOUND = 4,   /* a key or a tensor is absent */
  PLIMSOLL_E_TYPE = 5,        /* key is there with another JSON type, or the number is out of range */
  PLIMSOLL_E_ABI = 6,         /* versions do not meet, or a rule was broken */
  PLIMSOLL_E_CYCLE = 7,       /* delegation came back to itself or is too deep */
  PLIMSOLL_E_MEMORY = 8,
  PLIMSOLL_E_INTERNAL = 9, /* a bug, or an exception stopped at the boundary */
  PLIMSOLL_E_REQUEST = 10  /* the layout asked for is impossible for this model */
};

typedef struct plimsoll_str {
  const char* data;
  uint64_t size;
} plimsoll_str;

/* Filled in place by the callee; the caller owns it, so it outlives an unloaded plugin. */
typedef struct plimsoll_error {
  uint32_t struct_size;
  plimsoll_status code;
  char where[128];   /* JSON pointer at fault, relative to the view, NUL-terminated, may be empty */
  char message[384]; /* one sentence, NUL-terminated */
} plimsoll_error;

/* What a planner counts; a bit set. Lets MLA count attention while MoE counts the experts.
 * Layer norms belong to ATTENTION, the final norm to HEAD; towers, projectors and entries to VISION, of sound
 * and film too. */
enum {
  PLIMSOLL_ASPECT_EMBED = 1u,
  PLIMSOLL_ASPECT_ATTENTION = 2u,
  PLIMSOLL_ASPECT_FFN = 4u,
  PLIMSOLL_ASPECT_STATE = 8u,
  PLIMSOLL_ASPECT_VISION = 16u,
  PLIMSOLL_ASPECT_HEAD = 32u,
  PLIMSOLL_ASPECT_ALL = 63u
};

/* When the buffers of peer-to-peer collectives exist: never, on two ranks and more, or on one rank too. */
enum { PLIMSOLL_SIGNAL_NEVER = 0, PLIMSOLL_SIGNAL_MULTI_RANK = 1, PLIMSOLL_SIGNAL_ALWAYS = 2 };

/* Which memory something takes. The host adds up what stays in host memory and holds it against no device. */
enum { PLIMSOLL_MEMORY_DEVICE = 0, PLIMSOLL_MEMORY_HOST = 1 };

enum { PLIMSOLL_LOG_DEBUG = 0, PLIMSOLL_LOG_INFO = 1, PLIMSOLL_LOG_WARNING = 2, PLIMSOLL_LOG_ERROR = 3 };

typedef struct plimsoll_view plimsoll_view;       /* host-owned: a config subtree; outlives the planners made of it */
typedef struct plimsoll_planner plimsoll_planner; /* plugin-owned, immutable after create */
typedef struct plimsoll_host plimsoll_host;

/* ---- weights ------------------------------------------------------------------------------------------ */

/* Which pipeline stage holds the tensors of a class. */
enum {
  PLIMSOLL_STAGE_OF_LAYER = 0, /* the stage of the layer named by {layer} */
  PLIMSOLL_STAGE_FIRST = 1,    /* embeddings, vision towers; {layer} then only numbers the names */
  PLIMSOLL_STAGE_LAST = 2,     /* final norm, head, multi-token-prediction layers */
  PLIMSOLL_STAGE_EVERY = 3     /* each stage keeps a copy */
};
/* How a tensor spreads over the ranks of its stage. */
enum {
  PLIMSOLL_PLACE_REPLICATE = 0, /* every rank stores all of it */
  PLIMSOLL_PLACE_TP = 1,        /* split along shard_dim over the tensor-parallel group */
  PLIMSOLL_PLACE_VOCAB = 2,     /* as TP, rows first padded as the engine pads a vocabulary */
  PLIMSOLL_PLACE_EXPERT = 3,    /* whole experts over the expert-parallel group; what is left of the
                                 * tensor-parallel group splits each along shard_dim */
  PLIMSOLL_PLACE_ONE = 4        /* whole, on one rank of each tensor-parallel group: number `rank` modulo its size */
};
/* What becomes of the tensors when the model is loaded. */
enum {
  PLIMSOLL_ROLE_MODEL = 0,  /* loaded */
  PLIMSOLL_ROLE_DRAFT = 1,  /* multi-token-prediction layers: loaded only for speculative decoding */
  PLIMSOLL_ROLE_UNUSED = 2, /* stored, never loaded: masks, frequencies, a duplicate of a tied head */
  PLIMSOLL_ROLE_TIED = 3    /* not stored, loaded as a view of another tensor; bytes only where a pipeline
                             * puts head and embedding on different stages */
};
/* How the experts of one layer are stored. */
enum {
  PLIMSOLL_EXPERTS_SEPARATE = 0,    /* a tensor per expert; the name holds {expert} */
  PLIMSOLL_EXPERTS_STACKED = 1,     /* one tensor [experts, dims...] */
  PLIMSOLL_EXPERTS_CONCATENATED = 2 /* one tensor [experts * dims[0], dims[1]...] */
};

/* A run of rows along shard_dim that shards by itself: fused tensors hold several (q, k and v). Units are
 * indivisible (heads). More ranks than units: units are copied where `replicate` is set, as key/value heads
 * are, else the layout is impossible. units 0: the extent splits at any element, remainder to the first
 * ranks. */
typedef struct plimsoll_part {
  uint32_t struct_size;
  uint32_t replicate; /* 0 or 1 */
  uint64_t extent;
  uint64_t units;
} plimsoll_part;

/* Weight tensors that are alike: one shape, one placement, one per listed layer and expert. The planner
 * says what exists and where it goes; the host knows how quantization_config stores it, multiplies, shards
 * and adds. With a checkpoint at hand the host compares with the stored tensors that the pattern names. */
typedef struct plimsoll_weight {
  uint32_t struct_size;
  uint32_t aspect;                   /* exactly one PLIMSOLL_ASPECT_* */
  plimsoll_str label;                /* "attention.q_proj"; several tensors of one thing may share it */
  plimsoll_str pattern;              /* "model.layers.{layer}.mlp.experts.{expert}.up_proj.weight"; no tensor in two classes.
                                      * Empty: the label alone tells it apart, and is given once */
  plimsoll_str dtype;                /* stored type where it is not the checkpoint's: "float32"; else empty */
  plimsoll_str format;               /* storage format by name, overriding quantization_config; else empty */
  const uint32_t* layers;            /* ascending; NULL: the class belongs to no layer and exists once */
  uint64_t n_layers;                 /* 0 where layers is NULL */
  uint32_t stage;                    /* PLIMSOLL_STAGE_* */
  uint32_t placement;                /* PLIMSOLL_PLACE_* */
  uint32_t role;                     /* PLIMSOLL_ROLE_* */
  uint32_t quantizable;              /* 1: a linear layer that quantization_config may store otherwise */
  uint32_t n_dims;                   /* 0 (a scalar) to PLIMSOLL_MAX_DIMS */
  uint32_t shard_dim;                /* along which TP, VOCAB and EXPERT split; PLIMSOLL_WHOLE: experts stay whole */
  uint32_t in_dim;                   /* the input-feature dimension, along which quantisation groups run */
  uint32_t expert_storage;           /* PLIMSOLL_EXPERTS_* */
  uint64_t experts;                  /* per layer; 0 where the class has none */
  uint64_t dims[PLIMSOLL_MAX_DIMS];  /* unsharded, of one expert where there are experts */
  const plimsoll_part* const* parts; /* NULL: one part, the whole shard_dim, any element */
  uint64_t n_parts;
  uint32_t memory; /* PLIMSOLL_MEMORY_* */
  uint32_t rank;   /* PLACE_ONE: which rank of the tensor-parallel group keeps it */
} plimsoll_weight;

/* ---- KV cache ----------------------------------------------------------------------------------------- */

enum {
  PLIMSOLL_KV_FULL = 1,   /* a slot per token */
  PLIMSOLL_KV_WINDOW = 2, /* a slot per token of the last window_tokens */
  PLIMSOLL_KV_CHUNK = 3,  /* a slot per token of the current chunk of window_tokens */
  PLIMSOLL_KV_LATENT = 4, /* one compressed vector per token, copied to every tensor-parallel rank */
  PLIMSOLL_KV_STATE = 5,  /* recurrent and convolution state: per sequence, not per token */
  PLIMSOLL_KV_CROSS = 6   /* cross attention: fixed_tokens slots per sequence */
};

/* One tensor of recurrent state. */
typedef struct plimsoll_state_region {
  uint32_t struct_size;
  uint32_t reserved;
  plimsoll_str label;                /* "conv", "ssm" */
  plimsoll_str dtype;                /* empty: the model's own type; "state": the engine's type for recurrent
                                      * state; a type: the same, where the engine leaves it to the checkpoint */
  uint64_t elements;                 /* per layer and sequence, unsharded */
  uint64_t units;                    /* tensor-parallel split, as for a part; 0: replicated */
  uint64_t elements_per_draft_token; /* extra per drafted token (convolution rows), unsharded */
} plimsoll_state_region;

/* A field of a mixed record: elements of one type, of one head and token. */
typedef struct plimsoll_kv_field {
  uint32_t struct_size;
  uint32_t reserved;
  plimsoll_str dtype;
  uint64_t elements;
} plimsoll_kv_field;

/* Layers that cache alike. The host prices pages, states and heads per rank as the engine lays them out. */
typedef struct plimsoll_kv_group {
  uint32_t struct_size;
  uint32_t kind;   /* PLIMSOLL_KV_* */
  uint32_t role;   /* PLIMSOLL_ROLE_MODEL or _DRAFT */
  uint32_t aspect; /* exactly one PLIMSOLL_ASPECT_* */
  plimsoll_str label;
  plimsoll_str k_dtype;     /* empty: the request's KV type. A type that is named here no engine changes */
  plimsoll_str v_dtype;     /* empty: as the keys */
  plimsoll_str scale_dtype; /* empty: no scales */
  const uint32_t* layers;   /* ascending model layer indices; a layer once under one label */
  uint64_t n_layers;
  uint64_t kv_heads;                           /* heads that are cached; 1 for LATENT */
  uint64_t query_heads;                        /* must divide over the tensor-parallel group; 0: not checked */
  uint64_t k_elements;                         /* per head and token */
  uint64_t v_elements;                         /* per head and token; of LATENT what is kept beside the vector, usually 0 */
  uint64_t scale_elements;                     /* elements that share a scale; 0: no scales */
  uint64_t window_tokens;                      /* WINDOW, CHUNK. STATE: the state is a row of the last so many tokens
                                                * each, elements_per_draft_token of every region; 0: it is not */
  uint64_t fixed_tokens;                       /* CROSS: slots of one sequence */
  const plimsoll_state_region* const* regions; /* STATE */
  uint64_t n_regions;
  /* A mixed record: what a head keeps of a token is these fields, one after another. They then stand for
   * the types; their elements add up to k_elements + v_elements. NULL: keys, then values. */
  const plimsoll_kv_field* const* record;
  uint64_t n_fields;
  uint32_t tokens_per_slot; /* compression along the sequence; 0 and 1: a slot per token */
  uint32_t bound;           /* 1: the cache rule is not publicly known, this is a safe upper bound */
  /* LATENT, for engines that keep it otherwise: how many of k_elements are the rotary part, and what a head of
   * query_heads expands to. 0: unknown. */
  uint64_t rope_elements;
  uint64_t expanded_k_elements;
  uint64_t expanded_v_elements;
} plimsoll_kv_group;

/* ---- facts, entries, requests -------------------------------------------------------------------------- */

/* What the host must know of a model beside bytes. Zero: not applicable or unknown. */
typedef struct plimsoll_facts {
  uint32_t struct_size;
  uint32_t n_layers;   /* decoder layers that a pipeline splits, draft layers not counted */
  uint64_t max_length; /* tokens the model was made for */
  uint64_t hidden_elements;
  uint64_t vocab_tokens;
  uint64_t query_heads;
  uint64_t kv_heads;
  uint64_t experts;
  uint64_t experts_per_token;
  uint64_t draft_layers; /* multi-token-prediction layers in the checkpoint */
} plimsoll_facts;

enum { PLIMSOLL_MODALITY_IMAGE = 1, PLIMSOLL_MODALITY_VIDEO = 2, PLIMSOLL_MODALITY_AUDIO = 3 };

/* The largest thing of one modality that a request may bring, as the cache of encoded media keeps it: rows of the
 * language model's width after merging. Entries whose rows are alike share the engine's cache. */
typedef struct plimsoll_entry {
  uint32_t struct_size;
  uint32_t aspect;           /* exactly one PLIMSOLL_ASPECT_*, usually VISION */
  uint32_t modality;         /* PLIMSOLL_MODALITY_*; of each at most one entry */
  uint32_t most_per_request; /* that a request may bring; 0: no limit of the model's own */
  plimsoll_str label;        /* "image" */
  plimsoll_str dtype;        /* of a row; empty: the model's own type */
  uint64_t rows;
  uint64_t row_elements;
  uint64_t encoder_tokens;   /* positions inside the encoder, before merging: patches, audio frames */
  uint64_t encoder_elements; /* width of the encoder */
} plimsoll_entry;

enum { PLIMSOLL_PHASE_BOTH = 0, PLIMSOLL_PHASE_PREFILL = 1, PLIMSOLL_PHASE_DECODE = 2 };

typedef struct plimsoll_request {
  uint32_t struct_size;
  uint32_t aspects; /* what this planner is asked to count */
  uint32_t n_ranks; /* tp * pp * dp; rank = (dp_i * pp + pp_i) * tp + tp_i */
  uint32_t tp, pp, dp, ep;
  uint32_t n_nodes;                /* machines; each holds n_ranks / n_nodes ranks, one after the other */
  uint32_t phase;                  /* PLIMSOLL_PHASE_* */
  uint32_t explain;                /* 1: fill formulas; they cost time */
  uint32_t chunked_prefill;        /* 0 or 1 */
  uint32_t num_draft_tokens;       /* 0: no speculative decoding */
  uint32_t compute_bits;           /* per element of activations */
  uint32_t kv_bits;                /* per element of the KV cache */
  uint32_t weight_bits;            /* per element of quantised linear layers as stored; packed types count 8 */
  uint32_t weight_is_fp4;          /* 0 or 1: packed 4-bit float weights */
  uint64_t max_length;             /* tokens of one request */
  uint64_t max_batch_size;         /* requests at once. To max_batch: what was asked for, 0 where nothing was. To the others: what
                                    * the plan is for; a host that decides it asks until what it decides is what it asked with */
  uint64_t max_batch_input_tokens; /* tokens of one forward pass */
  uint64_t max_batch_total_tokens; /* 0: not set */
  uint64_t images_per_request;     /* 0: not set */
  const uint64_t* free_bytes;      /* n_ranks entries */
  const uint64_t* used_bytes;      /* n_ranks entries known so far (weights) */
  const uint32_t* stage_of_layer;  /* n_layers entries: the pipeline stage of every decoder layer */
  uint64_t n_layers;
  const plimsoll_view* engine; /* the engine profile's `planner` section: values that formulas use */
} plimsoll_request;

/* ---- results ------------------------------------------------------------------------------------------ */

/* WORKSPACE: scratch that is neither of a forward pass's activations nor of its collectives: adapter slots, grammar masks,
 * prompt embeddings. */
enum { PLIMSOLL_BYTES_ACTIVATION = 1, PLIMSOLL_BYTES_SIGNAL = 2, PLIMSOLL_BYTES_WORKSPACE = 3 };
enum { PLIMSOLL_BASIS_EXACT = 0, PLIMSOLL_BASIS_BOUND = 1, PLIMSOLL_BASIS_HEURISTIC = 2 };
/* RESIDENT bytes add up. TRANSIENT bytes live in one phase of a forward pass; phases take turns, so of all
 * phases of a rank only the largest counts. Transient items that share a phase name add up first. PER_REQUEST bytes are
 * resident for every request of the batch: the host multiplies by the batch that it decides. */
enum { PLIMSOLL_RESIDENT = 0, PLIMSOLL_TRANSIENT = 1, PLIMSOLL_PER_REQUEST = 2 };

typedef struct plimsoll_item {
  uint32_t struct_size;
  uint32_t aspect;   /* exactly one PLIMSOLL_ASPECT_* */
  uint32_t rank;     /* or PLIMSOLL_ALL_RANKS */
  uint32_t category; /* PLIMSOLL_BYTES_* */
  uint32_t basis;    /* PLIMSOLL_BASIS_* */
  uint32_t lifetime; /* PLIMSOLL_RESIDENT, _TRANSIENT or _PER_REQUEST */
  uint32_t memory;   /* PLIMSOLL_MEMORY_*; in host memory nothing is TRANSIENT */
  uint32_t reserved;
  uint64_t bytes;       /* on that rank; of one request where they are PER_REQUEST */
  plimsoll_str label;   /* "experts.dispatch_buffer" */
  plimsoll_str formula; /* with values put in: "8192 tokens x 7168 x 2 B"; empty unless request.explain */
  plimsoll_str phase;   /* TRANSIENT only; empty: a phase of its own */
} plimsoll_item;

/* Where results go; the host adds with overflow checks and remembers the first error. [in-call], all of it. A planner that
 * asks another may hand it a sink of its own, filled in whole. */
typedef struct plimsoll_sink {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  plimsoll_status (*weight)(void* ctx, const plimsoll_weight* weight) PLIMSOLL_NOEXCEPT;
  plimsoll_status (*kv)(void* ctx, const plimsoll_kv_group* group) PLIMSOLL_NOEXCEPT;
  plimsoll_status (*entry)(void* ctx, const plimsoll_entry* entry) PLIMSOLL_NOEXCEPT;
  plimsoll_status (*item)(void* ctx, const plimsoll_item* item) PLIMSOLL_NOEXCEPT;
} plimsoll_sink;

/* ---- planner, host, plugin ---------------------------------------------------------------------------- */

/* One table per family, static const. A NULL entry means "the host's default". `weights`, `kv`, `facts` and
 * `entries` describe the model and are asked once; the others answer to a request. */
typedef struct plimsoll_planner_api {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any] Makes a planner of a view, which the plugin owns until destroy. Host and view outlive it. */
  plimsoll_status (*create)(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out,
                            plimsoll_error* err) PLIMSOLL_NOEXCEPT;
  /* [any] Once for every planner, with no call on it in flight. Children that it asked for are the host's. */
  void (*destroy)(plimsoll_planner* self) PLIMSOLL_NOEXCEPT;
  /* [any] NULL: none declared; the host then counts what the checkpoint stores, replicated. */
  plimsoll_status (*weights)(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out,
                             plimsoll_error* err) PLIMSOLL_NOEXCEPT;
  /* [any] NULL: no KV cache. */
  plimsoll_status (*kv)(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) PLIMSOLL_NOEXCEPT;
  /* [any] NULL: read from the usual config keys. */
  plimsoll_status (*facts)(const plimsoll_planner* self, plimsoll_facts* out, plimsoll_error* err) PLIMSOLL_NOEXCEPT;
  /* [any] NULL: text only. */
  plimsoll_status (*entries)(const plimsoll_planner* self, uint32_t aspects, const plimsoll_sink* out,
                             plimsoll_error* err) PLIMSOLL_NOEXCEPT;
  /* [any] NULL: nothing. */
  plimsoll_status (*activations)(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                 plimsoll_error* err) PLIMSOLL_NOEXCEPT;
  /* [any] NULL: the family's policy. */
  plimsoll_status (*signal_buffers)(const plimsoll_planner* self, const plimsoll_request* req, const plimsoll_sink* out,
                                    plimsoll_error* err) PLIMSOLL_NOEXCEPT;
  /* [any] NULL or *out 0: the host decides. */
  plimsoll_status (*max_batch)(const plimsoll_planner* self, const plimsoll_request* req, uint64_t* out,
                               plimsoll_error* err) PLIMSOLL_NOEXCEPT;
  /* [any] The table of an interface, static const; *object is what its functions take as their first argument,
   * and lives as long as the planner. On a child it is the child's own table and object, which the host hands through. */
  const void* (*query)(const plimsoll_planner* self, plimsoll_str interface_id, const void** object)PLIMSOLL_NOEXCEPT;
} plimsoll_planner_api;

/* A prefix of tensor names that differs between a model and the same model inside another one:
 * {"model.", "model.language_model."}. `from` empty: put `to` in front. */
typedef struct plimsoll_rename {
  uint32_t struct_size;
  uint32_t reserved;
  plimsoll_str from;
  plimsoll_str to;
} plimsoll_rename;

/* Everything a plugin may ask of the host. Lookups never allocate for the plugin; texts that they hand out live as long
 * as the view. No pointer may be NULL but `err`, and `renames` where there are none. */
struct plimsoll_host {
  uint32_t struct_size;
  uint32_t abi_minor;
  /* [any] A line for people, PLIMSOLL_LOG_*; the host puts the plugin's id in front and shows PLIMSOLL_MAX_LOG_LINES of them. */
  void (*log)(const plimsoll_host* host, uint32_t level, plimsoll_str message) PLIMSOLL_NOEXCEPT;
  /* [any] The table of an interface of the host's: "plimsoll.tensors/1". */
  const void* (*query)(const plimsoll_host* host, plimsoll_str interface_id)PLIMSOLL_NOEXCEPT;
  /* [any] RFC 6901 JSON pointer into the view's config. A key that is absent answers with the class default of
   * the view's model_type where a manifest declares one. null counts as NOT_FOUND. NOT_FOUND and TYPE leave
   * *out alone. Integral floats are integers; u64 goes from 0 to 2^63-1, i64 from -2^63. */
  plimsoll_status (*get_u64)(const plimsoll_view* view, plimsoll_str pointer, uint64_t* out) PLIMSOLL_NOEXCEPT;
  plimsoll_status (*get_i64)(const plimsoll_view* view, plimsoll_str pointer, int64_t* out) PLIMSOLL_NOEXCEPT;
  plimsoll_status (*get_f64)(const plimsoll_view* view, plimsoll_str pointer, double* out) PLIMSOLL_NOEXCEPT;
  plimsoll_status (*get_bool)(const plimsoll_view* view, plimsoll_str pointer, uint32_t* out) PLIMSOLL_NOEXCEPT;
  plimsoll_status (*get_str)(const plimsoll_view* view, plimsoll_str pointer, plimsoll_str* out) PLIMSOLL_NOEXCEPT;
  /* Elements of an array, members of an object. */
  plimsoll_status (*get_len)(const plimsoll_view* view, plimsoll_str pointer, uint64_t* out) PLIMSOLL_NOEXCEPT;
  /* The key of member `index` of an object, in the configuration's order. */
  plimsoll_status (*get_key)(const plimsoll_view* view, plimsoll_str pointer, uint64_t index, plimsoll_str* out) PLIMSOLL_NOEXCEPT;
  /* The value as JSON text, without spaces: at most `capacity` bytes of it, not terminated; *size is what all of it takes.
   * `buffer` may be NULL where capacity is 0. */
  plimsoll_status (*get_json)(const plimsoll_view* view, plimsoll_str pointer, char* buffer, uint64_t capacity,
                              uint64_t* size) PLIMSOLL_NOEXCEPT;
  /* Delegation, [in-create].
   * subview: the config below `pointer` ("" for all of it), tensor names rewritten by the first rename whose `from` fits.
   * planner_for: who plans that view. `family` empty: by its architectures or model_type. `as` empty: as what it is; a
   * model_type: in that one's dialect, whatever the view's own is called (its /model_type reads as `as`, and class defaults are
   * that one's). E_UNSUPPORTED where nobody plans it. The table returned is the host's own, complete for this minor, and valid
   * while the caller's planner is; the host owns the child, translates struct sizes between minors and puts the subview's pointer
   * in front of the child's errors. */
  plimsoll_status (*subview)(const plimsoll_view* view, plimsoll_str pointer, const plimsoll_rename* const* renames, uint64_t n_renames,
                             const plimsoll_view** out) PLIMSOLL_NOEXCEPT;
  plimsoll_status (*planner_for)(const plimsoll_view* view, plimsoll_str family, plimsoll_str as, const plimsoll_planner_api** api,
                                 const plimsoll_planner** child, plimsoll_error* err) PLIMSOLL_NOEXCEPT;
};

/* ---- interface "plimsoll.tensors/1": what the checkpoint stores ----------------------------------------- */

#define PLIMSOLL_TENSORS_ID "plimsoll.tensors/1"

typedef struct plimsoll_tensor {
  uint32_t struct_size;
  uint32_t n_dims;
  plimsoll_str name;  /* as the whole model calls it; valid, as the type is, until create returns */
  plimsoll_str dtype; /* as safetensors or the file names it: "bfloat16", "q4_k" */
  uint64_t dims[PLIMSOLL_MAX_DIMS];
  uint64_t stored_bytes;
} plimsoll_tensor;

/* Read-only, from the headers; [in-create]. The first call reads them all. Where there is no checkpoint nothing is stored. */
typedef struct plimsoll_tensors {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t (*count)(const plimsoll_view* view) PLIMSOLL_NOEXCEPT; /* of the whole model */
  /* In the order of their names. NOT_FOUND beyond the last. */
  plimsoll_status (*at)(const plimsoll_view* view, uint64_t index, plimsoll_tensor* out) PLIMSOLL_NOEXCEPT;
  /* By the view's own name, before its renames. */
  plimsoll_status (*find)(const plimsoll_view* view, plimsoll_str name, plimsoll_tensor* out) PLIMSOLL_NOEXCEPT;
} plimsoll_tensors;

/* ---- the plugin ----------------------------------------------------------------------------------------- */

typedef struct plimsoll_family {
  uint32_t struct_size;
  uint32_t aspects;       /* what it can count */
  uint32_t signal_policy; /* PLIMSOLL_SIGNAL_*; the manifest may set another for an architecture */
  uint32_t signal_sites;  /* independent allocation sites per rank; 0 counts as 1 */
  uint64_t signal_bytes;  /* per rank and site; 0: the engine profile's constant. An engine without signal buffers has none */
  plimsoll_str id;        /* "mla"; vendors: reverse domain, "com.acme.vlm" */
  const plimsoll_planner_api* api;
} plimsoll_family;

/* The one exported symbol: const data, so versions are read before any function is called. Architectures
 * are data in the manifest. A plugin may export plimsoll_plugin_v1 and plimsoll_plugin_v2 side by side. */
typedef struct plimsoll_plugin {
  uint32_t struct_size;
  uint16_t abi_minor;     /* header the plugin was built with */
  uint16_t abi_minor_min; /* oldest host minor it can live with */
  plimsoll_str id;
  plimsoll_str version; /* semver */
  uint64_t n_families;
  const plimsoll_family* const* families;
  /* [serial] Before anything else, once, however many hosts use the plugin. May be NULL. */
  plimsoll_status (*init)(const plimsoll_host* host, plimsoll_error* err) PLIMSOLL_NOEXCEPT;
  /* [serial] All planners are destroyed; join your threads. May be NULL. */
  void (*fini)(void) PLIMSOLL_NOEXCEPT;
} plimsoll_plugin;

extern PLIMSOLL_EXPORT const plimsoll_plugin plimsoll_plugin_v1;

#ifdef __cplusplus
}
#endif
#endif
