// See asked_help.hpp.
#include "asked_help.hpp"

#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <sys/wait.h>

namespace plimsoll::pages {
namespace {

using Json = nlohmann::json;

constexpr int kNotInThisBuild = 2; // a command that this build lacks is wrong usage

struct Answer {
  int code = 0;
  std::string out;
};

std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

Answer ask(const std::string& program, const std::string& command) {
  const std::string line = fmt::format("{} {} --help --format json", quoted(program), command);
  FILE* const pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error(line + ": cannot be started");
  Answer answer;
  std::array<char, 4096> chunk{};
  while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe)) answer.out.append(chunk.data(), got);
  const int status = pclose(pipe);
  answer.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (answer.code != 0 && answer.code != kNotInThisBuild) throw std::runtime_error(fmt::format("{}: ended with {}", line, answer.code));
  return answer;
}

HelpOption option_of(const Json& said) {
  HelpOption out;
  out.names = said.at("names").get<std::vector<std::string>>();
  if (said.at("argument").is_string()) out.argument = said.at("argument");
  out.help = said.at("help");
  out.group = said.at("group");
  return out;
}

void describe(HelpCommand& command, const Json& said) {
  command.description = said.at("summary");
  command.notes = said.at("notes");
  for (const Json& argument : said.at("arguments")) command.arguments.emplace_back(argument.at("name"), argument.at("help"));
  for (const Json& option : said.at("options")) command.options.push_back(option_of(option));
}

} // namespace

std::vector<std::string> HelpOption::choices() const {
  if (argument.find('|') == std::string::npos) return {};
  std::vector<std::string> out(1);
  for (const char c : argument) {
    if (c == '|') out.emplace_back();
    else if ((c >= 'a' && c <= 'z') || c == '-') out.back() += c;
    else return {};
  }
  return out;
}

bool HelpOption::is_path() const { return argument.starts_with("FILE") || argument == "DIR" || argument == "MODEL"; }

Help ask_for_help(const std::string& program) {
  const Json said = Json::parse(ask(program, "").out);
  Help out;
  out.version = said.at("version");
  for (const Json& listed : said.at("commands")) {
    HelpCommand command;
    command.name = listed.at("name");
    command.summary = listed.at("summary");
    const Answer answer = ask(program, command.name);
    if (answer.code == kNotInThisBuild) continue;
    describe(command, Json::parse(answer.out));
    out.commands.push_back(std::move(command));
  }
  return out;
}

} // namespace plimsoll::pages
