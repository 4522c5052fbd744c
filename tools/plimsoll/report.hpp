// Results as text for people: the plan, every byte of it, the weights, and the lists.
// Computes nothing beyond sums for display; never writes. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/host.hpp"
#include "terminal.hpp"

namespace plimsoll::cli {

// The verdict first, then devices, limits, warnings and advice. `quiet`: the verdict alone.
std::string plan_report(const Plan& plan, const Style& style, bool quiet);
// The same as a page that needs no network and no other file, with every item, and for a ticket. `command` is the whole line that plans it.
std::string plan_html(const Plan& plan, std::string_view command);
std::string plan_markdown(const Plan& plan, std::string_view command);
// The length that was searched for, as one line; nothing where the plan does not fit.
std::string longest_line(const Plan& plan, const Style& style);
// Every item with its formula, by category, once per distinct rank.
std::string explain_report(const Plan& plan, const Style& style);
// Equal classes are one row.
std::string weights_report(const WeightsReport& report, const Style& style);

std::string plugins_report(const std::vector<PluginInfo>& plugins, const Style& style);
std::string plugin_report(const PluginInfo& plugin, const Style& style);
std::string devices_report(const std::vector<DeviceCard>& cards, const Result<std::vector<RealDevice>>& real, const Style& style);
std::string verify_report(const VerifyReport& report, const Style& style);
std::string models_report(const std::vector<CatalogueModel>& models, const Style& style);

// One line: "fits: ...", "tight: ...", "does not fit: ...".
std::string verdict_line(const Plan& plan, const Style& style);
// A heading, and text broken at blanks to the width with `indent` in front of every line.
std::string heading(std::string_view text, const Style& style);
std::string paragraph(std::string_view text, const Style& style, std::size_t indent);
// A command as a shell takes it, on lines that go on with a backslash where it is wider.
std::string shell_lines(std::string_view command, const Style& style, std::size_t indent);

} // namespace plimsoll::cli
