// plimsoll models [PATTERN]: the well-known models whose configurations ship with the program.
#include "command.hpp"
#include "report.hpp"

namespace plimsoll::cli {

int run_models(const Arguments& arguments) {
  CommandLine line("models", "The model catalogue: architecture, family, parameters, weights, KV bytes per token.", "plimsoll.models/1",
                   "Examples:\n  plimsoll models\n  plimsoll models llama");
  std::string pattern;
  line.app().add_option("PATTERN", pattern, "part of a name, or a pattern with * and ?")->type_name("");
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  const auto context = line.context();
  if (!context) return line.fail(context.error());
  const auto models = context->models(pattern);
  if (!models) return line.fail(models.error());
  const Output& output = line.output();
  if (output.format == Format::kTable) return output.write(models_report(*models, output.style()), kExitFits);
  return output.write_document(models_to_json(*models), kExitFits);
}

} // namespace plimsoll::cli
