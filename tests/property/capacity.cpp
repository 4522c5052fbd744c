// capacity_requests against the document's own pages and states.
#include "property/relations.hpp"

#include <algorithm>
#include <cmath>

#include "property/figures.hpp"

namespace plimsoll::property {
namespace {

bool grows(const Json& group) { return group["kind"] == "full" || group["kind"] == "latent"; }

// Pages that one request of `length` takes at least of the group that takes most.
std::uint64_t pages_of_request(const Json& groups, std::uint64_t length, std::uint64_t page) {
  std::uint64_t most = 0;
  for (const Json& group : groups) {
    const std::uint64_t kept = grows(group) ? length : group["kind"] == "window" ? std::min(length, count(group, "window_tokens")) : 0;
    most = std::max(most, divided_up(kept, page));
  }
  return most;
}

// Requests that the states' bytes allow at most; no stage of a pipeline keeps them all.
std::string more_than_states(const Answer& answer, std::uint64_t whole) {
  if (count(answer.document["request"], "pp") > 1 || answer.document.contains("host_memory")) return {};
  Wide states = 0;
  for (const Json& group : answer.document["kv_cache"]["groups"]) states += count(group, "state_bytes_per_sequence");
  for (const Json& device : ranks_of(answer.document))
    if (states * static_cast<Wide>(whole) > static_cast<Wide>(count(device, "kv_cache_bytes")))
      return "more requests than states: " + std::to_string(whole) + " in " + device["kv_cache_bytes"].dump() + " B";
  return {};
}

} // namespace

// Requests of full length by what a document shows of pages and states: no more than they hold, and just as many as the pages
// where nothing else is kept.
std::string capacity_differs(const Request& request, const Answer& answer) {
  const Json &kv = answer.document["kv_cache"], &groups = kv["groups"];
  const std::string shown_text = kv["capacity_requests"].dump();
  const double shown = kv["capacity_requests"];
  const std::uint64_t length = limit(answer, "max_length"), page = count(kv, "page_tokens");
  const std::uint64_t full_batch = limit(answer, "max_batch_at_max_length"), batch = limit(answer, "max_batch_size");
  if (!std::isfinite(shown) || shown < 0) return "no number: " + shown_text;
  if (groups.empty() || page == 0 || length == 0) return {};
  const auto whole = static_cast<std::uint64_t>(std::min(shown, 1e18));
  if (full_batch < std::min(whole, batch) || full_batch > whole)
    return "the capacity and the batch at full length differ: " + shown_text + " requests, " + std::to_string(full_batch) +
           " at full length of a batch of " + std::to_string(batch);
  if (answer.pooled()) return {};
  if (std::string wrong = more_than_states(answer, whole); !wrong.empty()) return wrong;
  // Ranks that share a request's tokens count pages of their own; cells are shared by the slots of one context.
  if (request.option("set").value_or("").find("decode_context") != std::string::npos) return {};
  if (answer.document["engine"]["name"] == "llama.cpp") return {};
  const std::uint64_t needed = pages_of_request(groups, length, page);
  if (needed == 0) return {};
  const double at_most = static_cast<double>(count(kv, "pages")) / static_cast<double>(needed);
  if (shown > at_most * (1 + 1e-12)) return "more requests than pages: " + shown_text + " of pages for " + Json(at_most).dump();
  if (!std::all_of(groups.begin(), groups.end(), grows) || request.option("num_draft_tokens")) return {};
  const double just = static_cast<double>(count(kv, "capacity_tokens") / page) / static_cast<double>(needed);
  if (std::abs(shown - just) > just * 1e-12) return "not the requests of the pages: " + shown_text + " of pages for " + Json(just).dump();
  return {};
}

} // namespace plimsoll::property
