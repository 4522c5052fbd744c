// A shared library with one virtual method; what call_bench holds the plugins against.
#include "callee.hpp"

namespace plimsoll::bench {
namespace {

class Planner final : public Callee {
public:
  int max_batch(const plimsoll_request& request, std::uint64_t& out) const override {
    out = request.max_batch_input_tokens / 2 + factor_;
    return 0;
  }
  void destroy() override { delete this; }

private:
  std::uint64_t factor_ = 3;
};

} // namespace
} // namespace plimsoll::bench

extern "C" __attribute__((visibility("default"))) plimsoll::bench::Callee* make_callee();
plimsoll::bench::Callee* make_callee() { return new plimsoll::bench::Planner; }
