// plimsoll new-plugin NAME: a vendor's project, which builds and passes its own test as it is written.
#include <climits>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "command.hpp"
#include "plugin_template.hpp"

namespace plimsoll::cli {
namespace {

constexpr std::string_view kNewPluginSchema = "plimsoll.new_plugin/1";

// Beside this program's folder, in a build as in an installation.
Result<std::string> template_folder() {
  std::string self(PATH_MAX, '\0');
  const ssize_t length = readlink("/proc/self/exe", self.data(), self.size());
  if (length <= 0) return fail(ErrorCode::kInternal, "where this program stands cannot be read", "/proc/self/exe");
  self.resize(static_cast<std::size_t>(length));
  const std::string folder = self.substr(0, self.rfind('/')) + "/../share/plimsoll/template";
  if (access(folder.c_str(), R_OK | X_OK) != 0)
    return fail(ErrorCode::kBadRequest, "the template is not here; install libplimsoll-dev", folder);
  return folder;
}

} // namespace

int run_new_plugin(const Arguments& arguments) {
  CommandLine line("new-plugin", "A new planner plugin: a project that builds and passes its own test as it is.", kNewPluginSchema,
                   "Examples:\n"
                   "  plimsoll new-plugin com.acme.vlm\n"
                   "  cmake -S com.acme.vlm -B build && cmake --build build && ctest --test-dir build\n"
                   "The folder is written complete or not at all, and never over something that is there.");
  std::string id, folder;
  line.app().add_option("NAME", id, "the plugin's id, a reverse domain such as com.acme.vlm; the folder's name")->type_name("");
  line.app().add_option("--folder", folder, "where it is written; default: NAME, here")->type_name("DIR");
  if (const auto code = line.parse(arguments)) return *code;
  const auto names = plugin_names(id);
  if (!names) return line.fail(names.error());
  const auto source = template_folder();
  if (!source) return line.fail(source.error());
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  const std::string target = folder.empty() ? id : folder;
  const auto files = write_plugin(*source, target, *names);
  if (!files) return line.fail(files.error());
  const Output& output = line.output();
  if (output.format != Format::kTable)
    return output.write_document(
        nlohmann::ordered_json{{"schema", kNewPluginSchema}, {"id", id}, {"folder", target}, {"files", *files}}.dump(2), kExitFits);
  if (output.quiet) return output.write(target + "\n", kExitFits);
  return output.write(fmt::format("{}: {} files; README.md says what to change\n", target, files->size()), kExitFits);
}

} // namespace plimsoll::cli
