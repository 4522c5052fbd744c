// What users of such tools ask for (tests/data/requests.jsonl, a line each): every command answers as its line says, and
// tests/REQUESTS.md is the table of them. With PLIMSOLL_WRITE_PAGES set the page is written anew.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "cli/shell_line.hpp"

namespace plimsoll::cli_test {
namespace {

using Json = nlohmann::ordered_json;

std::vector<Json> rows() {
  std::vector<Json> out;
  std::istringstream lines(read_text(std::string(PLIMSOLL_TEST_DATA) + "/requests.jsonl"));
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) out.push_back(Json::parse(line));
  return out;
}

bool has(const Json& list, const Json& wanted) {
  for (const Json& entry : list) {
    bool same = entry.is_object();
    for (const auto& [key, value] : wanted.items()) same = same && entry.contains(key) && entry[key] == value;
    if (same) return true;
  }
  return false;
}

bool holds(const Json& got, const std::string& how, const Json& wanted) {
  if (how == "is") return got == wanted;
  if (how == "at least") return got.is_number() && got >= wanted;
  if (how == "at most") return got.is_number() && got <= wanted;
  if (how == "has") return has(got, wanted);
  if (how == "matches")
    return std::regex_search(got.is_string() ? got.get<std::string>() : got.dump(), std::regex(wanted.get<std::string>()));
  ADD_FAILURE() << "no such check: " << how;
  return false;
}

// As a page shows it: `verdict` is `fits`.
std::string shown(const Json& check) {
  const std::string at = check[0], value = check[2].is_string() ? check[2].get<std::string>() : check[2].dump();
  std::string text = (at.front() == '/' ? at.substr(1) : at) + " " + check[1].get<std::string>() + " " + value;
  for (std::size_t bar = text.find('|'); bar != std::string::npos; bar = text.find('|', bar + 2)) text.insert(bar, "\\");
  return "`" + text + "`";
}

std::string page() {
  std::string out =
      "# What users ask for\n\n"
      "Twenty-five requests to tools of this kind, in our words, and the commands that answer them. Made from\n"
      "`tests/data/requests.jsonl`, a line each, by `tests/cli/requests_test.cpp`, which runs every command and checks what stands in the\n"
      "last column; with `PLIMSOLL_WRITE_PAGES=1` it writes this page anew. Commands end with 0 unless the column says otherwise.\n\n"
      "| # | asked for | command | checked |\n|---|---|---|---|\n";
  for (const Json& row : rows()) {
    std::string checks = row["code"] == 0 ? "" : "ends with " + row["code"].dump();
    for (const Json& check : row["checks"]) checks += (checks.empty() ? "" : "; ") + shown(check);
    out += "| " + row["request"].dump() + " | " + row["asked"].get<std::string>() + " | `" + row["command"].get<std::string>() + "` | " +
           checks + " |\n";
  }
  return out;
}

class Requests : public ::testing::Test {
protected:
  Requests() : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(source_root());
  } // commands name files of the tests
  ~Requests() override { std::filesystem::current_path(before_); }
  std::filesystem::path before_;
};

TEST_F(Requests, EveryCommandAnswersAsItsLineSays) {
  std::size_t at = 0;
  for (const Json& row : rows()) {
    if (!is_tried(at++)) continue;
    const std::string command = row["command"];
    const Outcome outcome = run_line(command);
    EXPECT_EQ(outcome.code, row["code"]) << command << "\n" << outcome.out.substr(0, 2000) << outcome.err;
    const Json document = Json::parse(outcome.out, nullptr, false);
    for (const Json& check : row["checks"]) {
      const std::string where = check[0];
      Json got;
      if (where == "stdout") got = outcome.out;
      else if (where == "stderr") got = outcome.err;
      else if (const Json::json_pointer pointer(where); document.contains(pointer)) got = document[pointer];
      else {
        ADD_FAILURE() << command << ": nothing at " << where;
        continue;
      }
      EXPECT_TRUE(holds(got, check[1], check[2])) << command << ": " << check << ", found " << got.dump().substr(0, 500);
    }
  }
}

TEST_F(Requests, NoneIsLeftOut) {
  std::set<int> numbers;
  for (const Json& row : rows()) {
    numbers.insert(row["request"].get<int>());
    EXPECT_FALSE(row["checks"].empty()) << row;
  }
  EXPECT_EQ(numbers.size(), 25U);
  EXPECT_EQ(*numbers.rbegin(), 25);
}

TEST_F(Requests, ThePageIsTheTable) {
  const std::string path = source_root() + "/tests/REQUESTS.md";
  if (std::getenv("PLIMSOLL_WRITE_PAGES") != nullptr) std::ofstream(path) << page();
  EXPECT_EQ(read_text(path), page()) << "made anew with PLIMSOLL_WRITE_PAGES=1";
}

} // namespace
} // namespace plimsoll::cli_test
