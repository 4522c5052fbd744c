// Configurations: any JSON is a model that can be planned and weighed, or an error with a message. Every family's planners take
// part; the seeds are the catalogue's models.
#include "fuzz/fuzz.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"

namespace plimsoll::fuzz {
namespace {

// Requests that reach different formulas: one device, tensor and expert parallelism, a pipeline, drafts.
const std::vector<PlanRequest>& requests() {
  static const std::vector<PlanRequest> made = [] {
    std::vector<PlanRequest> out(3);
    out[0].devices = "1xH100";
    out[0].max_length_auto = true;
    out[1].devices = "8xH200";
    out[1].ep = 8;
    out[1].num_draft_tokens = 1;
    out[2].devices = "4x80GiB";
    out[2].tp = 2, out[2].pp = 2;
    out[2].accounting = Accounting::kPooled;
    return out;
  }();
  return made;
}

void must_speak(const Error& error) {
  if (error.message.empty() || error.message.size() > 10'000) std::abort();
}

std::uint64_t parts_of(const DevicePlan& d) {
  return d.weights_bytes + d.activation_bytes + d.signal_buffer_bytes + d.vision_cache_bytes + d.overhead_bytes + d.kv_cache_bytes;
}

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/core/catalogue/models"))
    if (entry.path().extension() == ".json" && entry.file_size() < 2000) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> out;
  for (const auto& file : files) {
    std::ifstream in(file);
    out.push_back(nlohmann::ordered_json::parse(in).at("config").dump());
  }
  return out;
}

void fuzz_one(std::string_view input) {
  const auto model = test::built_context().load_config(input, "config.json");
  if (!model) return must_speak(model.error());
  for (const PlanRequest& request : requests()) {
    const auto plan = test::built_context().plan(*model, request);
    if (!plan) {
      must_speak(plan.error());
    } else {
      for (const DevicePlan& device : plan->devices) // a plan that fits keeps within what is free
        if (plan->verdict == Verdict::kFits && parts_of(device) > device.free_bytes) std::abort();
      if (plan_to_json(*plan, 0).empty()) std::abort();
    }
    if (const auto report = test::built_context().weights(*model, request); !report) must_speak(report.error());
  }
}

} // namespace plimsoll::fuzz
