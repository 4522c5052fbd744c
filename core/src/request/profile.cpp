#include "request/profile.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>

#include "base/nearest.hpp"
#include "base/yaml.hpp"
#include "model/regular_file.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxProfileBytes = 1 << 20;

// Reads one section of the profile; remembers the first thing wrong and which keys it was asked for.
class Section {
public:
  Section(const Json& root, std::string pointer, std::string file, std::optional<Error>& error)
      : pointer_(std::move(pointer)), file_(std::move(file)), error_(error) {
    node_ = find_pointer(root, pointer_);
    if (node_ != nullptr && !node_->is_object()) wrong("", "keys and values were expected"), node_ = nullptr;
  }

  void number(const char* key, std::uint64_t& out, std::uint64_t low, std::uint64_t high) {
    const Json* value = take(key);
    if (value == nullptr) return;
    const auto n = as_u64(*value);
    if (!n || *n < low || *n > high) return wrong(key, fmt::format("a whole number from {} to {} was expected", low, high));
    out = *n;
  }
  void fraction(const char* key, double& out, bool zero_allowed) {
    const Json* value = take(key);
    if (value == nullptr) return;
    const double n = value->is_number() ? value->get<double>() : std::nan("");
    if (!(n <= 1) || n < 0 || (n == 0 && !zero_allowed))
      return wrong(key, zero_allowed ? "a fraction from 0 to 1 was expected" : "a fraction above 0 and up to 1 was expected");
    out = n;
  }
  void flag(const char* key, bool& out) {
    const Json* value = take(key);
    if (value == nullptr) return;
    if (!value->is_boolean()) return wrong(key, "true or false was expected");
    out = value->get<bool>();
  }
  void text(const char* key, std::string& out) {
    const Json* value = take(key);
    if (value == nullptr) return;
    if (!value->is_string() || value->get_ref<const std::string&>().empty()) return wrong(key, "a text was expected");
    out = value->get<std::string>();
  }
  const Json* take(const char* key) {
    asked_.emplace_back(key);
    if (node_ == nullptr || !node_->contains(key)) return nullptr;
    return &(*node_)[key];
  }
  void wrong(std::string_view key, const std::string& message) {
    if (!error_) error_ = Error{ErrorCode::kBadRequest, message, fmt::format("{}: {}{}{}", file_, pointer_, key.empty() ? "" : "/", key)};
  }
  // Whatever nobody asked for is a mistake of the author.
  void no_more() {
    if (node_ == nullptr) return;
    for (const auto& [key, value] : node_->items()) {
      if (std::find(asked_.begin(), asked_.end(), key) != asked_.end()) continue;
      const std::string known = either(nearest(key, {asked_.begin(), asked_.end()}, 2));
      wrong(key, fmt::format("'{}' is not a key of an engine profile{}", key, known.empty() ? "" : "; did you mean " + known + "?"));
    }
  }

private:
  std::string pointer_, file_;
  std::optional<Error>& error_;
  const Json* node_ = nullptr;
  std::vector<std::string_view> asked_;
};

std::vector<Reservation> read_reservations(const Json& root, const char* key, const std::string& file, std::optional<Error>& error) {
  std::vector<Reservation> out;
  const std::string base = std::string("/") + key;
  const Json* list = find_pointer(root, base);
  if (list == nullptr || list->is_null()) return out;
  if (!list->is_array() || list->size() > 1024) {
    if (!error) error = Error{ErrorCode::kBadRequest, "a list was expected", file + ": " + base};
    return out;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    Section section(root, fmt::format("{}/{}", base, i), file, error);
    Reservation r;
    std::string per = "device";
    section.text("label", r.label);
    section.number("bytes", r.bytes, 0, 1ULL << 60);
    section.text("per", per);
    if (const Json* names = section.take("architectures")) {
      if (!names->is_array()) section.wrong("architectures", "a list of names was expected");
      else
        for (const Json& name : *names)
          if (name.is_string()) r.architectures.push_back(name.get<std::string>());
          else section.wrong("architectures", "a list of names was expected");
    }
    section.no_more();
    if (per != "device" && per != "pipeline") section.wrong("per", "'device' or 'pipeline' was expected");
    if (r.label.empty()) section.wrong("label", "a text was expected");
    r.per_device = per == "device";
    out.push_back(std::move(r));
  }
  return out;
}

