// A host's end of the channel to one worker: questions, answers, and what comes between them. Whatever a worker sends or does is an answer
// or an error that names the plugin and the call, within the registry's plugin_timeout. Threads: one at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "plugin/registry.hpp"
#include "process/child_process.hpp"
#include "worker/wire.hpp"

namespace plimsoll {

// The program plimsoll-worker, beside the library.
std::string worker_program();

class WorkerLink {
public:
  // Starts a worker that finds the plugins which `registry` found; `where` names what it is for in errors. The registry outlives it.
  static Result<std::unique_ptr<WorkerLink>> start(const Registry& registry, std::string where);

  bool alive() const { return child_->alive(); }
  // The time for an answer begins.
  void begin() { child_->begin(); }
  // Sends a question, unless it is empty, and waits for a message that is kDone or kSteps; what is kFailed is the error. `tensors` makes
  // the message that answers a worker which asks for them.
  Result<std::string> ask(std::string_view question, const std::function<std::string()>& tensors);
  // What came is not what our worker says: it is ended, and this is the error.
  Error broke_off(std::string_view what);

private:
  WorkerLink(const Registry& registry, std::string where, std::unique_ptr<ChildProcess> child)
      : registry_(registry), where_(std::move(where)), child_(std::move(child)) {}
  Error died() const;
  void log(WireReader& reader) const;

  const Registry& registry_;
  std::string where_;
  std::unique_ptr<ChildProcess> child_;
};

// What a worker needs to find the same plugins.
void write_options(WireWriter& out, const RegistryOptions& options);
// An error that a worker reports; its texts are cut and made printable.
Error read_error(WireReader& reader);
// A text of a worker, for people.
std::string clean_text(std::string_view text);
// Of an answer, behind its kind.
inline std::string_view body_of(const std::string& message) { return std::string_view(message).substr(1); }

} // namespace plimsoll
