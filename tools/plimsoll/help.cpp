// See help.hpp.
#include "help.hpp"

#include <nlohmann/json.hpp>

#include "plimsoll/host.h"

namespace plimsoll::cli {
namespace {

using HelpJson = nlohmann::ordered_json;

HelpJson names_of(const CLI::Option& option) {
  HelpJson out = HelpJson::array();
  for (const std::string& name : option.get_snames()) out.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) out.push_back("--" + name);
  return out;
}

} // namespace

std::string program_help_json(const std::vector<CommandSummary>& commands, std::span<const HelpTopic> topics) {
  HelpJson out{{"schema", "plimsoll.help/1"}, {"program", "plimsoll"}, {"version", plimsoll_version()}, {"commands", HelpJson::array()}};
  for (const CommandSummary& command : commands) out["commands"].push_back({{"name", command.name}, {"summary", command.summary}});
  out["topics"] = HelpJson::array();
  for (const HelpTopic& topic : topics) out["topics"].push_back({{"name", topic.name}, {"summary", topic.summary}});
  return out.dump(2);
}

std::string topic_help_json(const HelpTopic& topic) {
  return HelpJson{{"schema", "plimsoll.help/1"}, {"topic", topic.name}, {"summary", topic.summary}, {"text", topic.text}}.dump(2);
}

std::string command_help_json(const CLI::App& command) {
  HelpJson out{{"schema", "plimsoll.help/1"},    {"command", command.get_name()}, {"summary", command.get_description()},
               {"arguments", HelpJson::array()}, {"options", HelpJson::array()},  {"notes", command.get_footer()}};
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty()) continue; // taken, and of no use to this command
    if (option->get_positional()) {
      out["arguments"].push_back({{"name", option->get_single_name()}, {"help", option->get_description()}});
      continue;
    }
    const bool takes_value = option->get_items_expected_max() > 0;
    out["options"].push_back({{"names", names_of(*option)},
                              {"argument", takes_value ? HelpJson(option->get_type_name()) : HelpJson()},
                              {"help", option->get_description()},
                              {"group", option->get_group()}});
  }
  return out.dump(2);
}

} // namespace plimsoll::cli
