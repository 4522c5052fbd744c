/* The same in C. */
#include <plimsoll/abi.h>
#include <plimsoll/host.h>
#include <plimsoll/pipeline.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  plimsoll_context* context = NULL;
  char* document = NULL;
  if (strlen(plimsoll_version()) == 0 || plimsoll_context_create(NULL, NULL, NULL, &context, NULL) != 0) return 1;
  const int code = plimsoll_plan_json(context, "{\"model\": \"Qwen/Qwen3-8B\", \"devices\": \"1xH100\"}", &document);
  if (document != NULL) puts(document);
  plimsoll_free(document);
  plimsoll_free(context);
  return code;
}
