/* A host in C11: a context, a plan, the figures of every rank, and an error that is read.
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
