#include "plan/refusals.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/checked.hpp"
#include "base/human.hpp"
#include "plan/profile_quantities.hpp"

namespace plimsoll {

std::string gib(Wide bytes) { return fmt::format("{:.2f}", static_cast<double>(bytes) / static_cast<double>(1ULL << 30)); }

std::string engine_says(const Settled& settled, std::string_view kind,
                        std::initializer_list<std::pair<std::string_view, std::string>> figures) {
  const auto& says = settled.profile().start.says;
  const auto sentence = says.find(std::string(kind));
  if (sentence == says.end()) return {};
  std::string text = sentence->second;
  for (const auto& [name, figure] : figures) {
    const std::string place = fmt::format("{{{}}}", name);
    for (std::size_t at = text.find(place); at != std::string::npos; at = text.find(place, at + figure.size()))
      text.replace(at, place.size(), figure);
  }
  return fmt::format("; {} says \"{}\"", settled.profile().name, text);
}

void check_quantization(const Settled& s, Findings& findings) {
  const std::vector<std::string>& loads = s.profile().start.quantizations;
  const std::string_view method = s.model().stored_method();
  if (loads.empty() || method.empty() || std::find(loads.begin(), loads.end(), method) != loads.end()) return;
  const bool what_if = !s.model().quantize.empty();
  std::string message = fmt::format("{} {} loads no {} files{}; it loads {}", s.profile().name, s.profile().version, method,
                                    what_if ? fmt::format(" ({})", s.model().quantize) : "", fmt::join(loads, ", "));
  if (what_if) findings.does_not_fit(ErrorCode::kBadRequest, std::move(message), "--quantize", "what the engine loads");
  else findings.warn(WarningCode::kQuantizationNotLoaded, std::move(message));
}

void check_served(const Settled& s, Findings& findings) {
  const ModelInfo& model = s.model().info;
  for (const std::string& name : s.profile().start.not_served)
    if (name == model.family || name == model.architecture || name == model.model_type)
      return findings.warn(WarningCode::kArchitectureAssumed,
                           fmt::format("{} {} has no '{}' of its own; this is what it would take if it had one and were otherwise the same",
                                       s.profile().name, s.profile().version, model.architecture));
}

// Qwen3.8-27B, one card, 8,192 tokens: 635 blocks; vLLM's default of 1,024 requests does not start, 256 do.
std::uint64_t check_state_blocks(const Settled& s, const KvPlan& kv, Findings& findings) {
  const EngineProfile& profile = s.profile();
  if (findings.error) return 0;
  if (profile.kv.prefix_caching && profile.start.chunks_for_state_prefixes && !profile.batch.chunked_prefill) {
    findings.does_not_fit(ErrorCode::kBadRequest,
                          "prefixes of recurrent state are cached, which needs chunked prefill" + engine_says(s, "chunks_needed", {}),
                          "--set engine.chunked_prefill", "chunked prefill");
    return 0;
  }
  if (profile.kv.prefix_caching && profile.start.block_within_batch && kv.page_tokens > s.max_batch_input_tokens) {
    findings.does_not_fit(
        ErrorCode::kBadRequest,
        fmt::format("with prefix caching a block of {} tokens must fit into a forward pass, which has {}{}", kv.page_tokens,
                    s.max_batch_input_tokens,
                    engine_says(s, "block_over_batch",
                                {{"block", fmt::to_string(kv.page_tokens)}, {"batch", fmt::to_string(s.max_batch_input_tokens)}})),
        "--max-batch-input-tokens", "tokens of a forward pass");
    return 0;
  }
  const std::uint64_t requests = std::min(s.sequences(s.batch), s.max_batch_input_tokens);
  if (!profile.start.requests_within_blocks || requests <= kv.pages) return 0;
  findings.does_not_fit(
      ErrorCode::kOutOfMemory,
      fmt::format("{} requests at once{} are more than the {} blocks of recurrent state and KV cache; at most {} would start{}", requests,
                  s.batch ? "" : ", the engine's default,", kv.pages, kv.pages,
                  engine_says(s, "state_blocks", {{"requests", fmt::to_string(requests)}, {"blocks", fmt::to_string(kv.pages)}})),
      "--max-batch-size", "state blocks");
  return requests - kv.pages;
}

std::uint64_t outside_bytes(const Settled& s, std::uint64_t sequences, std::uint32_t rank) {
  if (s.profile().start.outside.empty()) return 0;
  const Quantities quantities = profile_quantities(s, s.devices()[rank], sequences);
  Checked outside = 0;
  for (const Term& term : s.profile().start.outside) outside += term.value(quantities);
  return outside.saturated();
}

void check_outside(const Settled& s, std::uint64_t sequences, const Ledger& ledger, std::vector<std::uint64_t>& budgets,
                   Findings& findings) {
  if (s.profile().start.outside.empty()) return;
  const bool refused_before = findings.error.has_value();
  std::uint64_t most = 0;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const Device& device = s.devices()[rank];
    const std::uint64_t bytes = outside_bytes(s, sequences, rank), used = ledger.used(rank);
    most = std::max(most, bytes);
    if (refused_before || bytes == 0 || (Checked(used) + bytes).saturated() <= device.free_bytes) continue;
    budgets[rank] = std::min(budgets[rank], device.free_bytes - std::min(device.free_bytes, bytes));
    findings.does_not_fit(
        ErrorCode::kOutOfMemory,
        fmt::format("beside its fraction {} takes about {} on rank {} once it runs (captured graphs and what comes late), "
                    "but {} of {} free are planned: {} short",
                    s.profile().name, human_bytes(bytes), rank, human_bytes(used), human_bytes(device.free_bytes),
                    human_bytes(used + bytes - device.free_bytes)),
        s.device_name(rank), fmt::format("memory beside the fraction on rank {} ({})", rank, device.name));
  }
  if (most > 0)
    findings.warn(WarningCode::kOutsideFraction,
                  fmt::format("this release of {} takes about {} more beside its fraction (captured graphs); it must stay free",
                              s.profile().name, human_bytes(most)));
}

} // namespace plimsoll
