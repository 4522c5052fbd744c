// The table of options: see plimsoll/options.hpp. Each row says how its text becomes a field of the request.
#include "plimsoll/options.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "base/human.hpp"
#include "plimsoll/limits.hpp"
#include "request/option_names.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaximumText = 4'096;
constexpr std::size_t kMaximumTypes = 16;
constexpr std::size_t kMaximumTargets = 64;

std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 60)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return text.size() > 60 ? out + "..." : out;
}

Result<std::uint64_t> whole(std::string_view text, std::uint64_t least, std::uint64_t most, const std::string& where) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  const bool leading_zero = text.size() > 1 && text[0] == '0';
  if (text.empty() || stop != end || status != std::errc() || leading_zero || value < least || value > most)
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a whole number from {} to {}", shown(text), least, most), where);
  return value;
}

Result<double> fraction(std::string_view text, bool zero_allowed, const std::string& where) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  if (text.empty() || stop != end || status != std::errc() || !std::isfinite(value) || value > 1 || value < 0 || std::signbit(value) ||
      (value == 0 && !zero_allowed))
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is not a fraction {} 0 and at most 1, such as 0.9", shown(text), zero_allowed ? "of at least" : "above"),
                where);
  return value;
}

Result<std::string> word(std::string_view text, const std::string& where) {
  if (text.empty()) return fail(ErrorCode::kBadRequest, "an empty value; give one or leave the option out", where);
  if (text.size() > kMaximumText)
    return fail(ErrorCode::kBadRequest, fmt::format("a value of {} characters; at most {} are read", text.size(), kMaximumText), where);
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' holds a control character", shown(text)), where);
  return std::string(text);
}

using Setter = Result<void> (*)(PlanRequest&, const OptionValue&);

template <std::optional<std::uint32_t> PlanRequest::*field>
Result<void> set_degree(PlanRequest& request, const OptionValue& option) {
  PLIMSOLL_ASSIGN(const std::uint64_t value, whole(option.value, 1, kMaxRanks, option.where));
  request.*field = static_cast<std::uint32_t>(value);
  return {};
}

template <std::optional<std::uint64_t> PlanRequest::*field, std::uint64_t most>
Result<void> set_count(PlanRequest& request, const OptionValue& option) {
  PLIMSOLL_ASSIGN(const std::uint64_t value, whole(option.value, 1, most, option.where));
  request.*field = value;
  return {};
}

template <std::uint32_t PlanRequest::*field, std::uint64_t most>
Result<void> set_small(PlanRequest& request, const OptionValue& option) {
  PLIMSOLL_ASSIGN(const std::uint64_t value, whole(option.value, 0, most, option.where));
  request.*field = static_cast<std::uint32_t>(value);
  return {};
}

template <std::optional<std::uint64_t> PlanRequest::*field>
Result<void> set_bytes(PlanRequest& request, const OptionValue& option) {
  PLIMSOLL_ASSIGN(const std::uint64_t value, parse_bytes(option.value, option.where));
  if (value == 0 || value > kMaxBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a size from 1 to {} bytes", shown(option.value), kMaxBytes), option.where);
  request.*field = value;
  return {};
}

template <std::optional<double> PlanRequest::*field, bool zero_allowed>
Result<void> set_fraction(PlanRequest& request, const OptionValue& option) {
  PLIMSOLL_ASSIGN(const double value, fraction(option.value, zero_allowed, option.where));
  request.*field = value;
  return {};
}

template <auto field>
Result<void> set_word(PlanRequest& request, const OptionValue& option) {
  PLIMSOLL_ASSIGN(request.*field, word(option.value, option.where));
  return {};
}

Result<void> set_accounting(PlanRequest& request, const OptionValue& option) {
  const std::string name = option_key(option.value);
  if (name == "per_device") request.accounting = Accounting::kPerDevice;
  else if (name == "pooled") request.accounting = Accounting::kPooled;
  else
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no accounting; give per-device or pooled", shown(option.value)), option.where);
  return {};
}

Result<void> set_max_length(PlanRequest& request, const OptionValue& option) {
  std::string_view text = option.value;
  if (text == "auto") {
    request.max_length_auto = true;
    request.max_length.reset();
    return {};
  }
  const bool capped = text.starts_with("auto:");
  if (capped) text.remove_prefix(5);
  auto value = whole(text, 1, kMaxTokens, option.where);
  if (!value)
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is not a length; give tokens from 1 to {}, auto, or auto:CAP", shown(option.value), kMaxTokens),
                option.where);
  request.max_length_auto = capped;
  request.max_length = *value;
  return {};
}

Result<void> set_frontier(PlanRequest& request, const OptionValue& option) {
  if (option.value != "true" && option.value != "false")
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not true or false", shown(option.value)), option.where);
  request.frontier = option.value == "true";
  return {};
}

