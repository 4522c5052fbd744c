// PIPE: the forward pass of a model, where its planners describe one.
#include <fmt/format.h>

#include "check/cases.hpp"
#include "schedule/schedule.hpp"

namespace plimsoll::check {
namespace {

Finding described_is_sound(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto model = subject.model(input.config);
    if (!model) return skipped(model.error().message);
    const Result<Described>& described = (*model)->described();
    if (described) return passed();
    const Error& error = described.error();
    return is_plugin_fault(error) ? failed(fmt::format("{} ({})", error.message, error.where)) : skipped(error.message);
  });
}

Finding can_be_scheduled(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto model = subject.model(input.config);
    if (!model) return skipped(model.error().message);
    if (!(*model)->described()) return skipped((*model)->described().error().message);
    const Described& described = *(*model)->described();
    bool any = false;
    for (const std::uint32_t tp : {1U, 2U, 4U}) {
      PlanRequest request;
      request.tp = tp;
      const auto layout = make_rank_layout(request, tp, (*model)->declared.facts.n_layers);
      if (!layout) continue;
      std::uint64_t last = 0;
      for (const std::uint64_t tokens : {1U, 64U, 1000U, 2048U}) {
        const PassShape pass{tokens, std::min<std::uint64_t>(tokens, 8), std::min<std::uint64_t>(tokens, 8), 4096};
        std::uint64_t largest = 0;
        for (std::uint32_t rank = 0; rank < tp; ++rank) {
          const auto program = schedule_pipeline(described, (*model)->declared, *layout, rank, pass, true);
          if (!program && is_plugin_fault(program.error()))
            return failed(fmt::format("rank {} of {}: {}", rank, tp, program.error().message));
          if (!program && tp == 1) return failed(fmt::format("on one rank: {}", program.error().message));
          if (!program) break; // the layout does not divide
          any = true;
          largest = std::max(largest, program->slab_bytes);
        }
        if (largest == 0) break;
        if (largest < last)
          return failed(fmt::format("on {} ranks a pass of {} tokens takes {} B, a shorter one {}", tp, tokens, largest, last));
        last = largest;
      }
    }
    return any ? passed() : skipped("no layout divides");
  });
}

} // namespace

const std::vector<Case>& pipeline_cases() {
  static const std::vector<Case> cases{{"PIPE-01", described_is_sound}, {"PIPE-02", can_be_scheduled}};
  return cases;
}

} // namespace plimsoll::check
