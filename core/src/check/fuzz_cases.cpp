// FUZZ: many steps in one process, each made from its number; who started it goes on behind the step that was the last.
#include <algorithm>
#include <fmt/format.h>

#include "check/cases.hpp"
#include "check/mutation.hpp"
#include "plan/ledger.hpp"

namespace plimsoll::check {
namespace {

// What is the plugin's fault in a model, in words. Nothing is planned of what is no model.
std::string fault_in(Subject& subject, const Json& config) {
  const auto model = subject.model(config);
  if (!model) return is_plugin_fault(model.error()) ? fmt::format("{} ({})", model.error().message, model.error().where) : std::string();
  subject.answers(*(*model)->planners);
  return {};
}

using Mutation = Json (*)(const Json&, std::uint64_t, std::uint64_t);
Finding mutates(CaseContext& context, Mutation mutation) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    subject.shim().quiet = true;
    for (std::uint64_t step = 0; step < context.steps; ++step) {
      context.at(fmt::format("{}\n{}", input.name, step));
      std::string fault = fault_in(subject, mutation(input.config, context.seed, step));
      if (!fault.empty()) return failed(std::move(fault), fmt::format("{}\n{}", input.name, step));
    }
    return passed();
  });
}

Finding any_request_is_priced(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const plimsoll_facts facts = subject.facts(**tree);
    for (std::uint64_t step = 0; step < context.steps; ++step) {
      const AnyRequest any = any_request(context.seed, step);
      const std::string name =
          fmt::format("{} with tp {}, pp {}, dp {}, ep {}, {} tokens a request, a batch of {}, {} tokens a pass, {} bits", input.name,
                      any.tp, any.pp, any.dp, any.ep, any.max_length, any.max_batch_size, any.max_batch_input_tokens, any.compute_bits);
      context.at(name);
      Asked asked(facts, {any.tp, any.pp, any.dp, any.ep}, subject.engine_values());
      std::fill(asked.free_bytes.begin(), asked.free_bytes.end(), any.free_bytes);
      asked.raw.max_length = any.max_length;
      asked.raw.max_batch_size = any.max_batch_size;
      asked.raw.max_batch_input_tokens = any.max_batch_input_tokens;
      asked.raw.compute_bits = any.compute_bits;
      asked.raw.kv_bits = any.kv_bits;
      asked.raw.phase = any.phase;
      asked.raw.num_draft_tokens = any.num_draft_tokens;
      subject.max_batch(**tree, asked.raw);
      subject.signal_buffers(**tree, asked.raw);
      subject.activations(**tree, asked.raw);
    }
    return passed();
  });
}

// A configuration that who started the process made, to see whether it still shows something.
Finding still_shows(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    std::string fault = fault_in(subject, input.config);
    return fault.empty() ? passed() : failed(std::move(fault));
  });
}

Finding any_values(CaseContext& context) { return mutates(context, with_any_value); }
Finding any_changes(CaseContext& context) { return mutates(context, mutated); }

} // namespace

const std::vector<Case>& fuzz_cases() {
  static const std::vector<Case> cases{
      {"FUZZ-00", still_shows}, {"FUZZ-01", any_values}, {"FUZZ-02", any_changes}, {"FUZZ-03", any_request_is_priced}};
  return cases;
}

} // namespace plimsoll::check
