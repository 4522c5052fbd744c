// The sizes of an expert model's FFN, read once from its configuration. Used by every file of this plugin. A plain
// value without pointers into the configuration; any thread may read it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "names.hpp"

#include <plimsoll/plugin_util.hpp>

namespace moe {

struct Shape {
  const Names* names = nullptr;
  std::uint64_t hidden = 0;
  std::uint64_t experts = 0;      // routed, with weights
  std::uint64_t zero_experts = 0; // routed to, without weights
  std::uint64_t experts_per_token = 0;
  std::uint64_t expert_width = 0;
  std::uint64_t seen_experts = 0, seen_width = 0; // a second set, for what a tower saw; 0: none
  std::uint64_t expert_hidden = 0;                // what experts read and write: the hidden size, or a latent width of their own
  bool latent_norm = false;
  std::uint64_t shared_experts = 0; // a count where the configuration gives one, else 1 or 0
  std::uint64_t shared_width = 0;   // of all shared experts together; 0: none
  std::uint64_t dense_width = 0;    // 0: no dense FFN anywhere
  bool correction = false;
  std::string router_dtype;     // empty: the checkpoint's
  std::string correction_dtype; // "float32" as a rule
  std::string linear_format;    // of this family's own fp8 checkpoints; empty: whatever quantization_config says
  std::string expert_format;    // the same for routed experts
  bool experts_in_out = false;  // stored [in, out] instead of [out, in]
  bool down_in_out = false;     // the same for the down projection alone
  std::vector<std::uint32_t> sparse_layers;
  std::vector<std::uint32_t> hash_layers;   // the first of them, routed by a table of `vocab` rows
  std::vector<std::uint32_t> scored_layers; // the rest
  std::uint64_t vocab = 0;
  std::vector<std::uint32_t> dense_layers;
  std::vector<std::uint32_t> draft_layers;  // with experts, numbered after the last decoder layer
  std::vector<std::uint32_t> draft_modules; // with a dense FFN, numbered from 0 or after the last layer
};

// Throws plimsoll::Error with the JSON pointer at fault.
Shape read_shape(const plimsoll::Config& config);

} // namespace moe
