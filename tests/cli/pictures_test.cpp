// How plans are drawn: limits in words, the frontier as bars, Markdown, a page of HTML; each says what the document says.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <gmock/gmock.h>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::ordered_json;

std::string counted(std::uint64_t count) {
  std::string out = std::to_string(count);
  for (std::size_t at = out.size(); at > 3; at -= 3) out.insert(at - 3, ",");
  return out;
}

// The figures of models with windows and states are told apart, and are those of the document.
TEST(CliLimits, TokensThatAreCountedInSeveralWaysSayHow) {
  for (const auto& [model, devices] :
       {std::pair("google/gemma-3-27b-it", "2xH100"), std::pair("Qwen/Qwen3-Next-80B-A3B-Instruct", "4xH200")}) {
    const std::vector<std::string> line{"plan", model, "--devices", devices, "--engine", "vllm", "--max-length", "8192"};
    std::vector<std::string> json = line;
    json.insert(json.end(), {"--format", "json"});
    const Json document = Json::parse(run(json).out);
    const Json &kv = document["kv_cache"], &limits = document["limits"];
    const std::string table = run(line).out;
    EXPECT_THAT(table, HasSubstr(counted(limits["max_supported_sequence_length"]) + " of one request alone"));
    EXPECT_THAT(table, HasSubstr(counted(kv["capacity_tokens"]) + " in all pages"));
    EXPECT_THAT(table, HasSubstr(counted(kv["engine_reported_tokens"]) + " as vllm prints them"));
  }
  EXPECT_THAT(run({"plan", "meta-llama/Llama-3.1-8B", "--devices", "H100"}).out, Not(HasSubstr("in all pages")));
}

// What does not hold one request shows no capacity beside its shortfall.
TEST(CliLimits, AMisfitPromisesNothing) {
  for (const char* engine : {"max", "vllm", "sglang", "llama.cpp", "tensorrt-llm"})
    for (const char* devices : {"RTX-3090", "8GiB"}) {
      const std::string out =
          run({"plan", "meta-llama/Llama-3.1-8B", "--devices", devices, "--engine", engine, "--max-length", "131072"}).out;
      EXPECT_THAT(out, HasSubstr("does not fit")) << engine << ' ' << devices;
      EXPECT_THAT(out, HasSubstr("longest request   131,072 tokens; the memory holds ")) << engine << ' ' << devices;
      for (const char* wrong : {"at full length", "KV capacity", "holds one of 0"})
        EXPECT_THAT(out, Not(HasSubstr(wrong))) << engine << ' ' << devices;
    }
}

TEST(CliFrontier, IsDrawnAsBarsAndWithoutThemInC) {
  const std::vector<std::string> line{"plan",       "Qwen/Qwen3-32B",       "--devices", "2xH100", "--engine", "vllm",
                                      "--frontier", "--frontier-kv-dtypes", "fp8"};
  const std::string bars = run({.arguments = line, .environment = {"LC_ALL=C.UTF-8"}}).out;
  EXPECT_THAT(bars, HasSubstr("\u2588"));
  const std::string ascii = run({.arguments = line, .environment = {"LC_ALL=C"}}).out;
  for (const char* type : {"  bfloat16       ", "  float8_e4m3fn  "}) EXPECT_THAT(ascii, HasSubstr(type));
  EXPECT_THAT(ascii, HasSubstr("  #"));
  EXPECT_THAT(ascii, HasSubstr(" of 256 tokens to "));
  EXPECT_THAT(ascii, Not(HasSubstr("\u2588")));
}

// A tag of the page: its name, whether it opens, closes or is both, and its attributes.
struct Tag {
  std::string name;
  bool closes = false, is_empty = false;
  std::map<std::string, std::string> attributes;
};

