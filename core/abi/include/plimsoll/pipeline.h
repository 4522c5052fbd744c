/* plimsoll/pipeline.h - interface "plimsoll.pipeline/1": a forward pass as data. C11, needs abi.h only.
 *
 * A planner may offer it through `query`. Whoever does not still plans; a model of his does not run here. A plugin ships no
 * kernel and links nothing: it emits values (virtual tensors), tables of rotary frequencies and ops, which name weights and KV
 * groups by the labels that the planners of the model declared. The host binds the weights, derives every buffer from first
 * definition and last use, plans with that schedule and executes it. All rules of abi.h hold; besides:
 *  P-01 A call describes one part: EMBED, HEAD, the FFN of a layer, or a layer (ATTENTION | STATE). Each sets `out` from `in`,
 *       but a layer: there both are the residual stream, and its ops add to it or scale it. EMBED has no `in`. Where the facts
 *       have no vocabulary, HEAD gives vectors in place of logits: of hidden_elements, one for each sequence.
 *  P-02 A layer's norms are those of whoever declared them, so a layer leaves its FFN to `part`: the host asks the root of the
 *       model for it, who asks whom he likes. That is how attention and experts of two families meet.
 *  P-03 A value is set before it is read, and only by ops of the call that declared it or was handed it; one that `shared` gave is any
 *       part's that asks for it. Indices are those that the sink gave out for this model.
 *  P-04 Labels of weights and groups are those of classes and groups that list the layer; what belongs to no layer is named
 *       outside layers alone.
 *  P-05 The same call describes the same ops every time, whatever the request: sizes of a request are the host's.
 *  P-06 Regions of a state are numbered as its group lists them; no two ops of a layer have the same elements. A request begins with
 *       zeros in its state.
 *  P-07 Whoever takes images may describe their encoder: the part VISION, of no layer and with no `in`, whose ops name layers and
 *       classes of that aspect. Its values have rows of patches, or of what these are merged to; `out` has the latter, as wide as an
 *       entry's row. It has one PATCHES, its first op. Where EMBED has an IMAGE_ROWS, tokens become such rows. E_UNSUPPORTED: texts alone.
 *  P-08 Whoever has layers that draft (facts.draft_layers) may describe the first of them, a head that the host runs behind passes of the
 *       model and then over each token that it drafted. Its parts have PLIMSOLL_PART_DRAFT beside their aspects, and the number of the
 *       layer is the first that the KV groups of that role list. In order: PART_DRAFT alone, of no layer, `in` what the model's last layer
 *       left, `out` what the head takes of it; with EMBED, `in` what it takes, of the model or of its own run before, `out` its residual
 *       stream: tokens of the pass are those that follow the rows; with ATTENTION | STATE its layer, and with FFN what that leaves to
 *       `part`; PART_DRAFT alone, of the layer, `out` what its next run takes; with HEAD, `in` that, `out` logits. Labels are those of
 *       classes of that role, of which the first layer is meant, or of what belongs to no layer. E_UNSUPPORTED: planned, not executed.
 * [any] for `describe`, [in-call] for the sink.
 */
#ifndef PLIMSOLL_PIPELINE_H
#define PLIMSOLL_PIPELINE_H
#include "plimsoll/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLIMSOLL_PIPELINE_ID         "plimsoll.pipeline/1"
#define PLIMSOLL_NO_LAYER            UINT32_MAX
#define PLIMSOLL_NO_VALUE            UINT32_MAX
#define PLIMSOLL_NO_TABLE            UINT32_MAX
#define PLIMSOLL_ALL_PARTS           UINT32_MAX /* LINEAR: every part of the class */
#define PLIMSOLL_OP_MAX_INPUTS       6u
#define PLIMSOLL_OP_MAX_WEIGHTS      6u
#define PLIMSOLL_OP_MAX_INTEGERS     8u
#define PLIMSOLL_OP_MAX_REALS        4u
#define PLIMSOLL_MAX_PIPELINE_VALUES 1048576u /* of one model; as many ops */
#define PLIMSOLL_MAX_ROPE_TABLES     64u
#define PLIMSOLL_MAX_FREQUENCIES     4096u /* of one table */
#define PLIMSOLL_MAX_PARTS_DEEP      8u    /* `part` inside `describe` */
#define PLIMSOLL_MAX_SHARED_VALUES   16u

