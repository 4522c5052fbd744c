// What the planners of one model declare, as declare.hpp copied and checked it: weight classes, KV groups, facts and the entries of
// media caches. Made once when a model is loaded. Nothing here depends on devices or on a request. Names of types lie in the plugins'
// manifests, which the model keeps. Threads: immutable once made.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.hpp"
#include "plimsoll/cache_kind.hpp"
#include "plimsoll/memory_kind.hpp"
#include "plimsoll/modality.hpp"
#include "plugin/planners.hpp"
#include "storage/storage.hpp"

namespace plimsoll {

struct WeightPart {
  std::uint64_t extent = 0, units = 0;
  bool replicate = false;
};

// Layers of a class that are stored in one format: quantisation may leave out single layers.
struct WeightVariant {
  const Storage* storage = nullptr;
  std::vector<std::uint32_t> layers; // ascending; empty where the class belongs to no layer
};

using WeightDims = std::array<std::uint64_t, PLIMSOLL_MAX_DIMS>;

struct WeightClass {
  std::string label, pattern;
  std::string_view planner;
  std::uint32_t aspect = 0, stage = 0, placement = 0, role = 0, shard_dim = 0, in_dim = 0, expert_storage = 0, n_dims = 0;
  std::uint32_t rank = 0; // PLIMSOLL_PLACE_ONE
  MemoryKind memory = MemoryKind::kDevice;
  bool quantizable = false, own_dtype = false; // own_dtype: not the checkpoint's common type
  Dtype dtype;
  std::uint64_t experts = 0;         // per layer; 0: none
  WeightDims dims{};                 // of one expert where there are experts
  std::vector<WeightPart> parts;     // along shard_dim, never empty for TP, VOCAB and EXPERT
  std::vector<std::uint32_t> layers; // empty: exists once
  std::vector<WeightVariant> variants;

  // That of its `layer`-th layer.
  const WeightVariant& variant_of(std::size_t layer) const;
  // Tensors over layers and experts, each of `dims`.
  std::uint64_t count() const { return (layers.empty() ? 1 : layers.size()) * (experts == 0 ? 1 : experts); }
  std::uint64_t whole_experts() const { return experts == 0 ? 1 : experts; }
  Checked elements_of_one() const;
  // One tensor (one expert) with these dims, as `storage` keeps it; `base` is the type of what is not quantised.
  Checked bytes_of_one(const Storage& storage, const WeightDims& local, const Dtype& base) const;
  // Elements as published totals count them: nothing for a tied view or a scalar.
  Checked parameters() const;
  // Bytes in the checkpoint: nothing for a tied view.
  Checked declared_bytes() const;
};

struct StateRegion {
  std::string label;
  bool recurrent = false;    // kept as the engine keeps recurrent state; else as the model computes
  std::optional<Dtype> type; // recurrent: what the checkpoint asks for, where the engine leaves it to it
  std::uint64_t elements = 0, units = 0, elements_per_draft_token = 0;
};

// A field of a mixed record, of one head and token.
struct KvField {
  Dtype type;
  std::uint64_t elements = 0;
};

struct KvGroup {
  std::string label;
  std::string_view planner;
  CacheKind kind = CacheKind::kFull;
  std::uint32_t role = 0, tokens_per_slot = 1;
  std::optional<Dtype> k_type, v_type; // both or none; none: the request's
  std::optional<Dtype> scale_type;     // none: no scales
  std::vector<KvField> record;         // in place of the types, where it is mixed
  std::vector<std::uint32_t> layers;
  std::shared_ptr<const std::vector<std::uint32_t>> kept_layers; // the same, for a geometry that outlives the model
  std::uint64_t kv_heads = 0, query_heads = 0, k_elements = 0, v_elements = 0, scale_elements = 0, window_tokens = 0, fixed_tokens = 0;
  std::uint64_t rope_elements = 0, expanded_k_elements = 0, expanded_v_elements = 0; // LATENT
  std::vector<StateRegion> regions;
  bool bound = false;

  // Whether it is kept as the planner says, whatever KV type the request has.
  bool own_type() const { return k_type.has_value() || !record.empty(); }
};

// The largest thing of one modality that a request may bring.
struct MediaEntry {
  std::string label;
  std::string_view planner;
  Modality modality = Modality::kImage;
  std::optional<Dtype> type; // none: the model's
  std::uint64_t rows = 0, row_elements = 0, encoder_tokens = 0, encoder_elements = 0;
  std::uint32_t most_per_request = 0; // 0: no limit
};

struct Declared {
  std::vector<std::shared_ptr<const Storage>> named_formats; // the host's that classes name themselves; variants point to them
  std::vector<std::string_view> scale_names;                 // what plugins call the scales of their own formats
  std::vector<WeightClass> weights;
  std::vector<KvGroup> kv;
  plimsoll_facts facts{};
  std::vector<MediaEntry> entries; // each modality at most once
  bool head_left_out = false;      // the planner's own head is not the model's: hidden states are what it gives
  bool scores = false;             // and what stands in its place scores them

  // The entry that takes most of an encoder: what engines profile with. nullptr for text.
  const MediaEntry* largest_entry() const;
  const MediaEntry* entry_of(Modality modality) const;
};

// "model.layers.{layer}.x" with the numbers put in.
std::string tensor_name(std::string_view pattern, std::uint64_t layer, std::uint64_t expert);

} // namespace plimsoll
