// A plan as one page that needs nothing else: see report.hpp. Whatever comes from a model, a plugin or the request goes through
// html_text(); every figure stands with its exact bytes, those of the document.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "html.hpp"
#include "page_style.hpp"
#include "plan_view.hpp"
#include "plimsoll/device_figures.hpp"
#include "plimsoll/host.h"
#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

constexpr std::size_t kMostDrawn = 64; // devices, or groups of ranks, that are unlike

// A heading and what stands below it.
std::string page_section(std::string_view id, std::string_view title, std::string_view content) {
  return fmt::format("<section id=\"{}\" aria-labelledby=\"{}-heading\">\n<h2 id=\"{}-heading\">{}</h2>\n{}</section>\n", id, id, id,
                     html_text(title), content);
}

std::string html_paragraph(std::string_view text, std::string_view style = {}) {
  return html_element("p", style.empty() ? std::string() : fmt::format("class=\"{}\"", style), html_text(text)) + "\n";
}

// What is wider than a phone scrolls by itself, with the keyboard too.
std::string scrolled(std::string_view label, std::string_view content) {
  return fmt::format("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">{}</div>\n", html_text(label), content);
}

std::string command_block(std::string_view command) {
  return html_element("pre", "class=\"command\"", html_text(printable(command))) + "\n";
}

std::string omitted(std::size_t all, std::string_view what) {
  return all <= kMostDrawn ? std::string()
                           : html_paragraph(fmt::format("and {} more {}; --format json has them all", all - kMostDrawn, what));
}

// Parts of a bar as rectangles of 1,000 in all, and the same in words for who hears the page.
struct Bar {
  std::string rectangles, words;
};

Bar bar_of(const DevicePlan& device) {
  const BarSegments drawn = bar_segments(device);
  struct Piece {
    std::string_view style, title;
    std::uint64_t bytes;
  };
  std::vector<Piece> pieces;
  for (std::size_t at = 0; at < plan_parts().size(); ++at)
    pieces.push_back({category_name(plan_parts()[at].category), plan_parts()[at].title, drawn.part_bytes[at]});
  pieces.push_back({"unused", "unused budget", drawn.unused_bytes});
  pieces.push_back({"over", "too much", drawn.over_bytes});
  pieces.push_back({"outside", "outside the budget", drawn.outside_bytes});
  double total = 0, at = 0;
  for (const Piece& piece : pieces) total += static_cast<double>(piece.bytes);
  Bar out;
  for (const Piece& piece : pieces) {
    if (piece.bytes == 0 || total <= 0) continue;
    const double width = 1000 * static_cast<double>(piece.bytes) / total;
    const std::string words = fmt::format("{} {}", piece.title, human_bytes(piece.bytes));
    out.rectangles += fmt::format("<rect class=\"{}\" x=\"{:.2f}\" y=\"0\" width=\"{:.2f}\" height=\"40\"><title>{}</title></rect>",
                                  piece.style, at, width, html_text(words));
    out.words += (out.words.empty() ? "" : ", ") + words;
    at += width;
  }
  return out;
}

std::string bars_and_legend(const std::vector<Fold>& folds) {
  std::string out;
  for (std::size_t i = 0; i < std::min(folds.size(), kMostDrawn); ++i) {
    const std::string name = (folds[i].ranks.empty() ? "" : folds[i].ranks.size() == 1 ? "Rank " : "Ranks ") + fold_name(folds[i]);
    const Bar bar = bar_of(*folds[i].device);
    out += fmt::format(
        "<figure><figcaption>{}, {} in all</figcaption><svg class=\"bar\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 1000 40\" "
        "preserveAspectRatio=\"none\">{}</svg></figure>\n",
        html_text(name), html_text(human_bytes(folds[i].device->total_bytes)), html_text(name + ": " + bar.words), bar.rectangles);
  }
  std::string legend;
  const auto entry = [&](std::string_view style, std::string_view title) {
    legend += fmt::format("<li><span class=\"swatch {}\"></span>{}</li>", style, html_text(title));
  };
  const auto any = [&](auto&& has) { return std::any_of(folds.begin(), folds.end(), [&](const Fold& fold) { return has(*fold.device); }); };
  for (const PlanPart& part : plan_parts())
    if (any([&](const DevicePlan& device) { return device.*part.bytes > 0; })) entry(category_name(part.category), part.title);
  if (any([](const DevicePlan& device) { return device.unused_bytes >= 0; })) entry("unused", "unused budget");
  if (any([](const DevicePlan& device) { return device.unused_bytes < 0; })) entry("over", "too much");
  if (any([](const DevicePlan& device) { return bar_segments(device).outside_bytes > 0; })) entry("outside", "outside the budget");
  return out + "<ul class=\"legend\">" + legend + "</ul>\n" + omitted(folds.size(), "kinds of devices");
}

std::string bytes_cell(std::int64_t bytes) {
  return fmt::format("<td class=\"number\" data-bytes=\"{}\">{}</td>", bytes, human_signed_bytes(bytes));
}

// A row a figure, a column a kind of device.
std::string device_figures_table(const std::vector<Fold>& folds) {
  std::string head = "<th scope=\"col\">figure</th>", rows;
  const std::size_t drawn = std::min(folds.size(), kMostDrawn);
  for (std::size_t i = 0; i < drawn; ++i) head += "<th scope=\"col\" class=\"number\">" + html_text(fold_name(folds[i])) + "</th>";
  for (const DeviceFigure& figure : kDeviceFigures) {
    const bool any = std::any_of(folds.begin(), folds.end(), [&](const Fold& fold) { return bytes_of(*fold.device, figure) != 0; });
    if (!any && figure.category) continue;
    rows += fmt::format("<tr data-figure=\"{}\"><th scope=\"row\">{}</th>", figure.key, html_text(figure.title));
    for (std::size_t i = 0; i < drawn; ++i) rows += bytes_cell(bytes_of(*folds[i].device, figure));
    rows += "</tr>\n";
  }
  return scrolled("Figures of each device",
                  fmt::format("<table class=\"devices\"><thead><tr>{}</tr></thead><tbody>\n{}</tbody></table>", head, rows));
}

std::string limits_list(const std::vector<LimitLine>& lines) {
  std::string out;
  for (const LimitLine& line : lines)
    out += (line.title.empty() ? "" : html_element("dt", "", html_text(line.title))) + html_element("dd", "", html_text(line.text)) + "\n";
  return "<dl>\n" + out + "</dl>\n";
}

// Where a point of the frontier stands on a chart of logarithmic axes.
struct Axes {
  static constexpr double kWidth = 520, kHeight = 300, kLeft = 70, kRight = 30, kTop = 12, kBottom = 44;
  double least_length = 0, most_length = 1, most_batch = 1; // powers of two

  double x(std::uint64_t length) const {
    const double share = (std::log2(static_cast<double>(std::max<std::uint64_t>(1, length))) - least_length) / (most_length - least_length);
    return kLeft + share * (kWidth - kLeft - kRight);
  }
  double y(std::uint64_t batch) const {
    const double share = std::log2(static_cast<double>(std::max<std::uint64_t>(1, batch))) / most_batch;
    return kTop + (1 - share) * (kHeight - kTop - kBottom);
  }
};

Axes axes_of(const std::vector<FrontierCurve>& curves) {
  std::uint64_t least = UINT64_MAX, most = 1, batch = 2;
  for (const FrontierCurve& curve : curves)
    for (const FrontierPoint& point : curve.points) {
      least = std::min(least, std::max<std::uint64_t>(1, point.max_length));
      most = std::max(most, point.max_length);
      batch = std::max(batch, point.max_batch_size);
    }
  Axes axes;
  axes.least_length = std::log2(static_cast<double>(std::min(least, most)));
  axes.most_length = std::max(axes.least_length + 1, std::log2(static_cast<double>(most)));
  axes.most_batch = std::log2(static_cast<double>(batch));
  return axes;
}

std::string grid(const Axes& axes) {
  std::string out;
  // At most some six lines each way, at powers of two.
  const auto step = [](double span) { return std::max(1.0, std::ceil(span / 6)); };
  for (double at = std::ceil(axes.least_length); at <= axes.most_length; at += step(axes.most_length - axes.least_length)) {
    const auto length = static_cast<std::uint64_t>(std::exp2(at));
    out += fmt::format("<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/><text x=\"{0:.1f}\" y=\"{3}\" "
                       "text-anchor=\"middle\">{4}</text>",
                       axes.x(length), Axes::kTop, Axes::kHeight - Axes::kBottom, Axes::kHeight - Axes::kBottom + 21, human_count(length));
  }
  for (double at = 0; at <= axes.most_batch; at += step(axes.most_batch)) {
    const auto batch = static_cast<std::uint64_t>(std::exp2(at));
    out += fmt::format("<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/><text x=\"{3}\" y=\"{4:.1f}\" "
                       "text-anchor=\"end\">{5}</text>",
                       Axes::kLeft, Axes::kWidth - Axes::kRight, axes.y(batch), Axes::kLeft - 6, axes.y(batch) + 5, human_count(batch));
  }
  return out + fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">tokens of a request</text>", (Axes::kLeft + Axes::kWidth) / 2,
                           Axes::kHeight - 4);
}

