// plimsoll devices: the devices of this machine, and the catalogue that --devices knows.
#include "command.hpp"
#include "report.hpp"

namespace plimsoll::cli {

int run_devices(const Arguments& arguments) {
  CommandLine line("devices", "The devices of this machine, and the catalogue that --devices knows.", "plimsoll.devices/1",
                   "Example:\n  plimsoll devices --format json");
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  const auto context = line.context();
  if (!context) return line.fail(context.error());
  const auto cards = context->device_catalogue();
  if (!cards) return line.fail(cards.error());
  const auto real = context->real_devices();
  const Output& output = line.output();
  if (output.format == Format::kTable) return output.write(devices_report(*cards, real, output.style()), kExitFits);
  return output.write_document(devices_to_json(*cards, real), kExitFits);
}

} // namespace plimsoll::cli
