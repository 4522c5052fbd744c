// The text of one request as its tokens come, up to the first of its stop strings. What may become a stop string is held back until it is
// certain. Called by the pipeline for every new token. Threads: [serial] per object.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "plimsoll/tokenizer.hpp"

namespace plimsoll {

inline constexpr std::size_t kMostStopStrings = 64, kMostStopBytes = 1024;

// kBadRequest: more strings, or longer ones, than above, or an empty one.
Result<void> check_stop_strings(std::span<const std::string> strings);

class StopText {
public:
  // `tokenizer` outlives it. The strings have been checked.
  StopText(const Tokenizer& tokenizer, std::vector<std::string> stop_strings)
      : stream_(tokenizer), stop_strings_(std::move(stop_strings)) {}

  // The text that is certain with one more token. Errors are the tokenizer's.
  Result<std::string> push(Token token);
  // What is still held back; nothing once a stop string came.
  std::string finish();
  // Whether a stop string came. The text ends before it.
  bool stopped() const { return stopped_; }

private:
  std::string certain_text();

  TextStream stream_;
  std::vector<std::string> stop_strings_;
  std::string pending_;
  bool stopped_ = false;
};

} // namespace plimsoll
