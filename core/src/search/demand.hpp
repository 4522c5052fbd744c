// What a deployment has to hold at once: requests of some lengths, of all replicas together. Turns it into the request of a plan, and says
// whether a plan serves it and what that leaves. For fit. Never counts a replica's share rounded down. Threads: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "plan/settled.hpp"
#include "plimsoll/fit.hpp"

namespace plimsoll {

class Demand {
public:
  // What `asked` says; `settled` is of the model and the engine, on any devices.
  Demand(const FitRequest& asked, const Settled& settled);

  // Whether it says how many requests; else the more the better.
  bool counts_requests() const { return batch_given_; }
  // The request that plans it on so many replicas.
  PlanRequest planned(PlanRequest request, std::uint32_t dp) const;

  struct Served {
    std::optional<Error> lacks; // why the plan does not serve it
    std::uint64_t headroom_bytes = 0;
    double total_requests = 0; // of the plan's length, of all replicas
  };
  // Of `plan`, made of `input`.
  Served served_by(const PlanInput& input, const Plan& plan) const;

private:
  std::uint64_t on_replica(std::uint64_t requests, std::uint32_t dp) const { return requests / dp + (requests % dp == 0 ? 0 : 1); }
  std::uint64_t all_requests(std::uint32_t dp) const;
  std::optional<Error> shortfall(const PlanInput& input, const Plan& plan, std::uint64_t& part) const;

  std::vector<FitDemand> parts_;               // the longest first; never empty
  bool batch_given_ = false;                   // else one request, whatever the engine takes at once
  bool may_shorten_ = false;                   // the length was left to the plan
  bool shares_context_ = false;                // slots of one context of a given length, as llama.cpp has them
  std::uint64_t cells_step_ = 1;               // of these
  bool one_stream_ = false;                    // which all slots fill together
  std::optional<std::uint64_t> wanted_tokens_; // that a plan's request must have; absent: nobody knows the model's own
};

} // namespace plimsoll
