// See plimsoll/diff.hpp. A part is its items; the KV cache is what the budget leaves beside the parts: so causes add up to the byte,
// and what a document's figures do not explain is a row of its own.
#include "plimsoll/diff.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <utility>

#include "diff/plan_figures.hpp"

namespace plimsoll {
namespace {

constexpr std::int64_t kRoundingBytes = std::int64_t{1} << 20; // of a device's budget: what engines round a fraction by
constexpr std::string_view kFraction = "request.device_memory_utilization";

class Differ {
public:
  Differ(const PlanFigures& from, const PlanFigures& to) : from_(from), to_(to) {}

  PlanDiff run() {
    out_.from = from_.side;
    out_.to = to_.side;
    add_error();
    if (!from_.planned || !to_.planned) return std::move(out_);
    add_settings();
    add_budget();
    add_parts();
    add_balance();
    add_host();
    add_values(from_.capacity, to_.capacity, {"kv_cache_bytes", "request.kv_dtype", "request.page_tokens", "request.max_length"});
    add_values(from_.limits, to_.limits, {"kv_cache_bytes", "request.max_length", "request.max_batch_size", "request.kv_dtype"});
    return std::move(out_);
  }

private:
  void add(std::string what, DiffValue from, DiffValue to, std::string cause) {
    out_.changes.push_back({std::move(what), std::move(from), std::move(to), std::nullopt, std::move(cause)});
  }
  void add_bytes(std::string what, std::int64_t from, std::int64_t to, std::string cause) {
    if (from == to) return;
    out_.changes.push_back({std::move(what), from, to, to - from, std::move(cause)});
  }

  void add_error() {
    const auto value = [](const PlanFigures& plan) {
      return plan.error_code.empty() ? DiffValue() : DiffValue(fmt::format("{}: {}", plan.error_code, plan.error_message));
    };
    if (value(from_) != value(to_)) add("error", value(from_), value(to_), to_.error_code.empty() ? from_.error_code : to_.error_code);
  }

  void add_settings() {
    const auto setting = [this](const char* what, const std::string& from, const std::string& to) {
      if (from != to) add(what, from, to, "setting");
    };
    setting("model", from_.side.model, to_.side.model);
    setting("engine", from_.side.engine, to_.side.engine);
    setting("devices", from_.side.devices, to_.side.devices);
    each_changed(from_.request, to_.request,
                 [this](const std::string& what, const DiffValue& from, const DiffValue& to) { add(what, from, to, "setting"); });
  }

  using Values = std::vector<std::pair<std::string, DiffValue>>;
  template <class Changed>
  static void each_changed(const Values& from, const Values& to, Changed&& changed) {
    const auto find = [](const Values& values, const std::string& name) {
      return std::find_if(values.begin(), values.end(), [&](const auto& value) { return value.first == name; });
    };
    for (const auto& [name, value] : from) {
      const auto other = find(to, name);
      const DiffValue there = other == to.end() ? DiffValue() : other->second;
      if (value != there) changed(name, value, there);
    }
    for (const auto& [name, value] : to)
      if (find(from, name) == from.end() && value != DiffValue()) changed(name, DiffValue(), value);
  }

  // Figures that follow, and from which of the changes above: those of `drivers` that changed.
  void add_values(const Values& from, const Values& to, std::initializer_list<std::string_view> drivers) {
    std::string causes;
    const auto has_changed = [this](std::string_view what) {
      return std::any_of(out_.changes.begin(), out_.changes.end(), [&](const DiffChange& change) { return change.what == what; });
    };
    for (const std::string_view driver : {std::string_view("model"), std::string_view("engine"), std::string_view("devices")})
      if (has_changed(driver)) causes += fmt::format("{}{}", causes.empty() ? "" : ", ", driver);
    for (const std::string_view driver : drivers)
      if (has_changed(driver)) causes += fmt::format("{}{}", causes.empty() ? "" : ", ", driver);
    if (causes.empty()) causes = "other settings";
    each_changed(from, to,
                 [&](const std::string& what, const DiffValue& before, const DiffValue& after) { add(what, before, after, causes); });
  }

  // Devices first, in proportion to their memory, then the fraction, which means the same in releases of one engine; the rest is the
  // engine's rule where that changed.
  void add_budget() {
    const std::int64_t end = total(to_, "budget_bytes");
    std::int64_t at = total(from_, "budget_bytes");
    std::vector<std::pair<std::string, std::int64_t>> steps; // a cause, and the budget after it
    if (from_.cards != to_.cards) {
      at = scaled(at, static_cast<long double>(total(to_, "total_bytes")), static_cast<long double>(total(from_, "total_bytes")));
      steps.emplace_back("devices", at);
    }
    if (from_.utilization != to_.utilization && from_.engine_name == to_.engine_name) {
      at = scaled(at, to_.utilization, from_.utilization);
      steps.emplace_back(kFraction, at);
    }
    const std::int64_t rounding = kRoundingBytes * static_cast<std::int64_t>(std::max<std::size_t>(1, to_.cards.size()));
    const bool other_engine = from_.side.engine != to_.side.engine;
    if (steps.empty() || (other_engine && std::abs(end - at) > rounding))
      steps.emplace_back(other_engine ? "engine" : "other settings", end);
    else steps.back().second = end;
    at = total(from_, "budget_bytes");
    for (const auto& [cause, after] : steps) {
      add_bytes("budget_bytes", at, after, cause);
      at = after;
    }
  }

