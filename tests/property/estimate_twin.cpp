// The plan under the profile `max` against the estimator, which is told the sizes that the plan found.
#include "property/relations.hpp"

#include "property/figures.hpp"

namespace plimsoll::property {
namespace {

// A settled figure of the request, or what the option says.
std::uint64_t number(const Request& request, std::string_view option, std::uint64_t otherwise) {
  const auto text = request.option(option);
  return text ? std::stoull(*text) : otherwise;
}

} // namespace

std::string plan_is_not_estimate(const Request& request, const Answer& answer) {
  if (!answer.planned() || answer.pooled() || answer.document["engine"]["name"] != "max") return {};
  const Json &settled = answer.document["request"], &kv = answer.document["kv_cache"];
  if (count(settled, "pp") != 1 || request.option("kv_cache_bytes") || request.option("draft")) return {};
  const std::string set = request.option("set").value_or("");
  if (!set.empty() && !set.starts_with("engine.prefix_caching=")) return {};
  const std::uint64_t tp = count(settled, "tp"), page = count(settled, "page_tokens"), drafted = count(settled, "num_draft_tokens");
  Json caches = Json::array();
  for (const Json& group : kv["groups"]) {
    const std::uint64_t bytes = count(group, "page_bytes_per_device");
    Json cache{{"label", group["label"]}, {"dtype", "uint8"}};
    // Any geometry of the same bytes will do: one layer, one head on each device.
    if (group["kind"] == "state") {
      cache = {{"label", group["label"]},
               {"kind", "state"},
               {"regions", {{{"layers", 1}, {"row_shape", {group["state_bytes_per_sequence"]}}, {"dtype", "uint8"}}}}};
    } else if (group["kind"] == "latent" && bytes % page == 0 && bytes > 0) {
      cache.update({{"kind", "mla"}, {"layers", 1}, {"query_heads", tp}, {"head_dim", bytes / page}});
    } else if ((group["kind"] == "full" || group["kind"] == "window") && bytes % (2 * page) == 0 && bytes > 0) {
      cache.update({{"kind", "mha"}, {"layers", 1}, {"kv_heads", tp}, {"head_dim", bytes / (2 * page)}});
      cache["window_tokens"] = group["window_tokens"];
    } else {
      return {}; // not expressible
    }
    caches.push_back(std::move(cache));
  }
  if (caches.empty()) return {};
  Json devices = Json::array(), weights = Json::array(), activations = Json::array(), signals = Json::array();
  if (answer.document["request"].contains("split_mode")) return {}; // the host has no place there
  for (const Json& device : ranks_of(answer.document)) {
    // The estimator gives every device the room of the poorest; in a plan replicas on unlike devices, or of which one has no experts, have
    // each their own.
    for (const char* key : {"free_bytes", "weights_bytes"})
      if (count(settled, "dp") > 1 && device[key] != answer.document["devices"][0][key]) return {};
    devices.push_back({{"free_bytes", device["free_bytes"]}, {"total_bytes", device["total_bytes"]}});
    weights.push_back(device["weights_bytes"]);
    activations.push_back(count(device, "activation_bytes") + count(device, "overhead_bytes") + count(device, "vision_cache_bytes"));
    signals.push_back(device["signal_buffer_bytes"]);
  }
  const std::string asked = request.option("max_length").value_or("");
  const bool given = !asked.empty() && !asked.starts_with("auto");
  const Json estimated{
      {"accounting", "per_device"},
      {"devices", devices},
      {"parallelism", {{"dp", settled["dp"]}}},
      {"device_memory_utilization", settled["device_memory_utilization"]},
      {"sizes", {{"weights_bytes", weights}, {"activation_bytes", activations}, {"signal_buffer_bytes", signals}}},
      {"kv_cache", {{"page_tokens", page}, {"caches", caches}, {"state_rows_per_sequence", set == "engine.prefix_caching=false" ? 1 : 2}}},
      {"max_length", given ? std::stoull(asked) : limit(answer, "max_length")},
      {"max_length_given", given},
      {"max_batch_size", number(request, "max_batch_size", limit(answer, "max_batch_size"))},
      {"max_batch_input_tokens", settled["max_batch_input_tokens"]},
      {"draft", {{"num_draft_tokens", drafted}, {"method", drafted > 0 ? Json("mtp") : Json(nullptr)}}}};
  const Json result = estimate(estimated.dump()).document;
  const auto wrong = [&](const std::string& what) {
    return what + "\n    estimate: " + estimated.dump() + "\n    answer: " + result.dump();
  };
  if (result["fits"] != answer.holds()) return wrong("the plan says " + answer.verdict());
  if (!answer.holds()) return {};
  for (const char* key : {"max_length", "max_batch_size", "max_supported_sequence_length"})
    if (!result[key].is_null())
      if (const std::string text = unequal(std::string("the plan's ") + key, answer.document["limits"][key], result[key]); !text.empty())
        return wrong(text);
  for (std::size_t rank = 0; rank < devices.size(); ++rank)
    if (const std::string text = unequal("the plan's kv_cache_bytes", answer.document["devices"][rank]["kv_cache_bytes"],
                                         result["devices"][rank]["kv_cache_bytes"]);
        !text.empty())
      return wrong(text);
  return {};
}

} // namespace plimsoll::property
