// The callee as a plugin made with the SDK: max_batch and nothing else. No manifest says what it is, so this file does.
#define PLIMSOLL_IDENTITY_PLUGIN     PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini), 0, 0, PLIMSOLL_STR("bench_sdk"), PLIMSOLL_STR("1.0.0")
#define PLIMSOLL_IDENTITY_N_FAMILIES 1
#define PLIMSOLL_IDENTITY_FAMILIES                                                                                                         \
  { PLIMSOLL_SIZE_THROUGH(plimsoll_family, api), PLIMSOLL_ASPECT_FFN, PLIMSOLL_SIGNAL_NEVER, 1, 0, PLIMSOLL_STR("bench_sdk"), nullptr }
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

PLIMSOLL_PLUGIN(Planner)
