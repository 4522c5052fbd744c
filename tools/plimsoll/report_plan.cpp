// The plan as an operator wants to see it: see report.hpp.
#include <algorithm>
#include <fmt/format.h>

#include "plimsoll/device_figures.hpp"
#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

// How a part of a device's memory is drawn.
struct Look {
  std::string_view unicode, ascii;
  Paint paint = Paint::kPlain;
};

Look look_of(Category category) {
  switch (category) {
  case Category::kWeights: return {"\u2588", "W", Paint::kBlue};
  case Category::kActivation: return {"\u2593", "A", Paint::kMagenta};
  case Category::kSignalBuffer: return {"\u259e", "S", Paint::kYellow};
  case Category::kWorkspace: return {"\u259c", "B", Paint::kMagenta};
  case Category::kVisionCache: return {"\u259a", "V", Paint::kCyan};
  case Category::kOverhead: return {"\u2592", "O", Paint::kDim};
  case Category::kKvCache: return {"\u2591", "K", Paint::kGreen};
  }
  return {"?", "?", Paint::kPlain};
}

// What the memory is used for, in the order of the bar.
struct Part : Look {
  std::string_view title, column;
  std::uint64_t DevicePlan::*bytes = nullptr;
};
const std::vector<Part>& parts() {
  static const std::vector<Part> all = [] {
    std::vector<Part> out;
    for (const DeviceFigure& figure : kDeviceFigures)
      if (figure.category) out.push_back({look_of(*figure.category), figure.title, figure.column, figure.bytes});
    return out;
  }();
  return all;
}

std::uint64_t used_bytes(const DevicePlan& device) {
  std::uint64_t sum = 0;
  for (const Part& part : parts())
    if (__builtin_add_overflow(sum, device.*part.bytes, &sum)) return UINT64_MAX;
  return sum;
}

bool same_figures(const DevicePlan& a, const DevicePlan& b) {
  for (const Part& part : parts())
    if (a.*part.bytes != b.*part.bytes) return false;
  return a.name == b.name && a.total_bytes == b.total_bytes && a.free_bytes == b.free_bytes && a.budget_bytes == b.budget_bytes &&
         a.unused_bytes == b.unused_bytes;
}

struct Fold {
  const DevicePlan* device = nullptr;
  std::vector<std::uint32_t> ranks;
};

// Ranks with equal figures, in the order of their first.
std::vector<Fold> folded(const std::vector<DevicePlan>& devices) {
  std::vector<Fold> out;
  for (const DevicePlan& device : devices) {
    const auto found = std::find_if(out.begin(), out.end(), [&](const Fold& fold) { return same_figures(*fold.device, device); });
    if (found == out.end()) out.push_back({&device, {device.rank}});
    else found->ranks.push_back(device.rank);
  }
  return out;
}

std::string device_name(const DevicePlan& device) { return printable(device.name.empty() ? "device" : device.name); }

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? std::string("0 %") : fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

// One unit for the whole table, so that a row stays short.
struct Unit {
  const char* name;
  double bytes;
};

Unit table_unit(const std::vector<Fold>& folds) {
  for (const Fold& fold : folds)
    if (fold.device->total_bytes >= 1ULL << 30) return {"GiB", 1073741824.0};
  return {"MiB", 1048576.0};
}

// What is zero stays empty, so that an unused column disappears.
std::string cell(std::uint64_t bytes, const Unit& unit) {
  if (bytes == 0) return {};
  const double value = static_cast<double>(bytes) / unit.bytes;
  return value < 0.005 ? std::string("<0.01") : fmt::format("{:.2f}", value);
}

std::string signed_cell(std::int64_t bytes, const Unit& unit) {
  if (bytes == 0) return "0.00";
  const std::string digits = cell(bytes < 0 ? 0 - static_cast<std::uint64_t>(bytes) : static_cast<std::uint64_t>(bytes), unit);
  return bytes < 0 ? "-" + digits : digits;
}

std::string title_lines(const Plan& plan, const Style& style) {
  const EffectiveRequest& request = plan.request;
  std::string out = style.paint(Paint::kBold, printable(plan.model.path.empty() ? plan.model.architecture : plan.model.path)) + "\n";
  out += paragraph(fmt::format("{}, family {}, {} parameters, weights from {}", printable(plan.model.architecture),
                               printable(plan.model.family), human_count(plan.model.parameters),
                               weights_source_name(plan.model.weights_source)),
                   style, 2);
  std::string layout =
      fmt::format("{} device{}, tp {}, pp {}, dp {}, ep {}; engine {}", plan.devices.size(), plan.devices.size() == 1 ? "" : "s",
                  request.tp, request.pp, request.dp, request.ep, printable(plan.engine.name));
  if (!plan.engine.version.empty()) layout += " " + printable(plan.engine.version);
  layout += fmt::format("; {:.4g} of the memory", request.device_memory_utilization);
  if (request.accounting == Accounting::kPooled) layout += "; all memory counted as one pool";
  return out + paragraph(layout, style, 2);
}

