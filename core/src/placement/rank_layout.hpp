// Where ranks stand: tensor-, pipeline-, data- and expert-parallel degrees, and which layers each stage holds.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <vector>

#include "plimsoll/host.hpp"

namespace plimsoll {

// rank = (dp_i * pp + pp_i) * tp + tp_i, as engines number them.
struct RankLayout {
  std::uint32_t tp = 1, pp = 1, dp = 1, ep = 1;
  std::uint32_t nodes = 1; // machines; ranks fill one after the other
  std::uint32_t redundant_experts = 0;
  std::uint64_t vocab_padding_rows = 1;   // vocabularies are padded to a multiple of this, then of tp
  bool vision_split = false;              // towers are cut over tp instead of copied
  bool experts_split_over_dp = false;     // without expert parallelism: experts cut by tp * dp instead of tp
  std::vector<std::uint32_t> stage_begin; // pp + 1 entries; stage s holds layers [stage_begin[s], stage_begin[s + 1])

  std::uint32_t ranks() const { return tp * pp * dp; }
  std::uint32_t stage_of_rank(std::uint32_t rank) const { return rank / tp % pp; }
  // Layers of an ascending list that stage `s` holds; indices beyond the model belong to the last stage.
  std::uint32_t stage_of_layer(std::uint32_t layer) const;
  std::uint64_t layers_before_stage(const std::vector<std::uint32_t>& layers, std::uint32_t stage) const;
  std::uint64_t layers_on_stage(const std::vector<std::uint32_t>& layers, std::uint32_t stage) const;
};

// Checks the degrees against each other, the devices (one for each rank) and the model. `listed_nodes`: nodes that the device
// list names, 0 where it names none; then the request says how many.
Result<RankLayout> make_rank_layout(const PlanRequest& request, std::uint64_t n_devices, std::uint32_t n_layers,
                                    std::uint32_t listed_nodes = 0);

} // namespace plimsoll
