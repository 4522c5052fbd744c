// Plans with all headers of hosts in sight; prints the bytes of the first device's KV cache.
#include "all_headers.hpp"

#include <cstdio>

int main() {
  auto context = plimsoll::Context::create({});
  if (!context) return 1;
  auto model = context->load("Qwen/Qwen3-8B");
  if (!model) return 2;
  plimsoll::PlanRequest request;
  request.devices = "1xH100";
  const auto plan = context->plan(*model, request);
  if (!plan) return 3;
  std::printf("%llu\n", static_cast<unsigned long long>(plan->devices[0].kv_cache_bytes));
  return 0;
}
