// See man_page.hpp.
#include "man_page.hpp"

#include <fmt/format.h>
#include <string_view>

namespace plimsoll::pages {
namespace {

// Text as it is: nothing in it is a request or an escape, and dashes stay what a shell wants.
std::string plain(std::string_view text) {
  std::string out;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else out += c;
    at_start = c == '\n';
  }
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

std::string head(const Help& help, const std::string& name, std::string_view summary) {
  return fmt::format(".TH \"{}\" 1 \"\" \"Plimsoll {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n", plain(upper(name)), help.version,
                     plain(name), plain(summary));
}

// Lines that begin with blanks are shown as they are, as examples are.
std::string paragraphs(std::string_view text) {
  std::string out;
  bool shown = false;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const bool example = line.starts_with("  ");
    if (example != shown) out += example ? ".PP\n.nf\n" : ".fi\n.PP\n";
    shown = example;
    out += plain(line) + "\n";
  }
  return out + (shown ? ".fi\n" : "");
}

std::string item(const std::string& term, std::string_view text) { return fmt::format(".TP\n{}\n{}\n", term, plain(text)); }

std::string term_of(const HelpOption& option) {
  std::string out;
  for (const std::string& name : option.names) out += fmt::format("{}\\fB{}\\fR", out.empty() ? "" : ", ", plain(name));
  return option.argument.empty() ? out : fmt::format("{} \\fI{}\\fR", out, plain(option.argument));
}

constexpr std::string_view kExitCodes =
    ".SH \"EXIT STATUS\"\n0: it fits; 1: it does not; 2: wrong usage or input; 3: a plugin failed; 4: internal.\n";

constexpr std::string_view kEnvironment = ".SH ENVIRONMENT\n"
                                          ".TP\n\\fBPLIMSOLL_PLUGIN_PATH\\fR\nFolders of plugins, whole paths separated by colons, "
                                          "searched after those of \\fB\\-\\-plugin\\-path\\fR.\n"
                                          ".TP\n\\fBXDG_DATA_HOME\\fR, \\fBHOME\\fR\nPlugins of the user lie in \\fIplimsoll/plugins\\fR "
                                          "of the former, or in \\fI.local/share/plimsoll/plugins\\fR.\n"
                                          ".TP\n\\fBNO_COLOR\\fR\nNo colours, where it is set.\n";

} // namespace

std::string program_page(const Help& help) {
  std::string out = head(help, "plimsoll", "plans the memory of a language model before anything is loaded");
  out += ".SH SYNOPSIS\n.B plimsoll\n\\fICOMMAND\\fR [\\fIoptions\\fR]\n"
         ".SH DESCRIPTION\nGiven a model, the devices and how it will be served, says per device, to the byte, what weights, activations, "
         "signal\n"
         "buffers and caches take, what is left, how long a request and how large a batch may be, and why.\n.SH COMMANDS\n";
  for (const HelpCommand& command : help.commands)
    out += item(fmt::format("\\fBplimsoll\\-{}\\fR(1)", plain(command.name)), command.summary);
  return out + std::string(kExitCodes) + std::string(kEnvironment);
}

std::string command_page(const Help& help, const HelpCommand& command) {
  const std::string name = "plimsoll-" + command.name;
  std::string summary = command.description;
  while (!summary.empty() && summary.back() == '.') summary.pop_back();
  std::string out = head(help, name, summary);
  out += fmt::format(".SH SYNOPSIS\n.B plimsoll {}\n[\\fIoptions\\fR]", plain(command.name));
  for (const auto& [argument, text] : command.arguments) out += fmt::format(" [\\fI{}\\fR]", plain(argument));
  out += fmt::format("\n.SH DESCRIPTION\n{}\n", plain(command.description));
  for (const auto& [argument, text] : command.arguments) out += item(fmt::format("\\fI{}\\fR", plain(argument)), text);
  std::string group;
  for (const HelpOption& option : command.options) {
    if (option.group != group) out += fmt::format(".SH \"{}\"\n", plain(upper(option.group)));
    group = option.group;
    out += item(term_of(option), option.help);
  }
  if (!command.notes.empty()) out += ".SH NOTES\n" + paragraphs(command.notes);
  return out + ".SH \"SEE ALSO\"\n\\fBplimsoll\\fR(1)\n";
}

} // namespace plimsoll::pages
