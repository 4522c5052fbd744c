// Options from a JSON object: the same names as in a pipeline file. Called by the C API.
// Never loads a model and never lets a value through unread. Threads: pure functions.
#include <fmt/format.h>

#include "base/json.hpp"
#include "plimsoll/options.hpp"
#include "request/option_names.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaximumRequestBytes = 64U << 20;
constexpr std::size_t kMaximumValues = 10'000;

// A value as the command line would spell it; empty for what has no such spelling.
std::string as_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean() || value.is_number()) return value.dump();
  return {};
}

Result<void> append_option(std::vector<OptionValue>& out, const std::string& name, const Json& value, bool plan_option) {
  const std::string where = "/" + name;
  const auto bad = [&](const char* expected) { return fail(ErrorCode::kBadRequest, fmt::format("{} takes {}", name, expected), where); };
  const bool repeats = name == "set" || name == "plugin_path" || name == "plugin_paths";
  if (out.size() >= kMaximumValues) return bad("fewer values");
  if (value.is_null()) return {}; // the default
  if (value.is_object()) {
    if (!plan_option) {
      out.push_back({name, value.dump(-1, ' ', false, Json::error_handler_t::replace), where});
      return {};
    }
    if (name != "set") return bad("a value, not an object");
    for (const auto& [key, part] : value.items()) {
      if (part.is_structured() || part.is_null()) return bad("an object of plain values");
      out.push_back({name, fmt::format("{}={}", key, as_text(part)), where});
    }
    return {};
  }
  if (value.is_array()) {
    std::string joined;
    for (const Json& part : value) {
      if (part.is_structured() || part.is_null()) return bad("a list of plain values");
      if (repeats) out.push_back({name, as_text(part), where});
      else joined += (joined.empty() ? "" : ",") + as_text(part);
    }
    if (!repeats) out.push_back({name, std::move(joined), where});
    return {};
  }
  out.push_back({name, as_text(value), where});
  return {};
}

} // namespace

Result<std::vector<OptionValue>> read_options_json(std::string_view json, std::span<const std::string_view> also) {
  if (json.size() > kMaximumRequestBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("a request of {} bytes; at most {} are read", json.size(), kMaximumRequestBytes));
  PLIMSOLL_ASSIGN(const Json document, parse_json(std::string(json), "", ErrorCode::kBadRequest));
  if (!document.is_object()) return fail(ErrorCode::kBadRequest, "the request is no JSON object; give {\"model\": ..., ...}", "");
  std::vector<OptionValue> out;
  for (const auto& [key, value] : document.items()) {
    const std::string name = option_key(key);
    if (!known_option(name, also)) return fail(ErrorCode::kBadRequest, unknown_option(key, also), "/" + key);
    bool plan_option = true;
    for (const std::string_view extra : also) plan_option = plan_option && extra != name;
    PLIMSOLL_TRY(append_option(out, name, value, plan_option));
  }
  return out;
}

} // namespace plimsoll
