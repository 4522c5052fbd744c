#include "plan/kv_stages.hpp"

#include "base/exact_fraction.hpp"

namespace plimsoll {
Result<std::vector<KvStage>> price_stages(const PlanState& s, const KvTypes& types) {
  std::vector<KvStage> stages;
  const std::uint32_t drafted = s.request().num_draft_tokens;
  for (std::uint32_t stage = 0; stage < s.layout.pp; ++stage) {
    PLIMSOLL_ASSIGN(std::vector<KvGroupPrice> prices, price_kv(s.model().declared, s.layout, stage, types, s.page_tokens, drafted,
                                                               s.speculative && s.input.draft == nullptr));
    if (s.input.draft != nullptr) {
      PLIMSOLL_ASSIGN(const std::vector<KvGroupPrice> draft,
                      price_kv(s.input.draft->declared, s.draft_layout, stage, types, s.page_tokens, 0, false));
      prices.insert(prices.end(), draft.begin(), draft.end());
    }
    KvStage made;
    made.prices = std::make_unique<const std::vector<KvGroupPrice>>(std::move(prices));
    KvLayoutInput input;
    input.prices = made.prices.get();
    input.rules = &s.profile().kv;
    input.page_tokens = s.page_tokens, input.max_batch_input_tokens = s.max_batch_input_tokens;
    input.draft_tokens = drafted;
    input.sequences = s.sequences();
    // A request may hold the tokens of two drafts in flight and the accepted ones of a third.
    input.slack_tokens = s.speculative && drafted > 0 ? 3ULL * drafted + 1 : 0;
    made.layout = make_kv_layout(input);
    stages.push_back(std::move(made));
  }
  return stages;
}

std::vector<Wide> kv_budgets(const PlanState& s) {
  std::vector<Wide> out;
  const std::int64_t utilization = exact_fraction(s.utilization);
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const Device& d = s.devices()[rank];
    const auto budget = static_cast<Wide>(s.budget[rank]), used = static_cast<Wide>(s.ledger.used(rank));
    if (s.request().kv_cache_bytes) {
      out.push_back(static_cast<Wide>(*s.request().kv_cache_bytes));
      continue;
    }
    switch (s.profile().budget.covers) {
    case BudgetCovers::kAll: out.push_back(budget - used); break;
    case BudgetCovers::kWeightsAndKv:
      out.push_back(share_of(static_cast<Wide>(s.profile().budget.of == BudgetOf::kTotal ? d.total_bytes : d.free_bytes), utilization) -
                    static_cast<Wide>(s.ledger.sum(Category::kWeights, rank)));
      break;
    case BudgetCovers::kKv: out.push_back(budget < used ? budget - used : share_of(budget - used, utilization)); break;
    }
  }
  return out;
}

bool same_as_before(const PlanState& s, const std::vector<Wide>& budgets, std::uint32_t rank) {
  return rank > 0 && budgets[rank] == budgets[rank - 1] && s.layout.stage_of_rank(rank) == s.layout.stage_of_rank(rank - 1);
}

KvRequestCount requests_that_fit(const PlanState& s, const std::vector<KvStage>& stages, const std::vector<Wide>& budgets,
                                 std::uint64_t length) {
  KvRequestCount least;
  least.unlimited = true;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    if (same_as_before(s, budgets, rank)) continue;
    const KvRequestCount here = stages[s.layout.stage_of_rank(rank)].layout->requests_that_fit(budgets[rank], length);
    if (here.unlimited) continue;
    if (least.unlimited || static_cast<double>(here.numerator) * static_cast<double>(least.denominator) <
                               static_cast<double>(least.numerator) * static_cast<double>(here.denominator))
      least = here;
  }
  return least;
}

} // namespace plimsoll
