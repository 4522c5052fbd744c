// See program.hpp.
#include "program.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <spawn.h>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace plimsoll::cli_test {
namespace {

class Folder {
public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "plimsoll_cli_XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no folder for the tests");
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

private:
  std::string path_;
};

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

} // namespace

const std::string& scratch_folder() {
  static const Folder kFolder;
  return kFolder.path();
}

std::string write_scratch(const std::string& name, const std::string& text) {
  const std::string path = scratch_folder() + "/" + name;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string data_path(const std::string& name) { return std::string(PLIMSOLL_TEST_DATA) + "/cli/" + name; }

Outcome run(const Invocation& run) {
  const std::string in_path = write_scratch("stdin", run.input);
  const std::string out_path = run.out_path.empty() ? scratch_folder() + "/stdout" : run.out_path;
  const std::string err_path = scratch_folder() + "/stderr";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, in_path.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  int ends[2] = {-1, -1};
  if (run.closed_pipe) {
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    close(ends[0]);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  }
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const std::string program = run.program.empty() ? PLIMSOLL_PROGRAM : run.program;
  std::vector<std::string> words{program};
  words.insert(words.end(), run.arguments.begin(), run.arguments.end());
  std::vector<std::string> environment = run.environment;
  for (const char* name : {"PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "PLIMSOLL_FAULT"})
    if (const char* value = std::getenv(name)) environment.push_back(std::string(name) + "=" + value);
  pid_t child = 0;
  rlimit usual{};
  getrlimit(RLIMIT_FSIZE, &usual);
  const rlimit limited{run.most_file_bytes, usual.rlim_max};
  if (run.most_file_bytes > 0) setrlimit(RLIMIT_FSIZE, &limited); // a child has the limits of its parent
  const int failed = posix_spawnp(&child, program.c_str(), &actions, nullptr, pointers(words).data(), pointers(environment).data());
  setrlimit(RLIMIT_FSIZE, &usual);
  posix_spawn_file_actions_destroy(&actions);
  if (ends[1] >= 0) close(ends[1]);
  if (failed != 0) throw std::runtime_error("cannot start " + program);
  int status = 0;
  rusage usage{};
  wait4(child, &status, 0, &usage);
  Outcome outcome;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  outcome.peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  if (run.out_path.empty()) outcome.out = read_text(out_path);
  outcome.err = read_text(err_path);
  return outcome;
}

Outcome run(std::vector<std::string> arguments) {
  Invocation plain;
  plain.arguments = std::move(arguments);
  return run(plain);
}

} // namespace plimsoll::cli_test
