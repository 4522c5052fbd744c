// plimsoll_pages PROGRAM FOLDER: writes man pages and completions of PROGRAM, which is asked what it can do, to FOLDER: man1/*.1,
// bash/plimsoll, zsh/_plimsoll, fish/plimsoll.fish. Of the build; not installed.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "asked_help.hpp"
#include "completion.hpp"
#include "man_page.hpp"

namespace plimsoll::pages {
namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error(path.string() + ": cannot be written");
}

void write_pages(const std::string& program, const std::filesystem::path& folder) {
  const Help help = ask_for_help(program);
  write(folder / "man1/plimsoll.1", program_page(help));
  for (const HelpCommand& command : help.commands)
    write(folder / "man1" / ("plimsoll-" + command.name + ".1"), command_page(help, command));
  write(folder / "bash/plimsoll", bash_completion(help));
  write(folder / "zsh/_plimsoll", zsh_completion(help));
  write(folder / "fish/plimsoll.fish", fish_completion(help));
}

} // namespace
} // namespace plimsoll::pages

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: plimsoll_pages PROGRAM FOLDER\n", stderr);
    return 2;
  }
  try {
    plimsoll::pages::write_pages(argv[1], argv[2]);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "plimsoll_pages: %s\n", problem.what());
    return 1;
  }
  return 0;
}
