// A planner of the SDK that throws whatever "fault" asks for out of weights(); the SDK's guard must stop it at the boundary.
#include <plimsoll/plugin.hpp>

#include <new>
#include <stdexcept>

namespace {

class Thrower : public plimsoll::MemoryPlanner {
public:
  using MemoryPlanner::MemoryPlanner;
  void weights(const plimsoll::Sink&) const override {
    std::uint64_t kind = 0;
    static_cast<void>(config().host()->get_u64(config().view(), plimsoll::to_str("/kind"), &kind));
    if (kind == 1) throw std::runtime_error("a bug in the planner");
    if (kind == 2) throw std::bad_alloc();
    if (kind == 3) throw 42;
    throw plimsoll::Error(PLIMSOLL_E_CONFIG, "/hidden_size", "is odd");
  }
};

} // namespace

PLIMSOLL_PLUGIN(Thrower)