std::string device_bar(const DevicePlan& device, std::size_t width, const Style& style) {
  std::vector<Segment> segments;
  // Up to the budget the parts as they are; what stands above it is what does not fit.
  std::uint64_t room = device.budget_bytes, over = 0;
  for (const Part& part : parts()) {
    const std::uint64_t bytes = device.*part.bytes, inside = std::min(bytes, room);
    segments.push_back({inside, part.unicode, part.ascii, part.paint});
    room -= inside;
    over += std::min(bytes - inside, UINT64_MAX - over);
  }
  segments.push_back({room, "\u00b7", ".", Paint::kDim});
  segments.push_back({over, "!", "!", Paint::kRed});
  const std::uint64_t drawn = std::max(device.budget_bytes, used_bytes(device));
  segments.push_back({device.total_bytes > drawn ? device.total_bytes - drawn : 0, " ", " ", Paint::kPlain});
  return bar(segments, width, style);
}

std::string bars(const std::vector<Fold>& folds, const Style& style) {
  std::size_t label_columns = 0;
  std::vector<std::string> labels;
  std::vector<bool> shown(parts().size());
  bool unused = false, over = false;
  for (const Fold& fold : folds) {
    labels.push_back(fmt::format("{} {}", rank_list(fold.ranks), device_name(*fold.device)));
    label_columns = std::max(label_columns, columns_of(labels.back()));
    for (std::size_t at = 0; at < parts().size(); ++at) shown[at] = shown[at] || fold.device->*parts()[at].bytes > 0;
    (fold.device->unused_bytes < 0 ? over : unused) = true;
  }
  label_columns = std::min(label_columns, style.width_columns / 3);
  const std::size_t taken = label_columns + 6; // margin, blank, brackets
  const std::size_t width = style.width_columns > taken + 10 ? style.width_columns - taken : 10;
  std::string out;
  for (std::size_t at = 0; at < folds.size(); ++at) {
    std::string label = labels[at];
    const std::size_t columns = columns_of(label);
    if (columns < label_columns) label.append(label_columns - columns, ' ');
    out += fmt::format("  {} [{}]\n", label, device_bar(*folds[at].device, width, style));
  }
  std::string legend;
  const auto explain = [&](std::string_view unicode, std::string_view ascii, Paint paint, std::string_view title) {
    if (!legend.empty()) legend += "  ";
    legend += fmt::format("{} {}", style.paint(paint, style.unicode ? unicode : ascii), title);
  };
  for (std::size_t at = 0; at < parts().size(); ++at)
    if (shown[at]) explain(parts()[at].unicode, parts()[at].ascii, parts()[at].paint, parts()[at].title);
  if (unused) explain("\u00b7", ".", Paint::kDim, "unused budget");
  if (over) explain("!", "!", Paint::kRed, "too much");
  return out + paragraph(legend, style, 2);
}

std::string device_table(const std::vector<Fold>& folds, const Style& style) {
  std::vector<Column> columns{{"rank", Align::kLeft, true}, {"device", Align::kLeft, true}};
  for (const Part& part : parts()) columns.push_back({std::string(part.column), Align::kRight});
  columns.push_back({"unused", Align::kRight});
  columns.push_back({"budget", Align::kRight});
  columns.push_back({"free", Align::kRight});
  columns.push_back({"total", Align::kRight});
  Table table(std::move(columns));
  const Unit unit = table_unit(folds);
  for (const Fold& fold : folds) {
    const DevicePlan& device = *fold.device;
    std::vector<std::string> cells{rank_list(fold.ranks), device_name(device)};
    for (const Part& part : parts()) cells.push_back(cell(device.*part.bytes, unit));
    cells.push_back(signed_cell(device.unused_bytes, unit));
    cells.push_back(cell(device.budget_bytes, unit));
    cells.push_back(device.free_bytes == device.total_bytes ? std::string() : cell(device.free_bytes, unit));
    cells.push_back(cell(device.total_bytes, unit));
    table.row(std::move(cells));
  }
  if (table.width_columns() + 2 <= style.width_columns)
    return heading(fmt::format("Devices, in {}", unit.name), style) + table.render(style);
  // Too narrow for one row each: one figure per line.
  std::string out = heading("Devices", style);
  for (const Fold& fold : folds) {
    const DevicePlan& device = *fold.device;
    out += fmt::format("  {} {}\n", rank_list(fold.ranks), device_name(device));
    const auto line = [&](std::string_view title, const std::string& value) { out += fmt::format("    {:<15}{:>13}\n", title, value); };
    for (const Part& part : parts())
      if (device.*part.bytes > 0) line(part.title, human_bytes(device.*part.bytes));
    line("unused", human_signed_bytes(device.unused_bytes));
    line("budget", human_bytes(device.budget_bytes));
    if (device.free_bytes != device.total_bytes) line("free", human_bytes(device.free_bytes));
    line("total", human_bytes(device.total_bytes));
  }
  return out;
}

