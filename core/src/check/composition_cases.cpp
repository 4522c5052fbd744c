// COMP: planners that ask others for a part. A plugin that asks nobody is passed over.
#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "check/cases.hpp"
#include "plugin/calls.hpp"

namespace plimsoll::check {
namespace {

constexpr const char* kAlone = "none of its planners asks another one";

using Counts = std::map<std::string, std::uint64_t>;
Counts count_of(const Emitted& emitted) {
  Counts out;
  for (const EmittedOne& one : emitted.all) ++out[one.text];
  return out;
}

Finding children_appear_once(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const std::vector<SeenChild> children = subject.shim().children();
    const Asked asked(subject.facts(**tree), {2, 1, 1, 2}, subject.engine_values());
    Counts of_children;
    bool any = false;
    for (const SeenChild& child : children) {
      if (child.api == nullptr || child.api->activations == nullptr) continue;
      any = true;
      Recorder recorder;
      plimsoll_error err = blank_error();
      if (child.api->activations(child.planner, &asked.raw, recorder.sink(), &err) != PLIMSOLL_OK) continue;
      for (const auto& [text, n] : count_of(recorder.emitted)) of_children[text] += n;
    }
    if (!any) return skipped(kAlone);
    for (const auto& [text, n] : count_of(subject.activations(**tree, asked.raw)))
      if (const auto it = of_children.find(text); it != of_children.end() && n > it->second)
        return failed(fmt::format("its answer has '{}' {} times, its children say it {} times", text, n, it->second));
    return passed();
  });
}

// The parts that it delegates to whoever plans them.
std::vector<std::string> parts_of(Subject& subject, bool by_view) {
  std::vector<std::string> out;
  for (const SeenChild& child : subject.shim().children())
    if (!child.pointer.empty() && (!by_view || child.by_view) && std::find(out.begin(), out.end(), child.pointer) == out.end())
      out.push_back(child.pointer);
  return out;
}

Finding missing_child_is_an_error(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    if (const auto tree = subject.tree(input.config); !tree) return skipped(tree.error().message);
    const std::vector<std::string> parts = parts_of(subject, true);
    if (parts.empty()) return skipped(kAlone);
    for (const std::string& part : parts) {
      const Json* node = find_pointer(input.config, part);
      if (node == nullptr || !node->is_object()) continue;
      Json stranger = *node;
      stranger["architectures"] = Json::array({"NobodyPlansThisForCausalLM"});
      stranger["model_type"] = "nobody_plans_this";
      context.at(fmt::format("{} with a {} that nobody plans", input.name, part));
      subject.shim().forget();
      const auto tree = subject.tree(with_value(input.config, part, stranger));
      if (tree) return failed(fmt::format("nobody plans {}, and create succeeds", part));
      for (const SeenError& seen : subject.shim().errors())
        if (seen.call == "create" && seen.where.empty() && seen.message.empty())
          return failed(fmt::format("nobody plans {}, and the error of create says nothing of it", part));
    }
    return passed();
  });
}

Finding cycle_is_an_error(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    if (const auto tree = subject.tree(input.config); !tree) return skipped(tree.error().message);
    if (subject.shim().children().empty()) return skipped(kAlone);
    subject.shim().bend.cycle = true;
    const auto tree = subject.tree(input.config);
    subject.shim().bend = {};
    if (!tree) return passed();
    // It may have kept the error for who asks for that part.
    const Asked asked(subject.facts(**tree), {}, subject.engine_values());
    for (const Emitted& emitted : {subject.weights(**tree), subject.kv(**tree), subject.activations(**tree, asked.raw)})
      if (emitted.status != PLIMSOLL_OK) return passed();
    return failed("planner_for answered E_CYCLE, and nothing fails");
  });
}

Finding places_are_whole(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    if (const auto tree = subject.tree(input.config); !tree) return skipped(tree.error().message);
    const std::vector<std::string> parts = parts_of(subject, false), keys = own_keys(subject, input.config);
    if (parts.empty()) return skipped(kAlone);
    for (const std::string& part : parts) {
      const Json* node = find_pointer(input.config, part);
      if (node == nullptr || !node->is_object()) continue;
      for (const auto& [key, value] : node->items()) {
        if (!value.is_number()) continue;
        const std::string pointer = part + "/" + key;
        // Keys that its own planner reads are its own to name.
        if (std::find(keys.begin(), keys.end(), pointer) != keys.end()) continue;
        const std::string name = fmt::format("{} with {} = \"text\"", input.name, pointer);
        context.at(name);
        subject.shim().forget();
        const auto tree = subject.tree(with_value(input.config, pointer, "text"));
        if (tree || is_plugin_fault(tree.error())) continue;
        const std::vector<SeenError>& errors = subject.shim().errors();
        if (errors.empty() || errors.back().call != "create") continue;
        if (!errors.back().where.starts_with(part))
          return failed(
              fmt::format("the error's place is '{}'; one below {} was expected ({})", errors.back().where, part, errors.back().message),
              name);
      }
    }
    return passed();
  });
}

} // namespace

const std::vector<Case>& composition_cases() {
  static const std::vector<Case> cases{{"COMP-01", children_appear_once},
                                       {"COMP-02", missing_child_is_an_error},
                                       {"COMP-03", cycle_is_an_error},
                                       {"COMP-04", places_are_whole}};
  return cases;
}

} // namespace plimsoll::check