/* Beside the aspects of a part: of the head that drafts (P-08). */
#define PLIMSOLL_PART_DRAFT 0x10000u

/* Rows of a value: one for each token of the pass, or for each that wants logits; of an encoder (P-07) one for each patch of an image, or
 * for each that it takes in the text. */
enum { PLIMSOLL_ROWS_TOKENS = 0, PLIMSOLL_ROWS_OUTPUTS = 1, PLIMSOLL_ROWS_PATCHES = 2, PLIMSOLL_ROWS_MERGED = 3 };

/* A virtual tensor [rows, width] of the host's compute type. The host decides where and for how long it lives. */
typedef struct plimsoll_value {
  uint32_t struct_size;
  uint32_t rows;  /* PLIMSOLL_ROWS_* */
  uint64_t width; /* elements of a row, unsharded */
  uint64_t units; /* it splits over the tensor-parallel group in so many indivisible units (heads); 0: every rank has all of it */
} plimsoll_value;

/* What an activation does to x: */
enum {
  PLIMSOLL_ACT_NONE = 0,        /* x */
  PLIMSOLL_ACT_SILU = 1,        /* x / (1 + exp(-x)) */
  PLIMSOLL_ACT_GELU = 2,        /* x/2 (1 + erf(x / sqrt 2)) */
  PLIMSOLL_ACT_GELU_TANH = 3,   /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
  PLIMSOLL_ACT_RELU = 4,        /* max(x, 0) */
  PLIMSOLL_ACT_SIGMOID = 5,     /* 1 / (1 + exp(-x)) */
  PLIMSOLL_ACT_SOFT_CAP = 6,    /* c tanh(x / c), c the op's real */
  PLIMSOLL_ACT_SWIGLU_OAI = 7,  /* of a pair (g, u) only: g' = min(g, limit), u' = clamp(u, -limit, limit);
                                 * (u' + 1) g' / (1 + exp(-alpha g')): gpt-oss, limit 7, alpha 1.702 */
  PLIMSOLL_ACT_GELU_QUICK = 8,  /* x / (1 + exp(-1.702 x)) */
  PLIMSOLL_ACT_RELU_SQUARED = 9 /* max(x, 0)^2 */
};
/* How a router scores. */
enum {
  PLIMSOLL_SCORE_SOFTMAX = 0,        /* over all experts, then the best k */
  PLIMSOLL_SCORE_SIGMOID = 1,        /* each by itself, then the best k */
  PLIMSOLL_SCORE_SOFTMAX_CHOSEN = 2, /* the best k logits, then softmax over these: gpt-oss, Mixtral */
  PLIMSOLL_SCORE_SIGMOID_CHOSEN = 3  /* the best k logits, then each by itself: Llama 4. Since 1.0 */
};
/* What a group of experts is worth: its best expert (DeepSeek-V2) or the sum of its best two (DeepSeek-V3). */
enum { PLIMSOLL_GROUP_BEST = 0, PLIMSOLL_GROUP_BEST_TWO = 1 };

/* One row each: in[] ; weight[] (a label, "?" may be empty) ; i[] ; f[]. Integers and reals that are not listed are 0. Linear
 * layers are stored [out, in], or [in, out] where the class's in_dim says so. */
