// Plans of catalogue models through the public interface, with the plugins of this build. Used by the tests of plan().
// Reads no file of the machine's own model cache. One thread.
#pragma once

#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"

namespace plimsoll::testing {

inline Model loaded(const std::string& name) {
  auto model = test::built_context().load(name);
  if (!model) ADD_FAILURE() << name << ": " << model.error().where << ": " << model.error().message;
  return model.value();
}

// The core as a host has it where the planners of lib/plimsoll/zoo, which misbehave on request, are its only plugins.
inline const Context& zoo() {
  static const auto context = [] {
    ContextOptions options;
    options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
    options.plugin_paths = {std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/zoo"};
    options.trust = Trust::kOpen;
    return Context::create(options);
  }();
  return *context;
}

inline PlanRequest on(const std::string& devices) {
  PlanRequest request;
  request.devices = devices;
  return request;
}

inline Plan planned(const std::string& name, const PlanRequest& request) {
  auto plan = test::built_context().plan(loaded(name), request);
  if (!plan) ADD_FAILURE() << name << ": " << plan.error().where << ": " << plan.error().message;
  return plan.value_or(Plan{});
}

inline std::uint64_t parts_of(const DevicePlan& d) {
  return d.weights_bytes + d.activation_bytes + d.signal_buffer_bytes + d.workspace_bytes + d.vision_cache_bytes + d.overhead_bytes +
         d.kv_cache_bytes;
}

inline bool warns(const Plan& plan, WarningCode code) {
  for (const Warning& warning : plan.warnings)
    if (warning.code == code) return true;
  return false;
}

} // namespace plimsoll::testing
