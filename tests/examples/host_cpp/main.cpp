// A host in C++: loads a model once, plans it twice, and reads the figures that it would allocate by.
// Run by the tests with the path of a model; prints one line per rank. Threads: one.
#include <cinttypes>
#include <cstdio>
#include <plimsoll/host.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: host_cpp MODEL\n"), 2;
  const auto report = [](const plimsoll::Error& error) {
    std::fprintf(stderr, "%s: %s (%s)\n", std::string(error_code_name(error.code)).c_str(), error.message.c_str(), error.where.c_str());
    return 1;
  };
  auto context = plimsoll::Context::create({});
  if (!context) return report(context.error());
  auto model = context->load(argv[1]);
  if (!model) return report(model.error());
  plimsoll::PlanRequest request;
  request.devices = "2x80GiB";
  for (const std::uint64_t max_length : {std::uint64_t{8192}, std::uint64_t{32768}}) {
    request.max_length = max_length;
    auto plan = context->plan(*model, request);
    if (!plan) return report(plan.error());
    for (const plimsoll::DevicePlan& device : plan->devices)
      std::printf("length %" PRIu64 ", rank %" PRIu32 ": %" PRIu64 " bytes of weights, %" PRIu64 " of KV cache\n", max_length, device.rank,
                  device.weights_bytes, device.kv_cache_bytes);
    if (plan->devices.size() != 2 || plan->verdict == plimsoll::Verdict::kDoesNotFit) return 1;
  }
  return 0;
}
