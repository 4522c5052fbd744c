// What a check found as documents, its exit code, and the words of commands.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/shell_word.hpp"
#include "check/runner.hpp"

namespace plimsoll::check {
namespace {

CheckReport report_of(std::initializer_list<CheckStatus> statuses) {
  CheckReport report;
  report.plugin = "com.acme.<vlm>";
  report.inputs = {"config.json"};
  int number = 0;
  for (const CheckStatus status : statuses)
    report.cases.push_back({"P-0" + std::to_string(++number), status, "5 < 6 & \x01", "plimsoll check x", "A title", "config.json", 1234});
  return report;
}

TEST(CheckReport, IsADocument) {
  const auto json = nlohmann::json::parse(check_to_json(report_of({CheckStatus::kPass, CheckStatus::kCrash})));
  EXPECT_EQ(json.at("schema"), "plimsoll.check/1");
  EXPECT_EQ(json.at("plugin"), "com.acme.<vlm>");
  EXPECT_EQ(json.at("level"), 2);
  ASSERT_EQ(json.at("cases").size(), 2U);
  EXPECT_EQ(json["cases"][1].at("rule"), "P-02");
  EXPECT_EQ(json["cases"][1].at("status"), "crash");
  EXPECT_EQ(json["cases"][1].at("repro"), "plimsoll check x");
  EXPECT_EQ(json["cases"][1].at("ms"), 1234);
  EXPECT_EQ(nlohmann::json::parse(check_rules_to_json()).at("rules").size(), check_rules().size());
}

TEST(CheckReport, IsJunitsXmlWithNothingThatXmlCannotHold) {
  const std::string xml = check_to_junit(report_of({CheckStatus::kPass, CheckStatus::kFail, CheckStatus::kSkip, CheckStatus::kWarn}));
  EXPECT_NE(xml.find("tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"1\""), std::string::npos) << xml;
  EXPECT_NE(xml.find("<failure type=\"fail\" message=\"5 &lt; 6 &amp; ?\">"), std::string::npos) << xml;
  EXPECT_NE(xml.find("com.acme.&lt;vlm&gt;.P"), std::string::npos) << xml;
  EXPECT_NE(xml.find("time=\"1.234\""), std::string::npos) << xml;
}

TEST(CheckReport, HasTheExitCodeOfTheContract) {
  EXPECT_EQ(check_exit_code(report_of({CheckStatus::kPass, CheckStatus::kSkip}), true), 0);
  EXPECT_EQ(check_exit_code(report_of({CheckStatus::kWarn}), false), 0);
  EXPECT_EQ(check_exit_code(report_of({CheckStatus::kWarn}), true), 1);
  for (const CheckStatus status : {CheckStatus::kFail, CheckStatus::kCrash, CheckStatus::kHang})
    EXPECT_EQ(check_exit_code(report_of({CheckStatus::kPass, status}), false), 1);
  CheckReport report = report_of({CheckStatus::kFail});
  report.loadable = false;
  EXPECT_EQ(check_exit_code(report, false), 3);
}

TEST(ShellWord, IsTakenAsItIs) {
  EXPECT_EQ(shell_word("/a/b-c.json"), "/a/b-c.json");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("it's $HOME"), "'it'\\''s $HOME'");
}

} // namespace
} // namespace plimsoll::check
