// A model's planners in a worker: they are made and asked there, and here is what they said. A worker that dies, hangs or lies costs the
// call in which it does, with a message that names plugin and call; the next call gets a new one. Threads: any; calls take turns.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "plugin/planners.hpp"
#include "plugin/stored_tensors.hpp"
#include "worker/protocol.hpp"
#include "worker/worker_link.hpp"

namespace plimsoll {

// The planners of a configuration: in this process, or in a worker where the code of one of their plugins must not run here. `where` names
// the configuration in errors. The registry must outlive them.
Result<std::unique_ptr<Planners>> make_planners(const Registry& registry, std::shared_ptr<const Json> config, std::string where,
                                                TensorSource stored);

// Opens a plugin's library and holds it against its manifest, here or in a worker.
Result<void> open_plugin(const Registry& registry, Plugin& plugin);

class IsolatedPlanners : public Planners {
public:
  static Result<std::unique_ptr<IsolatedPlanners>> create(const Registry& registry, std::shared_ptr<const Json> config, std::string where,
                                                          TensorSource stored);

  // Of an answer that is there already, without a worker; and the answer, as it came.
  static Result<std::unique_ptr<IsolatedPlanners>> of_answer(const Registry& registry, std::shared_ptr<const Json> config,
                                                             std::string made);
  const std::string& answer() const { return made_; }

  Result<void> weights(Collector& collector) const override;
  Result<void> kv(Collector& collector) const override;
  Result<plimsoll_facts> facts() const override;
  Result<void> entries(Collector& collector) const override;
  Result<void> activations(const plimsoll_request& request, Collector& collector) const override;
  Result<void> signal_buffers(const plimsoll_request& request, Collector& collector) const override;
  Result<std::uint64_t> max_batch(const plimsoll_request& request) const override;
  bool has_pipeline() const override { return has_pipeline_; }
  plimsoll_status describe(const PassPart& part, const plimsoll_pipeline_sink& sink, plimsoll_error* err) const override;

private:
  // What one call emitted, as it came, or why it failed.
  using Emitted = Result<std::string>;

  IsolatedPlanners(const Registry& registry, std::shared_ptr<const Json> config, std::string where, TensorSource stored)
      : Planners(registry, std::move(config), std::move(where)), source_(std::move(stored)) {}
  // A worker that has made the planners, the same as the first.
  Result<void> start() const;
  Result<std::string> make() const;
  Result<std::string> ask(std::string_view question) const;
  std::string tensors_message() const;
  // Reads what kMake answered; kInternal where it is nothing that our worker says.
  Result<void> read(std::string made);
  bool read_views(WireReader& reader);
  Result<void> read_nodes(WireReader& reader);
  template <class What, class Give>
  Result<void> replay(const Emitted& emitted, const Give& give) const;
  Result<void> priced(wire::Price what, const plimsoll_request& request, Collector& collector) const;
  Result<std::string> price(const std::string& question) const;
  Error forget(std::string_view what) const; // an answer that is none
  static std::string price_message(wire::Price what, const plimsoll_request& request);
  plimsoll_status steps(const PassPart& part, const plimsoll_pipeline_sink& sink, plimsoll_error* err) const;

  mutable std::recursive_mutex mutex_; // a part of the pass asks for another on the same thread
  mutable std::unique_ptr<WorkerLink> link_;
  mutable int depth_ = 0; // of parts
  mutable TensorSource source_;
  mutable std::optional<std::vector<StoredTensor>> stored_;      // where somebody asked
  mutable std::unordered_map<std::string, std::string> answers_; // of questions for prices
  std::string made_;
  Emitted weights_, kv_, entries_;
  Result<plimsoll_facts> facts_;
  bool has_pipeline_ = false;
};

} // namespace plimsoll
