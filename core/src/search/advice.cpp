#include "search/advice.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include "base/human.hpp"
#include "plan/gate.hpp"
#include "plimsoll/options.hpp"
#include "search/trials.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostDevices = 64, kMostPairs = 4;

// What an advice asks of whoever follows it; more is worse.
struct Price {
  static constexpr std::uint64_t kUnchanged = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t length = kUnchanged, batch = kUnchanged, input_tokens = kUnchanged; // what is left of it
  bool kv_type = false, layout = false, on_host = false;
  double fraction = 0; // by how much it changes
  std::uint64_t devices = 0;

  bool at_least(const Price& other) const {
    return length <= other.length && batch <= other.batch && input_tokens <= other.input_tokens && kv_type >= other.kv_type &&
           layout >= other.layout && on_host >= other.on_host && fraction >= other.fraction && devices >= other.devices;
  }
};

std::string value_of(const std::vector<OptionValue>& options, const std::string& name) {
  for (const OptionValue& option : options)
    if (option.name == name) return option.value;
  return {};
}

// The options in which two requests differ.
std::vector<AdvisedOption> changed_options(const PlanRequest& from, const PlanRequest& to) {
  const std::vector<OptionValue> before = show_options(from), after = show_options(to);
  std::vector<AdvisedOption> out;
  for (const OptionInfo& info : plan_options()) {
    const std::string name(info.name), was = value_of(before, name), is = value_of(after, name);
    if (info.repeats || was == is) continue;
    out.push_back({name, is.empty() ? std::nullopt : std::optional(is)});
  }
  return out;
}

class Advisor {
public:
  Advisor(const PlanInput& input, const Settled& settled, const AdviceTools& tools)
      : input_(input), settled_(settled), tools_(tools), trials_(input, settled), base_(*input.request) {
    base_.explain = false;
  }

  std::vector<Advice> find() {
    if (!starts(settled_)) ask_for_what_is_free();
    if (found_.empty()) single_changes();
    if (found_.empty()) pairs();
    more_devices();
    return advice();
  }

private:
  struct Found {
    Tried tried;
    std::string option, remark;
    Price price;
  };

  void add(std::optional<Tried> tried, std::string option, std::string remark) {
    if (!tried) return;
    const Price price = price_of(*tried);
    found_.push_back({std::move(*tried), std::move(option), std::move(remark), price});
  }

  Price price_of(const Tried& tried) const {
    const PlanRequest &was = *input_.request, &is = tried.request;
    Price out;
    if (was.max_length != is.max_length || was.max_length_auto != is.max_length_auto) out.length = is.max_length.value_or(0);
    if (was.max_batch_size != is.max_batch_size) out.batch = is.max_batch_size.value_or(0);
    if (was.max_batch_input_tokens != is.max_batch_input_tokens) out.input_tokens = is.max_batch_input_tokens.value_or(0);
    out.kv_type = was.kv_dtype != is.kv_dtype;
    out.layout = was.tp != is.tp || was.pp != is.pp || was.dp != is.dp || was.ep != is.ep || was.stage_layers != is.stage_layers ||
                 was.tensor_split != is.tensor_split;
    out.on_host = was.gpu_layers != is.gpu_layers || was.cpu_moe_layers != is.cpu_moe_layers;
    if (was.device_memory_utilization != is.device_memory_utilization)
      out.fraction = std::abs(is.device_memory_utilization.value_or(settled_.utilization) - settled_.utilization);
    out.devices = tried.plan.devices.size();
    return out;
  }

  // Where the engine would not even start: a fraction of what is free, and everything else with it.
  void ask_for_what_is_free() {
    const std::uint32_t hundredths = trials_.most_hundredths();
    if (hundredths == 0) return;
    base_.device_memory_utilization = hundredths / 100.0;
    add(trials_.as_it_is(base_), "device_memory_utilization", "what is free on every device");
  }

  static std::string batch_remark(const Tried& tried) { return held_text(tried.plan, "the largest batch that fits"); }
  static std::string length_remark(const Tried& tried) {
    return fmt::format("the longest request that fits; {} at once", human_count(tried.plan.limits.max_batch_at_max_length));
  }
  static std::string kv_remark(const Tried& tried) {
    return fmt::format("{} tokens then fit in the KV cache", human_count(tried.plan.kv_cache.capacity_tokens));
  }
  static std::string layout_remark(const Tried& tried) { return held_text(tried.plan, "the same devices"); }
  // "the same devices; 20.9 requests of 8,192 tokens at once".
  static std::string held_text(const Plan& plan, const std::string& first) {
    if (plan.kv_cache.groups.empty()) return first;
    return fmt::format("{}{}{:.1f} requests of {} tokens at once", first, first.empty() ? "" : "; ", plan.kv_cache.capacity_requests,
                       human_count(plan.limits.max_length));
  }

