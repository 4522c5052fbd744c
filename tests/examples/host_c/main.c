/* A host in C11: a context, a plan, the figures of every rank, where its caches lie in one allocation, and an error that is read.
 * Run by the tests with the path of a model; prints what it found. Threads: one. */
#include <inttypes.h>
#include <plimsoll/abi.h> /* both headers in one file: their names do not clash */
#include <plimsoll/host.h>
#include <stdio.h>
#include <stdlib.h>

static void log_line(void* user, int level, const char* message) {
  (void)user;
  fprintf(stderr, "log %d: %s\n", level, message);
}

/* Puts the KV groups of one rank one after the other and says where each begins; returns the bytes of all, 0 on failure. */
static uint64_t lay_out(const plimsoll_plan* plan, uint32_t rank) {
  uint64_t groups = 0, shared = 0, offset = 0;
  if (plimsoll_plan_limit(plan, PLIMSOLL_HOST_KV_RANK_GROUPS, &groups) != PLIMSOLL_HOST_OK) return 0;
  if (plimsoll_plan_limit(plan, PLIMSOLL_HOST_KV_SHARED_BLOCKS, &shared) != PLIMSOLL_HOST_OK) return 0;
  for (uint32_t group = 0; group < groups; ++group) {
    uint64_t bytes = 0, pages = 0, page_bytes = 0, rows = 0, row_bytes = 0;
    uint32_t first_layer = 0;
    size_t layers = 0;
    char* label = NULL;
    const int page_size = shared ? PLIMSOLL_HOST_RANK_BLOCK_BYTES : PLIMSOLL_HOST_RANK_PAGE_BYTES;
    if (plimsoll_plan_kv_rank_group(plan, rank, group, PLIMSOLL_HOST_RANK_BYTES, &bytes) != PLIMSOLL_HOST_OK) return 0;
    if (plimsoll_plan_kv_rank_group(plan, rank, group, PLIMSOLL_HOST_RANK_PAGES, &pages) != PLIMSOLL_HOST_OK) return 0;
    if (plimsoll_plan_kv_rank_group(plan, rank, group, page_size, &page_bytes) != PLIMSOLL_HOST_OK) return 0;
    if (plimsoll_plan_kv_rank_group(plan, rank, group, PLIMSOLL_HOST_RANK_STATE_ROWS, &rows) != PLIMSOLL_HOST_OK) return 0;
    if (plimsoll_plan_kv_rank_group(plan, rank, group, PLIMSOLL_HOST_RANK_STATE_ROW_BYTES, &row_bytes) != PLIMSOLL_HOST_OK) return 0;
    if (plimsoll_plan_kv_rank_group_layers(plan, rank, group, &first_layer, 1, &layers) != PLIMSOLL_HOST_OK) return 0;
    if (plimsoll_plan_kv_rank_group_text(plan, rank, group, PLIMSOLL_HOST_RANK_LABEL, &label) != PLIMSOLL_HOST_OK) return 0;
    printf("  %s: %zu layers from %" PRIu32 " on, %" PRIu64 " pages of %" PRIu64 " bytes, %" PRIu64 " rows of %" PRIu64 ", at %" PRIu64
           "\n",
           label, layers, first_layer, pages, page_bytes, rows, row_bytes, offset);
    plimsoll_free(label);
    offset += bytes; /* 0 for the groups after the first where they share its blocks */
  }
  return offset;
}

int main(int argc, char** argv) {
  char request[8192];
  plimsoll_context* context = NULL;
  plimsoll_plan* plan = NULL;
  char* error = NULL;
  char* document = NULL;
  uint64_t max_length = 0, pages = 0;
  if (argc != 2) return 2;
  if (snprintf(request, sizeof request, "{\"model\": \"%s\", \"devices\": \"2x80GiB\", \"max_length\": 8192}", argv[1]) < 0) return 2;
  if (plimsoll_context_create("{\"trust\": \"open\"}", log_line, NULL, &context, &error) != PLIMSOLL_HOST_OK) {
    fprintf(stderr, "%s\n", error);
    plimsoll_free(error);
    return 1;
  }
  if (plimsoll_plan_create(context, request, &plan, &error) != PLIMSOLL_HOST_OK) {
    fprintf(stderr, "%s\n", error);
    plimsoll_free(error);
    plimsoll_free(context);
    return 1;
  }
  for (uint32_t rank = 0; rank < plimsoll_plan_rank_count(plan); ++rank) {
    int64_t weights_bytes = 0, kv_cache_bytes = 0;
    if (plimsoll_plan_rank_bytes(plan, rank, PLIMSOLL_HOST_WEIGHTS_BYTES, &weights_bytes) != PLIMSOLL_HOST_OK) return 1;
    if (plimsoll_plan_rank_bytes(plan, rank, PLIMSOLL_HOST_KV_CACHE_BYTES, &kv_cache_bytes) != PLIMSOLL_HOST_OK) return 1;
    printf("rank %" PRIu32 ": %" PRId64 " bytes of weights, %" PRId64 " of KV cache\n", rank, weights_bytes, kv_cache_bytes);
    if (weights_bytes <= 0) return 1;
    if (lay_out(plan, rank) != (uint64_t)kv_cache_bytes) return 1;
  }
  if (plimsoll_plan_limit(plan, PLIMSOLL_HOST_MAX_LENGTH, &max_length) != PLIMSOLL_HOST_OK || max_length != 8192) return 1;
  if (plimsoll_plan_limit(plan, PLIMSOLL_HOST_KV_PAGES, &pages) != PLIMSOLL_HOST_OK || pages == 0) return 1;
  plimsoll_free(plan);

  if (plimsoll_plan_json(context, "{\"model\": \"/nonexistent\", \"devices\": \"80GiB\"}", &document) == PLIMSOLL_HOST_OK) return 1;
  printf("as it should, this failed: %.60s...\n", document);
  plimsoll_free(document);
  plimsoll_free(context);
  return 0;
}
