#include "ranks.hpp"

#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace plimsoll::cli {
namespace {

volatile std::sig_atomic_t asked_to_end = 0;
extern "C" void ask_to_end(int) { asked_to_end = 1; }

// A rank that prints nothing keeps it for what nobody else can say.
class Voice {
public:
  void silence() {
    own_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere < 0) return;
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    close(nowhere);
  }
  bool is_silent() const { return own_ >= 0; }
  void say(const Error& error) const {
    write_all(own_ >= 0 ? own_ : STDERR_FILENO, fmt::format("plimsoll: error: {} ({})\n", error.message, error.where));
  }

private:
  int own_ = -1;
};
Voice voice;

// Where another thread finds it while the command runs.
std::atomic<const Processes*> of_command = nullptr;

[[noreturn]] void give_up(const Error* lost) {
  const Processes* const processes = of_command.load();
  if (lost != nullptr && processes != nullptr && processes->speaks()) voice.say(*lost);
  if (lost != nullptr) _exit(kExitRankLost);
  std::signal(SIGTERM, SIG_DFL); // NOLINT
  std::raise(SIGTERM);
  _exit(128 + SIGTERM);
}

} // namespace

int run_as_rank(const std::function<int(const std::shared_ptr<Processes>&)>& command, const Output& output, std::string_view schema) {
  ProcessesOptions options;
  options.asked_to_end = [] { return asked_to_end != 0; };
  options.give_up = give_up;
  auto joined = Processes::join(std::move(options));
  if (!joined) return output.fail(joined.error(), schema);
  const std::shared_ptr<Processes> processes = std::move(*joined);
  if (!processes) return command(processes);
  of_command = processes.get();
  std::signal(SIGTERM, ask_to_end); // NOLINT: mpirun asks so where a rank was killed, and who notices says which
  if (processes->rank() > 0) voice.silence();
  const int code = command(processes);
  if (const std::optional<Error> lost = processes->lost()) {
    // The first rank has said it already, as the error that its command ended with.
    if (processes->speaks() && voice.is_silent()) voice.say(*lost);
    _exit(kExitRankLost); // nothing of MPI ends in order without the other
  }
  processes->leave();
  return code;
}

void print_on_first_rank(CommandLine& line, const std::shared_ptr<Processes>& processes) {
  if (processes && processes->rank() > 0) line.write_no_file();
}

} // namespace plimsoll::cli