  template <class Remark>
  void try_one(std::optional<Tried> tried, const char* option, Remark&& remark) {
    if (!tried) return;
    std::string text = remark(*tried);
    add(std::move(tried), option, std::move(text));
  }

  void single_changes() {
    try_one(trials_.smaller_batch(base_), "max_batch_size", batch_remark);
    std::optional<Tried> shorter = trials_.shorter_length(base_);
    const bool by_length = shorter.has_value();
    try_one(std::move(shorter), "max_length", length_remark);
    add(trials_.fewer_input_tokens(base_), "max_batch_input_tokens", "longer prompts take more passes");
    std::optional<Tried> kv = trials_.smaller_kv_type(base_);
    const bool by_kv = kv.has_value();
    try_one(std::move(kv), "kv_dtype", kv_remark);
    add(fraction(), "device_memory_utilization", "leaves less for whatever else uses the devices");
    same_devices();
    on_host();
    if (!by_length || by_kv) return;
    if (const std::optional<PlanRequest> small = trials_.least_kv_type(base_)) // a longer request than without
      try_one(trials_.shorter_length(*small), "kv_dtype", length_remark);
  }

  std::optional<Tried> fraction() {
    if (base_.device_memory_utilization != input_.request->device_memory_utilization) return std::nullopt; // it is what is free
    return trials_.larger_fraction(base_);
  }

  // "--tp", or "--pp" and the like where that is what changes.
  std::string layout_option(const PlanRequest& r) const {
    if (settled_.deals_layers) return "tensor_split";
    if (r.tp != settled_.layout.tp) return "tp";
    if (r.pp.value_or(1) != settled_.layout.pp) return "pp";
    return r.ep.value_or(1) != settled_.layout.ep ? "ep" : "stage_layers";
  }
  bool is_current(const PlanRequest& r) const {
    const RankLayout& now = settled_.layout;
    return r.tp == now.tp && r.pp.value_or(1) == now.pp && r.dp.value_or(1) == now.dp && r.ep.value_or(1) == now.ep &&
           r.stage_layers == base_.stage_layers && r.tensor_split == base_.tensor_split;
  }
  void same_devices() {
    if (input_.devices->size() < 2 || input_.devices->size() > kMostDevices) return;
    std::optional<Tried> best = trials_.best_layout(base_, *input_.devices, &near_layouts_);
    if (!best || is_current(best->request)) return;
    std::string option = layout_option(best->request);
    try_one(std::move(best), option.c_str(), layout_remark);
  }

  void on_host() {
    std::optional<Tried> tried = trials_.more_on_host(base_);
    if (!tried) return;
    const char* const option = tried->request.gpu_layers ? "gpu_layers" : "n_cpu_moe";
    try_one(std::move(tried), option, [](const Tried& found) { return held_text(found.plan, "the rest in host memory, which is slower"); });
  }

  // Two changes together, the first as far as it goes and the second as far as it must.
  void pairs() {
    try_one(trials_.smaller_batch_and_length(base_), "max_batch_size", length_remark);
    const std::optional<PlanRequest> kv = trials_.least_kv_type(base_);
    if (kv) {
      try_one(trials_.shorter_length(*kv), "kv_dtype", length_remark);
      try_one(trials_.smaller_batch(*kv), "kv_dtype", batch_remark);
    }
    std::vector<std::pair<std::string, PlanRequest>> firsts;
    if (base_.device_memory_utilization == input_.request->device_memory_utilization)
      if (std::optional<PlanRequest> r = trials_.largest_fraction(base_)) firsts.emplace_back("device_memory_utilization", std::move(*r));
    for (const PlanRequest& r : near_layouts_)
      if (!is_current(r)) firsts.emplace_back(layout_option(r), r);
    if (std::optional<PlanRequest> r = trials_.quarter_of_input_tokens(base_)) firsts.emplace_back("max_batch_input_tokens", std::move(*r));
    for (const auto& [option, first] : firsts) {
      if (found_.size() >= kMostPairs) return;
      const std::size_t before = found_.size();
      try_one(trials_.smaller_batch(first), option.c_str(), batch_remark);
      try_one(trials_.shorter_length(first), option.c_str(), length_remark);
      try_one(trials_.smaller_kv_type(first), option.c_str(), kv_remark);
      if (found_.size() == before && option != "device_memory_utilization")
        if (const std::optional<PlanRequest> larger = trials_.largest_fraction(first))
          try_one(trials_.as_it_is(*larger), option.c_str(), layout_remark);
    }
  }

