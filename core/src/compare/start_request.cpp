// See start_request.hpp.
#include "compare/start_request.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace plimsoll {
namespace {

// Settings that are not options of their own.
constexpr std::array<std::string_view, 17> kParts{"device",          "device_total_bytes", "device_free_bytes", "state_slots",
                                                  "expert_parallel", "attention_dp",       "kv_dtype_k",        "kv_dtype_v",
                                                  "draft",           "draft_method",       "lora_enabled",      "max_loras",
                                                  "max_lora_rank",   "token_cap",          "quantization",      "offloaded_layers",
                                                  "all_layers"};

// Drafts that are heads of the model itself, and those that need no memory: both in words of several engines.
constexpr std::array<std::string_view, 4> kNoDraftMemory{"ngram", "NGRAM", "suffix", "[ngram]"};

// Memory of a device about which nothing is known: large enough for every model, so that only the KV figures depend on it.
constexpr std::string_view kUnknownDevice = "unknown=1TiB";

bool is_set(const EngineStart& start, const std::string& name) {
  const std::string* value = start.find(name);
  return value != nullptr && *value != "False" && *value != "false" && *value != "0";
}

std::string device_of(const EngineStart& start) {
  const std::string* card = start.find("device");
  const std::string* total = start.find("device_total_bytes");
  const std::string* free = start.find("device_free_bytes");
  if (total == nullptr && card != nullptr) return free == nullptr ? *card : *card + ":" + *free;
  if (total == nullptr) total = free; // what is free is all that is known
  if (total == nullptr) return std::string(kUnknownDevice);
  return fmt::format("{}={}{}", card == nullptr ? "printed" : *card, *total, free == nullptr ? "" : ":" + *free);
}

bool is_option(std::string_view name) {
  const auto options = plan_options();
  return std::any_of(options.begin(), options.end(), [&](const OptionInfo& option) { return option.name == name; });
}

// Whether the blocks of the KV cache may depend on it, and not only what is left for them.
bool is_of_kv(std::string_view name) {
  constexpr std::array<std::string_view, 3> kOfMemory{"images_per_request", "weights_bytes", "device_memory_utilization"};
  return name.starts_with("engine.") || (is_option(name) && std::find(kOfMemory.begin(), kOfMemory.end(), name) == kOfMemory.end());
}

// Settings that are options, or values of the engine's profile.
void say_settings(const EngineStart& start, const std::set<std::string>& refused, StartRequest& out) {
  for (const auto& [name, setting] : start.settings) {
    std::vector<std::string>& unsaid = is_of_kv(name) ? out.not_said_of_kv : out.not_said_of_memory;
    if (refused.contains(name)) {
      unsaid.push_back(name + "=" + setting.value);
      continue;
    }
    if (setting.value.empty() || std::find(kParts.begin(), kParts.end(), name) != kParts.end()) continue;
    // What is no option may be a value of the profile under the engine's own name; if it is not, the plan refuses it.
    const std::string key = name.starts_with("engine.") || is_option(name) ? name : "engine." + name;
    const bool engine_key = key.starts_with("engine.");
    const OptionValue option{engine_key ? "set" : key, engine_key ? key + "=" + setting.value : setting.value, setting.place};
    if (!set_option(out.request, option)) unsaid.push_back(name + "=" + setting.value);
  }
}

// Adapters take memory only where they are switched on; an engine that prints no such switch has it in their number.
void say_adapters(const EngineStart& start, const std::set<std::string>& refused, StartRequest& out) {
  if (!is_set(start, "lora_enabled") || refused.contains("lora_enabled")) return;
  const auto set = [&](const char* name, const std::string& otherwise) {
    const std::string* value = start.find(name);
    const OptionValue option{name, value != nullptr ? *value : otherwise, "the log"};
    if (!set_option(out.request, option)) out.not_said_of_memory.push_back(option.name + "=" + option.value);
  };
  set("max_loras", "1");
  if (start.find("max_lora_rank") != nullptr) set("max_lora_rank", "");
}

void say_draft(const EngineStart& start, StartRequest& out) {
  const std::string* method = start.find("draft_method");
  const std::string* draft = start.find("draft");
  if (method != nullptr && std::find(kNoDraftMemory.begin(), kNoDraftMemory.end(), *method) != kNoDraftMemory.end()) {
    out.request.num_draft_tokens = 0;
    return;
  }
  if (draft != nullptr && !draft->empty() && *draft != start.model) out.draft = *draft;
}

void say_ranks(const EngineStart& start, PlanRequest& request) {
  if (is_set(start, "attention_dp") && request.dp.value_or(1) > 1 && request.tp.value_or(1) % *request.dp == 0) {
    if (!request.ep) request.ep = *request.tp;
    request.tp = *request.tp / *request.dp;
  }
  if (is_set(start, "expert_parallel")) request.ep = request.tp.value_or(1) * request.dp.value_or(1);
}

// Where some layers stay in host memory, how many do not.
void say_layers(const EngineStart& start, const std::set<std::string>& refused, StartRequest& out) {
  const std::string *offloaded = start.find("offloaded_layers"), *all = start.find("all_layers");
  if (offloaded == nullptr || all == nullptr || *offloaded == *all) return;
  if (!refused.contains("offloaded_layers") && set_option(out.request, {"gpu_layers", *offloaded, "the log"})) return;
  out.not_said_of_memory.push_back("offloaded_layers=" + *offloaded);
}

} // namespace

Result<StartRequest> request_of(const EngineStart& start, const std::vector<OptionValue>& options, const std::set<std::string>& refused) {
  StartRequest out;
  PlanRequest& request = out.request;
  say_settings(start, refused, out);
  say_adapters(start, refused, out);
  say_draft(start, out);
  say_ranks(start, request);
  say_layers(start, refused, out);
  request.devices.clear();
  request.engine.clear();
  for (const OptionValue& option : options) PLIMSOLL_TRY(set_option(request, option));
  out.engine_given = !request.engine.empty();
  if (!out.engine_given) request.engine = start.engine;
  out.fraction_known = request.device_memory_utilization.has_value();
  out.length_given = request.max_length.has_value() || request.max_length_auto;
  out.batch_given = request.max_batch_size.has_value();
  out.tokens_given = request.max_batch_input_tokens.has_value();
  out.memory_known = !request.devices.empty();
  if (request.devices.empty()) {
    const std::string device = device_of(start);
    out.memory_known = device != kUnknownDevice;
    const std::uint64_t count = static_cast<std::uint64_t>(request.tp.value_or(1)) * request.pp.value_or(1) * request.dp.value_or(1);
    request.devices = fmt::format("{}x{}", count, device);
  }
  return out;
}

std::string refused_setting(const EngineStart& start, const std::vector<OptionValue>& options, const Error& error) {
  constexpr std::string_view kSet = "--set ", kOption = "--";
  std::string name = error.where;
  if (name.starts_with(kSet)) name.erase(0, kSet.size());
  else if (name.starts_with(kOption)) name.erase(0, kOption.size());
  else return {};
  std::replace(name.begin(), name.end(), '-', '_');
  const auto alike = [&](const OptionValue& option) { return option.name == name; };
  if (std::any_of(options.begin(), options.end(), alike)) return {};
  if (name.starts_with("max_lora") || name.starts_with("lora")) name = "lora_enabled";
  if (name == "gpu_layers") name = "offloaded_layers";
  constexpr std::string_view kEngine = "engine.";
  if (start.settings.contains(name)) return name;
  if (name.starts_with(kEngine)) name.erase(0, kEngine.size());
  return start.settings.contains(name) ? name : std::string();
}

} // namespace plimsoll
