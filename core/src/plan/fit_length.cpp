#include "plan/fit_length.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "kv/layout.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kLengthStepTokens = 256;

bool grows_with_length(const EngineProfile& profile) {
  const auto grows = [](const ProfileItem& item) {
    return std::any_of(item.terms.begin(), item.terms.end(), [](const Term& term) {
      return term.billionths > 0 && std::any_of(term.times.begin(), term.times.end(), [](const Factor& factor) {
               return std::find(factor.begin(), factor.end(), Quantity::kLength) != factor.end();
             });
    });
  };
  return std::any_of(profile.activations.begin(), profile.activations.end(), grows) ||
         std::any_of(profile.overheads.begin(), profile.overheads.end(), grows);
}

// Whether the request leaves its length to the plan, by the rules of the engine.
Result<std::optional<std::uint64_t>> length_to_shorten(const PlanInput& input) {
  PLIMSOLL_ASSIGN(const Settled settled, settle(input));
  if (!settled.may_shorten() || !grows_with_length(settled.profile())) return std::optional<std::uint64_t>();
  return std::optional(settled.max_length);
}

} // namespace

Result<Plan> plan_fitted_length(const PlanInput& input, const std::function<Result<Plan>(const PlanInput&)>& plan) {
  PLIMSOLL_ASSIGN(Plan first, plan(input));
  const bool given = input.request->max_length && !input.request->max_length_auto;
  const std::uint64_t own = input.model->declared.facts.max_length;
  const bool whole = !first.error && own != 0 && first.limits.max_length >= std::min(own, input.request->max_length.value_or(own));
  if (given || whole || input.request->accounting == Accounting::kPooled) return first;
  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> wished, length_to_shorten(input));
  if (!wished || (!first.error && first.limits.max_length >= *wished)) return first;
  PlanRequest request = *input.request;
  request.explain = false;
  request.max_length_auto = true; // at most what is tried
  PlanInput changed = input;
  changed.request = &request;
  const std::uint64_t from = first.error ? 0 : first.limits.max_length;
  std::optional<Error> failed;
  const std::uint64_t steps = largest((*wished - from) / kLengthStepTokens, [&](std::uint64_t step) {
    if (step == 0 || failed) return step == 0;
    request.max_length = from + step * kLengthStepTokens;
    const Result<Plan> tried = plan(changed);
    if (!tried) failed = tried.error();
    return tried && !tried->error && tried->limits.max_length >= *request.max_length;
  });
  if (failed) return tl::unexpected(std::move(*failed));
  if (steps == 0) return first;
  request.max_length = from + steps * kLengthStepTokens;
  request.explain = input.request->explain;
  PLIMSOLL_ASSIGN(Plan found, plan(changed));
  if (!input.request->max_length_auto)
    found.warnings.push_back(
        {WarningCode::kCapacityClamped, fmt::format("the memory holds one request of {} tokens; the default length of {} is cut to that",
                                                    found.limits.max_length, *wished)});
  return found;
}

} // namespace plimsoll
