// The callee as a plugin made with the SDK: max_batch and nothing else.
#include "plimsoll/plugin.hpp"

namespace {

class Planner final : public plimsoll::MemoryPlanner {
public:
  using MemoryPlanner::MemoryPlanner;
  std::uint64_t max_batch(const plimsoll::Request& request) const override { return request->max_batch_input_tokens / 2 + factor_; }

private:
  std::uint64_t factor_ = 3;
};

} // namespace

PLIMSOLL_PLUGIN(Planner, "bench_sdk", "1.0.0", PLIMSOLL_ASPECT_FFN, PLIMSOLL_SIGNAL_NEVER)
