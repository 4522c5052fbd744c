#include "property/relations.hpp"

#include <algorithm>

#include "property/figures.hpp"

namespace plimsoll::property {
namespace {

// The request with the batch, the tokens of a pass and the split that its plan settled on, so that no default follows the memory.
Request pinned(const Request& request, const Answer& answer) {
  const Json& settled = answer.document["request"];
  const Request out = request.without("sequences")
                          .without("ubatch")
                          .without("frontier")
                          .with("max_batch_size", settled["max_batch_size"].dump())
                          .with("max_batch_input_tokens", settled["max_batch_input_tokens"].dump());
  if (!settled.contains("split_mode")) return out;
  std::string shares = request.option("tensor_split").value_or("");
  if (shares.empty())
    for (const Json& device : ranks_of(answer.document)) shares += (shares.empty() ? "" : ",") + device["free_bytes"].dump();
  return out.with("tensor_split", shares).with("gpu_layers", settled["gpu_layers"].dump()).with("n_cpu_moe", settled["n_cpu_moe"].dump());
}

bool rules_change(std::uint64_t from, std::uint64_t to) {
  return std::any_of(rule_sizes().begin(), rule_sizes().end(), [&](std::uint64_t size) { return from < size && size <= to; });
}

std::string described(const Answer& answer) { return answer.verdict() + " " + answer.document["limits"].dump(); }

// The plan's devices one by one, each with `more` bytes more: in all, or free alone where that leaves it within its total.
std::string larger_devices(const Answer& answer, std::uint64_t more, bool free_alone) {
  std::string out;
  for (const Json& device : ranks_of(answer.document)) {
    const std::uint64_t total = count(device, "total_bytes"), free = count(device, "free_bytes");
    const std::uint64_t new_total = free_alone ? total : total + more, new_free = std::min(new_total, free + more);
    if (rules_change(total, new_total)) return {};
    out += (out.empty() ? "" : ",") + device["name"].get<std::string>() + "=" + std::to_string(new_total) + ":" + std::to_string(new_free);
  }
  return out;
}

// A block of the vision cache or a row of recurrent state may take more than was added, and comes before any page.
bool takes_whole_blocks_first(const Answer& before, const Answer& after) {
  return before.document["kv_cache"]["state_slots"] != after.document["kv_cache"]["state_slots"] ||
         before.document["totals"]["vision_cache_bytes"] != after.document["totals"]["vision_cache_bytes"];
}

} // namespace

std::string more_memory_fits_less(const Request& request, const Answer& answer) {
  if (!answer.planned() || answer.pooled()) return {};
  const Request fixed = pinned(request, answer);
  const Request as_it_is = fixed.with("devices", larger_devices(answer, 0, true));
  const Answer before = plan(as_it_is.json());
  if (!before.planned()) return {};
  for (const std::uint64_t more : {1ULL << 20, 1ULL << 28, 1ULL << 33})
    for (const bool free_alone : {true, false}) {
      const std::string devices = larger_devices(answer, more, free_alone);
      if (devices.empty()) continue;
      const Request larger = fixed.with("devices", devices);
      const Answer after = plan(larger.json());
      if (before.holds() && !after.holds()) return "fits less with " + devices + ": " + described(before) + ", then " + described(after);
      if (!before.holds() || takes_whole_blocks_first(before, after)) continue;
      for (const char* key : {"max_supported_sequence_length", "max_length"})
        if (limit(after, key) < limit(before, key))
          return std::string(key) + " falls with " + devices + ": " + described(before) + ", then " + described(after);
      if (limit(after, "max_length") == limit(before, "max_length") &&
          limit(after, "max_batch_at_max_length") < limit(before, "max_batch_at_max_length"))
        return "fewer requests with " + devices + ": " + described(before) + ", then " + described(after);
    }
  return {};
}

std::string longer_requests_are_more(const Request& request, const Answer& answer) {
  if (!answer.planned() || answer.pooled()) return {};
  const std::uint64_t length = std::max<std::uint64_t>(1, limit(answer, "max_length"));
  const Request fixed = pinned(request, answer);
  const Answer before = plan(fixed.with("max_length", std::to_string(length)).json());
  for (const std::uint64_t longer : {length + 1, length + length / 3 + 1, 8 * length}) {
    const Answer after = plan(fixed.with("max_length", std::to_string(longer)).json());
    if (!after.holds()) continue;
    if (!before.holds()) return "a longer request fits where a shorter does not: " + std::to_string(length) + ", " + std::to_string(longer);
    if (limit(after, "max_batch_at_max_length") > limit(before, "max_batch_at_max_length"))
      return "more requests of more tokens: " + std::to_string(limit(before, "max_batch_at_max_length")) + " of " + std::to_string(length) +
             ", " + std::to_string(limit(after, "max_batch_at_max_length")) + " of " + std::to_string(longer);
  }
  return {};
}

std::string frontier_points_cannot_be_had(const Request& request, const Answer& answer) {
  if (!answer.holds() || answer.pooled() || !answer.document.contains("frontier")) return {};
  for (const Json& curve : answer.document["frontier"]) {
    const Json& points = curve["points"];
    for (const std::size_t at : {std::size_t{0}, points.size() / 2, points.size() - 1}) {
      const std::uint64_t length = count(points[at], "max_length"), batch = count(points[at], "max_batch_size");
      const Request had = request.without("frontier")
                              .without("sequences")
                              .with("max_length", std::to_string(length))
                              .with("max_batch_size", std::to_string(std::max<std::uint64_t>(1, batch)));
      const Answer found = plan(had.json());
      const std::string point = std::to_string(batch) + " requests of " + std::to_string(length) + " tokens: " + described(found);
      if (batch == 0 && found.holds() && limit(found, "max_batch_at_max_length") > 0)
        return "one more than a frontier point fits: " + point;
      if (batch == 0) continue;
      if (!found.holds()) return "a frontier point does not fit: " + point;
      if (limit(found, "max_length") != length) return "a frontier point has another length as a plan: " + point;
      if (limit(found, "max_batch_size") != batch) return "a frontier point has another batch as a plan: " + point;
      if (limit(found, "max_batch_at_max_length") != batch) return "a frontier point does not hold its batch at full length: " + point;
      if (batch >= count(found.document["request"], "max_batch_input_tokens")) continue;
      const Answer more = plan(had.with("max_batch_size", std::to_string(batch + 1)).json());
      if (more.holds() && limit(more, "max_batch_at_max_length") > batch) return "one more than a frontier point fits: " + point;
    }
  }
  return {};
}

std::string decode_context_does_not_divide_tp(const Request& request, const Answer& answer) {
  const auto set = request.option("set");
  constexpr std::string_view kKey = "engine.decode_context_parallel=";
  if (!set || !set->starts_with(kKey) || !answer.planned()) return {};
  const std::uint64_t ranks = std::stoull(set->substr(kKey.size())), tp = count(answer.document["request"], "tp");
  return tp % ranks == 0 ? "" : "planned: " + std::to_string(ranks) + " ranks that share a request, of " + std::to_string(tp);
}

} // namespace plimsoll::property
