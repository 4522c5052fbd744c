// plimsoll weights MODEL: tensor classes, stored against declared, bytes per rank.
#include "command.hpp"
#include "report.hpp"

namespace plimsoll::cli {

int run_weights(const Arguments& arguments) {
  CommandLine line("weights", "Tensor classes, stored against declared, bytes per rank.", "plimsoll.weights/1",
                   "Examples:\n"
                   "  plimsoll weights ./Llama-3.1-8B\n"
                   "  plimsoll weights deepseek-ai/DeepSeek-V3 --devices 8xH200 --ep 8 --format json");
  line.add_plan_options();
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  if (line.model().empty())
    return line.fail({ErrorCode::kBadRequest, "no model; give a directory, config.json, .gguf file or org/name", "MODEL"});
  const auto context = line.context();
  if (!context) return line.fail(context.error());
  const auto request = line.request(*context);
  if (!request) return line.fail(request.error());
  const auto model = context->load(line.model());
  if (!model) return line.fail(model.error());
  const auto report = context->weights(*model, *request);
  if (!report) return line.fail(report.error());
  const Output& output = line.output();
  if (output.format == Format::kTable) return output.write(weights_report(*report, output.style()), kExitFits);
  return output.write_document(weights_to_json(*report), kExitFits);
}

} // namespace plimsoll::cli
