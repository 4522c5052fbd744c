// Configurations: any JSON is a model that can be planned and weighed, or an error with a message. Every family's planners take
// part, and every engine; the seeds are the catalogue's models.
#include "fuzz/fuzz.hpp"
#include "fuzz/plan_rules.hpp"
#include "fuzz/seed_files.hpp"

#include <nlohmann/json.hpp>

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"

namespace plimsoll::fuzz {
namespace {

PlanRequest request(const char* devices, const char* engine) {
  PlanRequest out;
  out.devices = devices;
  out.engine = engine;
  return out;
}

// Requests that reach different formulas: every engine, one device, tensor and expert parallelism, a pipeline, drafts, cards that
// others use too.
std::vector<PlanRequest> make_requests() {
  std::vector<PlanRequest> out{request("1xH100", "max"),           request("8xH200", "max"),    request("4x80GiB", "max"),
                               request("2x80GiB:60GiB", "vllm"),   request("2xH100", "sglang"), request("2x48GiB:40GiB", "tensorrt-llm"),
                               request("24GiB,16GiB", "llama.cpp")};
  out[0].max_length_auto = true;
  out[1].ep = 8;
  out[1].num_draft_tokens = 1;
  out[2].tp = 2;
  out[2].pp = 2;
  out[2].accounting = Accounting::kPooled;
  out[4].device_memory_utilization = 1;
  out[6].tp = 1;
  out[6].pp = 2;
  return out;
}

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> out;
  for (const auto& file : seed_files(PLIMSOLL_SOURCE_DIR "/core/catalogue/models", ".json", 2000))
    out.push_back(nlohmann::ordered_json::parse(read_seed(file)).at("config").dump());
  return out;
}

void fuzz_one(std::string_view input) {
  static const std::vector<PlanRequest> requests = make_requests();
  const auto model = test::built_context().load_config(input, "config.json");
  if (!model) return must_speak(model.error());
  for (const PlanRequest& request : requests) {
    must_plan_or_speak(test::built_context().plan(*model, request));
    if (const auto report = test::built_context().weights(*model, request); !report) must_speak(report.error());
  }
}

} // namespace plimsoll::fuzz