// Short names for --set: engine.page_tokens is engine.kv.page_tokens.
struct ShortName {
  std::string_view name, pointer;
};
constexpr std::array<ShortName, 17> kShortNames{{{"utilization", "/budget/utilization"},
                                                 {"max_batch_input_tokens", "/batch/max_batch_input_tokens"},
                                                 {"default_max_batch_size", "/batch/default_max_batch_size"},
                                                 {"default_request_tokens", "/batch/default_request_tokens"},
                                                 {"chunked_prefill", "/batch/chunked_prefill"},
                                                 {"kv_dtype", "/kv/dtype"},
                                                 {"state_dtype", "/kv/state_dtype"},
                                                 {"page_tokens", "/kv/page_tokens"},
                                                 {"null_pages", "/kv/null_pages"},
                                                 {"state_rows", "/kv/state_rows"},
                                                 {"prefix_caching", "/kv/prefix_caching"},
                                                 {"demand_limited", "/kv/demand_limited"},
                                                 {"signal_buffer_bytes", "/signal_buffers/bytes"},
                                                 {"vision_block_tokens", "/vision_cache/block_tokens"},
                                                 {"vocab_padding_rows", "/weights/vocab_padding_rows"},
                                                 {"experts_split_over_dp", "/weights/experts_split_over_dp"},
                                                 {"vision", "/weights/vision"}}};

// "kv.page_tokens=64" or "page_tokens=64": the value is read as YAML reads a scalar.
Result<void> apply_override(Json& root, const std::string& key, const std::string& value) {
  std::string pointer = "/" + key;
  std::replace(pointer.begin(), pointer.end(), '.', '/');
  const std::string where = "--set engine." + key;
  if (key.find('.') == std::string::npos) {
    std::vector<std::string_view> names;
    for (const ShortName& known : kShortNames) {
      names.push_back(known.name);
      if (known.name == key) pointer = known.pointer;
    }
    if (pointer == "/" + key) {
      const std::string close = either(nearest(key, names, 3));
      return fail(ErrorCode::kBadRequest,
                  fmt::format("is no value of an engine profile{}",
                              close.empty() ? "; give its section too, as in engine.kv.page_tokens" : "; did you mean " + close + "?"),
                  where);
    }
  }
  PLIMSOLL_ASSIGN(Json parsed, parse_yaml(value, where, ErrorCode::kBadRequest));
  if (parsed.is_structured()) return fail(ErrorCode::kBadRequest, "a single value was expected", where);
  const std::size_t slash = pointer.rfind('/');
  const std::string parent = pointer.substr(0, slash), leaf = pointer.substr(slash + 1);
  if (parent.find('/', 1) == std::string::npos && !parent.empty() && !root.contains(parent.substr(1)))
    root[parent.substr(1)] = Json::object();
  Json* node = const_cast<Json*>(find_pointer(root, parent));
  if (node == nullptr || !node->is_object()) return fail(ErrorCode::kBadRequest, "the engine profile has no such section", where);
  (*node)[leaf] = std::move(parsed);
  return {};
}

