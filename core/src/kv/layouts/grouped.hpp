// The `grouped` layout of KV memory: KvPool's arithmetic, see kv/pool.hpp. One page number spans full and latent groups;
// windows, cross attention and states have bytes of their own. Threads: immutable.
#pragma once

#include <memory>

#include "base/checked.hpp"
#include "kv/layout.hpp"

namespace plimsoll {

class GroupedLayout final : public KvLayout {
public:
  // `context_ranks`: ranks over which the tokens of a request are spread. `demand_limited`: pages that no sequence of the
  // batch needs are not made.
  GroupedLayout(KvPoolSpec spec, std::uint64_t context_ranks, bool demand_limited)
      : pool_(std::move(spec)), context_ranks_(context_ranks), demand_limited_(demand_limited) {}

  std::uint64_t page_tokens() const override { return pool_.spec().page_tokens; }
  std::vector<std::uint64_t> page_bytes() const override;
  Wide request_bytes(std::uint64_t length_tokens) const override;
  bool sets_sequences_aside() const override { return pool_.sequence_bytes() > 0 || pool_.has_windows(); }
  std::optional<std::uint64_t> longest_request_tokens(Wide budget_bytes, std::uint64_t sequences) const override;
  Wide least_room_bytes(std::uint64_t length_tokens, const KvDemand& demand) const override;
  KvRequestCount requests_that_fit(Wide budget_bytes, std::uint64_t length_tokens) const override;
  KvCut cut(Wide budget_bytes, const KvDemand& demand, Wide most_pages) const override;
  std::vector<KvGroupShare> shares(const KvCut& cut, const KvDemand& demand) const override;
  Wide pages_of_request(std::uint64_t length_tokens) const override;
  KvRequestCount requests_held(const KvCut& cut, const KvDemand& demand, std::uint64_t length_tokens) const override;

private:
  std::uint64_t tokens(std::uint64_t length_tokens) const { return ceil_div(length_tokens, context_ranks_); }
  KvGroupShare share_of_group(const KvPoolGroup& group, std::uint64_t pages, std::uint64_t sequences) const;

  KvPool pool_;
  std::uint64_t context_ranks_;
  bool demand_limited_;
};

std::unique_ptr<KvLayout> make_grouped_layout(const KvLayoutInput& input);

} // namespace plimsoll
