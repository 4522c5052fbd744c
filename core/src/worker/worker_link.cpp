#include "worker/worker_link.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "base/printable.hpp"
#include "process/child_side.hpp"
#include "worker/protocol.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaxText = 4096;
constexpr std::uint64_t kMaxMessagesAnAnswer = 4096; // logs and the like

// Of a plugin that took its worker with it; of our own program where it was in no plugin.
Error about(const Death& death, std::string_view where) {
  if (death.who.empty()) {
    const bool missing = death.how == Death::How::kExit && death.number == ChildSide::kNotStarted;
    return {ErrorCode::kInternal,
            fmt::format("the worker process for plugins {}{}", missing ? "did not start" : death.words(),
                        death.said.empty() ? "" : fmt::format("; it said: {}", death.said)),
            std::string(where)};
  }
  return {ErrorCode::kPluginFailed,
          fmt::format("plugin {} ({}) {}{}", death.who, death.where, death.words(),
                      death.said.empty() ? "" : fmt::format("; it printed: {}", death.said)),
          std::string(where)};
}

} // namespace

std::string worker_program() { return installation_prefix() + "/libexec/plimsoll/plimsoll-worker"; }

std::string clean_text(std::string_view text) { return printable_text(text, kMaxText); }

Error read_error(WireReader& reader) {
  const auto code = reader.number<std::uint32_t>();
  std::string_view message, where;
  reader(message), reader(where);
  Error out{ErrorCode::kPluginFailed, clean_text(message), clean_text(where)};
  if (!reader.failed() && code <= static_cast<std::uint32_t>(ErrorCode::kInternal)) out.code = static_cast<ErrorCode>(code);
  if (out.message.empty()) out.message = "the planner answered with an error and no message";
  return out;
}

void write_options(WireWriter& out, const RegistryOptions& options) {
  for (const std::vector<std::string>* list : {&options.paths, &options.prefer}) {
    out(static_cast<std::uint64_t>(list->size()));
    for (const std::string& text : *list) out(text);
  }
  out(static_cast<std::uint8_t>(options.trust));
}

Result<std::unique_ptr<WorkerLink>> WorkerLink::start(const Registry& registry, std::string where) {
  ChildProcess::Limits limits;
  limits.answer = registry.options().plugin_timeout;
  PLIMSOLL_ASSIGN(std::unique_ptr<ChildProcess> child, ChildProcess::start(worker_program(), {"plan"}, limits));
  return std::unique_ptr<WorkerLink>(new WorkerLink(registry, std::move(where), std::move(child)));
}

Error WorkerLink::died() const { return about(*child_->death(), where_); }

Error WorkerLink::broke_off(std::string_view what) {
  child_->give_up();
  Error out = died();
  out.message += fmt::format(" ({})", what);
  return out;
}

void WorkerLink::log(WireReader& reader) const {
  const auto level = std::min<std::uint8_t>(reader.number<std::uint8_t>(), static_cast<std::uint8_t>(LogLevel::kError));
  std::string_view line;
  reader(line);
  if (registry_.log()) registry_.log()(static_cast<LogLevel>(level), clean_text(line));
}

Result<std::string> WorkerLink::ask(std::string_view question, const std::function<std::string()>& tensors) {
  if (!question.empty() && !child_->send(question)) return tl::unexpected(died());
  for (std::uint64_t n = 0; n < kMaxMessagesAnAnswer; ++n) {
    std::optional<std::string> answer = child_->receive();
    if (!answer) return tl::unexpected(died());
    if (answer->empty()) return tl::unexpected(broke_off("an empty message"));
    WireReader reader(body_of(*answer));
    switch (static_cast<wire::Answer>(answer->front())) {
    case wire::Answer::kLog: log(reader); break;
    case wire::Answer::kTensors:
      if (!child_->send(tensors ? tensors() : std::string())) return tl::unexpected(died());
      break;
    case wire::Answer::kFailed: {
      Error error = read_error(reader);
      if (error.where.empty()) error.where = where_;
      return tl::unexpected(std::move(error));
    }
    case wire::Answer::kDone:
    case wire::Answer::kSteps: return std::move(*answer);
    default: return tl::unexpected(broke_off("a message of no known kind"));
    }
  }
  return tl::unexpected(broke_off("more messages than an answer has"));
}

} // namespace plimsoll