std::string curve_shape(const FrontierCurve& curve, std::size_t number, const Axes& axes) {
  std::string points, dots;
  for (const FrontierPoint& point : curve.points) {
    if (point.max_batch_size == 0) continue; // none fits: the curve ends
    points += fmt::format("{}{:.1f},{:.1f}", points.empty() ? "" : " ", axes.x(point.max_length), axes.y(point.max_batch_size));
    dots += fmt::format("<circle class=\"c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{}: {} requests of {} tokens</title></circle>",
                        number % 6, axes.x(point.max_length), axes.y(point.max_batch_size), html_text(printable(curve.kv_dtype)),
                        human_count(point.max_batch_size), human_count(point.max_length));
  }
  return points.empty() ? points : fmt::format("<polyline class=\"curve c{}\" points=\"{}\"/>{}", number % 6, points, dots);
}

std::string frontier_part(const Plan& plan) {
  if (plan.frontier.empty()) return {};
  const Axes axes = axes_of(plan.frontier);
  const FrontierRows rows = frontier_rows(plan);
  std::string shapes, legend, head = "<th scope=\"col\" class=\"number\">tokens</th>", body;
  for (std::size_t i = 0; i < plan.frontier.size(); ++i) {
    shapes += curve_shape(plan.frontier[i], i, axes);
    legend += fmt::format("<li><svg class=\"stroke\" viewBox=\"0 0 36 12\" aria-hidden=\"true\"><polyline class=\"curve c{}\" points=\"0,6 "
                          "36,6\"/></svg>{}</li>",
                          i % 6, html_text(rows.kv_dtypes[i]));
    head += "<th scope=\"col\" class=\"number\">" + html_text(rows.kv_dtypes[i]) + "</th>";
  }
  for (const FrontierRows::Row& row : rows.rows) {
    body += "<tr><th scope=\"row\" class=\"number\">" + human_count(row.max_length) + "</th>";
    for (const std::string& batch : row.batches) body += "<td class=\"number\">" + batch + "</td>";
    body += "</tr>\n";
  }
  const std::string chart = fmt::format(
      "<figure><figcaption>Requests that fit at once, by their length; both axes are logarithmic</figcaption><svg class=\"chart\" "
      "role=\"img\" aria-label=\"Requests that fit at once, by their length; the table below has the figures\" viewBox=\"0 0 {} "
      "{}\">{}{}</svg></figure>\n<ul class=\"legend\">{}</ul>\n",
      Axes::kWidth, Axes::kHeight, grid(axes), shapes, legend);
  return page_section(
      "frontier", "Frontier: how many requests of which length",
      chart + scrolled("Requests that fit at once",
                       fmt::format("<table class=\"frontier\"><thead><tr>{}</tr></thead><tbody>\n{}</tbody></table>", head, body)));
}

