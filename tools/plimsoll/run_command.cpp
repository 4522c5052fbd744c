// plimsoll run: hands over to plimsoll-run, which stands beside this program and brings the runtime library.
#include <cerrno>
#include <climits>
#include <fmt/format.h>
#include <string>
#include <unistd.h>

#include "command.hpp"

namespace plimsoll::cli {

int run_run(const Arguments& arguments) {
  Output output;
  output.format = wanted_format(arguments);
  std::string self(PATH_MAX, '\0');
  const ssize_t length = readlink("/proc/self/exe", self.data(), self.size());
  if (length <= 0)
    return output.fail({ErrorCode::kInternal, "where this program stands cannot be read", "/proc/self/exe"}, "plimsoll.run/1");
  self.resize(static_cast<std::size_t>(length));
  std::string program = self.substr(0, self.rfind('/') + 1) + "plimsoll-run";
  std::vector<std::string> copies(arguments);
  std::vector<char*> pointers{program.data()};
  for (std::string& argument : copies) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execv(program.c_str(), pointers.data());
  return output.fail({ErrorCode::kBadRequest,
                      errno == ENOENT ? "this installation only plans: plimsoll-run is not beside plimsoll (built with PLIMSOLL_RUNTIME=ON)"
                                      : "cannot be started",
                      program},
                     "plimsoll.run/1");
}

} // namespace plimsoll::cli
