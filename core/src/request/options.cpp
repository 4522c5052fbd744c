// The table of options: see plimsoll/options.hpp. Each row says how its text becomes a field of the request, and how the field becomes
// text again.
#include "plimsoll/options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "base/human.hpp"
#include "base/json.hpp"
#include "base/shell_word.hpp"
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

// 8192, 8k or 8K: what tokens are counted in.
Result<std::uint64_t> tokens(std::string_view text, const std::string& where) {
  const std::optional<std::uint64_t> value = parse_tokens(text);
  if (!value || *value == 0 || *value > kMaxTokens)
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is not a number of tokens from 1 to {}, such as 8192, 8K (1,024 each) or 8k (1,000 each)", shown(text),
                            kMaxTokens),
                where);
  return *value;
}

template <std::optional<std::uint64_t> PlanRequest::*field>
Result<void> set_tokens(PlanRequest& request, const OptionValue& option) {
  PLIMSOLL_ASSIGN(request.*field, tokens(option.value, option.where));
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
  auto value = tokens(text, option.where);
  if (!value)
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is not a length; give tokens from 1 to {} such as 32768 or 32K, auto, or auto:CAP", shown(option.value),
                            kMaxTokens),
                option.where);
  request.max_length_auto = capped;
  request.max_length = *value;
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

Result<bool> flag(const OptionValue& option) {
  if (option.value == "true") return true;
  if (option.value == "false") return false;
  return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not true or false", shown(option.value)), option.where);
}

template <bool PlanRequest::*field>
Result<void> set_flag(PlanRequest& request, const OptionValue& option) {
  PLIMSOLL_ASSIGN(request.*field, flag(option));
  return {};
}

// The same as --set engine.eager=true.
Result<void> set_eager(PlanRequest& request, const OptionValue& option) {
  PLIMSOLL_ASSIGN(const bool eager, flag(option));
  if (eager) request.engine_overrides.insert_or_assign("eager", "true");
  return {};
}

// {"image": 2, "video": 0}, or image=2,video=0.
Result<void> set_media_limits(PlanRequest& request, const OptionValue& option) {
  const auto set = [&](const std::string& modality, std::string_view text) -> Result<void> {
    PLIMSOLL_ASSIGN(const std::uint64_t limit, whole(text, 0, kMaxSequences, option.where));
    if (modality == "image") request.images_per_request = limit;
    else if (modality == "video") request.videos_per_request = limit;
    else if (modality == "audio") request.audios_per_request = limit;
    else
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no modality; there is image, video and audio", shown(modality)),
                  option.where);
    return {};
  };
  if (option.value.starts_with('{')) {
    PLIMSOLL_ASSIGN(const Json limits, parse_json(option.value, option.where, ErrorCode::kBadRequest));
    for (const auto& [modality, limit] : limits.items()) {
      const Json* const count = limit.is_object() && limit.contains("count") ? &limit["count"] : &limit;
      PLIMSOLL_TRY(set(modality, count->dump(-1, ' ', true, Json::error_handler_t::replace)));
    }
    return {};
  }
  return each_part(option, kMaximumTypes, [&](std::string_view part) -> Result<void> {
    const auto equals = part.find('=');
    if (equals == std::string_view::npos)
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' limits nothing; give image=2,video=0 or {{\"image\": 2}}", shown(option.value)),
                  option.where);
    return set(std::string(part.substr(0, equals)), part.substr(equals + 1));
  });
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

Result<void> set_quantize(PlanRequest& request, const OptionValue& option) {
  std::vector<std::string> methods;
  PLIMSOLL_TRY(each_part(option, kMaximumTypes, [&](std::string_view part) -> Result<void> {
    PLIMSOLL_ASSIGN(std::string method, word(part, option.where));
    methods.push_back(std::move(method));
    return {};
  }));
  request.quantize = std::move(methods);
  return {};
}

Result<void> set_tensor_overrides(PlanRequest& request, const OptionValue& option) {
  std::vector<std::string> overrides;
  PLIMSOLL_TRY(each_part(option, kMaximumTargets, [&](std::string_view part) -> Result<void> {
    PLIMSOLL_ASSIGN(std::string text, word(part, option.where));
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || text.substr(equals + 1) != "CPU")
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' moves nothing to host memory; give REGEX=CPU", shown(text)), option.where);
    overrides.push_back(std::move(text));
    return {};
  }));
  request.tensor_overrides = std::move(overrides);
  return {};
}

