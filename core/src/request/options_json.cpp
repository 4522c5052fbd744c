// Options from a JSON object: the same names as in a pipeline file, and values of the types that the table says.
// Never loads a model and never lets a value through unread or of another type. Threads: pure functions.
#include <fmt/format.h>
#include <set>

#include "base/json.hpp"
#include "plimsoll/options.hpp"
#include "request/option_names.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaximumRequestBytes = 64U << 20;
constexpr std::size_t kMaximumRequestValues = 10'000;
constexpr std::size_t kShownBytes = 40;

std::string_view expected(OptionKind kind) {
  switch (kind) {
  case OptionKind::kText: return "a string";
  case OptionKind::kNumber: return "a number";
  case OptionKind::kSize: return "a number of bytes, or a string with a unit such as \"20GiB\"";
  case OptionKind::kLength: return "a number of tokens, \"auto\" or \"auto:CAP\"";
  case OptionKind::kLayers: return "a number of layers, \"auto\" or \"all\"";
  case OptionKind::kSwitch: return "true or false";
  case OptionKind::kTexts: return "a string, or a list of strings";
  case OptionKind::kNumbers: return "a list of numbers, or a string of them such as \"31,30\"";
  case OptionKind::kSettings: return "a string KEY=VALUE, a list of them, or an object of plain values";
  case OptionKind::kDocument: return "an object";
  }
  return "something else";
}

bool has_type(OptionKind kind, const Json& value) {
  switch (kind) {
  case OptionKind::kText:
  case OptionKind::kTexts:
  case OptionKind::kSettings: return value.is_string();
  case OptionKind::kNumber: return value.is_number();
  case OptionKind::kSize:
  case OptionKind::kNumbers: return value.is_number() || value.is_string();
  case OptionKind::kLength: return value.is_number() || (value.is_string() && value.get_ref<const std::string&>().starts_with("auto"));
  case OptionKind::kLayers: return value.is_number() || value == "auto" || value == "all";
  case OptionKind::kSwitch: return value.is_boolean();
  case OptionKind::kDocument: return value.is_object();
  }
  return false;
}

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
  return text;
}

// A plain value as the command line spells it.
std::string as_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

class RequestReader {
public:
  explicit RequestReader(std::vector<OptionValue>& out) : out_(out) {}

  Result<void> take(const OptionInfo& info, const Json& value, const std::string& where) {
    if (value.is_null()) return {}; // the default
    if (info.kind == OptionKind::kDocument && value.is_object())
      return add(info, value.dump(-1, ' ', false, Json::error_handler_t::replace), where);
    if (info.kind == OptionKind::kSettings && value.is_object()) return settings(info, value, where);
    if (value.is_array() && takes_list(info)) return list(info, value, where);
    if (!has_type(info.kind, value)) return wrong(info, value, where);
    return add(info, as_text(value), where);
  }

private:
  static tl::unexpected<Error> wrong(const OptionInfo& info, const Json& value, const std::string& where) {
    return fail(ErrorCode::kBadRequest, fmt::format("{} takes {}, found {}", info.name, expected(info.kind), shown(value)), where);
  }
  Result<void> settings(const OptionInfo& info, const Json& value, const std::string& where) {
    for (const auto& [key, part] : value.items()) {
      if (part.is_structured() || part.is_null()) return wrong(info, value, where);
      PLIMSOLL_TRY(add(info, fmt::format("{}={}", key, as_text(part)), where));
    }
    return {};
  }
  Result<void> list(const OptionInfo& info, const Json& value, const std::string& where) {
    const OptionKind kind = info.kind == OptionKind::kNumbers ? OptionKind::kNumber : info.kind;
    std::string joined;
    for (const Json& part : value) {
      if (!has_type(kind, part)) return wrong(info, value, where);
      if (info.repeats) PLIMSOLL_TRY(add(info, as_text(part), where));
      joined += fmt::format("{}{}", joined.empty() ? "" : ",", as_text(part));
    }
    if (info.repeats) return {};
    return add(info, std::move(joined), where);
  }
  Result<void> add(const OptionInfo& info, std::string value, const std::string& where) {
    if (out_.size() >= kMaximumRequestValues)
      return fail(ErrorCode::kBadRequest, fmt::format("more than {} values; is it a request?", kMaximumRequestValues), where);
    out_.push_back({std::string(info.name), std::move(value), where});
    return {};
  }

  std::vector<OptionValue>& out_;
};

} // namespace

Result<std::vector<OptionValue>> read_options_json(std::string_view json, std::span<const OptionInfo> also) {
  if (json.size() > kMaximumRequestBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("a request of {} bytes; at most {} are read", json.size(), kMaximumRequestBytes));
  PLIMSOLL_ASSIGN(const Json document, parse_json(std::string(json), "", ErrorCode::kBadRequest));
  if (!document.is_object()) return fail(ErrorCode::kBadRequest, "the request is no JSON object; give {\"model\": ..., ...}", "");
  std::vector<OptionValue> out;
  std::set<std::string_view> seen;
  RequestReader reader(out);
  for (const auto& [key, value] : document.items()) {
    const OptionInfo* info = find_option(key, also);
    if (info == nullptr) return fail(ErrorCode::kBadRequest, unknown_option(key, also), "/" + key);
    if (!seen.insert(info->name).second)
      return fail(ErrorCode::kBadRequest, fmt::format("{} is given twice; keep one", info->name), "/" + key);
    PLIMSOLL_TRY(reader.take(*info, value, "/" + key));
  }
  return out;
}

} // namespace plimsoll
