// What a plan does not take from an engine's command line or file, and why: as warnings. Threads: plain values.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "plimsoll/host.hpp"

namespace plimsoll {

class FlagNotes {
public:
  // It takes no memory of a device.
  void ignored(const std::string& flag, const std::string& because);
  // It takes memory, or changes what takes it, and is not planned.
  void unplanned(const std::string& flag, const std::string& because);
  // Nothing is known of it.
  void unknown(const std::string& flag, const std::string& what);
  // What is ignored for one reason is one warning.
  std::vector<Warning> warnings() const;

private:
  std::vector<std::pair<std::string, std::vector<std::string>>> ignored_; // reason -> flags
  std::vector<Warning> others_;
};

} // namespace plimsoll
