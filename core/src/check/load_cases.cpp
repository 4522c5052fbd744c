// LOAD: what happens when the library is opened and started.
#include <chrono>
#include <fmt/format.h>
#include <unistd.h>

#include "check/cases.hpp"
#include "check/process_state.hpp"
#include "plugin/agreement.hpp"
#include "plugin/calls.hpp"
#include "plugin/host_table.hpp"
#include "plugin/library.hpp"

namespace plimsoll::check {
namespace {

constexpr std::chrono::milliseconds kQuickLoad{20};

// Opened, held against its manifest, started with the host's plain table.
Result<void> start(const std::string& directory, const CaseContext& context) {
  PLIMSOLL_ASSIGN(const Manifest manifest, read_manifest(directory));
  std::string stage;
  context.note(manifest.id, "dlopen");
  PLIMSOLL_ASSIGN(const plimsoll_plugin* descriptor, open_library(manifest, stage));
  static const plimsoll_host host = [] {
    plimsoll_host table = make_host_table();
    table.log = [](const plimsoll_host*, std::uint32_t, plimsoll_str) noexcept {}; // there is nobody to tell
    return table;
  }();
  plimsoll_error err = blank_error();
  context.note(manifest.id, "init()");
  const plimsoll_status status = descriptor->init == nullptr ? PLIMSOLL_OK : descriptor->init(&host, &err);
  if (status == PLIMSOLL_OK) return {};
  return fail(ErrorCode::kPluginFailed, fmt::format("init answered {}: {}", status, message_of(err)), directory);
}

Finding stage_holds(CaseContext& context, std::string_view rule) {
  const auto manifest = read_manifest(context.directory);
  if (!manifest) return failed(manifest.error().message);
  std::string stage;
  context.note(manifest->id, "dlopen");
  const auto opened = open_library(*manifest, stage);
  if (opened || stage != rule) return passed();
  return failed(opened.error().message);
}
Finding can_be_loaded(CaseContext& context) { return stage_holds(context, "LOAD-01"); }

Finding can_be_moved(CaseContext& context) {
  if (::chdir("/") != 0) return skipped("the working folder cannot be changed");
  context.at(context.moved);
  const auto started = start(context.moved, context);
  if (!started) return failed(fmt::format("in {}: {}", context.moved, started.error().message));
  return passed();
}

Finding leaves_process_alone(CaseContext& context) {
  const ProcessState before = ProcessState::now();
  if (const auto started = start(context.directory, context); !started) return failed(started.error().message);
  const ProcessState after = ProcessState::now();
  const std::string changed = before.change_to(after);
  if (after.files > before.files) return failed(fmt::format("loading or starting it left {} files open", after.files - before.files));
  if (!changed.empty()) return failed("loading or starting it " + changed);
  const std::string disturbed = context.disturbed();
  return disturbed.empty() ? passed() : failed("loading or starting it " + disturbed);
}

Finding loads_quickly(CaseContext& context) {
  const auto begin = std::chrono::steady_clock::now();
  if (const auto started = start(context.directory, context); !started) return failed(started.error().message);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  return took < kQuickLoad ? passed() : warned(fmt::format("it took {} ms; {} should do", took.count(), kQuickLoad.count()));
}

} // namespace

const std::vector<Case>& load_cases() {
  static const std::vector<Case> cases{{"LOAD-01", can_be_loaded},
                                       {"LOAD-02", can_be_moved},
                                       {"LOAD-03", leaves_process_alone},
                                       {"LOAD-08", loads_quickly},
                                       {"ABI-04", [](CaseContext& c) { return stage_holds(c, "ABI-04"); }},
                                       {"ABI-03", [](CaseContext& c) { return stage_holds(c, "ABI-03"); }}};
  return cases;
}

} // namespace plimsoll::check
