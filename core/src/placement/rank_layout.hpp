// Where ranks stand: tensor-, pipeline-, data- and expert-parallel degrees, which layers each stage holds, and which the host. Never
// knows bytes. Threads: plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/host.hpp"

namespace plimsoll {

// Tensors that lie in host memory because their name says so: layers of a class, by its pattern; 0 for a class of no layer.
struct HostTensors {
  std::map<std::string, std::vector<std::uint32_t>, std::less<>> layers_of_class; // ascending

  bool has_some_of(std::string_view pattern) const { return layers_of_class.contains(pattern); }
  bool has(std::string_view pattern, std::uint32_t layer) const;
};

// rank = (dp_i * pp + pp_i) * tp + tp_i, as engines number them.
struct RankLayout {
  std::uint32_t tp = 1, pp = 1, dp = 1, ep = 1;
  std::uint32_t nodes = 1; // machines; ranks fill one after the other
  std::uint32_t redundant_experts = 0;
  std::uint64_t vocab_padding_rows = 1;   // vocabularies are padded to a multiple of this, then of tp
  bool vision_split = false;              // towers are cut over tp instead of copied
  bool experts_split_over_dp = false;     // without expert parallelism: experts cut by tp * dp instead of tp
  std::vector<std::uint32_t> stage_begin; // pp + 1 entries; stage s holds layers [stage_begin[s], stage_begin[s + 1])
  // The host: layers before stage_begin[0], and the experts of those before host_expert_layers. It counts as one more stage, without ranks.
  std::uint32_t host_expert_layers = 0;
  bool embedding_on_host = false;                  // the input embedding; a tied output layer is then a copy of it
  std::optional<std::uint32_t> output_stage;       // of what follows the last layer; absent: the last
  std::shared_ptr<const HostTensors> host_tensors; // beside these; may be null
  std::vector<double> row_shares;                  // of each rank, where matrices are cut by rows over all of them; empty: they are not

  std::uint32_t ranks() const { return tp * pp * dp; }
  bool replicas_share_experts() const { return dp > 1 && (ep > 1 || experts_split_over_dp); }
  std::uint32_t host_stage() const { return pp; }
  std::uint32_t last_stage() const { return output_stage.value_or(pp - 1); }
  std::uint32_t host_layers() const { return stage_begin.front(); }
  bool uses_host() const {
    return embedding_on_host || host_layers() > 0 || host_expert_layers > 0 || host_tensors != nullptr || last_stage() == host_stage();
  }
  std::uint32_t stage_of_rank(std::uint32_t rank) const { return rank / tp % pp; }
  // Whether nothing of the model lies on a stage. Where nothing lies on any, the first still computes with what the host has.
  bool is_idle(std::uint32_t stage) const {
    const bool computes = stage == 0 && last_stage() == host_stage();
    return stage_begin[stage] == stage_begin[stage + 1] && last_stage() != stage && !computes;
  }
  // Layers of an ascending list that stage `s` holds; indices beyond the model belong to the last stage. `held_back`: the host has layers
  // up to this one, where that is more than its whole ones.
  std::uint32_t stage_of_layer(std::uint32_t layer, std::uint32_t held_back = 0) const;
  // The stage of what a described pass computes: that of its layer; without one the first, or the last behind all layers.
  std::uint32_t stage_of_op(std::uint32_t layer, bool behind_layers) const {
    if (layer != UINT32_MAX) return stage_of_layer(layer);
    return behind_layers ? pp - 1 : 0;
  }
  std::uint64_t layers_before_stage(const std::vector<std::uint32_t>& layers, std::uint32_t stage, std::uint32_t held_back = 0) const;
  std::uint64_t layers_on_stage(const std::vector<std::uint32_t>& layers, std::uint32_t stage, std::uint32_t held_back = 0) const;
};

// Layers that an engine deals to devices one after the other. The output layer is the last of them.
struct LayerDeal {
  std::vector<double> shares;              // of every device; what counts is their share of the sum
  std::uint32_t draft_layers = 0;          // behind the model's own, dealt like these
  std::optional<std::uint32_t> gpu_layers; // the last ones, on devices; absent: all
};

// The device of each of so many layers: the i-th goes to the first whose shares, with those before it, exceed i / layers of the whole; in
// float32, as llama.cpp counts them. 37 layers over equal shares: 13, 12 and 12.
std::vector<std::uint32_t> deal_layers(std::span<const double> shares, std::uint32_t layers);

// Checks the degrees against each other, the devices (one for each rank) and the model. `listed_nodes`: nodes that the device
// list names, 0 where it names none; then the request says how many. `deal`: the engine deals layers, where the request names no degrees.
Result<RankLayout> make_rank_layout(const PlanRequest& request, std::uint64_t n_devices, std::uint32_t n_layers,
                                    std::uint32_t listed_nodes = 0, const LayerDeal* deal = nullptr);

} // namespace plimsoll
