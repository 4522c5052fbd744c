// The plugin under test in the process of a case: its library behind a shim, a registry that knows it, its models. Every call may be the
// last: who is in which call is noted before it. Threads: one, but for what THR cases ask of planners.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "check/emitted.hpp"
#include "check/shim.hpp"
#include "engine/profile.hpp"
#include "model/loaded_model.hpp"
#include "plugin/planner_tree.hpp"

namespace plimsoll::check {

// A configuration to try a planner with.
struct Input {
  std::string name; // a file, or of what it was made
  Json config;
  bool own = false; // the vendor says that it plans this one; another may be unfit
};

struct Layout {
  std::uint32_t tp = 1, pp = 1, dp = 1, ep = 1;
  std::uint32_t ranks() const { return tp * pp * dp; }
};

// A request with what it points at.
class Asked {
public:
  Asked(const plimsoll_facts& facts, Layout layout, const Json& engine);
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
  plimsoll_request raw{};
  std::vector<std::uint64_t> free_bytes, used_bytes;

private:
  std::vector<std::uint32_t> stages_;
  plimsoll_view engine_;
};

class Subject {
public:
  // Opens the library, holds it against its manifest and starts it. `note`: who, where, in which call.
  static Result<std::unique_ptr<Subject>> open(const std::string& directory, const std::string& catalogue,
                                               std::function<void(std::string_view plugin, std::string_view call)> note);

  Shim& shim() { return *shim_; }
  const Manifest& manifest() const { return plugin_->manifest; }
  const plimsoll_plugin& descriptor() const { return *descriptor_; }
  const Registry& registry() const { return *registry_; }
  const ProfileSource& engine() const { return *engine_; }
  const Json& engine_values() const { return profile_->planner; }

  // A tree whose root is a planner of this plugin.
  Result<std::unique_ptr<PlannerTree>> tree(const Json& config) const;
  Result<std::shared_ptr<Model::Data>> model(const Json& config) const;
  plimsoll_facts facts(const Planners& tree) const; // zeros where it fails

  Emitted weights(const Planners& tree, std::uint32_t aspects = PLIMSOLL_ASPECT_ALL) const;
  Emitted kv(const Planners& tree, std::uint32_t aspects = PLIMSOLL_ASPECT_ALL) const;
  Emitted entries(const Planners& tree, std::uint32_t aspects = PLIMSOLL_ASPECT_ALL) const;
  Emitted activations(const Planners& tree, const plimsoll_request& request) const;
  Emitted signal_buffers(const Planners& tree, const plimsoll_request& request) const;
  std::uint64_t max_batch(const Planners& tree, const plimsoll_request& request) const;

  // Everything that the root answers, a line each: what is declared, and what is priced for a few requests.
  std::vector<std::string> answers(const Planners& tree) const;

private:
  Subject() = default;
  Plugin* plugin_ = nullptr;
  const plimsoll_plugin* descriptor_ = nullptr;
  std::unique_ptr<Shim> shim_;
  std::shared_ptr<const Registry> registry_;
  std::unique_ptr<ProfileSource> engine_;
  std::shared_ptr<const EngineProfile> profile_;
};

// Opens the library and holds it against its manifest, and no more. `stage`: "LOAD-01", "ABI-04" or "ABI-03", the rule that an error
// breaks.
Result<const plimsoll_plugin*> open_library(const Manifest& manifest, std::string& stage);

// The first line that differs, in words; empty where none does.
std::string first_difference(const std::vector<std::string>& expected, const std::vector<std::string>& found);

} // namespace plimsoll::check
