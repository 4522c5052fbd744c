// The screens that pages show are those that the program prints: every `$ plimsoll ...` of README.md and of the recipes is run, and
// what follows it is what comes out. With PLIMSOLL_WRITE_PAGES set the screens are written anew.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <ostream>
#include <regex>
#include <sstream>

#include "cli/shell_line.hpp"

namespace plimsoll::cli_test {
namespace {

constexpr std::string_view kShownCommand = "$ plimsoll ";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

// What differs from run to run: how fast it went.
std::string steady(const std::string& text) { return std::regex_replace(text, std::regex("[0-9]+/s"), "N/s"); }

// The page with every screen as the program prints it now. A command may go on behind a backslash. Other lines stay.
std::string with_real_screens(const std::string& page, std::vector<std::string>& differ) {
  std::string out;
  const std::vector<std::string> lines = lines_of(page);
  bool inside = false;
  for (std::size_t at = 0; at < lines.size(); ++at) {
    if (lines[at].starts_with("```")) inside = !inside;
    out += lines[at] + "\n";
    if (!inside || !lines[at].starts_with(kShownCommand)) continue;
    std::string command = lines[at].substr(2);
    while (command.ends_with(" \\") && at + 1 < lines.size()) {
      out += lines[++at] + "\n";
      command.resize(command.size() - 1);
      command += lines[at].substr(std::min(lines[at].size(), lines[at].find_first_not_of(' ')));
    }
    std::string shown;
    while (at + 1 < lines.size() && !lines[at + 1].starts_with("```") && !lines[at + 1].starts_with("$ ")) shown += lines[++at] + "\n";
    const Outcome outcome = run_line(command, {"LANG=C.UTF-8"});
    std::string real = outcome.out + outcome.err;
    const bool next_command = at + 1 < lines.size() && lines[at + 1].starts_with("$ ");
    if (next_command && shown.ends_with("\n\n")) real += "\n"; // a blank line for the eye
    if (steady(real) != steady(shown)) differ.push_back(command + "\nprints\n" + real + "and not\n" + shown);
    out += steady(real) == steady(shown) ? shown : real;
  }
  return out;
}

class Pages : public ::testing::TestWithParam<const char*> {
protected:
  Pages() : before_(std::filesystem::current_path()) { std::filesystem::current_path(source_root()); } // commands name files of the tests
  ~Pages() override { std::filesystem::current_path(before_); }
  std::filesystem::path before_;
};

TEST_P(Pages, ShowWhatTheProgramPrints) {
  if (kSanitized) GTEST_SKIP() << "the same program, slower";
  const std::string path = source_root() + "/" + GetParam(), page = read_text(path);
  ASSERT_NE(page.find(kShownCommand), std::string::npos) << path;
  std::vector<std::string> differ;
  const std::string real = with_real_screens(page, differ);
  if (std::getenv("PLIMSOLL_WRITE_PAGES") != nullptr) {
    std::ofstream(path) << real;
    return;
  }
  for (const std::string& one : differ) ADD_FAILURE() << GetParam() << ", made anew with PLIMSOLL_WRITE_PAGES=1: " << one;
}

std::string page_name(const ::testing::TestParamInfo<const char*>& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  return name;
}

INSTANTIATE_TEST_SUITE_P(Shown, Pages, ::testing::Values("README.md", "tools/plimsoll/recipes.md"), page_name);

// The commands of the README's list are taken as they stand. One asks for a log that nobody has, one for a GPU.
TEST_P(Pages, ListCommandsThatAreTaken) {
  constexpr std::string_view kListed = "build/bin/";
  std::size_t at = 0;
  for (const std::string& line : lines_of(read_text(source_root() + "/" + GetParam()))) {
    if (!line.starts_with(kListed) || line.find("server.log") != std::string::npos || !is_tried(at++)) continue;
    const Outcome outcome = run_line(std::regex_replace(line.substr(kListed.size()), std::regex(" -o [^ ]+"), "")); // writes nothing
    if (line.find("verify") != std::string::npos && line.find("--run") == std::string::npos) {
      EXPECT_EQ(outcome.err.find("see plimsoll"), std::string::npos) << line << outcome.err;
      continue;
    }
    EXPECT_TRUE(outcome.code == 0 || outcome.code == 1) << line << "\n" << outcome.err;
  }
}

// The test must see what it looks for.
TEST(PagesThemselves, AWrongScreenIsSeen) {
  std::vector<std::string> differ;
  const std::string version = run_line("plimsoll version").out;
  const std::string page = "```\n$ plimsoll version\n" + version + "```\n$ plimsoll is no screen\n";
  EXPECT_EQ(with_real_screens(page, differ), page);
  EXPECT_TRUE(differ.empty());
  EXPECT_EQ(with_real_screens("```\n$ plimsoll \\\n  version\nplimsoll 0\n```\n", differ),
            "```\n$ plimsoll \\\n  version\n" + version + "```\n");
  EXPECT_EQ(differ.size(), 1U);
}

} // namespace
} // namespace plimsoll::cli_test
