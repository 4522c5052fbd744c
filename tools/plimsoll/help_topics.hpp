// What `plimsoll help TOPIC` says beside the commands: files that people write. Called by main.cpp only. Threads: constants.
#pragma once

#include <span>
#include <string_view>

namespace plimsoll::cli {

struct HelpTopic {
  std::string_view name, summary, text;
};

std::span<const HelpTopic> help_topics();

} // namespace plimsoll::cli
