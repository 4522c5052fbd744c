// DET: the same question has the same answer, whatever happened before and around it.
#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <unistd.h>

#include "check/cases.hpp"

namespace plimsoll::check {
namespace {

Finding same_twice(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const std::vector<std::string> first = subject.answers(**tree);
    const std::string difference = first_difference(first, subject.answers(**tree));
    return difference.empty() ? passed() : failed("asked again, " + difference);
  });
}

std::string digest_of(const std::string& name, const std::vector<std::string>& answers) {
  std::string all;
  for (const std::string& line : answers) all += line + "\n";
  return fmt::format("{}: {:016x}", name, std::hash<std::string>()(all));
}

// The parent compares the digests of two processes.
Finding same_elsewhere(CaseContext& context) {
  if (context.variant != 0 && ::chdir("/") != 0) return skipped("the working folder cannot be changed");
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    context.digests.push_back(digest_of(input.name, subject.answers(**tree)));
    return passed();
  });
}

Finding same_in_any_order(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto first = subject.tree(input.config), second = subject.tree(input.config);
    if (!first || !second) return skipped((first ? second : first).error().message);
    const std::string w = subject.weights(**first).text(), k = subject.kv(**first).text(), e = subject.entries(**first).text();
    const Asked asked(subject.facts(**first), {2, 1, 1, 1}, subject.engine_values());
    const std::string a = subject.activations(**first, asked.raw).text(), s = subject.signal_buffers(**first, asked.raw).text();
    const std::string other_s = subject.signal_buffers(**second, asked.raw).text(),
                      other_a = subject.activations(**second, asked.raw).text();
    const std::string other_e = subject.entries(**second).text(), other_k = subject.kv(**second).text();
    const std::string other_w = subject.weights(**second).text();
    const std::string difference = first_difference({w, k, e, a, s}, {other_w, other_k, other_e, other_a, other_s});
    return difference.empty() ? passed() : failed("asked in the other order, " + difference);
  });
}

Finding answer_in_order(Subject& subject, std::vector<std::pair<std::string, Json>> models, CaseContext& context) {
  if (context.variant != 0) std::reverse(models.begin(), models.end());
  std::vector<std::unique_ptr<PlannerTree>> alive;
  for (const auto& [name, config] : models) {
    auto tree = subject.tree(config);
    if (!tree) continue;
    context.digests.push_back(digest_of(name, subject.answers(**tree)));
    alive.push_back(std::move(*tree));
  }
  return passed();
}

// Members the other way round, all the way down, and one that nobody knows.
Json turned_round(const Json& value) {
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& item : value) out.push_back(turned_round(item));
    return out;
  }
  if (!value.is_object()) return value;
  Json out = Json::object();
  const auto& members = value.get_ref<const Json::object_t&>();
  for (auto it = members.rbegin(); it != members.rend(); ++it) out[it->first] = turned_round(it->second);
  return out;
}

Finding same_for_any_keys(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    Json other = turned_round(input.config);
    other["a_key_that_nobody_knows"] = 1;
    const auto turned = subject.tree(other);
    if (!turned) return failed(fmt::format("with its keys in another order: {}", turned.error().message));
    std::vector<std::string> expected = subject.answers(**tree), found = subject.answers(**turned);
    std::sort(expected.begin(), expected.end());
    std::sort(found.begin(), found.end());
    const std::string difference = first_difference(expected, found);
    return difference.empty() ? passed() : failed("with its keys in another order, " + difference);
  });
}

// Numbers of a configuration that are no part of a list.
void numbers_of(const Json& node, const std::string& pointer, std::vector<std::string>& out) {
  for (const auto& [key, value] : node.items()) {
    if (value.is_object()) numbers_of(value, pointer + "/" + key, out);
    else if (value.is_number_unsigned() && out.size() < 60) out.push_back(pointer + "/" + key);
  }
}

// Planners of several models side by side, in one order and in another process in the other: the parent compares.
Finding same_after_others(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    std::vector<std::pair<std::string, Json>> models{{input.name, input.config}};
    std::vector<std::string> pointers;
    numbers_of(input.config, "", pointers);
    for (const std::string& pointer : pointers)
      if (const auto number = as_u64(*find_pointer(input.config, pointer)); number && *number > 0 && *number < (1U << 24U))
        models.emplace_back(fmt::format("{} with {} doubled", input.name, pointer), with_value(input.config, pointer, *number * 2));
    Json all = input.config;
    for (const std::string& pointer : pointers)
      if (const auto number = as_u64(*find_pointer(input.config, pointer)); number && *number < (1U << 24U))
        all = with_value(all, pointer, *number * 2);
    models.emplace_back(input.name + " with all numbers doubled", std::move(all));
    return answer_in_order(subject, std::move(models), context);
  });
}

} // namespace

const std::vector<Case>& determinism_cases() {
  static const std::vector<Case> cases{{"DET-01", same_twice},
                                       {"DET-02", same_elsewhere},
                                       {"DET-03", same_in_any_order},
                                       {"DET-04", same_for_any_keys},
                                       {"DET-06", same_after_others}};
  return cases;
}

} // namespace plimsoll::check
