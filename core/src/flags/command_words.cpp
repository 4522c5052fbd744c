// See command_words.hpp.
#include "flags/command_words.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/digit.hpp"
#include "base/nearest.hpp"
#include "engine/release.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kWhere = "the command behind --";
constexpr std::size_t kMostWords = 4'096;
constexpr std::size_t kMostWordBytes = 65'536;

// Commands that start the one behind them.
constexpr std::array<std::string_view, 6> kStarters{"env", "exec", "nohup", "sudo", "time", "nice"};
// Flags of docker run, podman's too, that take no value; every other one takes the next word.
constexpr std::array<std::string_view, 14> kContainerSwitches{"--rm",
                                                              "-it",
                                                              "-i",
                                                              "-t",
                                                              "-d",
                                                              "--detach",
                                                              "--init",
                                                              "-ti",
                                                              "-dit",
                                                              "--tty",
                                                              "--interactive",
                                                              "-itd",
                                                              "--privileged",
                                                              "--no-healthcheck"};

std::string base_name(const std::string& word) { return word.substr(word.rfind('/') + 1); }

bool is_python(std::string_view name) {
  constexpr std::string_view kPython = "python";
  if (!name.starts_with(kPython)) return false;
  name.remove_prefix(kPython.size());
  return std::all_of(name.begin(), name.end(), [](char c) { return is_digit(c) || c == '.'; });
}

Result<void> limits(std::span<const std::string> words) {
  if (words.size() > kMostWords)
    return fail(ErrorCode::kBadRequest, fmt::format("a command of {} words; at most {} are read", words.size(), kMostWords),
                std::string(kWhere));
  for (const std::string& word : words) {
    if (word.size() > kMostWordBytes)
      return fail(ErrorCode::kBadRequest, fmt::format("a word of {} bytes; at most {} are read", word.size(), kMostWordBytes),
                  word.substr(0, 60));
    const bool control = std::any_of(word.begin(), word.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return (byte < 0x20 && byte != '\n' && byte != '\t' && byte != '\r') || byte == 0x7f;
    });
    if (control)
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' holds a control character", word.substr(0, 60)), std::string(kWhere));
  }
  return {};
}

class Words {
public:
  Words(const std::vector<FlagTable>& tables, std::span<const std::string> words) : tables_(tables), words_(words) {}

  Result<StartedEngine> read() {
    StartedEngine out;
    variables(out);
    while (!words_.empty() && is_starter()) {
      words_ = words_.subspan(1);
      variables(out);
    }
    if (words_.size() > 2 && base_name(words_[0]) == "uv" && words_[1] == "run") words_ = words_.subspan(2);
    if (words_.empty()) return fail(ErrorCode::kBadRequest, "no command; give the whole line that starts the engine", std::string(kWhere));
    const std::string first = base_name(words_.front());
    if ((first == "docker" || first == "podman") && words_.size() > 1 && words_[1] == "run") {
      words_ = words_.subspan(2);
      PLIMSOLL_TRY(container(out));
      if (command(out)) return out; // an image may be given a whole command
      out.arguments.assign(words_.begin(), words_.end());
      return out;
    }
    if (!command(out)) return unknown();
    return out;
  }

private:
  bool is_starter() const { return std::find(kStarters.begin(), kStarters.end(), base_name(words_.front())) != kStarters.end(); }

  void variables(StartedEngine& out) {
    while (!words_.empty() && is_assignment(words_.front())) {
      add_variable(words_.front(), out);
      words_ = words_.subspan(1);
    }
  }

