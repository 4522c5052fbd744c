// What an engine profile can say beside plain values: a value that depends on circumstances (a list of {when, value}), words of its own
// that circumstances may ask for (`choices`), and bytes that follow from a formula (a sum of products of named quantities). Never
// knows an engine by name. Threads: plain values, pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
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
  std::uint32_t tp = 1, pp = 1, dp = 1, ep = 1, nodes = 1;
  std::string vendor;                             // of the device: "nvidia"
  std::string architecture, model_type, kv_dtype; // kv_dtype: canonical, empty where the request names none
  std::string checkpoint_kv;                      // whose settings ask for which KV type: "modelopt.float8_e4m3fn"; empty: none do
  std::string expert_format;                      // storage of most of the experts: "bfloat16", "fp8_block_128x128", "mxfp4"
  std::uint64_t head_elements = 0;                // of the widest head that is cached whole
  std::vector<std::string> has;                   // "state", "window", "latent", "indexer", "experts", "vision", "draft"
};

// What the conditions of a profile ask for. A search over layouts and cards meets thousands of facts and few different answers.
class AskedFacts {
public:
  explicit AskedFacts(const Json& root);
  // Facts with one key have one answer to every condition.
  std::string key(const ProfileFacts& facts) const;

private:
  void collect(const Json& node);
  void take(const std::string& condition, const Json& value);
  std::map<std::string, std::set<std::uint64_t>, std::less<>> bounds_; // of numbers, by condition: "tp_from"
  std::set<std::string, std::less<>> words_;                           // facts that are compared whole: "card", "has"
};

// Whether any value of the profile depends on circumstances.
bool has_conditions(const Json& root);

// Settles the words under /choices, each may ask for those before it, and puts them there; then replaces every list of {when, value} by
// the first value whose conditions hold, and drops entries of other lists whose `when` does not hold. `release` is the release asked for.
// kBadRequest with the pointer for an unknown or malformed condition, also in entries that do not apply.
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
  kNodes,
  kDraftTokens,        // drafted in a step
  kGraphs,             // batch sizes that are captured as graphs
  kDecodeGraphs,       // those of them that a step which only decodes can have
  kMoeTokens,          // that enter the experts of one rank
  kLocalExperts,       // of one layer on one rank, redundant ones too
  kExpertElements,     // width of an expert on one rank
  kExpertGateElements, // of what an expert computes first: gate and up beside each other
  kExpandedElements,   // of one token, of all heads of a rank: keys without their rotary part, and values
  kOutputRows,         // of a pass, whose logits are kept at once
  kQueryElements,      // of a query row, all heads
  kLatentElements,     // of keys and values that a latent cache's row expands to, all heads
  kWholeScores,        // 1 where attention keeps all scores of a pass, else 0
  kFurtherCopies,      // of a pass's inputs, beside the first
  kHostExperts,        // of a token, where the host holds experts, else 0
  kCopiedLayerBytes,   // weights of a layer in host memory that are on the device while it multiplies with them
  kCopiedOutputBytes,  // the same of the output layer
  kProjectorTokens,    // of the pass of a projector beside the model over one image; 0 on all devices but the first
  kProjectorElements,  // its widest row
  kProjectorScores,    // tokens x tokens x heads of it
};
inline constexpr std::size_t kQuantities = 42;
using Quantities = std::array<std::uint64_t, kQuantities>;

// A factor of a term: a quantity, or the largest of several.
using Factor = std::vector<Quantity>;

// coefficient x product of factors / product of factors; rounded up to a byte.
struct Term {
  std::uint64_t billionths = 0; // of a byte
  std::vector<Factor> times, divided_by;
  std::uint64_t value(const Quantities& q) const; // saturates
  std::string formula(const Quantities& q) const; // with values put in
};

// A named sum of terms.
struct ProfileItem {
  std::string label, phase; // phase: empty for bytes that stay; else of the phases the largest counts
  Basis basis = Basis::kHeuristic;
  MemoryKind memory = MemoryKind::kDevice; // of the host: once, for all ranks
  std::string warning;                     // that a plan says where it counts; empty: none
  std::vector<Term> terms;
  std::uint64_t bytes(const Quantities& q) const;
  std::string formula(const Quantities& q) const;
};

// Reads {bytes | mib | gib, times, divided_by}; the message says what was wrong.
Result<Term> read_term(const Json& node, const std::string& where);

} // namespace plimsoll