enum {
  PLIMSOLL_OP_EMBED = 1,  /* - ; table ; - ; scale. out = scale * table[token]; the tokens of the pass are implied */
  PLIMSOLL_OP_NORM = 2,   /* x ; gain?, bias? ; heads, stride, first column, columns, mean, plus_one ; epsilon. Of each head h over the
                           * columns [h * stride + first, + columns); heads 0: one head, the whole row. RMS norm, or with mean = 1 a
                           * layer norm; the gain is one of `columns`, or one of heads * columns; plus_one = 1: the gain is 1 + g. out
                           * may be x. Other columns are copied */
  PLIMSOLL_OP_LINEAR = 3, /* x ; w, bias? ; part ; scale. out = scale * (x w^T + bias). part: one of the class's parts along its
                           * output, PLIMSOLL_ALL_PARTS: all */
  PLIMSOLL_OP_ROPE = 4,   /* x ; - ; heads, stride, first column, columns, interleaved, table ; -. In place: out = x. Pairs are
                           * (i, i + columns / 2), interleaved = 1: (2i, 2i + 1). Positions are implied */
  PLIMSOLL_OP_ATTEND =
      5, /* q, k, v ; sinks? ; heads, kv heads, k width, v width, window, chunk, step, from ; scale, soft cap, growth, bias.
          * Stores k and v in kv_group and attends causally; window w: to the last w tokens, chunk c: to those of the same
          * c. With no k and v (n_in 1) it looks into what is stored. Sinks: a logit more for each head in the denominator.
          * Since 1.0: step s, the query at position p, counted from 0, times 1 + growth * log(1 + floor((p + 1) / s));
          * from l, of n_in 1: what layer l - 1 stored, an earlier one, whose group kv_group names; 0: its own layer;
          * bias b: less s times its distance for every key, before the cap. Of head h of n, with the largest power of two
          * m that is not above n, s is 2^(-b (h + 1) / m), and for h >= m 2^(-b (2 (h - m) + 1) / (2 m)): ALiBi, b 8 */
  PLIMSOLL_OP_ATTEND_LATENT = 6, /* q, (c | k_rope) ; kv_b ; heads, rank, nope, rope, v ; scale. kv_b is [heads * (nope + v), rank]. The
                                  * host may absorb kv_b or not */
  PLIMSOLL_OP_GATE = 7,          /* a, b? ; - ; act ; limit or cap, alpha. out = act(a) * b, or act(a); out may be a or b */
  PLIMSOLL_OP_ROUTE = 8,      /* x ; router, bias?, correction?, gains? ; experts, k, groups, kept groups, score, renormalise, group worth ;
                               * scale. out [2k]: k experts, then their weights. Chosen by score + correction, weighed by score; only the
                               * best `kept groups` of `groups` take part; renormalise: weights over their sum; then times scale, and,
                               * since 1.0, times the gain of the expert. Equal scores: the lower expert first */
  PLIMSOLL_OP_EXPERTS = 9,    /* x, routes ; gate?, up, down, gate bias?, up bias?, down bias? ; experts, k, width, act, paired, 0, 0,
                               * weighed ; limit, alpha. out = sum over the chosen: weight * down(act(gate x) * up x). paired: `gate` holds
                               * both, 1: rows of gate, then of up; 2: alternating; `up` is then empty, and so is its bias. weighed 1,
                               * since 1.0: the weight stands before x instead, in both places */
  PLIMSOLL_OP_LAST_ROWS = 10, /* x ; - ; - ; -. Of the rows of all tokens those that want logits */
  PLIMSOLL_OP_ADD = 11,       /* a ; - ; - ; scale. out = scale * a */
  PLIMSOLL_OP_SCALE_ROWS = 12, /* a, s ; - ; act ; -. out = act(s) * a, s one element a row: the gate of a shared expert */
  PLIMSOLL_OP_CONV = 13,      /* x ; w, bias? ; part, taps, act, region, first channel ; -. A causal convolution of every channel by itself:
                               * out[t] = act(bias + sum over j < taps of w[j] * x[t - taps + 1 + j]). w is [channels, taps], whatever
                               * dimensions of 1 lie between; parts as of LINEAR. What stood before the pass lies in the state: of
                               * kv_group's region the (taps - 1) * channels elements from (taps - 1) * first channel on, which then hold
                               * the last rows of x. out may be x */
  PLIMSOLL_OP_SSM_SCAN = 14,  /* x, b, c, dt ; a, d?, dt bias? ; heads, head elements, state, groups, region, stored ; least, most. The scan
                               * of Mamba, token by token and in every head: s = clamp(softplus(dt + dt bias), least, most), most 0: no
                               * limit; S = exp(s A) S + s x b^T; out = S c + d x. S is [head elements, state] and lies in kv_group's
                               * region, one head after another. dt is one a head; b and c are [groups, state], each for as many heads;
                               * a is one a head, or [heads, state]; A = -exp(a), stored = 1: A = a */
  PLIMSOLL_OP_COLUMNS = 15,   /* x ; - ; heads, stride, first column, columns ; -. out [heads * columns]: of each head h the columns
                               * [h * stride + first, + columns), side by side: what one projection gives for several uses */
  PLIMSOLL_OP_DELTA_RULE = 16 /* q, k, v, decay, write ; a, dt bias? ; heads, key heads, key elements, value elements, region, stored ;
                               * epsilon, scale. The gated delta rule, token by token and in every head: q and k are made as long as 1,
                               * x / sqrt(|x|^2 + epsilon), and q times scale; S = exp(A softplus(decay + dt bias)) S;
                               * S = S + sigmoid(write) (v - S k) k^T; out = S q. S is [value elements, key elements] and lies in
                               * kv_group's region, one head after another. q and k are [key heads, key elements], each for as many
                               * heads; write is one a head; decay and dt bias are one a head, or [heads, key elements]: then every
                               * column of S by its own; a is one a head; A = -exp(a), stored = 1: A = a */
};
/* Since 1.0. */
enum {
  PLIMSOLL_OP_ATTEND_WHOLE = 17, /* q, k, v ; - ; heads, kv heads, k width, v width, window, apart ; scale, soft cap. Every row sees all
                                  * rows of its own sequence in the pass, those behind it too; window w: those at most w / 2 (rounded down)
                                  * away. Nothing is kept: a sequence comes whole, in one pass. It names no kv_group. Apart 1: of an image,
                                  * where PATCHES has windows, the rows of its own window alone */
  PLIMSOLL_OP_PATCHES = 24, /* - ; - ; channels, frames, side, merge, window ; -. A row for each patch of side x side pixels, [channels,
                             * frames, side, side]; all frames of an image are alike. In blocks of merge x merge neighbours, row by row, the
                             * blocks row by row too; window w: in windows of w x w blocks, the windows row by row, those at the right
                             * and the lower edge as large as is left, and the blocks of each row by row; 0: none */
  PLIMSOLL_OP_ROPE_SECTIONS = 25, /* x ; - ; heads, stride, first column, columns, order, table, pairs of the first, of the second ; -. As
                                   * ROPE with pairs (i, i + columns / 2), but a row has three positions: pairs turn by the first, then so
                                   * many by the second, the rest by the third (order 0); or pairs 1, 4, 7 ... by the second, 2, 5, 8 ... by
                                   * the third, as many as they have, the rest by the first (order 1). Of a text all three are the token's
                                   * place. An image that begins at position p has its rows at (p, p + row, p + column); what follows goes
                                   * on behind the largest. Of patches: (0, row, column) */
  PLIMSOLL_OP_MERGE_ROWS = 26, /* x ; - ; n ; -. Of patches what the text takes: n rows side by side become one; n is merge^2 of PATCHES */
  PLIMSOLL_OP_IMAGE_ROWS = 27, /* x ; - ; token ; -. In place, out = x: rows of that token become those of the request's images, in order */
  PLIMSOLL_OP_JOIN = 28,       /* a, b ; - ; blank ; -. out = (a | b), their columns side by side. blank 1: a row of a whose token stands
                                * first in its sequence counts as zeros; 2: one of b; 0: none */
  PLIMSOLL_OP_ROWS_IN_ORDER = 34 /* x ; - ; - ; -. Of merged rows in windows those in the order of the text: row by row */
};
enum {
  PLIMSOLL_OP_EMBED_POSITION = 18, /* - ; table ; first, step ; scale. out = scale * table[first + step * position]: learnt positions, step
                                    * 1; or step 0, the same row for all tokens, as of a token type */
  PLIMSOLL_OP_MULTIPLY = 20,       /* x ; w ; - ; scale. out = scale * w * x, w of as many elements as a row has, or of one; out may be x */
  PLIMSOLL_OP_POOL = 19            /* x ; - ; how ; -. Of the rows of each sequence one: rows of tokens become rows of outputs, one a
                                    * sequence. `how` is the model's own way; what sentence-transformers' files beside it say goes before */
};
/* The first row of a sequence, the mean of all, or the last. */
enum { PLIMSOLL_POOL_FIRST = 1, PLIMSOLL_POOL_MEAN = 2, PLIMSOLL_POOL_LAST = 3 };
enum {
  PLIMSOLL_OP_ACCUMULATE = 1u, /* adds to out instead of setting it; not of EMBED, NORM, ROPE, ROUTE, CONV, SSM_SCAN, COLUMNS,
                                * DELTA_RULE, MULTIPLY, and those from PATCHES on */
  PLIMSOLL_OP_REDUCE = 2u      /* what the op gives is summed over the tensor-parallel group before it is set or added */
};

