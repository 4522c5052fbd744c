// abi_lock_check LAYOUT_PROGRAM LOCK_FILE: compares what LAYOUT_PROGRAM prints with the lock. Run by ctest.
// A line that changed or vanished breaks every plugin that was built before; a new line only waits to be locked.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

namespace {

// "field plimsoll_error.code offset 4 ..." -> key "field plimsoll_error.code", value the rest.
std::map<std::string, std::string> entries(std::istream& in) {
  std::map<std::string, std::string> out;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    const std::size_t second = line.find(' ', line.find(' ') + 1);
    out[line.substr(0, second)] = second == std::string::npos ? "" : line.substr(second + 1);
  }
  return out;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: abi_lock_check LAYOUT_PROGRAM LOCK_FILE\n";
    return 2;
  }
  std::stringstream printed;
  {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(("'" + std::string(argv[1]) + "'").c_str(), "r"), pclose);
    for (int c = pipe ? std::fgetc(pipe.get()) : EOF; c != EOF; c = std::fgetc(pipe.get())) printed.put(static_cast<char>(c));
  }
  std::ifstream file(argv[2]);
  if (!file) {
    std::cerr << argv[2] << ": cannot be read; `cmake --build build --target <header>_lock` writes it\n";
    return 1;
  }
  const auto now = entries(printed), locked = entries(file);
  if (now.empty() || locked.empty()) {
    std::cerr << "nothing to compare: " << now.size() << " lines printed, " << locked.size() << " locked\n";
    return 1;
  }
  int broken = 0, added = 0;
  for (const auto& [key, value] : locked) {
    const auto found = now.find(key);
    if (found != now.end() && found->second == value) continue;
    ++broken;
    std::cerr << "BROKEN " << key << "\n  locked: " << value << "\n  now:    " << (found == now.end() ? "gone" : found->second) << "\n";
  }
  for (const auto& [key, value] : now)
    if (!locked.contains(key)) {
      ++added;
      std::cerr << "NEW    " << key << " " << value << "\n";
    }
  if (broken > 0)
    std::cerr << broken << " lines of the lock no longer hold: plugins built with the header as it was would misread memory.\n";
  if (added > 0)
    std::cerr
        << added
        << " lines are new. Appended on purpose? Note it in core/abi/CHANGELOG.md, raise PLIMSOLL_ABI_MINOR where it is abi.h, and run "
           "`cmake --build build --target <header>_lock`.\n";
  if (broken + added == 0) std::cout << now.size() << " lines as locked\n";
  return broken + added == 0 ? 0 : 1;
}
