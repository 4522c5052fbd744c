// What a plan document says of the memory of each rank, and which GPU of this machine is which rank.
// Called by main.cpp. Believes no document: what is no plan is an error with its place. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nvml.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll::watch {

struct PlannedRank {
  std::uint32_t rank = 0;
  std::string device;
  std::vector<std::pair<std::string, std::uint64_t>> parts; // "weights", bytes; in the plan's order
  std::uint64_t sum_bytes = 0;                              // of all parts
  std::uint64_t budget_bytes = 0;
};

struct Planned {
  std::string model, engine, verdict;
  std::uint64_t nodes = 1;
  std::vector<PlannedRank> ranks;
};

// Of a `plimsoll.plan/1` in JSON; `where` names it in errors.
Result<Planned> read_planned(const std::string& json, const std::string& where);

// A GPU, and what is planned for it: nothing where it is none of the plan's.
struct Watched {
  Gpu gpu;
  std::optional<PlannedRank> planned;
};

// What --gpus or CUDA_VISIBLE_DEVICES names: indices of NVML and UUIDs with commas between them; all where it is empty.
Result<std::vector<Gpu>> chosen_gpus(const Nvml& nvml, const std::vector<Gpu>& all, std::string_view list, const std::string& where);
// The first GPU is `first_rank`, the next one the next. kBadRequest where the plan has ranks that no GPU is left for: of several machines
// those of one are enough.
Result<std::vector<Watched>> matched(const std::vector<Gpu>& gpus, const Planned& planned, std::uint32_t first_rank);

// --devices of these GPUs: their names with their sizes, "H100 80GB HBM3=81079MiB,...".
std::string devices_of(const Nvml& nvml, const std::vector<Gpu>& gpus);

} // namespace plimsoll::watch
