#include "lint/abi_rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lint/layering.hpp"
#include "lint/source_text.hpp"

namespace plimsoll::lint {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kHeader = "core/abi/include/plimsoll/abi.h";

std::string text_of(const std::string& path) { return read_file(std::filesystem::path(PLIMSOLL_SOURCE_DIR) / path); }

TEST(AbiRules, AreNumberedAndProven) {
  std::vector<NamedText> sources;
  for (const std::string& path : project_files(PLIMSOLL_SOURCE_DIR))
    if ((is_c_source(path) || proves_rules(path) || path.ends_with(".md")) && !path.starts_with("tests/lint/"))
      sources.push_back({path, text_of(path)});
  ASSERT_GT(sources.size(), 100U);
  const NamedText header{kHeader, text_of(kHeader)};
  EXPECT_GT(rules_of(header.text).size(), 20U);
  for (const std::string& violation : check_abi_rules(header, text_of("core/abi/CHANGELOG.md"), sources)) ADD_FAILURE() << violation;
}

// A header with four rules, of which three are enforced and cited, and a number that is retired.
struct RulesTree {
  std::string header = "/* abi.h\n"
                       " *\n"
                       " * RULES. In brackets who enforces one: [host], [sdk] or [nobody]; R-02 is an example.\n"
                       " *  R-01 [host] Structs begin with their size\n"
                       " *       as R-02 says.\n"
                       " *  R-02 [sdk] Fields are appended.\n"
                       " *  R-04 [nobody] [any]: any thread.\n"
                       " *  R-05 [host] [serial]: one at a time.\n"
                       " * UNITS are part of a name.\n"
                       " */\n"
                       "/* R-01 again, of a field */\n";
  std::string changes = "R-03 is retired: nothing needs it.\n";
  std::vector<NamedText> sources{{"tests/unit/plugin/one_test.cpp", "// R-01\nTEST(One, Is) {} // R-05\n"},
                                 {"tests/sdk/two_test.cpp", "int x; // what R-02 says\n"},
                                 {"core/src/plugin/view.cpp", "// R-04, ISO-R-99, R-100, XR-98, R-97-x\n"}};

  std::vector<std::string> check() const { return check_abi_rules({"abi.h", header}, changes, sources); }
  void edit(std::string& text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  }
};

TEST(AbiRules, AreReadWithTheirLines) {
  const std::vector<AbiRule> rules = rules_of(RulesTree().header);
  ASSERT_THAT(rules, SizeIs(4));
  EXPECT_EQ(rules[0].number, 1);
  EXPECT_EQ(rules[0].line, 4U);
  EXPECT_EQ(rules[0].text, " [host] Structs begin with their size as R-02 says.");
  EXPECT_EQ(rules[2].enforcers, "[nobody]");
  EXPECT_EQ(rules[3].text, " [host] [serial]: one at a time.");
}

TEST(AbiRules, WithoutAFaultAreSound) { EXPECT_THAT(RulesTree().check(), IsEmpty()); }

TEST(AbiRules, EveryFaultIsSeenWhereItIs) {
  struct Row {
    std::string RulesTree::*text; // nullptr: the first test's
    const char* from;
    const char* to;
    const char* violation;
  };
  const auto header = &RulesTree::header;
  for (const Row& row : {Row{header, "R-05 [host]", "R-02 [host]", "abi.h:8: R-02 is there twice"},
                         {header, "*  R-02 [sdk]", "*  R-06 [sdk]", "abi.h:7: R-04 comes after R-06"},
                         {header, "R-05 [host]", "R-06 [host]", "abi.h:8: R-05 is missing before it"},
                         {&RulesTree::changes, "R-03", "R-09", "abi.h:7: R-03 is missing before it"},
                         {&RulesTree::changes, "R-03", "R-04 is retired, R-03", "abi.h:7: R-04 is retired"},
                         {header, "R-02 [sdk]", "R-02", "abi.h:6: R-02 begins with one of"},
                         {header, "R-02 [sdk]", "R-02 [sdk] [host]", "abi.h:6: R-02 begins with one of"},
                         {header, "as R-02 says", "as [host] says", "abi.h:4: R-01 begins with one of"},
                         {header, "R-02 [sdk] Fields", "R-02 Fields [sdk]", "abi.h:6: R-02 begins with one of"},
                         {header, "[nobody] [any]", "[host] [any]", "abi.h:7: no test names R-04"},
                         {header, " *  R-0", " * R-0", "abi.h:6: R-01 is missing"},
                         {nullptr, "R-01", "R-1", "abi.h:4: no test names R-01"},
                         {nullptr, "// R-05", "// R-06", "tests/unit/plugin/one_test.cpp:2: cites R-06, which is no rule"}}) {
    RulesTree tree;
    tree.edit(row.text == nullptr ? tree.sources[0].text : tree.*row.text, row.from, row.to);
    EXPECT_THAT(tree.check(), ::testing::Contains(HasSubstr(row.violation))) << row.from << " -> " << row.to;
  }
  RulesTree bare;
  bare.header = "/* nothing */";
  EXPECT_THAT(bare.check(), ::testing::Contains(HasSubstr("abi.h:1: has no rules")));
}

TEST(AbiRules, AreProvenByTestsAlone) {
  EXPECT_TRUE(proves_rules("tests/sdk/out_of_tree/build_test.bash"));
  for (const char* path : {"tests/lint/abi_rules_test.cpp", "tests/zoo/planner.c", "tests/support/sparse.cpp", "core/src/base/a_test.cpp"})
    EXPECT_FALSE(proves_rules(path)) << path;
  RulesTree tree;
  tree.sources[1].path = "tests/zoo/two.c";
  EXPECT_THAT(tree.check(), ::testing::ElementsAre(HasSubstr("no test names R-02")));
}

} // namespace
} // namespace plimsoll::lint