Result<void> add_lora(PlanRequest& request, const OptionValue& option) {
  if (request.loras.size() >= kMaxLoras) return fail(ErrorCode::kBadRequest, fmt::format("more than {} adapters", kMaxLoras), option.where);
  PLIMSOLL_ASSIGN(std::string adapter, word(option.value, option.where));
  request.loras.push_back(std::move(adapter));
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

Result<void> set_split_mode(PlanRequest& request, const OptionValue& option) {
  for (const SplitMode mode : {SplitMode::kLayer, SplitMode::kRow, SplitMode::kNone, SplitMode::kTensor})
    if (option.value == split_mode_name(mode)) {
      request.split_mode = mode;
      return {};
    }
  return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no way to split; give layer, row, none or tensor", shown(option.value)),
              option.where);
}

// Shares of devices, as 3,1 or 0.75,0.25: of any scale, and some of them 0.
Result<void> set_tensor_split(PlanRequest& request, const OptionValue& option) {
  constexpr double kMostShare = 1e15;
  std::vector<double> shares;
  double sum = 0;
  PLIMSOLL_TRY(each_part(option, kMaxRanks, [&](std::string_view part) -> Result<void> {
    double share = 0;
    const char* const end = part.data() + part.size();
    const auto [stop, status] = std::from_chars(part.data(), end, share);
    if (part.empty() || stop != end || status != std::errc() || !(share >= 0 && share <= kMostShare))
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a share of at least 0, such as 3", shown(part)), option.where);
    shares.push_back(share);
    sum += share;
    return {};
  }));
  if (sum <= 0) return fail(ErrorCode::kBadRequest, "no device has a share", option.where);
  request.tensor_split = std::move(shares);
  return {};
}

// Layers as a number or "auto".
Result<std::optional<std::uint32_t>> layer_count(const OptionValue& option, bool& is_auto) {
  is_auto = option.value == "auto";
  if (is_auto) return std::optional<std::uint32_t>();
  const auto count = whole(option.value, 0, kMaxRanks, option.where);
  if (!count)
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is no number of layers up to {}; give one, auto or all", shown(option.value), kMaxRanks), option.where);
  return std::optional(static_cast<std::uint32_t>(*count));
}

Result<void> set_gpu_layers(PlanRequest& request, const OptionValue& option) {
  if (option.value == "all") {
    request.gpu_layers.reset();
    request.gpu_layers_auto = false;
    return {};
  }
  PLIMSOLL_ASSIGN(request.gpu_layers, layer_count(option, request.gpu_layers_auto));
  return {};
}

Result<void> set_cpu_moe(PlanRequest& request, const OptionValue& option) {
  if (option.value == "all") {
    request.cpu_moe_layers = kMaxRanks; // of as many as the model has
    request.cpu_moe_auto = false;
    return {};
  }
  PLIMSOLL_ASSIGN(request.cpu_moe_layers, layer_count(option, request.cpu_moe_auto));
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

// The other way: the values with which an option makes a field what it is; none where it is as in an empty request.
using Values = std::vector<std::string>;
using Shower = Values (*)(const PlanRequest&);

const PlanRequest& empty_request() {
  static const PlanRequest kEmpty;
  return kEmpty;
}

template <class Number>
std::string text_of(Number value) { // a fraction with the fewest digits that are read as the same
  return fmt::format("{}", value);
}
const std::string& text_of(const std::string& value) { return value; }
template <class T>
std::string text_of(const std::optional<T>& value) {
  return text_of(*value);
}
template <class T>
std::string text_of(const std::vector<T>& list) {
  return fmt::format("{}", fmt::join(list, ","));
}

template <auto field>
Values show(const PlanRequest& request) {
  if (request.*field == empty_request().*field) return {};
  return {text_of(request.*field)};
}

Values show_nothing(const PlanRequest&) { return {}; } // another option says it

Values show_accounting(const PlanRequest& request) { return request.accounting == Accounting::kPooled ? Values{"pooled"} : Values{}; }

Values show_max_length(const PlanRequest& request) {
  if (!request.max_length_auto) return show<&PlanRequest::max_length>(request);
  return {request.max_length ? fmt::format("auto:{}", *request.max_length) : "auto"};
}

Values show_phase(const PlanRequest& request) {
  return request.phase == Phase::kBoth ? Values{} : Values{std::string(phase_name(request.phase))};
}

template <bool PlanRequest::*field>
Values show_flag(const PlanRequest& request) {
  return request.*field ? Values{"true"} : Values{};
}

Values show_loras(const PlanRequest& request) { return request.loras; }

Values show_images(const PlanRequest& request) {
  return request.images_per_request.value_or(0) > 0 ? show<&PlanRequest::images_per_request>(request) : Values{};
}

// What --images-per-request does not say.
Values show_media_limits(const PlanRequest& request) {
  std::string out = request.images_per_request == 0U ? "image=0" : "";
  for (const auto& [name, limit] : {std::pair{"video", request.videos_per_request}, {"audio", request.audios_per_request}})
    if (limit) out += fmt::format("{}{}={}", out.empty() ? "" : ",", name, *limit);
  return out.empty() ? Values{} : Values{std::move(out)};
}

Values show_split_mode(const PlanRequest& request) {
  return request.split_mode ? Values{std::string(split_mode_name(*request.split_mode))} : Values{};
}

Values show_gpu_layers(const PlanRequest& request) {
  return request.gpu_layers_auto ? Values{"auto"} : show<&PlanRequest::gpu_layers>(request);
}

Values show_cpu_moe(const PlanRequest& request) {
  if (request.cpu_moe_auto) return {"auto"};
  return request.cpu_moe_layers == kMaxRanks ? Values{"all"} : show<&PlanRequest::cpu_moe_layers>(request);
}

Values show_overrides(const PlanRequest& request) {
  Values out;
  for (const auto& [key, value] : request.engine_overrides) out.push_back(fmt::format("engine.{}={}", key, value));
  return out;
}

Result<void> set_layout(PlanRequest& request, const OptionValue& option) {
  if (option.value != "auto")
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is no layout; give auto, or degrees as --tp, --pp, --dp, --ep and --stage-layers", shown(option.value)),
                option.where);
  request.layout_auto = true;
  return {};
}

