// Asks the planners of this build for the forward pass of a model, as a host does, and keeps what they say. What breaks a rule of
// plimsoll/pipeline.h is a fault with words. Knows nothing of the host's own collector: it is a second reading of that header. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/pipeline.h"
#include "plugin/planner_tree.hpp"

namespace plimsoll::testing {

// A declared class of weights, and a declared KV group.
struct WeightSeen {
  std::string label;
  std::uint32_t aspect = 0, role = 0, in_dim = 0, shard_dim = 0;
  std::vector<std::uint32_t> layers;
  std::vector<std::uint64_t> dims, parts; // extents
  std::uint64_t experts = 0;
  bool used = false;
  std::uint64_t elements() const;
};
struct GroupSeen {
  std::string label;
  std::uint32_t kind = 0, role = 0;
  std::vector<std::uint32_t> layers;
  std::uint64_t kv_heads = 0, k_elements = 0, v_elements = 0, window_tokens = 0;
  std::vector<std::uint64_t> regions; // elements of a state's
};

struct OpSeen {
  std::uint32_t kind = 0, flags = 0, layer = 0, out = 0;
  std::vector<std::uint32_t> in;
  std::vector<std::string> weights;
  std::string kv_group;
  std::array<std::uint64_t, PLIMSOLL_OP_MAX_INTEGERS> i{};
  std::array<double, PLIMSOLL_OP_MAX_REALS> f{};
};
struct TableSeen {
  std::vector<double> inverse, long_inverse;
  double attention_factor = 1, long_attention_factor = 1;
  std::uint64_t long_beyond_tokens = 0;
  bool operator==(const TableSeen&) const = default;
};

struct Pass {
  std::vector<WeightSeen> weights;
  std::vector<GroupSeen> groups;
  std::vector<plimsoll_value> values;
  std::vector<TableSeen> tables; // each once
  std::vector<OpSeen> ops;
  std::uint32_t logits = PLIMSOLL_NO_VALUE;
  plimsoll_status status = PLIMSOLL_OK; // E_UNSUPPORTED: nothing is described, `message` and `where` say why
  std::string message, where;
  std::vector<std::string> faults;

  std::vector<const OpSeen*> of_layer(std::uint32_t layer) const;
  // "norm 65, linear 225, ...": ops by kind.
  std::map<std::string, std::uint64_t> counts() const;
  std::uint64_t used_classes() const;
};

// The pass of a model that this configuration describes, planned by the plugins of this build.
Pass record(const Json& config);
// The configuration of core/catalogue/models/<name>.json.
Json catalogue_config(const std::string& name);
std::vector<std::string> catalogue_models();

// The layer whose cache an op looks into: its own, or one before it.
std::uint32_t cache_layer(const OpSeen& op);
// What is wrong with the operands of an op: widths, classes, numbers. Empty: nothing.
std::string wrong_operands(const Pass& pass, const OpSeen& op, const std::vector<const WeightSeen*>& weights, const GroupSeen* group);
const char* kind_name(std::uint32_t kind);

} // namespace plimsoll::testing
