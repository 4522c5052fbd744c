/* Text and pages from C: loads a model into what its plan sets aside, prints what it goes on with, then numbers pages for a server of one's
 * own.  example_runtime_c MODEL PROMPT */
#include <stdio.h>
#include <stdlib.h>

#include <plimsoll/runtime.h>

static int failed(char* error) {
  fprintf(stderr, "error: %s\n", error ? error : "no memory");
  plimsoll_free(error);
  return 1;
}

static int print_text(void* user, uint64_t request, const char* text, const int32_t* tokens, size_t n) {
  (void)user, (void)request, (void)tokens, (void)n;
  return fputs(text, stdout) == EOF; /* not 0: nobody reads, so all ends */
}

static int generate(const plimsoll_context* context, const char* model, const char* prompt) {
  char request[4200], requests[4200], *error = NULL, *document = NULL;
  plimsoll_generator* generator = NULL;
  snprintf(request, sizeof request, "{\"model\": \"%s\", \"devices\": \"64MiB\"}", model);
  if (plimsoll_generator_create(context, request, NULL, NULL, NULL, &generator, &error) != PLIMSOLL_HOST_OK) return failed(error);
  snprintf(requests, sizeof requests, "{\"requests\": [{\"prompt\": \"%s\", \"max_new_tokens\": 32}]}", prompt);
  const int code = plimsoll_generate_json(generator, requests, print_text, NULL, &document);
  plimsoll_free(generator);
  if (code != PLIMSOLL_HOST_OK) return failed(document);
  plimsoll_free(document); /* plimsoll.run/1: tokens, status, planned and taken bytes */
  puts("");
  return 0;
}

static int number_pages(const plimsoll_context* context, const char* model) {
  char request[4200], *error = NULL;
  plimsoll_plan* plan = NULL;
  plimsoll_kv* kv = NULL;
  plimsoll_kv_work work;
  plimsoll_kv_group_inputs group;
  const uint64_t id = 7;
  const int32_t next = 42;
  int32_t prompt[40];
  for (int32_t i = 0; i < 40; ++i) prompt[i] = i;
  snprintf(request, sizeof request, "{\"model\": \"%s\", \"devices\": \"64MiB\", \"engine\": \"reference\", \"max_length\": 128}", model);
  if (plimsoll_plan_create(context, request, &plan, &error) != PLIMSOLL_HOST_OK) return failed(error);
  if (plimsoll_kv_create(plan, "{\"layout\": \"exact\"}", &kv, &error) != PLIMSOLL_HOST_OK) return failed(error);
  plimsoll_free(plan);
  if (plimsoll_kv_admit(kv, id, prompt, 40, NULL, &error) != PLIMSOLL_HOST_OK) return failed(error);
  if (plimsoll_kv_alloc(kv, id, 0, &work, &error) != PLIMSOLL_HOST_OK) return failed(error);
  if (plimsoll_kv_inputs(kv, &id, 1, 0, &error) != PLIMSOLL_HOST_OK) return failed(error);
  if (plimsoll_kv_table(kv, 0, &group) != PLIMSOLL_HOST_OK) return failed(NULL);
  printf("%d tokens in pages", (int)work.length_tokens);
  for (uint32_t i = 0; i < group.columns; ++i) printf(" %u", group.table[i]);
  puts("");
  if (plimsoll_kv_step(kv, &id, &next, 1, &error) != PLIMSOLL_HOST_OK) return failed(error);
  if (plimsoll_kv_release(kv, id, &error) != PLIMSOLL_HOST_OK) return failed(error);
  plimsoll_free(kv);
  return 0;
}

int main(int argc, char** argv) {
  plimsoll_context* context = NULL;
  char* error = NULL;
  if (argc != 3) return fputs("usage: example_runtime_c MODEL PROMPT\n", stderr), 2;
  if (plimsoll_context_create(NULL, NULL, NULL, &context, &error) != PLIMSOLL_HOST_OK) return failed(error);
  const int code = generate(context, argv[1], argv[2]) || number_pages(context, argv[1]);
  plimsoll_free(context);
  return code;
}
