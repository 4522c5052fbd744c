// See plan_view.hpp.
#include "plan_view.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <utility>

#include "plimsoll/device_figures.hpp"
#include "plimsoll/human.hpp"
#include "table.hpp"
#include "terminal.hpp"

namespace plimsoll::cli {
namespace {

std::uint64_t used_bytes(const DevicePlan& device) {
  std::uint64_t sum = 0;
  for (const PlanPart& part : plan_parts())
    if (__builtin_add_overflow(sum, device.*part.bytes, &sum)) return UINT64_MAX;
  return sum;
}

bool same_figures(const DevicePlan& a, const DevicePlan& b) {
  for (const PlanPart& part : plan_parts())
    if (a.*part.bytes != b.*part.bytes) return false;
  return a.name == b.name && a.total_bytes == b.total_bytes && a.free_bytes == b.free_bytes && a.budget_bytes == b.budget_bytes &&
         a.unused_bytes == b.unused_bytes;
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? std::string("0 %") : fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string shortfall_text(const Plan& plan) {
  const DevicePlan* worst = nullptr;
  std::size_t count = 0;
  for (const DevicePlan& device : plan.devices) {
    if (device.unused_bytes >= 0) continue;
    ++count;
    if (!worst || device.unused_bytes < worst->unused_bytes) worst = &device;
  }
  std::string out;
  if (worst)
    out = fmt::format("rank {} ({}) is short by {}", worst->rank, device_name(*worst),
                      human_bytes(0 - static_cast<std::uint64_t>(worst->unused_bytes)));
  if (count > 1) out += fmt::format("; {} of {} devices are short", count, plan.devices.size());
  if (plan.error) out += fmt::format("{}{}", out.empty() ? "" : "; ", printable(plan.error->message));
  return out;
}

std::string margin_text(const Plan& plan) {
  const DevicePlan* least = nullptr;
  std::uint64_t least_margin = 0;
  for (const DevicePlan& device : plan.devices) {
    const std::uint64_t used = used_bytes(device), margin = device.free_bytes > used ? device.free_bytes - used : 0;
    if (least && margin >= least_margin) continue;
    least = &device;
    least_margin = margin;
  }
  if (!least) return {};
  const bool tight = plan.verdict == Verdict::kTight;
  return fmt::format("{}rank {} ({}), the fullest, keeps {}{} of its free memory outside the plan", tight ? "it fits, but " : "",
                     least->rank, device_name(*least), tight && least_margin > 0 ? "only " : "",
                     least_margin == 0 ? std::string("nothing")
                                       : fmt::format("{} ({})", human_bytes(least_margin), percent(least_margin, least->free_bytes)));
}

// "layers split 13 + 12 + 12, the output on rank 2, 4 in host memory": where an engine deals them.
std::string dealt_line(const DealtPlan& dealt) {
  std::string layers;
  for (const std::uint32_t count : dealt.stage_layers) layers += fmt::format("{}{}", layers.empty() ? "" : " + ", count);
  std::string out = fmt::format("layers {}, split mode {}; the output layer on {}", layers, split_mode_name(dealt.split_mode),
                                dealt.output_device ? fmt::format("rank {}", *dealt.output_device) : "the host");
  if (dealt.host_layers > 0) out += fmt::format("; the first {} in host memory", dealt.host_layers);
  if (dealt.cpu_moe_layers > 0) out += fmt::format("; experts of the first {} in host memory", dealt.cpu_moe_layers);
  return out;
}

std::string requests(double count, std::uint64_t tokens) { return fmt::format("{:.2f} requests of {} tokens", count, human_count(tokens)); }

// Windows and states: what one request may have, what all pages hold and what an engine prints are different figures.
bool counts_tokens_in_several_ways(const Plan& plan) {
  const bool grows_evenly = std::none_of(plan.kv_cache.groups.begin(), plan.kv_cache.groups.end(), [](const KvGroupPlan& group) {
    return group.window_tokens.has_value() || group.kind == CacheKind::kState;
  });
  return !grows_evenly && plan.kv_cache.capacity_tokens != plan.limits.max_supported_sequence_length;
}

void add_capacity(const Plan& plan, std::vector<LimitLine>& out) {
  const KvPlan& kv = plan.kv_cache;
  const bool engine_differs = kv.engine_reported_tokens != 0 && kv.engine_reported_tokens != kv.capacity_tokens;
  const std::string engine = printable(plan.engine.name);
  if (!counts_tokens_in_several_ways(plan)) {
    out.push_back({"KV capacity", fmt::format("{} tokens, or {}", human_count(kv.capacity_tokens),
                                              requests(kv.capacity_requests, plan.limits.max_length))});
    if (engine_differs) out.push_back({"engine prints", fmt::format("{} tokens", human_count(kv.engine_reported_tokens))});
    return;
  }
  out.push_back({"KV capacity", requests(kv.capacity_requests, plan.limits.max_length)});
  out.push_back({"KV tokens", fmt::format("{} of one request alone: layers with windows or states need few pages more",
                                          human_count(plan.limits.max_supported_sequence_length))});
  out.push_back({"", fmt::format("{} in all pages, if every layer kept each of them", human_count(kv.capacity_tokens))});
  if (engine_differs) out.push_back({"", fmt::format("{} as {} prints them at its start", human_count(kv.engine_reported_tokens), engine)});
}

std::string longest_text(const Plan& plan) {
  const Limits& limits = plan.limits;
  if (plan.verdict == Verdict::kDoesNotFit && limits.max_supported_sequence_length == 0)
    return fmt::format("{} tokens; the memory holds none", human_count(limits.max_length));
  return fmt::format("{} tokens; the memory holds one of {}", human_count(limits.max_length),
                     human_count(limits.max_supported_sequence_length));
}

// What of the fullest device is no count but a rule of thumb, the largest parts first.
std::string estimates_text(const Plan& plan) {
  const DevicePlan* fullest = nullptr;
  for (const DevicePlan& device : plan.devices)
    if (!fullest || device.unused_bytes < fullest->unused_bytes) fullest = &device;
  if (!fullest) return {};
  std::vector<std::pair<std::uint64_t, std::string_view>> parts;
  std::uint64_t sum = 0;
  for (const Item& item : plan.items) {
    if (item.basis != Basis::kHeuristic || item.memory != MemoryKind::kDevice || !item.counted) continue;
    if (item.category == Category::kWeights) continue; // of a what-if, as its warning says
    const std::uint64_t bytes = bytes_on(item, fullest->rank);
    if (bytes > 0) parts.emplace_back(bytes, item.label);
    sum += std::min(bytes, UINT64_MAX - sum);
  }
  if (parts.empty()) return {};
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  constexpr std::size_t kMostNamed = 4;
  std::string names;
  for (std::size_t at = 0; at < std::min(parts.size(), kMostNamed); ++at)
    names += fmt::format("{}{} {}", names.empty() ? "" : ", ", printable(parts[at].second), human_bytes(parts[at].first));
  return fmt::format("{} of rank {} are rules of thumb: {}{}; compare --save-profile measures them", human_bytes(sum), fullest->rank, names,
                     parts.size() > kMostNamed ? ", ..." : "");
}

} // namespace

VerdictText verdict_text(const Plan& plan) {
  switch (plan.verdict) {
  case Verdict::kFits: return {"fits", margin_text(plan)};
  case Verdict::kTight: return {"tight", margin_text(plan)};
  case Verdict::kDoesNotFit: return {"does not fit", shortfall_text(plan)};
  case Verdict::kError: break;
  }
  return {"no plan", plan.error ? printable(plan.error->message) : std::string()};
}

std::string plan_title(const Plan& plan) { return printable(plan.model.path.empty() ? plan.model.architecture : plan.model.path); }

std::vector<std::string> plan_subject(const Plan& plan) {
  const EffectiveRequest& request = plan.request;
  std::vector<std::string> out{fmt::format("{}, family {}, {} parameters, weights from {}{}", printable(plan.model.architecture),
                                           printable(plan.model.family), human_count(plan.model.parameters),
                                           weights_source_name(plan.model.weights_source),
                                           request.quantize.empty() ? "" : ", as " + printable(request.quantize))};
  std::string layout =
      fmt::format("{} device{}, tp {}, pp {}, dp {}, ep {}; engine {}", plan.devices.size(), plan.devices.size() == 1 ? "" : "s",
                  request.tp, request.pp, request.dp, request.ep, printable(plan.engine.name));
  if (!plan.engine.version.empty()) layout += " " + printable(plan.engine.version);
  layout += fmt::format("; {:.4g} of the memory", request.device_memory_utilization);
  if (request.accounting == Accounting::kPooled) layout += "; all memory counted as one pool";
  out.push_back(std::move(layout));
  if (plan.dealt) out.push_back(dealt_line(*plan.dealt));
  return out;
}

const std::vector<PlanPart>& plan_parts() {
  static const std::vector<PlanPart> all = [] {
    std::vector<PlanPart> out;
    for (const DeviceFigure& figure : kDeviceFigures)
      if (figure.category) out.push_back({*figure.category, figure.title, figure.column, figure.bytes});
    return out;
  }();
  return all;
}

std::vector<Fold> alike_devices(const Plan& plan) {
  std::vector<Fold> out;
  for (const DevicePlan& device : plan.devices) {
    const auto found = std::find_if(out.begin(), out.end(), [&](const Fold& fold) { return same_figures(*fold.device, device); });
    if (found == out.end()) out.push_back({&device, {device.rank}});
    else found->ranks.push_back(device.rank);
  }
  if (plan.host) out.push_back({&*plan.host, {}});
  return out;
}

std::string device_name(const DevicePlan& device) { return printable(device.name.empty() ? "device" : device.name); }

std::string fold_name(const Fold& fold) {
  return fold.ranks.empty() ? device_name(*fold.device) : fmt::format("{} {}", rank_list(fold.ranks), device_name(*fold.device));
}

BarSegments bar_segments(const DevicePlan& device) {
  BarSegments out;
  // Up to the budget the parts as they are; what stands above it is what does not fit.
  std::uint64_t room = device.budget_bytes;
  for (std::size_t at = 0; at < plan_parts().size(); ++at) {
    const std::uint64_t bytes = device.*plan_parts()[at].bytes, inside = std::min(bytes, room);
    out.part_bytes[at] = inside;
    room -= inside;
    out.over_bytes += std::min(bytes - inside, UINT64_MAX - out.over_bytes);
  }
  out.unused_bytes = room;
  const std::uint64_t drawn = std::max(device.budget_bytes, used_bytes(device));
  out.outside_bytes = device.total_bytes > drawn ? device.total_bytes - drawn : 0;
  return out;
}

std::vector<LimitLine> limit_lines(const Plan& plan) {
  const Limits& limits = plan.limits;
  const KvPlan& kv = plan.kv_cache;
  std::vector<LimitLine> out{{"longest request", longest_text(plan)}};
  // Where not one request of that length has room, the other figures are what it needs and nothing that there is.
  const bool holds_one = plan.verdict != Verdict::kDoesNotFit || limits.max_supported_sequence_length >= limits.max_length;
  if (holds_one) {
    out.push_back({"batch", fmt::format("{} request{}; {} at full length", human_count(limits.max_batch_size),
                                        limits.max_batch_size == 1 ? "" : "s", human_count(limits.max_batch_at_max_length))});
    if (!kv.groups.empty()) add_capacity(plan, out);
  }
  if (kv.groups.empty()) {
    out.push_back({"KV cache", fmt::format("none; a request runs in one pass, of {} tokens for all of them",
                                           human_count(plan.request.max_batch_input_tokens))});
  } else {
    const std::string bytes =
        fmt::format("{}, {} bytes per token and device", printable(kv.dtype), human_count(kv.bytes_per_token_per_device));
    out.push_back({"KV pages", holds_one ? fmt::format("{} of {} tokens, {}", human_count(kv.pages), human_count(kv.page_tokens), bytes)
                                         : fmt::format("of {} tokens, {}", human_count(kv.page_tokens), bytes)});
  }
  if (kv.needed_bytes_per_device && plan.verdict != Verdict::kDoesNotFit)
    out.push_back({"KV needed", fmt::format("{} a device for {} requests of {} tokens; --kv-cache-bytes {} takes no more",
                                            human_bytes(*kv.needed_bytes_per_device), human_count(plan.request.max_batch_size),
                                            human_count(limits.max_length), *kv.needed_bytes_per_device)});
  if (kv.state_slots) out.push_back({"state slots", fmt::format("{} of recurrent state", human_count(*kv.state_slots))});
  for (const EntryPlan& entry : plan.entries) {
    const bool image = entry.modality == Modality::kImage;
    out.push_back(
        {image ? "vision cache" : fmt::format("{} cache", modality_name(entry.modality)),
         fmt::format("{} {} of at most {}", human_count(entry.entries), image ? "images" : "entries", human_bytes(entry.entry_bytes))});
  }
  if (plan.host_memory_bytes != 0 && !plan.host) out.push_back({"host memory", human_bytes(plan.host_memory_bytes) + " on no device"});
  if (!limits.binding.empty()) out.push_back({"bound by", printable(limits.binding)});
  if (std::string estimates = estimates_text(plan); !estimates.empty()) out.push_back({"estimated", std::move(estimates)});
  return out;
}

std::vector<LimitLine> broken_limits(const Plan& plan) {
  std::vector<LimitLine> out;
  for (const Fold& fold : alike_devices(plan))
    for (const BrokenLimit& broken : fold.device->reasons) out.push_back({fold_name(fold), printable(broken.message)});
  return out;
}

FrontierRows frontier_rows(const Plan& plan) {
  FrontierRows out;
  if (plan.frontier.empty()) return out;
  for (const FrontierCurve& curve : plan.frontier) out.kv_dtypes.push_back(printable(curve.kv_dtype));
  const std::vector<FrontierPoint>& lengths = plan.frontier.front().points;
  for (const FrontierPoint& at : lengths) {
    if ((at.max_length & (at.max_length - 1)) != 0 && &at != &lengths.back()) continue;
    FrontierRows::Row row{at.max_length, {}};
    for (const FrontierCurve& curve : plan.frontier) {
      const auto same = std::find_if(curve.points.begin(), curve.points.end(),
                                     [&](const FrontierPoint& point) { return point.max_length == at.max_length; });
      row.batches.push_back(same == curve.points.end() ? "" : human_count(same->max_batch_size));
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

std::uint64_t bytes_on(const Item& item, std::size_t rank) { return rank < item.bytes.size() ? item.bytes[rank] : 0; }

std::vector<std::vector<std::size_t>> ranks_with_equal_items(const Plan& plan) {
  std::map<std::pair<std::string, std::vector<std::uint64_t>>, std::size_t> known;
  std::vector<std::vector<std::size_t>> out;
  for (std::size_t rank = 0; rank < plan.devices.size(); ++rank) {
    std::vector<std::uint64_t> figures;
    for (const Item& item : plan.items) figures.push_back(bytes_on(item, rank));
    const auto [found, added] = known.emplace(std::pair(plan.devices[rank].name, std::move(figures)), out.size());
    if (added) out.emplace_back();
    out[found->second].push_back(rank);
  }
  return out;
}

std::vector<ItemGroup> item_groups(const Plan& plan, std::size_t rank) {
  std::vector<ItemGroup> out;
  const auto group = [&](std::string_view title, auto&& wanted) {
    ItemGroup found{std::string(title), {}, 0};
    for (const Item& item : plan.items) {
      const std::uint64_t bytes = bytes_on(item, rank);
      if (bytes == 0 || !wanted(item)) continue;
      found.items.push_back(&item);
      found.bytes += std::min(bytes, UINT64_MAX - found.bytes);
    }
    if (!found.items.empty()) out.push_back(std::move(found));
  };
  for (const PlanPart& part : plan_parts())
    group(part.title,
          [&](const Item& item) { return item.counted && item.memory == MemoryKind::kDevice && item.category == part.category; });
  group("covered by a larger phase, not added", [](const Item& item) { return !item.counted && item.memory == MemoryKind::kDevice; });
  group("in host memory, on no device", [](const Item& item) { return item.memory == MemoryKind::kHost; });
  return out;
}

} // namespace plimsoll::cli
