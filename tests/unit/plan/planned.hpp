// Plans of catalogue models through the public interface, with the plugins of this build. Used by the tests of plan().
// Reads no file of the machine's own model cache. One thread.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <string>

#include "plimsoll/host.hpp"

namespace plimsoll::testing {

inline const Context& planning() {
  static const Context context = [] {
    setenv("HF_HUB_CACHE", "/nonexistent", 1);
    ContextOptions options;
    options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
    options.plugin_paths = {PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins"};
    options.trust = Trust::kOpen;
    return Context::create(options).value();
  }();
  return context;
}

inline Model loaded(const std::string& name) {
  auto model = planning().load(name);
  if (!model) ADD_FAILURE() << name << ": " << model.error().where << ": " << model.error().message;
  return model.value();
}

inline PlanRequest on(const std::string& devices) {
  PlanRequest request;
  request.devices = devices;
  return request;
}

inline Plan planned(const std::string& name, const PlanRequest& request) {
  auto plan = planning().plan(loaded(name), request);
  if (!plan) ADD_FAILURE() << name << ": " << plan.error().where << ": " << plan.error().message;
  return plan.value_or(Plan{});
}

inline std::uint64_t parts_of(const DevicePlan& d) {
  return d.weights_bytes + d.activation_bytes + d.signal_buffer_bytes + d.vision_cache_bytes + d.overhead_bytes + d.kv_cache_bytes;
}

inline bool warns(const Plan& plan, const std::string& code) {
  for (const Warning& warning : plan.warnings)
    if (warning.code == code) return true;
  return false;
}

} // namespace plimsoll::testing
