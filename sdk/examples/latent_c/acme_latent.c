/* Acme's latent attention in plain C. plugin.yaml defines the type of its cache, acme_lat5, and the format of its projections, acme_q3. */
#include "plimsoll_identity.h" /* made from plugin.yaml: id, version and family, said once */
#include <plimsoll/abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define FILLED(type, last, ...) (&(const type){PLIMSOLL_SIZE_THROUGH(type, last), __VA_ARGS__}) /* struct_size is ours to set */
enum { HIDDEN, HEADS, LATENT, VOCAB, LAYERS, NUMBERS, MOST_LAYERS = 1024 };
struct plimsoll_planner { /* the header only declares its name; it never changes after create */
  uint64_t n[NUMBERS];
  uint32_t layers[MOST_LAYERS];
};
static plimsoll_str str(const char* text) { return (plimsoll_str){text, strlen(text)}; }
static plimsoll_status report(plimsoll_error* err, plimsoll_status code, const char* where, const char* message) {
  if (code == PLIMSOLL_OK || err == NULL || !PLIMSOLL_HAS(err, plimsoll_error, message)) return code;
  snprintf(err->where, sizeof err->where, "%s", where); /* the JSON pointer at fault */
  snprintf(err->message, sizeof err->message, "%s", message);
  return err->code = code;
}
static plimsoll_status create(const plimsoll_host* host, const plimsoll_view* view, plimsoll_planner** out, plimsoll_error* err) {
  static const char* const keys[] = {"/hidden_size", "/num_attention_heads", "/kv_lora_rank", "/vocab_size", "/num_hidden_layers"};
  plimsoll_planner p;
  for (uint32_t i = 0; i < MOST_LAYERS; ++i) p.layers[i] = i;
  for (int i = 0; i < NUMBERS; ++i)
    if (host->get_u64(view, str(keys[i]), &p.n[i]) != PLIMSOLL_OK || p.n[i] == 0 || p.n[i] > (i == LAYERS ? MOST_LAYERS : 1 << 20))
      return report(err, PLIMSOLL_E_CONFIG, keys[i], "is missing, 0, too large or no number; check the configuration");
  if ((*out = malloc(sizeof p)) != NULL) **out = p;
  return report(err, *out == NULL ? PLIMSOLL_E_MEMORY : PLIMSOLL_OK, "", "out of memory in the planner");
}
static void destroy(plimsoll_planner* p) { free(p); }
static plimsoll_status matrix(const plimsoll_planner* p, const plimsoll_sink* out, uint32_t stage, const char* name, uint32_t placement,
                              uint32_t dim, uint64_t rows, uint64_t columns) {
  static const uint32_t aspects[] = {PLIMSOLL_ASPECT_ATTENTION, PLIMSOLL_ASPECT_EMBED, PLIMSOLL_ASPECT_HEAD}; /* by stage */
  const uint64_t layers = stage == PLIMSOLL_STAGE_OF_LAYER ? p->n[LAYERS] : 0;
  char pattern[64]; /* the host copies what it keeps */
  snprintf(pattern, sizeof pattern, "model.%s%s.weight", layers != 0 ? "layers.{layer}." : "", name);
  return out->weight(out->ctx,
                     FILLED(plimsoll_weight, rank, .aspect = aspects[stage], .label = str(name), .pattern = str(pattern),
                            .format = str(layers != 0 ? "acme_q3" : ""), .layers = layers != 0 ? p->layers : NULL, .n_layers = layers,
                            .stage = stage, .placement = placement, .shard_dim = dim, .n_dims = 2, .dims = {rows, columns}, .in_dim = 1));
}
static plimsoll_status weights(const plimsoll_planner* p, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  const int refused = matrix(p, out, PLIMSOLL_STAGE_FIRST, "embedding", PLIMSOLL_PLACE_VOCAB, 0, p->n[VOCAB], p->n[HIDDEN]) ||
                      matrix(p, out, PLIMSOLL_STAGE_OF_LAYER, "q_proj", PLIMSOLL_PLACE_TP, 0, p->n[HEADS] * p->n[LATENT], p->n[HIDDEN]) ||
                      matrix(p, out, PLIMSOLL_STAGE_OF_LAYER, "kv_proj", PLIMSOLL_PLACE_REPLICATE, 0, p->n[LATENT], p->n[HIDDEN]) ||
                      matrix(p, out, PLIMSOLL_STAGE_OF_LAYER, "o_proj", PLIMSOLL_PLACE_TP, 1, p->n[HIDDEN], p->n[HEADS] * p->n[LATENT]) ||
                      matrix(p, out, PLIMSOLL_STAGE_LAST, "head", PLIMSOLL_PLACE_VOCAB, 0, p->n[VOCAB], p->n[HIDDEN]);
  return (void)aspects, report(err, refused ? PLIMSOLL_E_ABI : PLIMSOLL_OK, "", "the host refused a class of weights");
}
static plimsoll_status kv(const plimsoll_planner* p, uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) {
  const plimsoll_kv_group* g =
      FILLED(plimsoll_kv_group, expanded_v_elements, .kind = PLIMSOLL_KV_LATENT, .aspect = PLIMSOLL_ASPECT_ATTENTION,
             .label = str("latent"), .k_dtype = str("acme_lat5"), .layers = p->layers, .n_layers = p->n[LAYERS], .kv_heads = 1,
             .query_heads = p->n[HEADS], .k_elements = p->n[LATENT]);
  return (void)aspects, report(err, out->kv(out->ctx, g), "", "the host refused the cache");
}
static const plimsoll_planner_api api = {PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query), .create = create, .destroy = destroy,
                                         .weights = weights, .kv = kv}; /* what is NULL gets the host's default */
static const plimsoll_family family = {PLIMSOLL_IDENTITY_FAMILY_0, &api}, *const families[] = {&family};
const plimsoll_plugin plimsoll_plugin_v1 = {PLIMSOLL_IDENTITY_PLUGIN, 1, families, NULL, NULL};
