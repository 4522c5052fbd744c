// Engine profiles: how an inference engine budgets, pages and reserves, as data. Read from the catalogue or from a
// user's YAML file; every key is checked. No engine is known to the code by name. Called by the plan room.
// Threads: immutable after load.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace plimsoll {

struct Reservation {
  std::vector<std::string> architectures; // empty: every model
  std::string label;
  std::uint64_t bytes = 0;
  bool per_device = false; // else of the pipeline, spread over its devices
};

struct EngineProfile {
  std::string name, version;
  bool budget_of_total = false; // else of what is free
  double utilization = 0.9;
  std::uint64_t max_batch_input_tokens = 8192, default_max_batch_size = 512, default_request_tokens = 4096;
  bool chunked_prefill = true;
  std::string kv_dtype = "auto", state_dtype = "auto";
  std::uint64_t page_tokens = 128, null_pages = 1, state_rows = 2, state_rows_without_prefix_caching = 1;
  bool prefix_caching = true;
  // Rows of recurrent state that one sequence holds.
  std::uint64_t rows_per_sequence() const { return prefix_caching ? state_rows : state_rows_without_prefix_caching; }
  bool kv_demand_limited = true;
  std::uint64_t signal_buffer_bytes = 0;
  double vision_utilization = 0;
  std::uint64_t vision_block_tokens = 128;
  std::uint32_t vocab_padding_rows = 1;
  bool experts_split_over_dp = false;
  bool vision_split = false; // towers are cut over the tensor-parallel group instead of copied
  std::vector<Reservation> overheads, reservations;
  Json planner = Json::object(); // values that planners' formulas use, as they find them under req->engine
};

// `name` is NAME[@VERSION] of the catalogue folder, or the path of a YAML file. `overrides` are dotted keys
// or their short names: "kv.page_tokens" or "page_tokens" -> "64". kBadRequest names the file and the key.
Result<EngineProfile> load_profile(const std::string& catalogue, const std::string& name,
                                   const std::map<std::string, std::string>& overrides);

} // namespace plimsoll
