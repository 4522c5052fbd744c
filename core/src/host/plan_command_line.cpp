#include "host/plan_command_line.hpp"

#include <fmt/format.h>

#include "base/shell_word.hpp"
#include "plimsoll/options.hpp"

namespace plimsoll {
namespace {

// A model as a word of the command: a configuration that was given as text is taken for a file, and no name for an option.
std::string model_word(const Model::Data& model) {
  if (model.given_as_text) return "config.json";
  return shell_word(model.info.path.starts_with('-') ? "./" + model.info.path : model.info.path);
}

// How the context differs from what the command makes by itself.
std::string context_options(const RegistryOptions& options, bool online) {
  std::string out = online ? " --online" : "";
  for (const std::string& path : options.paths) out += fmt::format(" --plugin-path {}", shell_word(path));
  for (const std::string& id : options.prefer) out += fmt::format(" --prefer {}", shell_word(id));
  if (options.trust == Trust::kOpen) out += " --trust open";
  if (options.plugin_timeout != kPluginTimeout)
    out += fmt::format(" --plugin-timeout {}", static_cast<double>(options.plugin_timeout.count()) / 1000);
  return out;
}

} // namespace

std::string plan_command_line(const RegistryOptions& options, const Model::Data& model, const PlanRequest& request,
                              const Model::Data* draft, bool online) {
  std::string out = fmt::format("plimsoll plan {}", model_word(model));
  if (const std::string text = options_text(request); !text.empty()) out += " " + text;
  if (draft != nullptr) out += fmt::format(" --draft {}", model_word(*draft));
  return out + context_options(options, online);
}

} // namespace plimsoll
