#include "search/advice.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/human.hpp"
#include "plan/make_plan.hpp"

namespace plimsoll {
namespace {

// A device item without its counts: H200 of 2x8xH200.
std::string_view without_counts(std::string_view item) {
  for (int counts = 0; counts < 2; ++counts) {
    const std::size_t x = item.find_first_not_of("0123456789 \t");
    const bool digits = x != std::string_view::npos && item.substr(0, x).find_first_of("0123456789") != std::string_view::npos;
    if (digits && (item[x] == 'x' || item[x] == 'X')) item.remove_prefix(x + 1);
  }
  return item.substr(std::min(item.find_first_not_of(" \t"), item.size()));
}

class Advisor {
public:
  Advisor(const PlanInput& input, const Plan& plan) : input_(input), plan_(plan) {}

  std::vector<Advice> find() {
    if (!plan_.error) return {};
    shorter();
    smaller_kv();
    smaller_batch();
    larger_fraction();
    more_devices();
    return std::move(found_);
  }

private:
  // Plans the changed request; nothing where it cannot be planned or does not fit.
  std::optional<Plan> attempt(const PlanRequest& request, const std::vector<Device>* devices = nullptr) const {
    PlanInput changed = input_;
    changed.request = &request;
    if (devices != nullptr) changed.devices = devices;
    auto plan = make_plan(changed);
    if (!plan || plan->error) return std::nullopt;
    return std::move(*plan);
  }
  PlanRequest copy() const {
    PlanRequest r = *input_.request;
    r.explain = false;
    return r;
  }

  void shorter() {
    PlanRequest r = copy();
    if (!r.max_length || r.max_length_auto) return;
    r.max_length_auto = true;
    if (const auto plan = attempt(r))
      found_.push_back({"--max-length", fmt::to_string(plan->limits.max_length),
                        fmt::format("the longest request that fits; {} at once", plan->limits.max_batch_at_max_length)});
  }
  void smaller_kv() {
    PlanRequest r = copy();
    if (plan_.kv_cache.groups.empty() || plan_.request.kv_dtype == "float8_e4m3fn") return;
    r.kv_dtype = "float8_e4m3fn";
    if (const auto plan = attempt(r))
      found_.push_back(
          {"--kv-dtype", *r.kv_dtype, fmt::format("{} tokens then fit in the KV cache", human_count(plan->kv_cache.capacity_tokens))});
  }
  void smaller_batch() {
    PlanRequest r = copy();
    if (!r.max_batch_size || *r.max_batch_size <= 1) return;
    std::uint64_t low = 0, high = *r.max_batch_size; // low fits (or is 0), high does not
    while (high - low > 1) {
      const std::uint64_t middle = low + (high - low) / 2;
      r.max_batch_size = middle;
      (attempt(r) ? low : high) = middle;
    }
    if (low > 0) found_.push_back({"--max-batch-size", fmt::to_string(low), "the largest batch that fits"});
  }
  void larger_fraction() {
    PlanRequest r = copy();
    for (const double fraction : {0.92, 0.95}) {
      if (fraction <= plan_.request.device_memory_utilization) continue;
      r.device_memory_utilization = fraction;
      if (!attempt(r)) continue;
      found_.push_back({"--device-memory-utilization", fmt::format("{}", fraction), "leaves less for whatever else uses the devices"});
      return;
    }
  }
  bool real() const { return input_.request->devices == "auto"; }
  // Nodes of the list that multiply with its devices: those of this machine do not.
  std::uint32_t nodes() const { return real() ? 0 : listed_nodes(*input_.devices); }
  // The devices as they were given, `factor` times over.
  std::string times(std::size_t factor) const {
    const std::string& given = input_.request->devices;
    const std::size_t n = input_.devices->size() * factor;
    const bool file = given.find('=') == std::string::npos &&
                      (given.ends_with(".yaml") || given.ends_with(".yml") || given.find('/') != std::string::npos);
    const bool named = real() || file;
    if (!named && given.find(',') != std::string::npos) {
      std::string list = given;
      for (std::size_t i = 1; i < factor; ++i) list += "," + given;
      return list;
    }
    const std::string_view item = named ? input_.devices->front().name : without_counts(given);
    if (nodes() == 0) return fmt::format("{}x{}", n, item);
    return fmt::format("{}x{}x{}", nodes() * factor, input_.devices->size() / nodes(), item);
  }
  // Twice as many devices of the same mix, and again, up to 64; tensor parallelism grows, or data parallelism where
  // the layout was given that way.
  void more_devices() {
    const std::vector<Device>& now = *input_.devices;
    for (std::size_t factor = 2; now.size() * factor <= 64; factor *= 2) {
      std::vector<Device> more;
      for (std::size_t i = 0; i < factor; ++i) {
        more.insert(more.end(), now.begin(), now.end());
        // Other machines than those before.
        for (std::size_t at = more.size() - now.size(); nodes() > 0 && at < more.size(); ++at) more[at].node += fmt::format(" {}", i);
      }
      PlanRequest r = copy();
      const auto grown = [&](std::uint32_t degree) { return static_cast<std::uint32_t>(degree * factor); };
      const bool by_dp = plan_.request.dp > 1 && plan_.request.tp == 1;
      r.tp = by_dp ? plan_.request.tp : grown(plan_.request.tp);
      r.dp = by_dp ? grown(plan_.request.dp) : plan_.request.dp;
      if (plan_.request.ep > 1) r.ep = grown(plan_.request.ep);
      if (r.nodes && nodes() > 0) r.nodes = grown(*r.nodes);
      if (!attempt(r, &more)) continue;
      std::string with = by_dp ? fmt::format("with --dp {}{}", *r.dp, r.ep ? fmt::format(" --ep {}", *r.ep) : "")
                               : fmt::format("with --tp {}{}", *r.tp, r.ep && *r.ep > 1 ? fmt::format(" --ep {}", *r.ep) : "");
      if (r.nodes && nodes() > 0) with += fmt::format(" --nodes {}", *r.nodes);
      found_.push_back({"--devices", times(factor), std::move(with)});
      return;
    }
  }

  const PlanInput& input_;
  const Plan& plan_;
  std::vector<Advice> found_;
};

} // namespace

std::vector<Advice> find_advice(const PlanInput& input, const Plan& plan) { return Advisor(input, plan).find(); }

} // namespace plimsoll