// Calls take(part) for what stands between commas; `most` parts at most.
template <class Take>
Result<void> each_part(const OptionValue& option, std::size_t most, Take&& take) {
  std::string_view rest = option.value;
  for (std::size_t taken = 0; taken < most; ++taken) {
    const auto comma = rest.find(',');
    PLIMSOLL_TRY(take(rest.substr(0, comma)));
    if (comma == std::string_view::npos) return {};
    rest.remove_prefix(comma + 1);
  }
  return fail(ErrorCode::kBadRequest, fmt::format("a list of more than {} entries", most), option.where);
}

Result<void> set_frontier_types(PlanRequest& request, const OptionValue& option) {
  std::vector<std::string> types;
  PLIMSOLL_TRY(each_part(option, kMaximumTypes, [&](std::string_view part) -> Result<void> {
    PLIMSOLL_ASSIGN(std::string type, word(part, option.where));
    types.push_back(std::move(type));
    return {};
  }));
  request.frontier = true;
  request.frontier_kv_dtypes = std::move(types);
  return {};
}

Result<void> set_lora_targets(PlanRequest& request, const OptionValue& option) {
  std::vector<std::string> targets;
  PLIMSOLL_TRY(each_part(option, kMaximumTargets, [&](std::string_view part) -> Result<void> {
    PLIMSOLL_ASSIGN(std::string target, word(part, option.where));
    targets.push_back(std::move(target));
    return {};
  }));
  request.lora_targets = std::move(targets);
  return {};
}

Result<void> set_phase(PlanRequest& request, const OptionValue& option) {
  for (const Phase phase : {Phase::kBoth, Phase::kPrefill, Phase::kDecode})
    if (option.value == phase_name(phase)) {
      request.phase = phase;
      return {};
    }
  return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no phase; give both, prefill or decode", shown(option.value)), option.where);
}

Result<void> set_stage_layers(PlanRequest& request, const OptionValue& option) {
  std::vector<std::uint32_t> layers;
  PLIMSOLL_TRY(each_part(option, kMaxRanks, [&](std::string_view part) -> Result<void> {
    PLIMSOLL_ASSIGN(const std::uint64_t count, whole(part, 1, kMaxRanks, option.where));
    layers.push_back(static_cast<std::uint32_t>(count));
    return {};
  }));
  request.stage_layers = std::move(layers);
  return {};
}

Result<void> set_override(PlanRequest& request, const OptionValue& option) {
  constexpr std::string_view kPrefix = "engine.";
  PLIMSOLL_ASSIGN(const std::string text, word(option.value, option.where));
  const auto equals = text.find('=');
  if (!text.starts_with(kPrefix) || equals == std::string::npos || equals == kPrefix.size() || equals + 1 == text.size())
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' sets nothing; give engine.KEY=VALUE, such as engine.kv.page_tokens=64", shown(text)), option.where);
  request.engine_overrides.insert_or_assign(text.substr(kPrefix.size(), equals - kPrefix.size()), text.substr(equals + 1));
  return {};
}

struct Row {
  OptionInfo info;
  Setter set;
};

