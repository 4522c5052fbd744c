/* A management library of GPUs that are not there, for `plimsoll watch --nvml`. FAKE_NVML says what it has, words with spaces between them:
 * gpus=N, used=BYTES of the first GPU (each next one has a GiB less), old (no second version of the memory's figures), and what fails:
 * init, count, name, memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VISIBLE __attribute__((visibility("default")))
#define GIB     1073741824ULL

struct memory {
  unsigned long long total, free, used;
};
struct memory2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};

static int indices[64] = {0};

static const char* said(void) {
  const char* const text = getenv("FAKE_NVML");
  return text == NULL ? "" : text;
}
static int says(const char* word) { return strstr(said(), word) != NULL; }
static unsigned long long number(const char* word, unsigned long long otherwise) {
  const char* const at = strstr(said(), word);
  return at == NULL ? otherwise : strtoull(at + strlen(word), NULL, 10);
}
static unsigned long long used(const void* gpu) { return number("used=", 20 * GIB) - (unsigned long long)*(const int*)gpu * GIB; }

VISIBLE int nvmlInit_v2(void);
VISIBLE int nvmlInit_v2(void) {
  for (int i = 0; i < 64; ++i) indices[i] = i;
  return says("init") ? 9 : 0;
}
VISIBLE int nvmlShutdown(void);
VISIBLE int nvmlShutdown(void) { return 0; }
VISIBLE const char* nvmlErrorString(int code);
VISIBLE const char* nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : "Unknown Error"; }
VISIBLE int nvmlDeviceGetCount_v2(unsigned* count);
VISIBLE int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = (unsigned)number("gpus=", 2);
  return says("count") ? 999 : 0;
}
VISIBLE int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** gpu);
VISIBLE int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** gpu) {
  if (index >= 64) return 2;
  *gpu = &indices[index];
  return 0;
}
VISIBLE int nvmlDeviceGetHandleByUUID(const char* uuid, void** gpu);
VISIBLE int nvmlDeviceGetHandleByUUID(const char* uuid, void** gpu) {
  if (strcmp(uuid, "MIG-7") != 0) return 6;
  *gpu = &indices[7];
  return 0;
}
VISIBLE int nvmlDeviceGetUUID(void* gpu, char* text, unsigned bytes);
VISIBLE int nvmlDeviceGetUUID(void* gpu, char* text, unsigned bytes) {
  const int index = *(const int*)gpu;
  snprintf(text, bytes, "%s-%d%s", index == 7 ? "MIG" : "GPU", index, index == 7 ? "" : "a0-ff");
  return 0;
}
VISIBLE int nvmlDeviceGetName(void* gpu, char* text, unsigned bytes);
VISIBLE int nvmlDeviceGetName(void* gpu, char* text, unsigned bytes) {
  (void)gpu;
  snprintf(text, bytes, says("odd") ? "A \"card\"\\\n\xff" : "NVIDIA H100 80GB HBM3");
  return says("name") ? 999 : 0;
}
VISIBLE int nvmlDeviceGetMemoryInfo(void* gpu, struct memory* out);
VISIBLE int nvmlDeviceGetMemoryInfo(void* gpu, struct memory* out) {
  out->total = 80 * GIB;
  out->used = used(gpu) + GIB;
  out->free = out->total - out->used;
  return says("memory") ? 15 : 0;
}
VISIBLE int nvmlDeviceGetMemoryInfo_v2(void* gpu, struct memory2* out);
VISIBLE int nvmlDeviceGetMemoryInfo_v2(void* gpu, struct memory2* out) {
  if (out->version != (sizeof *out | 2U << 24)) return 25;
  out->total = 80 * GIB;
  out->reserved = GIB;
  out->used = used(gpu);
  out->free = out->total - out->reserved - out->used;
  return says("memory") ? 15 : says("old") ? 3 : 0;
}