  static void add_variable(const std::string& word, StartedEngine& out) {
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos) out.environment.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }

  // The words of a table's command stand in front; flags of python between its words count for nothing.
  bool starts(const FlagCommand& command, std::size_t& taken) const {
    taken = 0;
    for (std::size_t at = 0; at < command.words.size(); ++at) {
      const std::string& wanted = command.words[at];
      while (at == 1 && command.words[0] == "python" && taken < words_.size() && words_[taken] != "-m" && words_[taken].starts_with('-'))
        ++taken;
      if (taken == words_.size()) return false;
      const std::string word = at == 0 ? base_name(words_[taken]) : words_[taken];
      if (word != wanted && !(at == 0 && wanted == "python" && is_python(word))) return false;
      ++taken;
    }
    return true;
  }

  bool command(StartedEngine& out) {
    std::size_t longest = 0;
    const FlagCommand* found = nullptr;
    for (const FlagTable& table : tables_)
      for (const FlagCommand& known : table.commands) {
        std::size_t taken = 0;
        if (!starts(known, taken) || taken <= longest) continue;
        longest = taken;
        found = &known;
        out.table = &table;
      }
    if (found == nullptr) return false;
    out.assumed = found->assumed;
    out.arguments.assign(words_.begin() + static_cast<std::ptrdiff_t>(longest), words_.end());
    return true;
  }

  Result<void> container(StartedEngine& out) {
    while (!words_.empty() && words_.front().starts_with('-')) {
      const std::string flag = words_.front();
      words_ = words_.subspan(1);
      const std::size_t equals = flag.find('=');
      const bool is_switch = std::find(kContainerSwitches.begin(), kContainerSwitches.end(), flag) != kContainerSwitches.end();
      if (equals == std::string::npos && !is_switch) {
        if (words_.empty())
          return fail(ErrorCode::kBadRequest, fmt::format("{} has no value, and no image follows", flag), std::string(kWhere));
        if (flag == "-e" || flag == "--env") add_variable(words_.front(), out);
        words_ = words_.subspan(1);
      } else if (flag.starts_with("--env=")) {
        add_variable(flag.substr(equals + 1), out);
      }
    }
    if (words_.empty()) return fail(ErrorCode::kBadRequest, "no image to run", std::string(kWhere));
    std::string image = words_.front();
    words_ = words_.subspan(1);
    image = image.substr(0, image.find('@'));
    const std::size_t colon = image.find(':', image.rfind('/') == std::string::npos ? 0 : image.rfind('/'));
    const std::string name = image.substr(0, colon), tag = colon == std::string::npos ? "" : image.substr(colon + 1);
    for (const FlagTable& table : tables_)
      if (std::any_of(table.images.begin(), table.images.end(), [&](const std::string& known) { return name.ends_with(known); }))
        out.table = &table;
    if (out.table == nullptr)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("'{}' is no image of an engine that is known; give the command that runs inside", name), std::string(kWhere));
    out.release = release_of(tag);
    return {};
  }

  // v0.11.0, v0.5.9-cu129, server-cuda-b6900; empty where a tag names no release.
  static std::string release_of(std::string_view tag) {
    while (!tag.empty()) {
      const std::string_view part = tag.substr(0, tag.find('-'));
      const bool numbered = part.size() > 1 && (part[0] == 'v' || part[0] == 'b' || is_digit(part[0])) && is_digit(part[1]);
      if (numbered && parse_release(part)) return std::string(part[0] == 'v' ? part.substr(1) : part);
      tag.remove_prefix(std::min(tag.size(), part.size() + 1));
    }
    return {};
  }

  tl::unexpected<Error> unknown() const {
    std::string known;
    std::vector<std::string> starts;
    for (const FlagTable& table : tables_)
      for (const FlagCommand& command : table.commands) starts.push_back(fmt::format("{}", fmt::join(command.words, " ")));
    const std::string typed = words_.size() > 1 && !words_[1].starts_with('-') ? words_[0] + " " + words_[1] : words_[0];
    const std::vector<std::string> close = nearest(typed, {starts.begin(), starts.end()}, 1);
    const std::string hint =
        close.empty() ? "give one such as vllm serve MODEL, or python -m sglang.launch_server" : "did you mean " + close.front();
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' starts no engine that is known; {}", words_[0].substr(0, 60), hint),
                std::string(kWhere));
  }

  const std::vector<FlagTable>& tables_;
  std::span<const std::string> words_;
};

} // namespace

bool is_assignment(const std::string& word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos || equals == 0 || is_digit(word[0])) return false;
  return std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals),
                     [](char c) { return c == '_' || is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); });
}

Result<StartedEngine> started_engine(const std::vector<FlagTable>& tables, std::span<const std::string> words) {
  PLIMSOLL_TRY(limits(words));
  return Words(tables, words).read();
}

} // namespace plimsoll
