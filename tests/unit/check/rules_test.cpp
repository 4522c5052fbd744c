// The table of rules, and the page that is made of it.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

#include "check/cases.hpp"
#include "check/rules.hpp"

namespace plimsoll::check {
namespace {

TEST(CheckRules, HaveNumbersOfTheirOwnAndACaseEach) {
  std::set<std::string_view> seen;
  for (const Rule& rule : rules()) {
    EXPECT_TRUE(seen.insert(rule.says.id).second) << rule.says.id;
    EXPECT_NE(find_case(rule.says.id), nullptr) << rule.says.id;
    EXPECT_GE(rule.says.level, 1) << rule.says.id;
    EXPECT_LE(rule.says.level, 3) << rule.says.id;
    for (const std::string_view text : {rule.says.title, rule.says.requirement, rule.says.reason, rule.says.breaks})
      EXPECT_FALSE(text.empty()) << rule.says.id;
  }
  EXPECT_GE(seen.size(), 60U);
  for (const LeftOut& rule : left_out()) EXPECT_TRUE(seen.insert(rule.id).second) << rule.id << " is checked and left out";
  EXPECT_EQ(find_case("XYZ-01"), nullptr);
  EXPECT_EQ(find_rule("XYZ-01"), nullptr);
  EXPECT_EQ(check_rules().size(), rules().size());
}

TEST(CheckRules, NeedRulesThatNeedNoneOfThem) {
  for (const Rule& rule : rules()) {
    std::set<std::string_view> above{rule.says.id};
    for (const Rule* needed = &rule; !needed->needs.empty();) {
      const std::string_view id = needed->needs;
      needed = find_rule(id);
      ASSERT_NE(needed, nullptr) << rule.says.id << " needs " << id;
      ASSERT_TRUE(above.insert(id).second) << rule.says.id << " needs itself";
    }
  }
}

TEST(CheckRules, AreWhatThePageSays) {
  std::ifstream in(PLIMSOLL_SOURCE_DIR "/sdk/docs/contract.md");
  const std::string page(std::istreambuf_iterator<char>(in), {});
  const std::string tables = contract_tables();
  for (std::size_t at = 0; at < tables.size();) {
    const std::size_t end = tables.find('\n', at);
    EXPECT_NE(page.find(tables.substr(at, end - at)), std::string::npos) << "the page lacks: " << tables.substr(at, end - at);
    at = end + 1;
  }
  EXPECT_NE(page.find(tables), std::string::npos) << "the page has more, or another order";
}

// Every rule of the header is in the page, with the rules that hold it.
TEST(CheckRules, HoldTheRulesOfTheHeader) {
  std::ifstream header(PLIMSOLL_SOURCE_DIR "/core/abi/include/plimsoll/abi.h"), in(PLIMSOLL_SOURCE_DIR "/sdk/docs/contract.md");
  const std::string page(std::istreambuf_iterator<char>(in), {});
  std::set<std::string> of_header;
  for (std::string line; std::getline(header, line);)
    if (line.starts_with(" *  R-")) of_header.insert(line.substr(4, 4));
  EXPECT_GE(of_header.size(), 28U);
  for (const std::string& id : of_header) {
    std::string by;
    for (const Rule& rule : rules())
      if (rule.abi.find(id) != std::string_view::npos) by += (by.empty() ? "" : ", ") + std::string(rule.says.id);
    const std::string row = by.empty() ? "| " + id + " | nothing: " : "| " + id + " | " + by + " |\n";
    EXPECT_NE(page.find(row), std::string::npos) << "the page lacks: " << row;
  }
  for (const Rule& rule : rules())
    for (std::size_t at = 0; at < rule.abi.size(); at += 5)
      EXPECT_TRUE(of_header.contains(std::string(rule.abi.substr(at, 4)))) << rule.says.id;
}

} // namespace
} // namespace plimsoll::check
