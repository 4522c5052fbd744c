// plimsoll/warning.hpp - what a plan or an estimate warns of: codes for programs, each with one spelling.
#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll {

enum class WarningCode : std::uint8_t {
  kArchitectureAssumed,   // no manifest names the class; it is planned by its model_type
  kBatchCapped,           // the batch exceeds the tokens of one forward pass
  kBatchExceedsCapacity,  // fewer requests of full length fit at once
  kBatchExceedsPages,     // not even one page for every request of the batch
  kBufferRuleIsABound,    // how large the engine makes a buffer is not known
  kCapacityClamped,       // the length is what the KV memory holds
  kDtypeAssumed,          // the configuration names no type
  kEntryRuleIsABound,     // how the engine caches this modality is not known
  kExpertsRepacked,       // kernels keep the experts in more bytes than the checkpoint does
  kFlagIgnored,           // of an engine's own command line: it takes no memory
  kFlagNotPlanned,        // it takes memory, or changes what does, and the plan has it not
  kFlagUnknown,           // nothing is known of it
  kHostMemoryNeeded,      // some of it stays in host memory, which the plan does not check
  kKvRuleIsABound,        // how the cache is laid out is not known to the byte
  kMaxLengthBeyondModel,  // longer than the model was made for
  kMaxLengthTruncated,    // the default length was searched down
  kMaxLengthUnknown,      // the configuration does not say how long a request may be
  kMismatchedTensors,     // stored tensors are not as the configuration says
  kMissingTensors,        // the checkpoint lacks tensors
  kNearLimit,             // less than 5 % of the memory stays outside the plan
  kOutsideFraction,       // the engine takes memory beside the fraction that it is given
  kPlacementIsABound,     // how the engine cuts what lies on several devices is not known to the byte
  kPluginReplaces,        // a plugin that was preferred plans in place of a built-in one
  kQuantizationAssumed,   // --quantize: weights are those that an exporter would write
  kQuantizationNotLoaded, // the engine's profile names no such method among those that it loads
  kQuantizationUnknown,   // nobody reads the method of the settings; what the checkpoint stores counts
  kReleaseUnknown,        // newer than all that the engine's profile describes
  kUnclaimedTensors,      // stored tensors that no planner knows
  kVisionCacheRaised      // more is set aside for the vision cache than was asked for: one maximal image
};

// "architecture_assumed", "batch_capped", ...
constexpr std::string_view warning_name(WarningCode code) noexcept {
  switch (code) {
  case WarningCode::kArchitectureAssumed: return "architecture_assumed";
  case WarningCode::kBatchCapped: return "batch_capped";
  case WarningCode::kBatchExceedsCapacity: return "batch_exceeds_capacity";
  case WarningCode::kBatchExceedsPages: return "batch_exceeds_pages";
  case WarningCode::kBufferRuleIsABound: return "buffer_rule_is_a_bound";
  case WarningCode::kCapacityClamped: return "capacity_clamped";
  case WarningCode::kDtypeAssumed: return "dtype_assumed";
  case WarningCode::kEntryRuleIsABound: return "entry_rule_is_a_bound";
  case WarningCode::kExpertsRepacked: return "experts_repacked";
  case WarningCode::kFlagIgnored: return "flag_ignored";
  case WarningCode::kFlagNotPlanned: return "flag_not_planned";
  case WarningCode::kFlagUnknown: return "flag_unknown";
  case WarningCode::kHostMemoryNeeded: return "host_memory_needed";
  case WarningCode::kKvRuleIsABound: return "kv_rule_is_a_bound";
  case WarningCode::kMaxLengthBeyondModel: return "max_length_beyond_model";
  case WarningCode::kMaxLengthTruncated: return "max_length_truncated";
  case WarningCode::kMaxLengthUnknown: return "max_length_unknown";
  case WarningCode::kMismatchedTensors: return "mismatched_tensors";
  case WarningCode::kMissingTensors: return "missing_tensors";
  case WarningCode::kNearLimit: return "near_limit";
  case WarningCode::kOutsideFraction: return "outside_fraction";
  case WarningCode::kPlacementIsABound: return "placement_is_a_bound";
  case WarningCode::kPluginReplaces: return "plugin_replaces";
  case WarningCode::kQuantizationAssumed: return "quantization_assumed";
  case WarningCode::kQuantizationNotLoaded: return "quantization_not_loaded";
  case WarningCode::kQuantizationUnknown: return "quantization_unknown";
  case WarningCode::kReleaseUnknown: return "release_unknown";
  case WarningCode::kUnclaimedTensors: return "unclaimed_tensors";
  case WarningCode::kVisionCacheRaised: return "vision_cache_raised";
  }
  return "near_limit";
}

} // namespace plimsoll
