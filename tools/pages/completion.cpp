// See completion.hpp.
#include "completion.hpp"

#include <fmt/format.h>
#include <string_view>

namespace plimsoll::pages {
namespace {

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : std::string(between)) + word;
  return out;
}

// Between single quotes of bash and zsh.
std::string for_quotes(std::string_view text, std::string_view quote) {
  std::string out;
  for (const char c : text) out += c == '\'' ? std::string(quote) : std::string(1, c);
  return out;
}

// In a description of zsh's _arguments: brackets and colons would end it.
std::string for_zsh(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return for_quotes(out, "'\\''");
}

std::string for_fish(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_value(const HelpOption& option) {
  if (option.argument.empty()) return "";
  const std::vector<std::string> choices = option.choices();
  const std::string action = !choices.empty() ? "(" + joined(choices, " ") + ")" : option.is_path() ? "_files" : " ";
  return fmt::format(":{}:{}", for_zsh(option.argument), action);
}

} // namespace

std::string bash_completion(const Help& help) {
  std::string commands, options, values;
  for (const HelpCommand& command : help.commands) {
    commands += (commands.empty() ? "" : " ") + command.name;
    std::string names;
    for (const HelpOption& option : command.options) names += (names.empty() ? "" : " ") + joined(option.names, " ");
    options += fmt::format("    {}) options='{}' ;;\n", command.name, names);
    for (const HelpOption& option : command.options) {
      if (option.argument.empty()) continue;
      std::string name;
      for (const std::string& each : option.names) name += fmt::format("{}{}:{}", name.empty() ? "" : "|", command.name, each);
      const std::vector<std::string> choices = option.choices();
      if (!choices.empty()) values += fmt::format("    {}) words='{}' ;;\n", name, joined(choices, " "));
      else if (!option.is_path()) values += fmt::format("    {}) return ;;\n", name);
      else values += fmt::format("    {}) paths=1 ;;\n", name);
    }
  }
  return fmt::format(R"(# Completion of plimsoll for bash.
_plimsoll() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command=${{COMP_WORDS[1]}} options= words= paths=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W '{} --help --version' -- "$word")
    return
  fi
  case $command:$before in
{}  esac
  case $command in
{}  esac
  if [[ -z $words$paths && $word == -* ]]; then
    words=$options
  fi
  if [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}}
complete -F _plimsoll plimsoll
)",
                     commands, values, options);
}

std::string zsh_completion(const Help& help) {
  std::string commands, cases;
  for (const HelpCommand& command : help.commands) {
    commands += fmt::format("    '{}:{}'\n", command.name, for_zsh(command.summary));
    cases += fmt::format("    {})\n      _arguments -s \\\n", command.name);
    for (const HelpOption& option : command.options) {
      const std::string described = fmt::format("'[{}]{}'", for_zsh(option.help), zsh_value(option));
      if (option.names.size() == 1) cases += fmt::format("        '*'{}{} \\\n", option.names.front(), described);
      else cases += fmt::format("        '*'{{{}}}{} \\\n", joined(option.names, ","), described);
    }
    cases += "        '*:path:_files' ;;\n";
  }
  return fmt::format(R"(#compdef plimsoll
# Completion of plimsoll for zsh.
_plimsoll() {{
  local -a commands
  commands=(
{}  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
{}  esac
}}
_plimsoll "$@"
)",
                     commands, cases);
}

std::string fish_completion(const Help& help) {
  std::string out = "# Completion of plimsoll for fish.\n";
  for (const HelpCommand& command : help.commands)
    out += fmt::format("complete -c plimsoll -n __fish_use_subcommand -f -a {} -d '{}'\n", command.name, for_fish(command.summary));
  for (const HelpCommand& command : help.commands)
    for (const HelpOption& option : command.options) {
      out += fmt::format("complete -c plimsoll -n '__fish_seen_subcommand_from {}'", command.name);
      for (const std::string& name : option.names)
        out += name.starts_with("--") ? fmt::format(" -l {}", name.substr(2)) : fmt::format(" -s {}", name.substr(1));
      const std::vector<std::string> choices = option.choices();
      if (!choices.empty()) out += fmt::format(" -x -a '{}'", joined(choices, " "));
      else if (option.is_path()) out += " -r -F";
      else if (!option.argument.empty()) out += " -x";
      out += fmt::format(" -d '{}'\n", for_fish(option.help));
    }
  return out;
}

} // namespace plimsoll::pages