typedef struct plimsoll_op {
  uint32_t struct_size;
  uint32_t kind;  /* PLIMSOLL_OP_* */
  uint32_t flags; /* PLIMSOLL_OP_ACCUMULATE, _REDUCE */
  uint32_t layer; /* or PLIMSOLL_NO_LAYER */
  uint32_t out;
  uint32_t n_in;
  uint32_t in[PLIMSOLL_OP_MAX_INPUTS];
  uint32_t n_weights;
  uint32_t reserved;
  plimsoll_str weight[PLIMSOLL_OP_MAX_WEIGHTS];
  plimsoll_str kv_group; /* ATTEND and ATTEND_LATENT: the label of a group; CONV, SSM_SCAN and DELTA_RULE: of one that keeps states */
  uint64_t i[PLIMSOLL_OP_MAX_INTEGERS];
  double f[PLIMSOLL_OP_MAX_REALS];
} plimsoll_op;

/* Rotary frequencies are the plugin's arithmetic: llama3, yarn, proportional need no code of the host's. The angle of pair i at
 * position p is p * inverse_frequencies[i]; sine and cosine are multiplied by attention_factor. */
typedef struct plimsoll_rope_table {
  uint32_t struct_size;
  uint32_t n; /* pairs */
  const double* inverse_frequencies;
  double attention_factor; /* 1: none */
  /* Where longer requests turn otherwise (longrope): what counts where the plan's max_length is beyond long_beyond_tokens. NULL: the same.
   */
  const double* long_inverse_frequencies; /* n entries */
  double long_attention_factor;
  uint64_t long_beyond_tokens;
} plimsoll_rope_table;

