#include "emit/shell_command.hpp"

#include <fmt/format.h>

#include "base/shell_word.hpp"

namespace plimsoll {
namespace {

std::string words_of(const WrittenFlag& flag) {
  return flag.value ? fmt::format("{} {}", flag.name, shell_word(*flag.value)) : shell_word(flag.name);
}

} // namespace

std::string write_shell_command(const Deployment& deployment) {
  const FlagDeploy& deploy = deployment.table->deploy;
  std::string out;
  for (const std::string& line : deployment.summary) out += fmt::format("# {}\n", comment_text(line));
  for (const WrittenFlag& flag : deployment.written.variables)
    out += fmt::format("# {}={}: {}\n", flag.name, comment_text(flag.value.value_or("")), comment_text(flag.why));
  for (const WrittenFlag& flag : deployment.written.flags)
    if (!flag.why.empty())
      out += fmt::format("# {}{}{}: {}\n", flag.name, flag.value ? " " : "", comment_text(flag.value.value_or("")), comment_text(flag.why));
  if (deployment.nodes > 1 && !deploy.nodes.empty())
    out += fmt::format("# on each of the {} nodes, with what is in braces put in: {}{}{}\n", deployment.nodes, fmt::join(deploy.nodes, " "),
                       deploy.worker.empty() ? "" : ", and on all but the first ", fmt::join(deploy.worker, " "));
  const std::string file = engine_file(deployment);
  if (!file.empty()) out += fmt::format("cat > {} <<'EOF'\n{}EOF\n", kEngineFile, file);
  for (const WrittenFlag& flag : deployment.written.variables) out += fmt::format("{}={} ", flag.name, shell_word(flag.value.value_or("")));
  out += fmt::format("{}", fmt::join(deploy.command, " "));
  for (const WrittenFlag& flag : engine_arguments(deployment)) out += fmt::format(" \\\n  {}", words_of(flag));
  if (!file.empty()) out += fmt::format(" \\\n  {} {}", deploy.file_flag, kEngineFile);
  return out + "\n";
}

} // namespace plimsoll
