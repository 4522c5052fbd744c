// The two things an engine profile can say beside plain values: a value that depends on circumstances (a list of
// {when, value}), and bytes that follow from a formula (a sum of products of named quantities). Never knows an engine by name. Threads:
// plain values, pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/host.hpp"

namespace plimsoll {

// What conditions can ask for. Everything is known before a plan is made.
struct ProfileFacts {
  std::uint64_t card_bytes = 0; // total memory of the device
  std::string card, arch;       // "H100", "hopper"; empty: unknown
  std::uint32_t compute_capability = 0;
  std::uint32_t tp = 1, pp = 1, dp = 1, ep = 1;
  std::string architecture, model_type, kv_dtype; // kv_dtype: canonical, empty where the request names none
  std::vector<std::string> has;                   // "state", "window", "latent", "indexer", "experts", "vision", "draft"

  std::string key() const; // equal facts have equal keys
};

// Whether any value of the profile depends on circumstances.
bool has_conditions(const Json& root);

// Replaces every list of {when, value} by the first value whose conditions hold, and drops entries of other lists whose
// `when` does not hold. `release` is the release asked for. kBadRequest with the pointer for an unknown or malformed
// condition, also in entries that do not apply.
Result<Json> settle_conditions(const Json& root, const ProfileFacts& facts, const std::string& release, const std::string& file);

// ---- formulas

enum class Quantity : std::uint8_t {
  kInputTokens, // of one forward pass
  kSequences,   // requests that one step decodes
  kSampledRows, // the smaller of the two
  kGraphBatch,  // largest batch that is captured as a graph
  kLength,      // tokens of one request
  kVocab,
  kHidden,
  kQueryHeads,
  kKvHeads,
  kLayers,
  kExperts,
  kExpertsPerToken,
  kTp,
  kPp,
  kDp,
  kEp,
  kRanks,
  kVisionRows,    // of the largest image, after merging
  kTowerTokens,   // patches of that image
  kTowerElements, // width of the encoder
  kImages,        // of one forward pass
  kCardBytes,
};
inline constexpr std::size_t kQuantities = 22;
using Quantities = std::array<std::uint64_t, kQuantities>;

// coefficient x product of quantities / product of quantities; rounded up to a byte.
struct Term {
  std::uint64_t billionths = 0; // of a byte
  std::vector<Quantity> times, divided_by;
  std::uint64_t value(const Quantities& q) const; // saturates
  std::string formula(const Quantities& q) const; // with values put in
};

// A named sum of terms.
struct ProfileItem {
  std::string label, phase; // phase: empty for bytes that stay; else of the phases the largest counts
  Basis basis = Basis::kHeuristic;
  std::vector<Term> terms;
  std::uint64_t bytes(const Quantities& q) const;
  std::string formula(const Quantities& q) const;
};

// Reads {bytes | mib | gib, times, divided_by}; the message says what was wrong.
Result<Term> read_term(const Json& node, const std::string& where);

} // namespace plimsoll
