// plimsoll plugins [list | inspect DIR | identity PATH]: what is installed, why something is not used, and the header that a plugin's
// build includes.
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>

#include "command.hpp"
#include "report.hpp"

namespace plimsoll::cli {
namespace {

bool holds(const std::string& file, const std::string& text) {
  std::error_code failed;
  if (!std::filesystem::is_regular_file(file, failed) || std::filesystem::file_size(file, failed) != text.size()) return false;
  std::ifstream in(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {}) == text;
}

// A file that is right already stays as it is, so that builds do not compile again what includes it.
int print_identity(const CommandLine& line, const std::string& path) {
  const Output& output = line.output();
  if (output.format != Format::kTable)
    return line.fail({ErrorCode::kBadRequest, "identity prints a C header and no document; leave it out", "--format"});
  const auto header = plugin_identity(path);
  if (!header) return line.fail(header.error());
  if (!output.file.empty() && holds(output.file, *header)) return kExitFits;
  return output.write(*header, kExitFits);
}

// A folder, or the id of a plugin that is found.
std::string folder_of(const Context& context, const std::string& path) {
  std::error_code failed;
  if (std::filesystem::exists(path, failed)) return path;
  for (const PluginInfo& plugin : context.plugins())
    if (plugin.id == path) return plugin.directory;
  return path;
}

int inspect(const CommandLine& line, const Context& context, const std::string& path) {
  const Output& output = line.output();
  const auto plugin = context.inspect_plugin(folder_of(context, path));
  if (!plugin) return line.fail(plugin.error());
  const int code = plugin->status == PluginStatus::kRefused ? kExitPluginFailed : kExitFits;
  if (output.format == Format::kTable) return output.write(plugin_report(*plugin, output.style()), code);
  return output.write_document(plugins_to_json({*plugin}), code);
}

int list(const CommandLine& line, const Context& context) {
  const Output& output = line.output();
  const std::vector<PluginInfo> plugins = context.plugins();
  if (output.format == Format::kTable) return output.write(plugins_report(plugins, output.style()), kExitFits);
  return output.write_document(plugins_to_json(plugins), kExitFits);
}

} // namespace

int run_plugins(const Arguments& arguments) {
  CommandLine line("plugins", "The plugins that are found, one folder in detail, or the header that a plugin's build includes.",
                   "plimsoll.plugins/1",
                   "Examples:\n"
                   "  plimsoll plugins\n"
                   "  plimsoll plugins inspect dense\n"
                   "  plimsoll plugins inspect ./my_plugin\n"
                   "  plimsoll plugins identity ./my_plugin -o plimsoll_identity.h");
  std::string action = "list", path;
  line.app().add_option("ACTION", action, "list (default), inspect or identity")->type_name("");
  line.app().add_option("PATH", path, "the plugin's folder, to inspect it its id too; for identity its plugin.yaml too")->type_name("");
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  if (action != "list" && action != "inspect" && action != "identity")
    return line.fail(
        {ErrorCode::kBadRequest, fmt::format("'{}' is no action; give list, inspect ID or DIR, or identity DIR", action), "ACTION"});
  if ((action == "list") != path.empty())
    return line.fail({ErrorCode::kBadRequest, action == "list" ? "list takes no folder" : "no folder; give one", "PATH"});
  if (action == "identity") return print_identity(line, path);
  const auto context = line.context(true);
  if (!context) return line.fail(context.error());
  return action == "inspect" ? inspect(line, *context, path) : list(line, *context);
}

} // namespace plimsoll::cli
