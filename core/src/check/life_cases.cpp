// LIFE: planners and plugins come and go.
#include <algorithm>
#include <fmt/format.h>
#include <random>

#include "check/cases.hpp"
#include "plugin/calls.hpp"

namespace plimsoll::check {
namespace {

constexpr int kStarts = 100;
constexpr std::size_t kPlanners = 200;

Finding starts_again(CaseContext& context) {
  auto subject = Subject::open(context.directory, context.catalogue, context.note);
  if (!subject) return failed(subject.error().message);
  Shim& shim = (*subject)->shim();
  for (int i = 0; i < kStarts; ++i) {
    shim.fini();
    plimsoll_error err = blank_error();
    if (const plimsoll_status status = shim.init((*subject)->registry().host(), &err); status != PLIMSOLL_OK)
      return failed(fmt::format("after {} ends init answers {}: {}", i + 1, status, message_of(err)));
  }
  for (const Input& input : context.inputs)
    if (const auto tree = (*subject)->tree(input.config); tree) (*subject)->answers(**tree);
  return passed();
}

// Also finds out which configurations are its own.
Finding makes_planners(CaseContext& context) {
  auto subject = Subject::open(context.directory, context.catalogue, context.note);
  if (!subject) return failed(subject.error().message);
  Finding out = skipped("it plans none of the configurations that were tried; give one with --model");
  for (const Input& input : context.inputs) {
    context.at(input.name);
    const auto tree = (*subject)->tree(input.config);
    context.usable.push_back(tree.has_value());
    if (tree) {
      if (out.status == CheckStatus::kSkip) out = passed();
    } else if ((input.own || is_plugin_fault(tree.error())) && out.status != CheckStatus::kFail) {
      out = failed(fmt::format("{} ({})", tree.error().message, tree.error().where), input.name);
    }
  }
  return out;
}

Finding failed_create_changes_nothing(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    if (const auto tree = subject.tree(input.config); !tree) return skipped(tree.error().message);
    for (const std::string& pointer : own_keys(subject, input.config)) {
      (void)subject.tree(without_key(input.config, pointer));
      if (subject.shim().out_changed()) return failed("create failed and set *out", fmt::format("{} without {}", input.name, pointer));
    }
    return passed();
  });
}

Finding many_side_by_side(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    std::vector<std::unique_ptr<PlannerTree>> trees;
    for (std::size_t i = 0; i < kPlanners; ++i) {
      auto tree = subject.tree(input.config);
      if (!tree) return i == 0 ? skipped(tree.error().message) : failed(fmt::format("planner {}: {}", i + 1, tree.error().message));
      trees.push_back(std::move(*tree));
    }
    const std::vector<std::string> expected = subject.answers(*trees.front());
    std::mt19937_64 random(context.seed);
    std::shuffle(trees.begin(), trees.end(), random);
    trees.resize(kPlanners / 2);
    const std::string difference = first_difference(expected, subject.answers(*trees.front()));
    if (!difference.empty()) return failed("among many planners " + difference);
    trees.clear();
    return passed();
  });
}

Finding moves_between_threads(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    std::unique_ptr<PlannerTree> tree;
    std::string wrong;
    std::vector<std::string> expected, found;
    const auto on = [&](std::size_t thread, const std::function<void()>& work) {
      context.threads->run([&](std::size_t number) {
        if (number == thread) work();
      });
    };
    on(0, [&] {
      auto made = subject.tree(input.config);
      if (!made) {
        wrong = made.error().message;
        return;
      }
      tree = std::move(*made);
      expected = subject.answers(*tree);
    });
    if (tree == nullptr) return skipped(wrong);
    on(1, [&] { found = subject.answers(*tree); });
    on(2, [&] { tree.reset(); });
    const std::string difference = first_difference(expected, found);
    return difference.empty() ? passed() : failed("on another thread " + difference);
  });
}

Finding process_ends_any_time(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    subject.answers(**tree);
    context.exit_now();
    return passed();
  });
}

} // namespace

const std::vector<Case>& life_cases() {
  static const std::vector<Case> cases{
      {"LIFE-01", starts_again},      {"LIFE-02", makes_planners},        {"LIFE-03", failed_create_changes_nothing},
      {"LIFE-04", many_side_by_side}, {"LIFE-05", moves_between_threads}, {"LIFE-07", process_ends_any_time}};
  return cases;
}

} // namespace plimsoll::check