std::string item_row(const Item& item, std::size_t rank) {
  const std::uint64_t bytes = bytes_on(item, rank);
  const std::string& formula = item.formula_on(rank);
  return fmt::format(
      "<tr><td>{}{}</td><td class=\"number\" data-bytes=\"{}\">{}</td><td class=\"number\" data-bytes=\"{}\">{}</td><td>{}</td><td>{}"
      "</td></tr>\n",
      html_text(printable(item.label)),
      formula.empty() ? "" : html_element("div", "class=\"formula\"", "= " + html_text(printable(formula))), bytes, human_bytes(bytes),
      bytes, human_count(bytes), basis_name(item.basis), html_text(printable(item.planner)));
}

// Ranks with equal items, in them the categories, in these the items.
std::string items_part(const Plan& plan) {
  const std::vector<std::vector<std::size_t>> groups = ranks_with_equal_items(plan);
  std::string out;
  for (std::size_t i = 0; i < std::min(groups.size(), kMostDrawn); ++i) {
    std::vector<std::uint32_t> numbers;
    for (const std::size_t position : groups[i]) numbers.push_back(plan.devices[position].rank);
    const std::size_t rank = groups[i].front();
    const std::string name =
        fmt::format("{} {} ({})", numbers.size() == 1 ? "Rank" : "Ranks", rank_list(numbers), device_name(plan.devices[rank]));
    std::string parts;
    for (const ItemGroup& group : item_groups(plan, rank)) {
      std::string rows;
      for (const Item* item : group.items) rows += item_row(*item, rank);
      parts += fmt::format(
          "<details><summary>{}: {}</summary>\n{}</details>\n", html_text(group.title), human_bytes(group.bytes),
          scrolled(name + ", " + group.title,
                   "<table class=\"items\"><thead><tr><th scope=\"col\">item</th><th scope=\"col\" class=\"number\">size</th><th "
                   "scope=\"col\" class=\"number\">bytes</th><th scope=\"col\">basis</th><th scope=\"col\">planner</th></tr></thead>"
                   "<tbody>\n" +
                       rows + "</tbody></table>"));
    }
    out += fmt::format("<details{}><summary>{}</summary>\n{}</details>\n", i == 0 ? " open=\"open\"" : "", html_text(name), parts);
  }
  if (out.empty()) return {};
  return page_section("every-byte", "Every byte, with its formula", out + omitted(groups.size(), "groups of ranks"));
}