std::string limits_section(const Plan& plan, const Style& style) {
  const Limits& limits = plan.limits;
  const KvPlan& kv = plan.kv_cache;
  std::string out = heading("Limits", style);
  const auto line = [&](std::string_view title, const std::string& text) {
    out += paragraph(fmt::format("{:<18}{}", title, text), style, 2);
  };
  line("longest request", fmt::format("{} tokens; the memory holds one of {}", human_count(limits.max_length),
                                      human_count(limits.max_supported_sequence_length)));
  line("batch", fmt::format("{} request{}; {} at full length", human_count(limits.max_batch_size), limits.max_batch_size == 1 ? "" : "s",
                            human_count(limits.max_batch_at_max_length)));
  line("KV capacity", fmt::format("{} tokens, or {:.2f} requests of {} tokens", human_count(kv.capacity_tokens), kv.capacity_requests,
                                  human_count(limits.max_length)));
  line("KV pages", fmt::format("{} of {} tokens, {}, {} bytes per token and device", human_count(kv.pages), human_count(kv.page_tokens),
                               printable(kv.dtype), human_count(kv.bytes_per_token_per_device)));
  if (kv.engine_reported_tokens != 0 && kv.engine_reported_tokens != kv.capacity_tokens)
    line("engine reports", fmt::format("{} tokens", human_count(kv.engine_reported_tokens)));
  if (kv.state_slots) line("state slots", fmt::format("{} of recurrent state", human_count(*kv.state_slots)));
  for (const EntryPlan& entry : plan.entries) {
    const bool image = entry.modality == Modality::kImage;
    line(image ? "vision cache" : fmt::format("{} cache", modality_name(entry.modality)),
         fmt::format("{} {} of at most {}", human_count(entry.entries), image ? "images" : "entries", human_bytes(entry.entry_bytes)));
  }
  if (plan.host_memory_bytes != 0) line("host memory", fmt::format("{} on no device", human_bytes(plan.host_memory_bytes)));
  if (!limits.binding.empty()) line("bound by", printable(limits.binding));
  return out;
}

// A row for each doubling of the length and the last, a column for each KV type.
std::string frontier_section(const Plan& plan, const Style& style) {
  if (plan.frontier.empty()) return {};
  std::vector<Column> columns{{"length", Align::kRight}};
  for (const FrontierCurve& curve : plan.frontier) columns.push_back({printable(curve.kv_dtype), Align::kRight});
  Table table(std::move(columns));
  const std::vector<FrontierPoint>& lengths = plan.frontier.front().points;
  for (const FrontierPoint& at : lengths) {
    if ((at.max_length & (at.max_length - 1)) != 0 && &at != &lengths.back()) continue;
    std::vector<std::string> cells{human_count(at.max_length)};
    for (const FrontierCurve& curve : plan.frontier) {
      const auto same = std::find_if(curve.points.begin(), curve.points.end(),
                                     [&](const FrontierPoint& point) { return point.max_length == at.max_length; });
      cells.push_back(same == curve.points.end() ? "" : human_count(same->max_batch_size));
    }
    table.row(std::move(cells));
  }
  return "\n" + heading("Frontier: requests that fit at once, by their length and the KV type", style) + table.render(style);
}

std::string remarks(const Plan& plan, const Style& style) {
  std::string out;
  if (!plan.warnings.empty()) out += "\n" + heading("Warnings", style);
  for (const Warning& warning : plan.warnings)
    out += paragraph(
        fmt::format("{} {}", style.paint(Paint::kYellow, std::string(warning_name(warning.code)) + ":"), printable(warning.message)), style,
        2);
  if (!plan.advice.empty()) out += "\n" + heading("What would help", style);
  for (const Advice& advice : plan.advice)
    out += paragraph(fmt::format("{}  {}", style.paint(Paint::kBold, printable(fmt::format("{} {}", advice.option, advice.value))),
                                 printable(advice.message)),
                     style, 2);
  return out;
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
  return fmt::format("rank {} ({}), the fullest, keeps {} ({}) of its free memory outside the plan", least->rank, device_name(*least),
                     human_bytes(least_margin), percent(least_margin, least->free_bytes));
}

} // namespace

std::string verdict_line(const Plan& plan, const Style& style) {
  Paint paint = Paint::kRed;
  std::string word = "does not fit", text;
  switch (plan.verdict) {
  case Verdict::kFits:
  case Verdict::kTight:
    paint = plan.verdict == Verdict::kFits ? Paint::kGreen : Paint::kYellow;
    word = plan.verdict == Verdict::kFits ? "fits" : "tight";
    text = margin_text(plan);
    break;
  case Verdict::kDoesNotFit: text = shortfall_text(plan); break;
  case Verdict::kError:
    word = "no plan";
    text = plan.error ? printable(plan.error->message) : std::string();
    break;
  }
  return paragraph(style.paint(paint, word + ":") + " " + text, style, 0);
}

std::string plan_report(const Plan& plan, const Style& style, bool quiet) {
  if (quiet) return verdict_line(plan, style);
  const std::vector<Fold> folds = folded(plan.devices);
  std::string out = verdict_line(plan, style) + "\n" + title_lines(plan, style) + "\n";
  if (!folds.empty()) out += device_table(folds, style) + "\n" + bars(folds, style) + "\n";
  return out + limits_section(plan, style) + frontier_section(plan, style) + remarks(plan, style);
}

} // namespace plimsoll::cli