  // That many steps more, where all of them together can hold the weights at all.
  std::optional<Tried> with_more(const DeviceGrowth& growth, std::uint32_t steps, std::uint64_t weights_bytes) {
    const std::optional<MoreDevices> more = growth.grown(steps);
    if (!more) return std::nullopt;
    std::uint64_t free_bytes = 0;
    for (const Device& device : more->devices) free_bytes += device.free_bytes;
    if (free_bytes < weights_bytes) return std::nullopt;
    PlanRequest r = base_;
    r.devices = more->spec;
    r.tensor_split.clear(); // a share for each of those before
    if (r.nodes) r.nodes = more->nodes > 0 ? more->nodes : *r.nodes + steps;
    return trials_.best_layout(r, more->devices);
  }
  // The fewest more: twice as many and again until it fits, then the numbers between one by one.
  void more_devices() {
    const std::size_t now = input_.devices->size();
    if (now >= kMostDevices) return;
    const DeviceGrowth growth(input_.request->devices, *input_.devices, input_.request->nodes, tools_.devices);
    if (now + growth.step() > kMostDevices) return;
    const std::uint64_t weights_bytes = trials_.weights_bytes(base_);
    const auto most = static_cast<std::uint32_t>((kMostDevices - now) / growth.step());
    std::uint32_t low = 0, high = 0;
    std::optional<Tried> fits;
    for (std::size_t count = 2 * now; !fits && high < most; count *= 2) {
      low = high;
      high = std::min(most, static_cast<std::uint32_t>((count - now) / growth.step()));
      fits = with_more(growth, high, weights_bytes);
    }
    if (!fits) return;
    for (std::uint32_t steps = low + 1; steps < high; ++steps)
      if (std::optional<Tried> fewer = with_more(growth, steps, weights_bytes)) {
        fits = std::move(fewer);
        break;
      }
    try_one(std::move(fits), "devices", [](const Tried& tried) { return held_text(tried.plan, ""); });
  }

  bool asks_too_much(std::size_t at) const {
    for (std::size_t other = 0; other < found_.size(); ++other) {
      if (other == at || !found_[at].price.at_least(found_[other].price)) continue;
      if (other < at || !found_[other].price.at_least(found_[at].price)) return true; // of equals the first stays
    }
    return false;
  }

  Advice as_advice(const Found& found) const {
    Advice out;
    PlanRequest request = found.tried.request;
    request.explain = input_.request->explain;
    out.options = changed_options(*input_.request, request);
    const std::vector<OptionValue> shown = show_options(request);
    std::string with;
    for (const AdvisedOption& changed : out.options)
      for (const OptionValue& option : shown) {
        if (option.name != changed.name) continue;
        if (option.name == found.option) {
          out.option = option.where;
          out.value = option.value;
        } else {
          with += fmt::format("{} {} {}", with.empty() ? "with" : "", option.where, option.value);
        }
      }
    out.message = fmt::format("{}{}{}", with, with.empty() || found.remark.empty() ? "" : ": ", found.remark);
    out.command = tools_.command(request);
    return out;
  }

  std::vector<Advice> advice() const {
    std::vector<Advice> out;
    for (std::size_t at = 0; at < found_.size(); ++at)
      if (!asks_too_much(at)) out.push_back(as_advice(found_[at]));
    return out;
  }

  const PlanInput& input_;
  const Settled& settled_;
  const AdviceTools& tools_;
  Trials trials_;
  PlanRequest base_; // the request with what it takes to start at all
  std::vector<PlanRequest> near_layouts_;
  std::vector<Found> found_;
};

} // namespace

std::vector<Advice> find_advice(const PlanInput& input, const Plan& plan, const AdviceTools& tools) {
  if (!plan.error) return {};
  const auto settled = settle(input);
  if (!settled) return {};
  return Advisor(input, *settled, tools).find();
}

} // namespace plimsoll