  static std::int64_t scaled(std::int64_t bytes, long double by, long double of) {
    if (!(of > 0)) return bytes;
    constexpr long double kMost = 0x1p58L;
    return static_cast<std::int64_t>(std::clamp(std::floor(static_cast<long double>(bytes) * by / of), 0.0L, kMost));
  }

  // The items of a category in both plans, those of the first first.
  struct ItemPair {
    std::string label;
    std::int64_t from = 0, to = 0;
  };
  std::vector<ItemPair> items(const std::optional<Category>& category, bool on_host) const {
    std::vector<ItemPair> out;
    std::map<std::string, std::size_t> known;
    const auto take = [&](const PlanFigures& plan, std::int64_t ItemPair::*bytes) {
      for (const ItemFigure& item : plan.items) {
        if (item.on_host != on_host || (category && item.category != *category)) continue;
        const std::string label = category ? item.label : fmt::format("{}: {}", category_name(item.category), item.label);
        const auto [found, added] = known.try_emplace(label, out.size());
        if (added) out.push_back({label, 0, 0});
        out[found->second].*bytes += item.bytes;
      }
    };
    take(from_, &ItemPair::from);
    take(to_, &ItemPair::to);
    return out;
  }

  // A row an item; what the items do not explain, of a document that was changed by hand, is one more.
  void add_items(const std::string& what, const std::vector<ItemPair>& pairs, std::int64_t from, std::int64_t to) {
    std::int64_t rest_from = from, rest_to = to;
    for (const ItemPair& item : pairs) {
      add_bytes(what, item.from, item.to, item.label);
      rest_from -= item.from;
      rest_to -= item.to;
    }
    add_bytes(what, rest_from, rest_to, "not in its items");
  }

  void add_parts() {
    for (const DeviceFigure& figure : kDeviceFigures)
      if (figure.category && figure.category != Category::kKvCache)
        add_items(std::string(figure.key), items(figure.category, false), total(from_, figure.key), total(to_, figure.key));
  }

  // What all that did to the KV cache, step by step; to what stays unused where the KV cache is as it was.
  void add_balance() {
    const bool kv = total(from_, "kv_cache_bytes") != total(to_, "kv_cache_bytes");
    const std::string what = kv ? "kv_cache_bytes" : "unused_bytes", other = kv ? "unused_bytes" : "kv_cache_bytes";
    const std::int64_t end = total(to_, what);
    std::int64_t at = total(from_, what);
    if (at == end) return;
    const auto step = [&](std::int64_t by, std::string cause) {
      add_bytes(what, at, at + by, std::move(cause));
      at += by;
    };
    const std::vector<DiffChange> above = out_.changes;
    for (const DiffChange& change : above)
      if (change.bytes) step(change.what == "budget_bytes" ? *change.bytes : -*change.bytes, change.what + ": " + change.cause);
    step(total(from_, other) - total(to_, other), other);
    step(end - at, "parts that are not the budget's"); // a plan that does not fit, or one pool for all
  }

  void add_host() { add_items("host_memory_bytes", items(std::nullopt, true), from_.host_bytes, to_.host_bytes); }

  static std::int64_t total(const PlanFigures& plan, std::string_view key) {
    for (std::size_t i = 0; i < kDeviceFigures.size(); ++i)
      if (kDeviceFigures[i].key == key) return plan.bytes[i];
    return 0;
  }

  const PlanFigures &from_, &to_;
  PlanDiff out_;
};

} // namespace

Result<std::string> document_schema(const PlanDocument& document) {
  PLIMSOLL_ASSIGN(const Json root, parse_document(document));
  const Json* const schema = root.is_object() ? find_pointer(root, "/schema") : nullptr;
  if (schema == nullptr) return std::string();
  return schema->is_string() ? schema->get<std::string>() : schema->dump(-1, ' ', true, Json::error_handler_t::replace);
}

Result<PlanDiff> diff_documents(const PlanDocument& from, const PlanDocument& to) {
  PLIMSOLL_ASSIGN(const PlanFigures before, read_plan_figures(from));
  PLIMSOLL_ASSIGN(const PlanFigures after, read_plan_figures(to));
  return Differ(before, after).run();
}

Result<PlanDiff> diff_plans(const Plan& from, const Plan& to) {
  return diff_documents({"from", plan_to_json(from, -1)}, {"to", plan_to_json(to, -1)});
}

} // namespace plimsoll
