// What a check found, as documents; see plimsoll/check.hpp.
#include "plimsoll/check.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace plimsoll {
namespace {

// Text of an XML document: what XML cannot hold becomes a question mark.
std::string xml_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
    case '&': out += "&amp;"; break;
    case '<': out += "&lt;"; break;
    case '>': out += "&gt;"; break;
    case '"': out += "&quot;"; break;
    case '\n': out += "&#10;"; break;
    default: out += static_cast<unsigned char>(c) < 0x20 && c != '\t' ? '?' : c;
    }
  }
  return out;
}

std::string group_of_rule(const std::string& rule) { return rule.substr(0, rule.find('-')); }

std::string junit_case(const CheckCase& one) {
  std::string out = fmt::format("    <testcase classname=\"{}\" name=\"{}: {}\" time=\"{}.{:03}\"", group_of_rule(one.rule), one.rule,
                                xml_text(one.title), one.ms / 1000, one.ms % 1000);
  const std::string detail = xml_text(one.detail), more = xml_text(one.input.empty() ? one.repro : one.input + "\n" + one.repro);
  switch (one.status) {
  case CheckStatus::kPass: return out + "/>\n";
  case CheckStatus::kSkip: return out + fmt::format("><skipped message=\"{}\"/></testcase>\n", detail);
  case CheckStatus::kWarn: return out + fmt::format("><system-out>{}&#10;{}</system-out></testcase>\n", detail, more);
  default:
    return out + fmt::format("><failure type=\"{}\" message=\"{}\">{}</failure></testcase>\n", check_status_name(one.status), detail, more);
  }
}

} // namespace

int check_exit_code(const CheckReport& report, bool strict) noexcept {
  if (!report.loadable) return 3;
  const bool broken = std::any_of(report.cases.begin(), report.cases.end(), [&](const CheckCase& one) {
    return is_failure(one.status) || (strict && one.status == CheckStatus::kWarn);
  });
  return broken ? 1 : 0;
}

std::string check_to_json(const CheckReport& report, int indent) {
  nlohmann::ordered_json cases = nlohmann::ordered_json::array();
  for (const CheckCase& one : report.cases)
    cases.push_back({{"rule", one.rule},
                     {"status", check_status_name(one.status)},
                     {"detail", one.detail},
                     {"repro", one.repro},
                     {"title", one.title},
                     {"input", one.input},
                     {"ms", one.ms}});
  const nlohmann::ordered_json document{{"schema", "plimsoll.check/1"}, {"plugin", report.plugin},       {"level", report.level},
                                        {"cases", std::move(cases)},    {"directory", report.directory}, {"inputs", report.inputs}};
  return document.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string check_to_junit(const CheckReport& report) {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"plimsoll check\">\n";
  for (auto begin = report.cases.begin(); begin != report.cases.end();) {
    const std::string group = group_of_rule(begin->rule);
    const auto end = std::find_if(begin, report.cases.end(), [&](const CheckCase& one) { return group_of_rule(one.rule) != group; });
    const auto failures = std::count_if(begin, end, [](const CheckCase& one) { return is_failure(one.status); });
    const auto skips = std::count_if(begin, end, [](const CheckCase& one) { return one.status == CheckStatus::kSkip; });
    out += fmt::format("  <testsuite name=\"{}.{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">\n", xml_text(report.plugin),
                       group, end - begin, failures, skips);
    for (; begin != end; ++begin) out += junit_case(*begin);
    out += "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

} // namespace plimsoll
