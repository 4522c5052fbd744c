// What a command reads: a file, or standard input where it is named "-". Interrupted reads go on; a file that grows is read up to a limit.
// Never writes. Threads: one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "plimsoll/result.hpp"

namespace plimsoll::cli {

// A descriptor that closes itself; standard input stays open.
class Input {
public:
  explicit Input(const std::string& file);
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input();
  bool opened() const { return descriptor_ >= 0; }
  // Bytes read; 0 at the end; negative on failure, with errno.
  ssize_t read(char* into, std::size_t room) const;
  // That it could not be opened or read, from errno.
  static Error failure(const std::string& file);

private:
  int descriptor_;
};

// All of it. kBadRequest where it cannot be read or has more than `most_bytes`; `hint` says what to do then.
Result<std::string> read_input(const std::string& file, std::size_t most_bytes, std::string_view hint);

} // namespace plimsoll::cli