std::string remarks_part(const Plan& plan) {
  std::string warnings, advice;
  for (const Warning& warning : plan.warnings)
    warnings += fmt::format("<li><strong>{}</strong>: {}</li>\n", warning_name(warning.code), html_text(printable(warning.message)));
  for (const Advice& one : plan.advice)
    advice += fmt::format("<li><strong>{}</strong> {}\n{}</li>\n", html_text(printable(one.option + " " + one.value)),
                          html_text(printable(one.message)), command_block(one.command));
  return (warnings.empty() ? "" : page_section("warnings", "Warnings", "<ul>\n" + warnings + "</ul>\n")) +
         (advice.empty() ? "" : page_section("advice", "What would help", "<ul>\n" + advice + "</ul>\n"));
}

} // namespace

std::string plan_html(const Plan& plan, std::string_view command) {
  const VerdictText verdict = verdict_text(plan);
  const std::vector<Fold> folds = alike_devices(plan);
  std::string subject;
  for (const std::string& line : plan_subject(plan)) subject += html_paragraph(line, "soft");
  const std::string head = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src "
      "&#39;none&#39;; style-src &#39;{}&#39;; script-src &#39;{}&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;\"/>\n<meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n"
      "<title>{}: {}</title>\n<style>{}</style>\n</head>\n",
      kPageStyleHash, kPageScriptHash, html_text(verdict.word), html_text(plan_title(plan)), kPageStyle);
  std::string body =
      fmt::format("<header>\n<p class=\"verdict {}\"><strong>{}</strong>: {}</p>\n<h1><bdi>{}</bdi></h1>\n{}</header>\n",
                  verdict_name(plan.verdict), html_text(verdict.word), html_text(verdict.text), html_text(plan_title(plan)), subject);
  if (!folds.empty()) body += page_section("memory", "Memory of each device", bars_and_legend(folds) + device_figures_table(folds));
  if (const std::vector<LimitLine> broken = broken_limits(plan); !broken.empty())
    body += page_section("broken", "Limits that are broken", limits_list(broken));
  body += page_section("limits", "Limits", limits_list(limit_lines(plan))) + remarks_part(plan) + frontier_part(plan);
  body += page_section("command", "The command that plans this", command_block(command)) + items_part(plan);
  body += fmt::format("<footer>Written by plimsoll {}; sizes in binary units, and exact where they say so.</footer>\n", plimsoll_version());
  return fmt::format("{}<body>\n<main>\n{}</main>\n<script>{}</script>\n</body>\n</html>\n", head, body, kPageScript);
}

} // namespace plimsoll::cli
