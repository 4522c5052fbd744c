// See start_request.hpp.
#include "compare/start_request.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace plimsoll {
namespace {

// Settings that are not options of their own.
constexpr std::array<std::string_view, 8> kParts{"device",          "device_total_bytes", "device_free_bytes", "state_slots",
                                                 "expert_parallel", "attention_dp",       "kv_dtype_k",        "kv_dtype_v"};

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

} // namespace

Result<StartRequest> request_of(const EngineStart& start, const std::vector<OptionValue>& options) {
  StartRequest out;
  PlanRequest& request = out.request;
  for (const auto& [name, setting] : start.settings) {
    if (setting.value.empty() || std::find(kParts.begin(), kParts.end(), name) != kParts.end()) continue;
    const bool engine_key = name.starts_with("engine.");
    PLIMSOLL_TRY(set_option(request, {engine_key ? "set" : name, engine_key ? name + "=" + setting.value : setting.value, setting.place}));
  }
  if (is_set(start, "attention_dp") && request.dp.value_or(1) > 1 && request.tp.value_or(1) % *request.dp == 0) {
    if (!request.ep) request.ep = *request.tp;
    request.tp = *request.tp / *request.dp;
  }
  if (is_set(start, "expert_parallel")) request.ep = request.tp.value_or(1) * request.dp.value_or(1);
  request.devices.clear();
  request.engine.clear();
  for (const OptionValue& option : options) PLIMSOLL_TRY(set_option(request, option));
  out.engine_given = !request.engine.empty();
  if (!out.engine_given) request.engine = start.engine;
  out.fraction_known = request.device_memory_utilization.has_value();
  out.memory_known = !request.devices.empty();
  if (request.devices.empty()) {
    const std::string device = device_of(start);
    out.memory_known = device != kUnknownDevice;
    const std::uint64_t count = static_cast<std::uint64_t>(request.tp.value_or(1)) * request.pp.value_or(1) * request.dp.value_or(1);
    request.devices = fmt::format("{}x{}", count, device);
  }
  return out;
}

} // namespace plimsoll
