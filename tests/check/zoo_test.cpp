// The check itself, checked: every plugin of the zoo breaks the one rule that it should and no other, the built-in plugins and the SDK's
// examples break none, and what it says can be acted upon.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <yaml-cpp/yaml.h>

#include "plimsoll/check.hpp"

namespace plimsoll::testing {
namespace {

namespace fs = std::filesystem;

const std::string kPlugins = std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/";
const std::string kCheckZoo = kPlugins + "zoo/check/";

struct Expected {
  std::string rule;
  int level = 1;
  friend void PrintTo(const Expected& expected, std::ostream* out) { *out << expected.rule; }
};
std::vector<Expected> expectations() {
  const YAML::Node root = YAML::LoadFile(PLIMSOLL_SOURCE_DIR "/tests/zoo/check/expectations.yaml");
  std::vector<Expected> out;
  for (const int level : {1, 2, 3})
    for (const YAML::Node& rule : root["level_" + std::to_string(level)]) out.push_back({rule.as<std::string>(), level});
  return out;
}

CheckReport checked(const std::string& folder, CheckOptions options = {}) {
  const auto report = check_plugin(folder, options);
  if (!report) ADD_FAILURE() << report.error().where << ": " << report.error().message;
  return report.value_or(CheckReport{});
}
std::vector<std::string> broken(const CheckReport& report) {
  std::vector<std::string> out;
  for (const CheckCase& one : report.cases)
    if (is_failure(one.status)) out.push_back(one.rule);
  return out;
}
std::string findings(const CheckReport& report) {
  std::string out;
  for (const CheckCase& one : report.cases)
    if (is_failure(one.status)) out += one.rule + ": " + one.detail + " (" + one.input + ")\n";
  return out;
}
const CheckCase& case_of(const CheckReport& report, const std::string& rule) {
  const auto it = std::find_if(report.cases.begin(), report.cases.end(), [&](const CheckCase& one) { return one.rule == rule; });
  static const CheckCase kNone;
  return it == report.cases.end() ? kNone : *it;
}

class CheckZoo : public ::testing::TestWithParam<Expected> {};

TEST_P(CheckZoo, BreaksThatRuleAlone) {
  CheckOptions options;
  options.level = std::max(GetParam().level, 2);
  const CheckReport report = checked(kCheckZoo + GetParam().rule, options);
  EXPECT_EQ(broken(report), std::vector<std::string>{GetParam().rule}) << findings(report);
  const CheckCase& one = case_of(report, GetParam().rule);
  EXPECT_FALSE(one.detail.empty());
  EXPECT_NE(one.repro.find("--only '^" + GetParam().rule + "$'"), std::string::npos) << one.repro;
}
INSTANTIATE_TEST_SUITE_P(All, CheckZoo, ::testing::ValuesIn(expectations()), [](const auto& one) {
  std::string name = one.param.rule;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Check, HasAPluginOrAReasonForEveryRule) {
  std::vector<std::string> known;
  for (const Expected& expected : expectations()) known.push_back(expected.rule);
  for (const YAML::Node& rule : YAML::LoadFile(PLIMSOLL_SOURCE_DIR "/tests/zoo/check/expectations.yaml")["others"])
    known.push_back(rule.as<std::string>());
  for (const CheckRule& rule : check_rules()) EXPECT_EQ(std::count(known.begin(), known.end(), rule.id), 1) << rule.id;
  EXPECT_EQ(known.size(), check_rules().size());
}

TEST(Check, FindsNothingAgainstASoundPlugin) {
  const CheckReport report = checked(kCheckZoo + "sound");
  EXPECT_EQ(findings(report), "");
  EXPECT_TRUE(report.loadable);
  EXPECT_EQ(report.inputs.size(), 1U);
}

class CheckOurs : public ::testing::TestWithParam<const char*> {};
TEST_P(CheckOurs, KeepsEveryRule) {
  const CheckReport report = checked(kPlugins + GetParam());
  EXPECT_EQ(findings(report), "");
  EXPECT_EQ(check_exit_code(report, false), 0);
}
INSTANTIATE_TEST_SUITE_P(All, CheckOurs,
                         ::testing::Values("plugins/dense", "plugins/mla", "plugins/moe", "plugins/hybrid", "plugins/vlm", "plugins/draft",
                                           "examples/com.acme.hybrid", "examples/com.acme.alias"),
                         [](const auto& one) {
                           std::string name = fs::path(one.param).filename().string();
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

// A folder of this test, with a plugin that it may spoil.
class CheckCopy : public ::testing::Test {
protected:
  CheckCopy() {
    std::string name = (fs::temp_directory_path() / "plimsoll_check_test_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    fs::copy(kCheckZoo + "sound", folder_, fs::copy_options::recursive);
  }
  ~CheckCopy() override { fs::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  fs::path folder_;
};

TEST_F(CheckCopy, OthersMayWriteIt) {
  fs::permissions(folder_ / "libfault.so", fs::perms::others_write, fs::perm_options::add);
  CheckOptions options;
  options.only = "^MAN";
  EXPECT_EQ(broken(checked(folder_.string(), options)), std::vector<std::string>{"MAN-04"});
}

// 2 x 1000 x 64, and of four layers 64 x 64 and 128 x 64.
constexpr std::uint64_t kSoundParameters = 2 * 1000 * 64 + 4 * (64 * 64 + 128 * 64);

TEST_F(CheckCopy, PublishedParametersAreHeldAgainstIt) {
  CheckOptions options;
  options.only = "^P-21$";
  options.parameters = kSoundParameters;
  EXPECT_EQ(case_of(checked(folder_.string(), options), "P-21").status, CheckStatus::kPass);
  options.parameters = kSoundParameters + 4 * 64 * 64;
  const CheckReport report = checked(folder_.string(), options);
  EXPECT_EQ(broken(report), std::vector<std::string>{"P-21"});
  const std::string& detail = case_of(report, "P-21").detail;
  EXPECT_NE(detail.find("16384 too few; class mix alone has 16384"), std::string::npos) << detail;
  EXPECT_NE(detail.find("the largest class is embedding with 64000 in 1 tensors"), std::string::npos) << detail;
}

TEST_F(CheckCopy, StoredTensorsAreHeldAgainstIt) {
  std::string map = R"("embedding.weight": "a", "head.weight": "a")";
  for (const char* layer : {"0", "1", "2", "3"})
    map += std::string(", \"layers.") + layer + ".mix.weight\": \"a\", \"layers." + layer + ".ffn.weight\": \"a\"";
  CheckOptions options;
  options.only = "^P-22$";
  options.headers = write("model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  EXPECT_EQ(findings(checked(folder_.string(), options)), "");
  options.headers = write("more.json", "{\"weight_map\": {\"norm.weight\": \"a\", " + map.substr(map.find(',') + 1) + "}}");
  const std::string detail = case_of(checked(folder_.string(), options), "P-22").detail;
  EXPECT_NE(detail.find("norm.weight is stored and not declared"), std::string::npos) << detail;
  EXPECT_NE(detail.find("embedding.weight is declared and not stored"), std::string::npos) << detail;
}

TEST_F(CheckCopy, WhatIsAskedForMustBeThere) {
  CheckOptions options;
  options.models = {"/there/is/no/such.json"};
  EXPECT_EQ(check_plugin(folder_.string(), options).error().code, ErrorCode::kBadRequest);
  options = {};
  options.only = "(";
  EXPECT_EQ(check_plugin(folder_.string(), options).error().where, "--only");
  options = {};
  options.level = 4;
  EXPECT_EQ(check_plugin(folder_.string(), options).error().where, "--level");
  options = {};
  options.headers = "/there/is/no/such.json";
  EXPECT_EQ(check_plugin(folder_.string(), options).error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(check_plugin("/there/is/no/such", {}).error().code, ErrorCode::kBadRequest);
  options = {};
  options.skip = ".";
  EXPECT_EQ(check_plugin(folder_.string(), options).error().where, "--only");
}

TEST_F(CheckCopy, IsToldOfEveryCaseInOrder) {
  CheckOptions options;
  options.only = "^MAN";
  std::vector<std::string> told;
  options.done = [&](const CheckCase& one) { told.push_back(one.rule); };
  checked(folder_.string(), options);
  EXPECT_EQ(told, (std::vector<std::string>{"MAN-01", "MAN-02", "MAN-03", "MAN-04", "MAN-05", "MAN-06", "MAN-07", "MAN-08"}));
}

} // namespace
} // namespace plimsoll::testing
