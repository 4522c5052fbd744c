#include "hand_over.hpp"

#include <cerrno>
#include <climits>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace plimsoll::cli {

int hand_over(std::string_view command, const Arguments& arguments, std::string_view schema, std::string_view program_name) {
  Output output;
  output.format = wanted_format(arguments);
  std::string self(PATH_MAX, '\0');
  const ssize_t length = readlink("/proc/self/exe", self.data(), self.size());
  if (length <= 0) return output.fail({ErrorCode::kInternal, "where this program stands cannot be read", "/proc/self/exe"}, schema);
  self.resize(static_cast<std::size_t>(length));
  std::string program = self.substr(0, self.rfind('/') + 1), name(command);
  program += program_name;
  std::vector<std::string> copies(arguments);
  std::vector<char*> pointers{program.data(), name.data()};
  for (std::string& argument : copies) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execv(program.c_str(), pointers.data());
  std::string why = "cannot be started";
  if (errno == ENOENT)
    why = program_name == "plimsoll-run"
              ? "this installation only plans: plimsoll-run is not beside plimsoll (built with PLIMSOLL_RUNTIME=ON)"
              : "this installation watches nothing: plimsoll-watch is not beside plimsoll (built with PLIMSOLL_WATCH=ON)";
  return output.fail({ErrorCode::kBadRequest, std::move(why), program}, schema);
}

} // namespace plimsoll::cli
