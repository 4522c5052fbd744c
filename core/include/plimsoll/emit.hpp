// plimsoll/emit.hpp - a plan as what starts it: the engine's own command, or files for Kubernetes, Docker Compose and Ray Serve.
//
//   auto text = plimsoll::emit(context, model, request, plan, EmitTarget::kCommand).value().text;
//
// What is written says exactly the plan: lengths, batches and the fraction of the memory too where the engine would have chosen them, as
// far as the same plan follows. Threads: a function of its arguments.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

enum class EmitTarget : std::uint8_t { kCommand, kKubernetes, kRay, kCompose };
// "command", "k8s", "ray", "compose".
std::string_view PLIMSOLL_API emit_target_name(EmitTarget target) noexcept;
std::optional<EmitTarget> PLIMSOLL_API emit_target_of(std::string_view name) noexcept;

struct Emitted {
  std::string text;
  std::vector<std::string> unsaid; // what the plan assumes and the engine has no flag for, one sentence each; as comments in the text too
};

// `carried`: flags of the engine's own that are no part of the plan, each with what belongs to it, as EngineCommand has them: written as
// they are. `plan` is that of `model` and `request`, and fits. kBadRequest where the engine cannot be started so, or such devices have no
// image; an error of the plan's own where it does not fit.
Result<Emitted> PLIMSOLL_API emit(const Context& context, const Model& model, const PlanRequest& request, const Plan& plan,
                                  EmitTarget target, const std::vector<std::vector<std::string>>& carried = {});

} // namespace plimsoll
