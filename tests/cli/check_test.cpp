// `plimsoll check`: exit codes, documents and the command that shows a finding again.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using nlohmann::json;

std::string check_zoo(const std::string& rule) { return std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/zoo/check/" + rule; }
std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(CheckCommand, EndsWithTheCodeOfTheContract) {
  if (kSanitized) GTEST_SKIP() << "what a plugin built with sanitizers uses is not the system's alone";
  EXPECT_EQ(run({"check", check_zoo("sound"), "--level", "1"}).code, 0);
  EXPECT_EQ(run({"check", check_zoo("MAN-07"), "--only", "^MAN"}).code, 1);
  EXPECT_EQ(run({"check", "/there/is/no/such"}).code, 2);
  EXPECT_EQ(run({"check"}).code, 2);
  EXPECT_EQ(run({"check", check_zoo("sound"), "--level", "9"}).code, 2);
  EXPECT_EQ(run({"check", check_zoo("LOAD-01"), "--only", "^LOAD-01$"}).code, 3);
}

TEST(CheckCommand, ShowsAFindingAgainAsItSays) {
  const Outcome first = run({"check", check_zoo("P-01"), "--only", "^P-0", "--json"});
  ASSERT_EQ(first.code, 1) << first.err;
  const json document = json::parse(first.out);
  EXPECT_EQ(document.at("schema"), "plimsoll.check/1");
  for (const json& one : document.at("cases")) {
    if (one.at("status") != "fail") continue;
    EXPECT_EQ(one.at("rule"), "P-01");
    const std::string repro = one.at("repro");
    EXPECT_EQ(repro.find("plimsoll check "), 0U) << repro;
    EXPECT_NE(repro.find("--model " + check_zoo("P-01") + "/tests/config.json"), std::string::npos) << repro;
    const Outcome again = run({"check", check_zoo("P-01"), "--only", "^P-01$", "--model", check_zoo("P-01") + "/tests/config.json"});
    EXPECT_EQ(again.code, 1);
    EXPECT_NE(again.out.find(one.at("detail").get<std::string>()), std::string::npos) << again.out;
  }
}

TEST(CheckCommand, WritesDocumentsBesideTheTable) {
  if (kSanitized) GTEST_SKIP() << "what a plugin built with sanitizers uses is not the system's alone";
  const std::string file = scratch_folder() + "/check.json", junit = scratch_folder() + "/check.xml";
  const Outcome outcome = run({"check", check_zoo("MAN-07"), "--only", "^MAN", "--json=" + file, "--junit", junit});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.out.find("8 rules: 7 kept, 1 broken"), std::string::npos) << outcome.out;
  EXPECT_EQ(json::parse(text_of(file)).at("cases").size(), 8U);
  EXPECT_NE(text_of(junit).find("<failure type=\"fail\""), std::string::npos);
}

TEST(CheckCommand, ListsItsRules) {
  EXPECT_NE(run({"check", "--list"}).out.find("P-05"), std::string::npos);
  EXPECT_EQ(json::parse(run({"check", "--list", "--format", "json"}).out).at("schema"), "plimsoll.check_rules/1");
}

} // namespace
} // namespace plimsoll::cli_test
