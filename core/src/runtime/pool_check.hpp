// The pages of a KV cache, tried one and all: every page that the manager can hand out is handed out, marked at both ends of each layer's
// part through the page tables, and read back once all are marked. Called by verify_model, after the model's own steps. Threads: [serial].
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "plimsoll/arena.hpp"
#include "plimsoll/kv_cache_model.hpp"

namespace plimsoll {

struct PoolFinding {
  std::string label;                       // of the plan's item
  std::uint64_t units = 0, handed_out = 0; // pages without null pages, or rows of states
};

struct PoolFindings {
  std::vector<PoolFinding> groups;
  std::string broken;       // what a page lost, or what does not agree; empty: nothing
  std::string broken_label; // whose
  bool null_pages_are_zero = true;
  std::uint64_t null_pages = 0;
  std::uint64_t refusals = 0;  // one more page was asked for, refused, and nothing else changed
  std::string refusal_problem; // where that was not so
};

// Whose memory a rank's pages are.
using PoolMemory = std::function<MemorySource&(std::uint32_t rank)>;

// Whether the pages that no request gets are all zeros on every rank.
bool null_pages_are_zero(KvCache& cache, const PoolMemory& memory);

// Requests of `max_length` tokens and of one each until nothing is left. The prefix cache is empty afterwards, and what the model stored
// is overwritten.
Result<PoolFindings> check_pools(KvCache& cache, const PoolMemory& memory, std::uint64_t max_length, std::uint64_t seed);

} // namespace plimsoll