using K = OptionKind;
constexpr std::array<Row, 33> kRows{{
    {{"devices", K::kTexts, "SPEC",
      "8xH200, 4xH100,4xA100-40GB, 2x80GiB, name=80GiB[:free], 2x8xH200 (two nodes of eight), a YAML file, or auto (this machine)"},
     set_word<&PlanRequest::devices>},
    {{"tp", K::kNumber, "N", "tensor-parallel degree; default: the number of devices"}, set_degree<&PlanRequest::tp>},
    {{"pp", K::kNumber, "N", "pipeline stages; default 1"}, set_degree<&PlanRequest::pp>},
    {{"dp", K::kNumber, "N", "data-parallel replicas; default 1"}, set_degree<&PlanRequest::dp>},
    {{"ep", K::kNumber, "N", "expert-parallel degree; default 1"}, set_degree<&PlanRequest::ep>},
    {{"nodes", K::kNumber, "N", "machines that the ranks spread over, the same number on each; default: what --devices says, or 1"},
     set_degree<&PlanRequest::nodes>},
    {{"stage_layers", K::kNumbers, "N,N,...", "layers of each pipeline stage; default: balanced"}, set_stage_layers},
    {{"redundant_experts", K::kNumber, "N", "extra copies of experts per layer; default 0"},
     set_small<&PlanRequest::redundant_experts, kMaxRanks>},
    {{"engine", K::kText, "NAME[@VERSION]", "max, vllm, sglang, tensorrt-llm, llama.cpp, or a YAML file; default max"},
     set_word<&PlanRequest::engine>},
    {{"set", K::kSettings, "engine.KEY=VALUE", "override one value of the engine profile; may repeat", true}, set_override},
    {{"accounting", K::kText, "per-device|pooled", "each device by itself, or all memory as one; default per-device"}, set_accounting},
    {{"max_length", K::kLength, "N|auto[:CAP]", "tokens of one request, or the longest that fits; default: the model's own"},
     set_max_length},
    {{"max_batch_size", K::kNumber, "N", "requests at once; default: the planner's or the engine's"},
     set_count<&PlanRequest::max_batch_size, kMaxSequences>},
    {{"max_batch_input_tokens", K::kNumber, "N", "tokens of one forward pass; default: the engine's"},
     set_count<&PlanRequest::max_batch_input_tokens, kMaxTokens>},
    {{"max_batch_total_tokens", K::kNumber, "N", "tokens of all requests of a batch together; default: no limit"},
     set_count<&PlanRequest::max_batch_total_tokens, kMaxTokens>},
    {{"device_memory_utilization", K::kNumber, "F", "share of a device's memory to use, 0 < F <= 1; default: the engine's"},
     set_fraction<&PlanRequest::device_memory_utilization, false>},
    {{"kv_dtype", K::kText, "T", "bfloat16, float8_e4m3fn, q8_0, q8_0/q4_0, ...; default: the engine's"}, set_word<&PlanRequest::kv_dtype>},
    {{"page_tokens", K::kNumber, "N", "tokens of one KV page; default: the engine's"},
     set_count<&PlanRequest::page_tokens, kMaxPageTokens>},
    {{"kv_cache_bytes", K::kSize, "SIZE", "KV memory per device, instead of what the budget leaves"},
     set_bytes<&PlanRequest::kv_cache_bytes>},
    {{"dtype", K::kText, "T", "run-time type of unquantised weights; default: as stored"}, set_word<&PlanRequest::dtype>},
    {{"weights_bytes", K::kSize, "SIZE", "weights of one replica, instead of declared or stored ones"},
     set_bytes<&PlanRequest::weights_bytes>},
    {{"vision_cache_utilization", K::kNumber, "F", "share of the KV memory for the vision cache, 0 <= F <= 1"},
     set_fraction<&PlanRequest::vision_cache_utilization, true>},
    {{"num_draft_tokens", K::kNumber, "N", "speculated tokens per step; without --draft from the model's own MTP head"},
     set_small<&PlanRequest::num_draft_tokens, kMaxDraftTokens>},
    {{"images_per_request", K::kNumber, "N", "images of one request at most; default: what one forward pass takes"},
     set_count<&PlanRequest::images_per_request, kMaxSequences>},
    {{"max_loras", K::kNumber, "N", "LoRA adapters on the device at once; default: none"}, set_count<&PlanRequest::max_loras, kMaxLoras>},
    {{"max_lora_rank", K::kNumber, "N", "largest rank of an adapter; default 16"}, set_count<&PlanRequest::max_lora_rank, kMaxLoraRank>},
    {{"lora_dtype", K::kText, "T", "float32, bfloat16 or float16: how adapters are kept; default: as unquantised weights"},
     set_word<&PlanRequest::lora_dtype>},
    {{"lora_targets", K::kTexts, "NAME,NAME,...",
      "linear layers that adapters may change, such as q_proj,v_proj; default: all of the layers"},
     set_lora_targets},
    {{"phase", K::kText, "both|prefill|decode", "what this deployment computes; default both"}, set_phase},
    {{"frontier", K::kSwitch, "", "also the largest batch for every length"}, set_frontier},
    {{"frontier_kv_dtypes", K::kTexts, "T,T,...", "the frontier for these KV types too"}, set_frontier_types},
    {{"ubatch", K::kNumber, "N", "llama.cpp's physical batch; elsewhere the same as --max-batch-input-tokens"},
     set_count<&PlanRequest::max_batch_input_tokens, kMaxTokens>},
    {{"sequences", K::kNumber, "N", "llama.cpp's parallel slots; elsewhere the same as --max-batch-size"},
     set_count<&PlanRequest::max_batch_size, kMaxSequences>},
}};

} // namespace

std::span<const OptionInfo> plan_options() noexcept {
  static const auto kInfos = [] {
    std::array<OptionInfo, kRows.size()> out;
    for (std::size_t at = 0; at < kRows.size(); ++at) out[at] = kRows[at].info;
    return out;
  }();
  return kInfos;
}

Result<void> set_option(PlanRequest& request, const OptionValue& option) {
  const std::string key = option_key(option.name);
  for (const Row& row : kRows)
    if (row.info.name == key) return row.set(request, option);
  return fail(ErrorCode::kBadRequest, unknown_option(option.name, {}), option.where);
}

} // namespace plimsoll
