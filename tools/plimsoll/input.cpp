// See input.hpp.
#include "input.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <system_error>
#include <unistd.h>

namespace plimsoll::cli {

Input::Input(const std::string& file) : descriptor_(file == "-" ? STDIN_FILENO : open(file.c_str(), O_RDONLY | O_CLOEXEC)) {}

Input::~Input() {
  if (descriptor_ > STDIN_FILENO) close(descriptor_);
}

ssize_t Input::read(char* into, std::size_t room) const {
  ssize_t got = 0;
  do got = ::read(descriptor_, into, room);
  while (got < 0 && errno == EINTR);
  return got;
}

Error Input::failure(const std::string& file) {
  return {ErrorCode::kBadRequest, fmt::format("cannot read: {}", std::generic_category().message(errno)),
          file == "-" ? "standard input" : file};
}

Result<std::string> read_input(const std::string& file, std::size_t most_bytes, std::string_view hint) {
  constexpr std::size_t kLeastRoom = 1U << 16;
  const Input input(file);
  if (!input.opened()) return tl::unexpected(Input::failure(file));
  std::string text;
  std::size_t taken = 0;
  while (taken <= most_bytes) {
    if (taken == text.size()) text.resize(std::min(most_bytes + 1, std::max(kLeastRoom, 2 * taken)));
    const ssize_t got = input.read(text.data() + taken, text.size() - taken);
    if (got < 0) return tl::unexpected(Input::failure(file));
    if (got == 0) break;
    taken += static_cast<std::size_t>(got);
  }
  if (taken > most_bytes) return fail(ErrorCode::kBadRequest, fmt::format("a request of more than {} bytes; {}", most_bytes, hint), file);
  text.resize(taken);
  return text;
}

} // namespace plimsoll::cli