// Reads a page as XML: every tag closes in order, every attribute is quoted, nothing but the five entities and numbers is named, and
// no '<' stands anywhere else. Fails the test where that is not so; gives the tags and, in `text`, what stands between them.
std::vector<Tag> tags_of(const std::string& page, std::string& text) {
  std::vector<Tag> out;
  std::vector<std::string> open;
  EXPECT_THAT(page, ::testing::StartsWith("<!DOCTYPE html>\n"));
  for (std::size_t at = page.find('\n'); at < page.size();) {
    const std::size_t next = std::min(page.find('<', at), page.size());
    text += page.substr(at, next - at);
    if (next == page.size()) break;
    static const std::regex grammar(R"(<(/?)([a-z][a-z0-9]*)((?: [a-zA-Z][a-zA-Z0-9-]*="[^"<>]*")*)(/?)>)");
    std::smatch found;
    const std::size_t end = std::min(page.find('>', next), page.size() - 1) + 1;
    const std::string one = page.substr(next, end - next);
    if (!std::regex_match(one, found, grammar)) {
      ADD_FAILURE() << "no tag: " << one.substr(0, 200);
      return out;
    }
    Tag tag{found[2], found[1].length() > 0, found[4].length() > 0, {}};
    const std::string attributes = found[3];
    static const std::regex pair(R"x( ([a-zA-Z][a-zA-Z0-9-]*)="([^"]*)")x");
    for (std::sregex_iterator it(attributes.begin(), attributes.end(), pair); it != std::sregex_iterator(); ++it)
      tag.attributes[(*it)[1]] = (*it)[2];
    if (tag.closes) {
      EXPECT_TRUE(!open.empty() && open.back() == tag.name) << "closed out of order: " << tag.name;
      if (!open.empty()) open.pop_back();
    } else if (!tag.is_empty) {
      open.push_back(tag.name);
    }
    at = end;
    out.push_back(std::move(tag));
  }
  EXPECT_TRUE(open.empty()) << open.size() << " tags are open at the end";
  return out;
}

const std::vector<std::vector<std::string>>& pages() {
  static const std::vector<std::vector<std::string>> all{
      {"plan", "google/gemma-3-27b-it", "--devices", "2xH100", "--engine", "vllm", "--frontier-kv-dtypes", "fp8"},
      {"plan", "deepseek-ai/DeepSeek-V3", "--devices", "8xH200", "--ep", "8"},
      {"plan", "meta-llama/Llama-3.1-70B", "--devices", "2xH100,2xA100-40GB", "--engine", "vllm", "--max-length", "8192"},
      {"plan", "openai/gpt-oss-120b", "--devices", "RTX-4090", "--engine", "llama.cpp", "--host", "64GiB", "--n-cpu-moe", "auto"},
      {"plan", "meta-llama/Llama-3.1-8B", "--devices", "80GiB,24GiB", "--accounting", "pooled"}};
  return all;
}

std::string page_of(std::vector<std::string> line) {
  line.insert(line.end(), {"--format", "html"});
  return run(line).out;
}

TEST(CliPage, IsWellFormedAndNamesNothingOutside) {
  for (const std::vector<std::string>& line : pages()) {
    SCOPED_TRACE(::testing::PrintToString(line));
    const std::string page = page_of(line);
    std::string text;
    std::map<std::string, int> seen;
    for (const Tag& tag : tags_of(page, text)) {
      if (!tag.closes) ++seen[tag.name];
      for (const auto& [name, value] : tag.attributes) {
        EXPECT_FALSE(name.starts_with("on") || name == "style" || name == "src" || name == "href") << name;
        if (name == "id") {
          EXPECT_EQ(++seen["#" + value], 1) << "twice: " << value;
        }
      }
    }
    for (const char* one : {"html", "head", "style", "script", "main", "h1"}) EXPECT_EQ(seen[one], 1) << one;
    EXPECT_GE(seen["svg"], 1);
    EXPECT_GE(seen["details"], 3);
    for (const char* outside : {"http:", "https:", "//", "url(", "@import", "src=", "href="}) EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
}

// The document's figures, one by one: of each kind of device, and of every item of its first rank.
TEST(CliPage, SaysTheNumbersOfTheDocument) {
  for (const std::vector<std::string>& line : pages()) {
    SCOPED_TRACE(::testing::PrintToString(line));
    std::vector<std::string> json = line;
    json.insert(json.end(), {"--format", "json"});
    const Json document = Json::parse(run(json).out);
    const std::string page = page_of(line);
    for (const Json& device : document["devices"])
      for (const auto& [key, value] : device.items())
        if (key.ends_with("_bytes") && value != 0) {
          const std::size_t row = page.find("<tr data-figure=\"" + key + "\">");
          ASSERT_NE(row, std::string::npos) << key;
          EXPECT_THAT(page.substr(row, page.find("</tr>", row) - row), HasSubstr("data-bytes=\"" + value.dump() + "\"")) << key;
        }
    for (const char* list : {"items", "covered_items"})
      for (const Json& item : document[list]) {
        if (item["rank"] != 0) continue;
        EXPECT_THAT(page, HasSubstr("data-bytes=\"" + item["bytes"].dump() + "\">" + counted(item["bytes"]) + "</td>")) << item["label"];
      }
    for (const Json& advice : document["advice"]) EXPECT_THAT(page, HasSubstr(advice["command"].get<std::string>()));
    EXPECT_THAT(page, HasSubstr("class=\"verdict " + document["verdict"].get<std::string>() + "\""));
  }
}

// The SHA-256 of a file in base 64.
std::string hash_of(const std::string& file) {
  FILE* const pipe = popen(("sha256sum < '" + file + "'").c_str(), "r"); // NOLINT: a program of every system that knows hashes
  std::array<char, 65> hex{};
  if (pipe == nullptr) return {};
  const std::size_t got = std::fread(hex.data(), 1, 64, pipe);
  pclose(pipe);
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0, held = 0;
  for (std::size_t at = 0; at + 1 < got; at += 2) {
    bits = bits << 8 | static_cast<unsigned>(std::stoul(std::string(&hex[at], 2), nullptr, 16));
    for (held += 8; held >= 6; held -= 6) out += kDigits[bits >> (held - 6) & 63U];
  }
  if (held > 0) out += kDigits[bits << (6 - held) & 63U];
  return out + std::string((4 - out.size() % 4) % 4, '=');
}

// The policy of the page lets its own style and script run, and nothing else.
TEST(CliPage, ItsPolicyKnowsItsStyleAndScript) {
  const std::string page = page_of(pages().front());
  for (const char* tag : {"style", "script"}) {
    const std::string opens = std::string("<") + tag + ">", closes = std::string("</") + tag + ">";
    const std::size_t begin = page.find(opens) + opens.size();
    const std::string file = write_scratch(std::string(tag) + ".txt", page.substr(begin, page.find(closes) - begin));
    EXPECT_THAT(page, HasSubstr(std::string(tag) + "-src &#39;sha256-" + hash_of(file) + "&#39;"));
  }
  EXPECT_THAT(page, HasSubstr("default-src &#39;none&#39;"));
}

// What strangers write is text, in the page as in Markdown.
TEST(CliPage, WhatStrangersWriteIsText) {
  const std::vector<std::pair<std::string, std::string>> names{
      {R"("><img src=x onerror=alert(1)>)", "&quot;&gt;&lt;img src=x onerror=alert(1)&gt;"},
      {"&lt;b&gt;'\"", "&amp;lt;b&amp;gt;&#39;&quot;"},
      {"\xff\xfe\xc0\xaf\xed\xa0\x80", "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd</bdi>"},
      {"\u202egnp.exe", "\ufffdgnp.exe"},
      {"a|b`c`\x1b[2J", "a|b`c`?[2J"}};
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto& [name, shown] = names[i];
    const std::string folder = scratch_folder() + "/" + name;
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(data_path("llama") + "/config.json", folder + "/config.json",
                               std::filesystem::copy_options::overwrite_existing);
    const std::string page = page_of({"plan", folder, "--devices", "80GiB"});
    std::string text;
    tags_of(page, text);
    EXPECT_THAT(page, HasSubstr(shown)) << i;
    EXPECT_THAT(page, Not(HasSubstr("<img"))) << i;
    const std::string markdown = run({"plan", folder, "--devices", "80GiB", "--format", "markdown"}).out;
    EXPECT_THAT(markdown, Not(HasSubstr("\x1b"))) << i;
    const std::string fence = "\n```sh\nplimsoll plan ";
    EXPECT_THAT(markdown, HasSubstr(fence)) << i;
  }
  const std::string page = page_of({"plan", data_path("llama"), "--devices", "</title><script>alert(1)</script>=80GiB"});
  std::string text;
  tags_of(page, text);
  EXPECT_THAT(page, HasSubstr("&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
}

TEST(CliMarkdown, HasTheTablesOfAPlan) {
  const std::string text = run({"plan", "meta-llama/Llama-3.1-70B", "--devices", "2xH100,2xA100-40GB", "--engine", "vllm", "--max-length",
                                "8192", "--format", "markdown"})
                               .out;
  for (const char* part : {"# does not fit: `meta-llama/Llama-3.1-70B`\n", "\n## Devices\n", "| 2-3 | A100-40GB |", "\n## Limits\n",
                           "\n## What would help\n", "\n```sh\nplimsoll plan meta-llama/Llama-3.1-70B", "\n## Command\n"})
    EXPECT_THAT(text, HasSubstr(part));
  // Every row of a table has as many cells as its heading.
  std::istringstream lines(text);
  std::size_t cells = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('|')) {
      cells = 0;
      continue;
    }
    const auto here = static_cast<std::size_t>(std::count(line.begin(), line.end(), '|'));
    if (cells == 0) cells = here;
    EXPECT_EQ(here, cells) << line;
  }
  const Outcome failed = run({"plan", "no/such", "--devices", "H100", "--format", "html"});
  EXPECT_EQ(failed.code, 2);
  EXPECT_EQ(failed.out, "");
  EXPECT_EQ(run({"weights", data_path("llama"), "--format", "html"}).code, 2);
}

} // namespace
} // namespace plimsoll::cli_test
