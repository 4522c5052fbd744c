#include "diff/plan_figures.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>

#include "base/printable.hpp"
#include "base/yaml.hpp"

namespace plimsoll {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{1} << 58; // of one figure over all devices, and of all items: whatever is added up fits
constexpr std::size_t kMostShownBytes = 240;

std::string shown_text(const std::string& text) { return printable_text(text, kMostShownBytes); }

// A value of a request as a row shows it: lists and objects as their text.
DiffValue value_of(const Json& value) {
  if (value.is_null()) return {};
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_string()) return shown_text(value.get_ref<const std::string&>());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    return static_cast<double>(value.get<std::uint64_t>());
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number()) return value.get<double>();
  return shown_text(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// A figure that is shown as it is.
struct Count {
  const char* key;
  bool optional = false; // may be null or not there
  bool is_text = false, is_fraction = false;
};
constexpr std::array<Count, 8> kCapacity{{{"dtype", false, true},
                                          {"page_tokens"},
                                          {"pages"},
                                          {"capacity_tokens"},
                                          {"capacity_requests", false, false, true},
                                          {"engine_reported_tokens"},
                                          {"bytes_per_token_per_device"},
                                          {"state_slots", true}}};
constexpr std::array<Count, 5> kLimits{
    {{"max_length"}, {"max_batch_size"}, {"max_supported_sequence_length"}, {"max_batch_at_max_length"}, {"binding", true, true}}};

class FiguresReader {
public:
  explicit FiguresReader(const std::string& name) : name_(name) {}

  Result<PlanFigures> read(const Json& root) {
    PLIMSOLL_ASSIGN(const std::string schema, text(root, "", "schema"));
    if (schema != "plimsoll.plan/1")
      return bad("/schema", fmt::format("the document is '{}'; two of plimsoll.plan/1 are compared, as plan --format json writes them",
                                        shown_text(schema)));
    out_.side.name = name_;
    PLIMSOLL_TRY(read_verdict(root));
    PLIMSOLL_TRY(read_error(root));
    out_.planned = out_.side.verdict != Verdict::kError;
    if (!out_.planned) return std::move(out_);
    PLIMSOLL_TRY(read_names(root));
    PLIMSOLL_TRY(read_request(root));
    PLIMSOLL_TRY(read_devices(root));
    PLIMSOLL_ASSIGN(const Json* const items, member(root, "", "items", Json::value_t::array));
    PLIMSOLL_TRY(read_items(*items, "/items", false));
    PLIMSOLL_TRY(read_host(root));
    PLIMSOLL_TRY(read_counts(root, "kv_cache", kCapacity, out_.capacity));
    PLIMSOLL_TRY(read_counts(root, "limits", kLimits, out_.limits));
    return std::move(out_);
  }

private:
  tl::unexpected<Error> bad(const std::string& pointer, std::string message) const {
    return fail(ErrorCode::kBadRequest, std::move(message), fmt::format("{}#{}", name_, pointer));
  }

  Result<const Json*> member(const Json& object, const std::string& at, const std::string& key, Json::value_t type) const {
    const std::string pointer = at + "/" + key;
    if (!object.is_object()) return bad(at, "an object was expected; is it a whole plan document?");
    const auto found = object.find(key);
    if (found == object.end()) return bad(pointer, "the key is missing; is it a whole plan document?");
    const bool fits = type == Json::value_t::number_float ? found->is_number() : found->type() == type;
    if (!fits) return bad(pointer, fmt::format("{} was expected, found {}", type_words(type), found->type_name()));
    return &*found;
  }

  static std::string_view type_words(Json::value_t type) {
    switch (type) {
    case Json::value_t::array: return "a list";
    case Json::value_t::object: return "an object";
    case Json::value_t::string: return "a text";
    default: return "a number";
    }
  }

  Result<std::string> text(const Json& object, const std::string& at, const std::string& key) const {
    PLIMSOLL_ASSIGN(const Json* const found, member(object, at, key, Json::value_t::string));
    return found->get<std::string>();
  }

  // An integer within +-2^58; negative ones where `is_signed`.
  Result<std::int64_t> integer(const Json& object, const std::string& at, const std::string& key, bool is_signed = false) const {
    const std::string pointer = at + "/" + key;
    PLIMSOLL_ASSIGN(const Json* const found, member(object, at, key, Json::value_t::number_float));
    const Json& value = *found;
    const double rough = value.get<double>();
    if (value.is_number_float() || rough > static_cast<double>(kMostBytes) || rough < (is_signed ? -static_cast<double>(kMostBytes) : 0.0))
      return bad(pointer, fmt::format("an integer {} 2^58 was expected, found {}", is_signed ? "within" : "from 0 to",
                                      value.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 40)));
    return value.get<std::int64_t>();
  }

  Result<void> add(std::int64_t& sum, std::int64_t more, const std::string& pointer) const {
    sum += more; // both within 2^58
    if (sum > kMostBytes || sum < -kMostBytes)
      return bad(pointer, "all devices together have more than 2^58 bytes; no such memory is there");
    return {};
  }

  Result<void> read_verdict(const Json& root) {
    PLIMSOLL_ASSIGN(const std::string word, text(root, "", "verdict"));
    for (const Verdict verdict : {Verdict::kFits, Verdict::kTight, Verdict::kDoesNotFit, Verdict::kError})
      if (word == verdict_name(verdict)) {
        out_.side.verdict = verdict;
        return {};
      }
    return bad("/verdict", fmt::format("'{}' is no verdict; fits, tight, does_not_fit or error was expected", shown_text(word)));
  }

  Result<void> read_error(const Json& root) {
    const auto found = root.find("error");
    if (found == root.end() || found->is_null()) {
      if (out_.side.verdict == Verdict::kError) return bad("/error", "the verdict is an error, and there is none");
      return {};
    }
    PLIMSOLL_ASSIGN(const std::string code, text(*found, "/error", "code"));
    PLIMSOLL_ASSIGN(const std::string message, text(*found, "/error", "message"));
    out_.error_code = shown_text(code);
    out_.error_message = shown_text(message);
    return {};
  }

  Result<void> read_names(const Json& root) {
    PLIMSOLL_ASSIGN(const Json* const model, member(root, "", "model", Json::value_t::object));
    PLIMSOLL_ASSIGN(const std::string path, text(*model, "/model", "path"));
    PLIMSOLL_ASSIGN(const std::string architecture, text(*model, "/model", "architecture"));
    PLIMSOLL_ASSIGN(const Json* const engine, member(root, "", "engine", Json::value_t::object));
    PLIMSOLL_ASSIGN(const std::string name, text(*engine, "/engine", "name"));
    PLIMSOLL_ASSIGN(const std::string version, text(*engine, "/engine", "version"));
    out_.side.model = shown_text(path.empty() ? architecture : path);
    out_.engine_name = name;
    out_.side.engine = shown_text(version.empty() ? name : name + " " + version);
    return {};
  }

  Result<void> read_request(const Json& root) {
    PLIMSOLL_ASSIGN(const Json* const request, member(root, "", "request", Json::value_t::object));
    for (const auto& [key, value] : request->items()) out_.request.emplace_back("request." + shown_text(key), value_of(value));
    PLIMSOLL_ASSIGN(const Json* const fraction, member(*request, "/request", "device_memory_utilization", Json::value_t::number_float));
    out_.utilization = fraction->get<double>();
    if (!(out_.utilization >= 0 && out_.utilization <= 1)) return bad("/request/device_memory_utilization", "is no fraction from 0 to 1");
    return {};
  }

  // The devices that hold ranks; the host stands beside them.
  Result<void> read_devices(const Json& root) {
    PLIMSOLL_ASSIGN(const Json* const devices, member(root, "", "devices", Json::value_t::array));
    std::vector<std::string> names;
    for (std::size_t i = 0; i < devices->size(); ++i) {
      const Json& device = (*devices)[i];
      const std::string at = fmt::format("/devices/{}", i);
      PLIMSOLL_ASSIGN(const std::string name, text(device, at, "name"));
      if (device.value("kind", Json()) == "host") continue;
      PLIMSOLL_TRY(add_figures(device, at));
      out_.cards.push_back(fmt::format("{}\n{}\n{}", name, device["total_bytes"].dump(), device["free_bytes"].dump()));
      names.push_back(name);
    }
    out_.side.devices = shown_text(named(names));
    out_.side.n_devices = names.size();
    return {};
  }

  Result<void> add_figures(const Json& device, const std::string& at) {
    for (std::size_t f = 0; f < kDeviceFigures.size(); ++f) {
      const DeviceFigure& figure = kDeviceFigures[f];
      const std::string key(figure.key);
      if (figure.category == Category::kWorkspace && !device.contains(key)) continue; // a key of plans that have some
      PLIMSOLL_ASSIGN(const std::int64_t value, integer(device, at, key, figure.bytes == nullptr));
      PLIMSOLL_TRY(add(out_.bytes[f], value, at + "/" + key));
    }
    return {};
  }

  // "2xH100,A100": neighbours of one name together.
  static std::string named(const std::vector<std::string>& names) {
    std::string out;
    for (std::size_t i = 0, n = 0; i < names.size(); i += n) {
      for (n = 1; i + n < names.size() && names[i + n] == names[i];) ++n;
      out += fmt::format("{}{}{}", out.empty() ? "" : ",", n > 1 ? fmt::format("{}x", n) : "", names[i].empty() ? "device" : names[i]);
    }
    return out;
  }

  Result<void> read_items(const Json& items, const std::string& list, bool on_host) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::string at = fmt::format("{}/{}", list, i);
      PLIMSOLL_ASSIGN(const std::string word, text(items[i], at, "category"));
      PLIMSOLL_ASSIGN(const std::string label, text(items[i], at, "label"));
      PLIMSOLL_ASSIGN(const std::int64_t bytes, integer(items[i], at, "bytes"));
      const auto figure = std::find_if(kDeviceFigures.begin(), kDeviceFigures.end(),
                                       [&](const DeviceFigure& known) { return known.category && category_name(*known.category) == word; });
      if (figure == kDeviceFigures.end()) return bad(at + "/category", fmt::format("'{}' is no category of memory", shown_text(word)));
      const auto [known, added] = known_.try_emplace({on_host, *figure->category, label}, out_.items.size());
      if (added) out_.items.push_back({*figure->category, on_host, label, 0});
      PLIMSOLL_TRY(add(out_.items[known->second].bytes, bytes, at + "/bytes"));
      PLIMSOLL_TRY(add(all_items_, bytes, at + "/bytes"));
    }
    return {};
  }

  Result<void> read_host(const Json& root) {
    if (!root.contains("host_memory")) return {};
    PLIMSOLL_ASSIGN(const Json* const host, member(root, "", "host_memory", Json::value_t::object));
    PLIMSOLL_ASSIGN(out_.host_bytes, integer(*host, "/host_memory", "bytes"));
    PLIMSOLL_ASSIGN(const Json* const items, member(*host, "/host_memory", "items", Json::value_t::array));
    return read_items(*items, "/host_memory/items", true);
  }

  template <std::size_t N>
  Result<void> read_counts(const Json& root, const std::string& section, const std::array<Count, N>& counts,
                           std::vector<std::pair<std::string, DiffValue>>& out) const {
    PLIMSOLL_ASSIGN(const Json* const object, member(root, "", section, Json::value_t::object));
    for (const Count& count : counts) {
      const std::string name = section + "." + count.key, at = "/" + section;
      if (count.optional && (!object->contains(count.key) || (*object)[count.key].is_null())) {
        out.emplace_back(name, DiffValue());
      } else if (count.is_text) {
        PLIMSOLL_ASSIGN(const std::string value, text(*object, at, count.key));
        out.emplace_back(name, shown_text(value));
      } else if (count.is_fraction) {
        PLIMSOLL_ASSIGN(const Json* const value, member(*object, at, count.key, Json::value_t::number_float));
        out.emplace_back(name, value->get<double>());
      } else {
        PLIMSOLL_TRY(member(*object, at, count.key, Json::value_t::number_float));
        out.emplace_back(name, value_of((*object)[count.key])); // counts may be as large as they like: nothing is added to them
      }
    }
    return {};
  }

  const std::string& name_;
  PlanFigures out_;
  std::map<std::tuple<bool, Category, std::string>, std::size_t> known_;
  std::int64_t all_items_ = 0;
};

} // namespace

Result<Json> parse_document(const PlanDocument& document) {
  const std::size_t first = document.text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return fail(ErrorCode::kBadRequest, "the document is empty", document.name);
  if (document.text.size() > kMaxPlanDocumentBytes)
    return fail(ErrorCode::kBadRequest,
                fmt::format("the document has {} bytes; at most {} are read", document.text.size(), kMaxPlanDocumentBytes), document.name);
  if (document.text[first] == '{' || document.text[first] == '[') return parse_json(document.text, document.name, ErrorCode::kBadRequest);
  return parse_yaml(document.text, document.name, ErrorCode::kBadRequest);
}

Result<PlanFigures> read_plan_figures(const PlanDocument& document) {
  PLIMSOLL_ASSIGN(const Json root, parse_document(document));
  if (!root.is_object()) return fail(ErrorCode::kBadRequest, "the document is no object; a plan's was expected", document.name);
  return FiguresReader(document.name).read(root);
}

} // namespace plimsoll