typedef struct plimsoll_pipeline_sink {
  uint32_t struct_size;
  uint32_t reserved;
  void* ctx;
  plimsoll_status (*value)(void* ctx, const plimsoll_value* value, uint32_t* index) PLIMSOLL_NOEXCEPT;
  /* The same table again, as every layer hands it over, gets the same index and counts once. */
  plimsoll_status (*rope)(void* ctx, const plimsoll_rope_table* table, uint32_t* index) PLIMSOLL_NOEXCEPT;
  plimsoll_status (*op)(void* ctx, const plimsoll_op* op) PLIMSOLL_NOEXCEPT;
  /* The host describes the FFN of `layer` here, reading `in` and setting `out` (P-02). */
  plimsoll_status (*part)(void* ctx, uint32_t aspects, uint32_t layer, uint32_t in, uint32_t out) PLIMSOLL_NOEXCEPT;
  /* Since 1.0. A value for several parts, what the embedding has for every layer say: a key below PLIMSOLL_MAX_SHARED_VALUES has one
   * index all over the model, and the same value wherever it is asked for. Not of encoders. */
  plimsoll_status (*shared)(void* ctx, const plimsoll_value* value, uint32_t key, uint32_t* index) PLIMSOLL_NOEXCEPT;
} plimsoll_pipeline_sink;

typedef struct plimsoll_pipeline {
  uint32_t struct_size;
  uint32_t reserved;
  /* Describes one part (P-01). `object` is what query gave. E_UNSUPPORTED: this planner describes no pipeline for this model. */
  plimsoll_status (*describe)(const void* object, uint32_t aspects, uint32_t layer, uint32_t in, uint32_t out,
                              const plimsoll_pipeline_sink* sink, plimsoll_error* err) PLIMSOLL_NOEXCEPT;
} plimsoll_pipeline;

#ifdef __cplusplus
}
#endif
#endif