Values show_layout(const PlanRequest& request) { return request.layout_auto ? Values{"auto"} : Values{}; }

struct Row {
  OptionInfo info;
  Setter set;
  Shower show;
};

using K = OptionKind;
constexpr auto kRows = std::to_array<Row>({
    {{"devices", K::kTexts, "SPEC",
      "8xH200, 4xH100,4xA100-40GB, 2x80GiB, name=80GiB[:free], 2x8xH200 (two nodes of eight), p5.48xlarge (a cloud's machine), a file "
      "(plimsoll help devices-file), or auto (this machine)"},
     set_word<&PlanRequest::devices>,
     show<&PlanRequest::devices>},
    {{"tp", K::kNumber, "N", "tensor-parallel degree; default: the number of devices"},
     set_degree<&PlanRequest::tp>,
     show<&PlanRequest::tp>},
    {{"pp", K::kNumber, "N", "pipeline stages; default 1"}, set_degree<&PlanRequest::pp>, show<&PlanRequest::pp>},
    {{"dp", K::kNumber, "N", "data-parallel replicas; default 1"}, set_degree<&PlanRequest::dp>, show<&PlanRequest::dp>},
    {{"ep", K::kNumber, "N", "expert-parallel degree; default 1"}, set_degree<&PlanRequest::ep>, show<&PlanRequest::ep>},
    {{"layout", K::kText, "auto", "find the layout that serves best on these devices; degrees that are given are kept; default: as given"},
     set_layout,
     show_layout},
    {{"nodes", K::kNumber, "N", "machines that the ranks spread over, the same number on each; default: what --devices says, or 1"},
     set_degree<&PlanRequest::nodes>,
     show<&PlanRequest::nodes>},
    {{"stage_layers", K::kNumbers, "N,N,...", "layers of each pipeline stage; default: balanced"},
     set_stage_layers,
     show<&PlanRequest::stage_layers>},
    {{"split_mode", K::kText, "layer|row|none|tensor",
      "llama.cpp: whole layers to each device by shares, matrices by rows, one device, or every layer over all; default layer"},
     set_split_mode,
     show_split_mode},
    {{"tensor_split", K::kNumbers, "N,N,...", "llama.cpp: each device's share of the layers; default: its free memory"},
     set_tensor_split,
     show<&PlanRequest::tensor_split>},
    {{"gpu_layers", K::kLayers, "N|auto|all",
      "llama.cpp: layers on devices, the output as one of them, the rest in host memory; auto: the most that fit; default all"},
     set_gpu_layers,
     show_gpu_layers},
    {{"n_cpu_moe", K::kLayers, "N|auto|all",
      "llama.cpp: experts of the first N layers in host memory; auto: the fewest with which the plan fits; default 0"},
     set_cpu_moe,
     show_cpu_moe},
    {{"override_tensor", K::kTexts, "REGEX=CPU,...",
      "llama.cpp: tensors whose name in a GGUF file the expression finds stay in host memory, as blk\\.1[0-9]\\.ffn_.*_exps=CPU"},
     set_tensor_overrides,
     show<&PlanRequest::tensor_overrides>},
    {{"mmproj", K::kText, "FILE|none",
      "llama.cpp: a projector's GGUF file, loaded beside the model; default: the one in the model's folder, where there is one"},
     set_word<&PlanRequest::projector>,
     show<&PlanRequest::projector>},
    {{"host", K::kSize, "SIZE", "memory of the host, for what lies there; default: shown and not checked"},
     set_bytes<&PlanRequest::host_bytes>,
     show<&PlanRequest::host_bytes>},
    {{"redundant_experts", K::kNumber, "N", "extra copies of experts per layer; default 0"},
     set_small<&PlanRequest::redundant_experts, kMaxRanks>,
     show<&PlanRequest::redundant_experts>},
    {{"engine", K::kText, "NAME[@VERSION]", "max, vllm, sglang, tensorrt-llm, llama.cpp, or a YAML file; default max"},
     set_word<&PlanRequest::engine>,
     show<&PlanRequest::engine>},
    {{"set", K::kSettings, "engine.KEY=VALUE", "override one value of the engine profile; may repeat", true}, set_override, show_overrides},
    {{"accounting", K::kText, "per-device|pooled", "each device by itself, or all memory as one; default per-device"},
     set_accounting,
     show_accounting},
    {{"max_length", K::kLength, "N|auto[:CAP]",
      "tokens of one request, 8k is 8,000 and 8K is 8,192; or the longest that fits; default: the model's own"},
     set_max_length,
     show_max_length},
    {{"max_batch_size", K::kNumber, "N", "requests at once; default: the engine's, or for max what fits"},
     set_count<&PlanRequest::max_batch_size, kMaxSequences>,
     show<&PlanRequest::max_batch_size>},
    {{"max_batch_input_tokens", K::kNumber, "N", "tokens of one forward pass; default: the engine's, 8192 for max"},
     set_tokens<&PlanRequest::max_batch_input_tokens>,
     show<&PlanRequest::max_batch_input_tokens>},
    {{"max_batch_total_tokens", K::kNumber, "N", "tokens of all requests of a batch together; default: no limit"},
     set_tokens<&PlanRequest::max_batch_total_tokens>,
     show<&PlanRequest::max_batch_total_tokens>},
    {{"device_memory_utilization", K::kNumber, "F", "share of a device's memory to use, 0 < F <= 1; default: the engine's, 0.9 for max"},
     set_fraction<&PlanRequest::device_memory_utilization, false>,
     show<&PlanRequest::device_memory_utilization>},
    {{"kv_dtype", K::kText, "T", "bfloat16, float8_e4m3fn, q8_0, q8_0/q4_0, ...; default: the engine's, mostly the model's own type"},
     set_word<&PlanRequest::kv_dtype>,
     show<&PlanRequest::kv_dtype>},
    {{"page_tokens", K::kNumber, "N", "tokens of one KV page; default: the engine's, 128 for max"},
     set_count<&PlanRequest::page_tokens, kMaxPageTokens>,
     show<&PlanRequest::page_tokens>},
    {{"kv_cache_bytes", K::kSize, "SIZE", "KV memory per device, instead of what the budget leaves"},
     set_bytes<&PlanRequest::kv_cache_bytes>,
     show<&PlanRequest::kv_cache_bytes>},
    {{"dtype", K::kText, "T", "run-time type of unquantised weights; default: as stored"},
     set_word<&PlanRequest::dtype>,
     show<&PlanRequest::dtype>},
    {{"quantize", K::kTexts, "T,T,...",
      "what if the weights were fp8, int8, awq, gptq_int4, nvfp4, q4_k_m, ..., as exporters write them; none: as they are. Of several the "
      "first that fits is planned, the others are shown beside it"},
     set_quantize,
     show<&PlanRequest::quantize>},
    {{"weights_bytes", K::kSize, "SIZE", "weights of one replica, instead of declared or stored ones"},
     set_bytes<&PlanRequest::weights_bytes>,
     show<&PlanRequest::weights_bytes>},
    {{"vision_cache_utilization", K::kNumber, "F", "share of the KV memory for the vision cache, 0 <= F <= 1"},
     set_fraction<&PlanRequest::vision_cache_utilization, true>,
     show<&PlanRequest::vision_cache_utilization>},
    {{"num_draft_tokens", K::kNumber, "N", "speculated tokens per step; without --draft from the model's own MTP head"},
     set_small<&PlanRequest::num_draft_tokens, kMaxDraftTokens>,
     show<&PlanRequest::num_draft_tokens>},
    {{"images_per_request", K::kNumber, "N", "images of one request at most; default: what one forward pass takes"},
     set_count<&PlanRequest::images_per_request, kMaxSequences>,
     show_images},
    {{"limit_mm_per_prompt", K::kText, "JSON",
      "images, videos and sounds of one request, as {\"image\": 2, \"video\": 0} or image=2,video=0"},
     set_media_limits,
     show_media_limits},
    {{"language_model_only", K::kSwitch, "", "no images, film or sound: towers are not loaded where the engine leaves them out"},
     set_flag<&PlanRequest::language_model_only>,
     show_flag<&PlanRequest::language_model_only>},
    {{"enforce_eager", K::kSwitch, "", "no graphs are captured; the same as --set engine.eager=true"}, set_eager, show_nothing},
    {{"num_gpu_blocks_override", K::kNumber, "N", "KV blocks on every device, whatever its memory holds (vLLM)"},
     set_count<&PlanRequest::kv_blocks, kMaxTokens>,
     show<&PlanRequest::kv_blocks>},
    {{"kv_offload_bytes", K::kSize, "SIZE", "a second tier of the KV cache in host memory, of all ranks together"},
     set_bytes<&PlanRequest::kv_offload_bytes>,
     show<&PlanRequest::kv_offload_bytes>},
    {{"max_loras", K::kNumber, "N", "LoRA adapters on the device at once; default: none"},
     set_count<&PlanRequest::max_loras, kMaxLoras>,
     show<&PlanRequest::max_loras>},
    {{"max_lora_rank", K::kNumber, "N", "largest rank of an adapter; default 16"},
     set_count<&PlanRequest::max_lora_rank, kMaxLoraRank>,
     show<&PlanRequest::max_lora_rank>},
    {{"lora_dtype", K::kText, "T", "float32, bfloat16 or float16: how adapters are kept; default: as unquantised weights"},
     set_word<&PlanRequest::lora_dtype>,
     show<&PlanRequest::lora_dtype>},
    {{"lora", K::kTexts, "[NAME=]DIR", "a PEFT adapter's directory: room for it, of its rank; may repeat. run loads it under NAME", true},
     add_lora,
     show_loras},
    {{"lora_targets", K::kTexts, "NAME,NAME,...",
      "linear layers that adapters may change, such as q_proj,v_proj; default: all of the layers"},
     set_lora_targets,
     show<&PlanRequest::lora_targets>},
    {{"phase", K::kText, "both|prefill|decode", "what this deployment computes; default both"}, set_phase, show_phase},
    {{"frontier", K::kSwitch, "", "also the largest batch for every length"},
     set_flag<&PlanRequest::frontier>,
     show_flag<&PlanRequest::frontier>},
    {{"frontier_kv_dtypes", K::kTexts, "T,T,...", "the frontier for these KV types too"},
     set_frontier_types,
     show<&PlanRequest::frontier_kv_dtypes>},
    {{"ubatch", K::kNumber, "N", "llama.cpp's physical batch; elsewhere the same as --max-batch-input-tokens"},
     set_tokens<&PlanRequest::max_batch_input_tokens>,
     show_nothing},
    {{"lora_slots", K::kNumber, "N", "the same as --max-loras"}, set_count<&PlanRequest::max_loras, kMaxLoras>, show_nothing},
    {{"lora_rank", K::kNumber, "N", "the same as --max-lora-rank"}, set_count<&PlanRequest::max_lora_rank, kMaxLoraRank>, show_nothing},
    {{"sequences", K::kNumber, "N", "llama.cpp's parallel slots; elsewhere the same as --max-batch-size"},
     set_count<&PlanRequest::max_batch_size, kMaxSequences>,
     show_nothing},
});

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

std::vector<OptionValue> show_options(const PlanRequest& request) {
  std::vector<OptionValue> out;
  for (const Row& row : kRows)
    for (std::string& value : row.show(request)) {
      std::string flag = "--" + std::string(row.info.name);
      std::replace(flag.begin(), flag.end(), '_', '-');
      out.push_back({std::string(row.info.name), std::move(value), std::move(flag)});
    }
  return out;
}

std::string options_text(const PlanRequest& request) {
  std::string out;
  for (const OptionValue& option : show_options(request)) {
    out += fmt::format("{}{}", out.empty() ? "" : " ", option.where);
    if (find_option(option.name, {})->kind == OptionKind::kSwitch) continue;
    out += fmt::format("{}{}", option.value.starts_with('-') ? '=' : ' ', shell_word(option.value));
  }
  return out;
}

} // namespace plimsoll
