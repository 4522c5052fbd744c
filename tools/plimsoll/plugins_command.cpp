// plimsoll plugins [list | inspect DIR]: what is installed, and why something is not used.
#include <fmt/format.h>

#include "command.hpp"
#include "report.hpp"

namespace plimsoll::cli {

int run_plugins(const Arguments& arguments) {
  CommandLine line("plugins", "The plugins that are found, or one folder in detail.", "plimsoll.plugins/1",
                   "Examples:\n"
                   "  plimsoll plugins\n"
                   "  plimsoll plugins inspect ./my_plugin");
  std::string action = "list", directory;
  line.app().add_option("ACTION", action, "list (default) or inspect")->type_name("");
  line.app().add_option("DIR", directory, "the folder to inspect")->type_name("");
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  if (action != "list" && action != "inspect")
    return line.fail({ErrorCode::kBadRequest, fmt::format("'{}' is no action; give list or inspect DIR", action), "ACTION"});
  if ((action == "inspect") != !directory.empty())
    return line.fail({ErrorCode::kBadRequest, action == "inspect" ? "no folder to inspect; give one" : "list takes no folder", "DIR"});
  const auto context = line.context(true);
  if (!context) return line.fail(context.error());
  const Output& output = line.output();
  if (action == "inspect") {
    const auto plugin = context->inspect_plugin(directory);
    if (!plugin) return line.fail(plugin.error());
    const int code = plugin->status == PluginStatus::kRefused ? kExitPluginFailed : kExitFits;
    if (output.format == Format::kTable) return output.write(plugin_report(*plugin, output.style()), code);
    return output.write_document(plugins_to_json({*plugin}), code);
  }
  const std::vector<PluginInfo> plugins = context->plugins();
  if (output.format == Format::kTable) return output.write(plugins_report(plugins, output.style()), kExitFits);
  return output.write_document(plugins_to_json(plugins), kExitFits);
}

} // namespace plimsoll::cli