Result<EngineProfile> interpret(const Json& root, const std::string& file) {
  std::optional<Error> error;
  EngineProfile p;
  Section top(root, "", file, error);
  std::string schema;
  top.text("schema", schema);
  top.text("name", p.name);
  top.text("version", p.version);
  if (schema != "plimsoll.engine/1") top.wrong("schema", "'plimsoll.engine/1' was expected");
  if (p.name.empty()) top.wrong("name", "a text was expected");
  for (const char* section : {"budget", "batch", "kv", "signal_buffers", "vision_cache", "weights", "overheads", "reservations"})
    top.take(section);
  if (const Json* planner = top.take("planner"); planner != nullptr && planner->is_object()) p.planner = *planner;
  top.no_more();

  Section budget(root, "/budget", file, error);
  std::string of = "free";
  budget.text("of", of);
  budget.fraction("utilization", p.utilization, false);
  budget.no_more();
  if (of != "free" && of != "total") budget.wrong("of", "'free' or 'total' was expected");
  p.budget_of_total = of == "total";

  Section batch(root, "/batch", file, error);
  batch.number("max_batch_input_tokens", p.max_batch_input_tokens, 1, 1ULL << 31);
  batch.number("default_max_batch_size", p.default_max_batch_size, 1, 1ULL << 31);
  batch.number("default_request_tokens", p.default_request_tokens, 1, 1ULL << 31);
  batch.flag("chunked_prefill", p.chunked_prefill);
  batch.no_more();

  Section kv(root, "/kv", file, error);
  kv.text("dtype", p.kv_dtype);
  kv.text("state_dtype", p.state_dtype);
  kv.number("page_tokens", p.page_tokens, 1, 1ULL << 20);
  kv.number("null_pages", p.null_pages, 0, 1024);
  kv.number("state_rows", p.state_rows, 1, 1024);
  kv.number("state_rows_without_prefix_caching", p.state_rows_without_prefix_caching, 1, 1024);
  kv.flag("prefix_caching", p.prefix_caching);
  kv.flag("demand_limited", p.kv_demand_limited);
  kv.no_more();

  Section signals(root, "/signal_buffers", file, error);
  signals.number("bytes", p.signal_buffer_bytes, 0, 1ULL << 40);
  signals.no_more();

  Section vision(root, "/vision_cache", file, error);
  vision.fraction("utilization", p.vision_utilization, true);
  vision.number("block_tokens", p.vision_block_tokens, 1, 1ULL << 20);
  vision.no_more();

  Section weights(root, "/weights", file, error);
  std::uint64_t padding = p.vocab_padding_rows;
  weights.number("vocab_padding_rows", padding, 1, 1ULL << 20);
  weights.flag("experts_split_over_dp", p.experts_split_over_dp);
  std::string towers = "replicated";
  weights.text("vision", towers);
  weights.no_more();
  if (towers != "replicated" && towers != "split") weights.wrong("vision", "'replicated' or 'split' was expected");
  p.vision_split = towers == "split";
  p.vocab_padding_rows = static_cast<std::uint32_t>(padding);

  p.overheads = read_reservations(root, "overheads", file, error);
  p.reservations = read_reservations(root, "reservations", file, error);
  if (error) return tl::unexpected(*error);
  return p;
}

} // namespace

Result<EngineProfile> load_profile(const std::string& catalogue, const std::string& name,
                                   const std::map<std::string, std::string>& overrides) {
  const std::string folder = catalogue + "/engines";
  std::string file = name, wanted_version;
  if (name.find('/') == std::string::npos && !name.ends_with(".yaml") && !name.ends_with(".yml")) {
    const std::size_t at = name.find('@');
    if (at != std::string::npos) wanted_version = name.substr(at + 1);
    const std::string base = name.substr(0, at);
    file = folder + "/" + base + ".yaml";
    std::error_code failed;
    if (base.empty() || !std::filesystem::is_regular_file(file, failed)) {
      std::vector<std::string> known;
      for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
        if (it->path().extension() == ".yaml") known.push_back(it->path().stem().string());
      std::sort(known.begin(), known.end());
      return fail(ErrorCode::kBadRequest, fmt::format("no engine profile '{}'; there is {}, or give a YAML file", base, either(known)),
                  "--engine");
    }
  }
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(file, kMaxProfileBytes, ErrorCode::kBadRequest));
  PLIMSOLL_ASSIGN(Json root, parse_yaml(text, file, ErrorCode::kBadRequest));
  if (!root.is_object()) return fail(ErrorCode::kBadRequest, "keys and values were expected", file);
  for (const auto& [key, value] : overrides) PLIMSOLL_TRY(apply_override(root, key, value));
  PLIMSOLL_ASSIGN(EngineProfile profile, interpret(root, overrides.empty() ? file : file + " with --set"));
  if (!wanted_version.empty() && wanted_version != profile.version)
    return fail(ErrorCode::kBadRequest,
                fmt::format("the profile '{}' describes {}; {} is not known", profile.name, profile.version, wanted_version), "--engine");
  return profile;
}

} // namespace plimsoll
