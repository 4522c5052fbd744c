// How a family of checkpoints names and orders its FFN tensors. Chosen by the `ffn_names` class default of the manifest, never by
// an architecture's name. Constant data, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <plimsoll/plugin.hpp>

namespace moe {

// The projections of one FFN below a prefix. `up` empty: gate and up are one fused tensor named `gate`. `gate` empty: an FFN
// of two matrices.
struct Projections {
  std::string_view prefix; // after the layer's, "mlp.experts.{expert}."
  std::string_view gate;
  std::string_view up;
  std::string_view down;
  std::string_view suffix = ".weight";
};

// Projections into the experts' width and back, and a norm between; `linear`: exporters quantise them.
struct Latent {
  std::string_view in = "", out = "", norm = "";
  bool linear = true;
};

// What differs from the common case; see the rows of names.cpp.
struct Names {
  std::string_view name; // "mlp"
  std::string_view layer = "model.layers.{layer}.";
  std::string_view router = "mlp.gate.weight";
  std::string_view router_bias = "";               // empty: the router has none
  std::array<std::string_view, 2> router_scales{}; // for each input feature, for each expert; empty: none
  std::string_view correction = "";                // per-expert selection bias; empty: such checkpoints have none
  std::string_view hash_table = "";                // experts by token, in place of the correction, in the first layers
  Projections experts{};
  plimsoll::ExpertStorage expert_storage = plimsoll::ExpertStorage::kSeparate;
  bool experts_in_out = false;       // stored [in, out] instead of [out, in]
  bool down_in_out = false;          // the same for the down projection alone
  bool packed_out_in = false;        // [out, in] nevertheless where quantization_config packs experts in mxfp4
  std::string_view expert_bias = ""; // suffix of per-expert biases; empty: none
  Latent latent{};                   // around experts that work in a width of their own; empty: such checkpoints have none
  Projections shared{};              // shared experts as one FFN
  bool shared_width_each = false;    // the key holds the width of one shared expert, not of all
  std::string_view shared_gate = ""; // a router of one output for them; empty: none
  Projections dense{};               // layers without experts
  std::uint32_t dense_per_layer = 0; // 0: only layers without experts have one; else every layer has so many
  bool dense_as_hidden = false;      // it is as wide as the model, and no key says so
  std::string_view draft_layer = ""; // a draft layer, where its name is another; experts there count from 0
  Projections draft_dense{};         // the FFN of a draft module without experts
};

// The table's row; null for an unknown name.
const Names* find_names(std::string_view name);
// "mlp, mlp_one_shared, ..." for messages.
std::string all_names();

} // namespace moe
