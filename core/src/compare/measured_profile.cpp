#include "compare/measured_profile.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "base/regular_file.hpp"
#include "base/yaml.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostProfileBytes = 1U << 20;

// The printed figure, and the word in the labels of the profile's items that estimate it.
struct Estimated {
  const char* figure;
  const char* section;
  const char* label; // of the item that takes their place
  const char* word;  // empty: all items of the section
};
constexpr std::array<Estimated, 3> kEstimated{{{"activation_bytes", "activations", "activation_peak", ""},
                                               {"non_torch_bytes", "overheads", "non_torch", "non_torch"},
                                               {"graph_bytes", "overheads", "captured_graphs", "graph"}}};

Json constant(const char* label, std::uint64_t bytes) {
  return {{"label", label}, {"basis", basis_name(Basis::kMeasured)}, {"terms", Json::array({{{"bytes", bytes}}})}};
}

Json& section_of(Json& profile, const char* name) {
  if (!profile.contains(name) || !profile[name].is_array()) profile[name] = Json::array();
  return profile[name];
}

bool has_label(const Json& item, const std::string& word) {
  return item.is_object() && item.contains("label") && item["label"].is_string() &&
         item["label"].get_ref<const std::string&>().find(word) != std::string::npos;
}

// Without the items that a figure takes the place of.
void drop(Json& section, const std::string& word) {
  Json kept = Json::array();
  for (const Json& item : section)
    if (!word.empty() && !has_label(item, word)) kept.push_back(item);
  section = std::move(kept);
}

// Whether the release charges such items to the fraction at all: graphs it may take outside.
bool is_charged(const Plan& plan, const std::string& word) {
  return std::any_of(plan.items.begin(), plan.items.end(),
                     [&](const Item& item) { return item.planner == plan.engine.name && item.label.find(word) != std::string::npos; });
}

// What the profile's own items may take beside weights, so that the printed memory is left: all that the plan leaves, with its items, less
// what was printed. Planners' items stay as they are.
double beside_weights(const Plan& plan, double printed_left) {
  const auto room = [](const DevicePlan& d) { return static_cast<double>(d.kv_cache_bytes) + static_cast<double>(d.unused_bytes); };
  const auto& device = *std::min_element(plan.devices.begin(), plan.devices.end(),
                                         [&](const DevicePlan& a, const DevicePlan& b) { return room(a) < room(b); });
  double own = 0;
  for (const Item& item : plan.items)
    if (item.counted && item.planner == plan.engine.name &&
        (item.category == Category::kActivation || item.category == Category::kOverhead))
      own += static_cast<double>(item.bytes.at(device.rank));
  return room(device) + own - printed_left;
}

// Only where the fraction covers everything do the items tell what is left.
bool covers_all(const Json& profile) {
  const Json* covers = find_pointer(profile, "/budget/covers");
  return covers == nullptr || *covers == "all";
}

Result<std::string> read_profile(const Comparer::Planned& planned, const std::string& catalogue_path, std::string& file) {
  const std::string name = planned.engine.substr(0, planned.engine.find('@'));
  const bool own = planned.engine.find('/') != std::string::npos || planned.engine.ends_with(".yaml") || planned.engine.ends_with(".yml");
  file = own ? planned.engine : fmt::format("{}/engines/{}.yaml", catalogue_path, name);
  return read_text_file(file, kMostProfileBytes, ErrorCode::kBadRequest);
}

// Each printed figure in the place of its estimate; with `rest`, no more than that in all and what is missing as an item of its own.
void replace(const EngineStart& start, const Plan& plan, Json& profile, std::optional<double> rest) {
  for (const Estimated& row : kEstimated) {
    const auto printed = start.printed.find(row.figure);
    Json& section = section_of(profile, row.section);
    if (printed != start.printed.end() || rest) drop(section, row.word);
    if (printed == start.printed.end() || !is_charged(plan, row.word)) continue;
    const double bytes = std::clamp(printed->second.value, 0.0, rest.value_or(printed->second.value));
    if (rest) *rest -= bytes;
    section.push_back(constant(row.label, static_cast<std::uint64_t>(std::llround(bytes))));
  }
  if (rest && *rest >= 1)
    section_of(profile, "overheads").push_back(constant("unattributed", static_cast<std::uint64_t>(std::llround(*rest))));
}

} // namespace

Result<std::string> profile_of(const EngineStart& start, const Comparer::Planned& planned, const std::string& catalogue_path) {
  std::string file;
  PLIMSOLL_ASSIGN(const std::string text, read_profile(planned, catalogue_path, file));
  PLIMSOLL_ASSIGN(Json profile, parse_yaml(text, file, ErrorCode::kBadRequest));
  const auto left = start.printed.find("available_kv_bytes");
  const bool some =
      std::any_of(kEstimated.begin(), kEstimated.end(), [&](const Estimated& row) { return start.printed.contains(row.figure); });
  std::optional<double> rest;
  if (left != start.printed.end() && left->second.value > 0 && planned.memory_known && covers_all(profile) &&
      !planned.plan.devices.empty()) {
    rest = beside_weights(planned.plan, left->second.value);
    if (*rest < 0)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("the plan's weights leave less than the printed KV memory, by {:.2f} GiB; give what they took with "
                              "--weights-bytes, or the model that was loaded with --model",
                              -*rest / 1073741824),
                  left->second.place);
  } else if (!some) {
    return fail(ErrorCode::kBadRequest,
                "nothing is printed that a profile could take: no peak of activations, no memory outside the allocator, no captured graphs",
                start.place);
  }
  profile["version"] = planned.plan.engine.version;
  replace(start, planned.plan, profile, rest);
  return profile.dump(2, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> measured_profile(const Context& context, const EngineStart& start, const CompareRequest& request) {
  PLIMSOLL_ASSIGN(const std::vector<Wording> wordings, read_wordings(context.catalogue_path()));
  PLIMSOLL_ASSIGN(const auto model_keys, read_model_keys(context.catalogue_path()));
  Comparer comparer(context, wordings, model_keys, request);
  PLIMSOLL_ASSIGN(const Comparer::Planned planned, comparer.plan(start));
  return profile_of(start, planned, context.catalogue_path());
}

} // namespace plimsoll
