#include "runtime/stop_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string_view>

namespace plimsoll {
namespace {

// How many bytes at the end of `text` could be the beginning of `stop`.
std::size_t begun_bytes(std::string_view text, std::string_view stop) {
  for (std::size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n)
    if (text.ends_with(stop.substr(0, n))) return n;
  return 0;
}

} // namespace

Result<void> check_stop_strings(std::span<const std::string> strings) {
  if (strings.size() > kMostStopStrings)
    return fail(ErrorCode::kBadRequest, fmt::format("{} strings; at most {} are possible", strings.size(), kMostStopStrings),
                "stop_strings");
  for (const std::string& text : strings)
    if (text.empty() || text.size() > kMostStopBytes)
      return fail(ErrorCode::kBadRequest, fmt::format("a string of {} B; 1 to {} were expected", text.size(), kMostStopBytes),
                  "stop_strings");
  return {};
}

std::string StopText::certain_text() {
  std::size_t end = std::string::npos;
  for (const std::string& stop : stop_strings_) end = std::min(end, pending_.find(stop));
  stopped_ = end != std::string::npos;
  std::size_t held_back = 0;
  for (const std::string& stop : stop_strings_) held_back = std::max(held_back, begun_bytes(pending_, stop));
  const std::string text = pending_.substr(0, stopped_ ? end : pending_.size() - held_back);
  pending_.erase(0, stopped_ ? pending_.size() : text.size());
  return text;
}

Result<std::string> StopText::push(Token token) {
  PLIMSOLL_ASSIGN(const std::string text, stream_.push(token));
  pending_ += text;
  return certain_text();
}

std::string StopText::finish() {
  if (stopped_) return {};
  pending_ += stream_.finish();
  std::string text = certain_text();
  if (!stopped_) text += std::exchange(pending_, {});
  return text;
}

} // namespace plimsoll
