// What the words of GGUF files mean, as data: which class an architecture is, which of its metadata keys a config.json has under which
// name, and what its tensors are called there. One GgufWords is one gguf.json: a family's, or the catalogue's, whose sets all may use.
// Knows no architecture. Never guesses: what the words do not say is left out. Threads: pure functions, immutable values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "checkpoint/gguf.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Something that must hold of one metadata key. True counts as a number above 0, false as none.
struct GgufCondition {
  enum class Kind { kEquals, kPositive, kNone, kNumber, kList };
  std::string key;
  Kind kind = Kind::kEquals;
  std::vector<std::uint64_t> numbers; // kEquals: any of these
};

// One way to find a value of the config. A source is a metadata key without the architecture's prefix, or with a slash in front a
// place in the config as it was before this set.
struct GgufRule {
  enum class Kind { kCopy, kValue, kRatio, kLayers, kLayersWith, kLayersWithout, kCycle, kPeriod, kStored, kLayersStoring, kRemove };
  Kind kind = Kind::kCopy;
  std::vector<GgufCondition> when;
  std::vector<std::string> sources;         // kCopy: 1; kRatio: 2; kLayers: as many as words, or one less; kStored and kLayersStoring: a
                                            // tensor's name, as in a GgufNameSet
  std::vector<std::string> words;           // kLayers: what a layer is whose source is positive, then what the others are; kCycle;
                                            // kPeriod: what most layers are, then what one of each period is
  std::uint64_t period = 0;                 // kPeriod: where the source has no number
  bool first = false;                       // kPeriod: the first of each period is the other, not the last
  std::map<std::string, std::string> named; // kCopy: words for numbers, "true" and "false"; "*" for all others
  Json value;                               // kValue
  bool join = false;                        // kLayers: one text instead of a list
};

// "rope_theta" or "linear_attn_config/num_heads", and the rules of which the first that finds something counts.
struct GgufKey {
  std::string name;
  std::vector<GgufRule> rules;
};
using GgufKeySet = std::vector<GgufKey>;

// Stored name to config's name, both without ".weight"; "blk" is what stands before the names inside a layer.
using GgufNameSet = std::map<std::string, std::string, std::less<>>;

// How the elements of a stored tensor lie, where they do not lie as in the checkpoint that the config belongs to.
struct StoredOrder {
  bool rope_pairs = false;        // rows 2i and 2i + 1 of each stored head are its rows i and i + n / 2
  bool one_added = false;         // a norm's gains are stored as 1 + g; its bias is not
  bool transposed = false;        // the last two dimensions are exchanged
  bool alternating = false;       // its rows and those of its neighbours alternate in the tensor that fuses them
  bool minus_exponential = false; // -exp(x) is stored of each element x
  std::string dealt = {};         // empty, or the metadata key that says how many hands heads are dealt to in turn: stored are the first
                                  // heads of all hands, then the second ones; the tensor has one hand after the other
  std::uint64_t hands = 0;        // what the file says under that key; 0: nothing is dealt
  bool operator==(const StoredOrder&) const = default;
};

// By stored name, as in a GgufNameSet.
using StoredOrderSet = std::map<std::string, StoredOrder, std::less<>>;

// One meaning of an architecture's name.
struct GgufArchitecture {
  std::vector<GgufCondition> when;
  std::vector<std::string> needs; // metadata keys that must hold a number above 0, or a list with one
  std::string class_name, model_type;
  std::vector<GgufKeySet> keys;
  std::vector<GgufNameSet> names;                    // none: tensors keep their stored names
  bool own_names = true;                             // false: as stored, not even the usual ones
  std::optional<std::vector<StoredOrderSet>> orders; // nothing: nobody said, so nobody may read the data
};

struct GgufWords {
  std::map<std::string, std::vector<GgufArchitecture>, std::less<>> architectures;
  std::map<std::string, GgufKeySet, std::less<>> keys;
  std::map<std::string, GgufNameSet, std::less<>> names;
  std::map<std::string, StoredOrderSet, std::less<>> orders;
};

// Reads and checks one gguf.json; sets may be those of `common`, which may be nullptr. kPluginFailed names `where` and the key at fault.
Result<GgufWords> read_gguf_words(const Json& root, const GgufWords* common, const std::string& where);

// What one file needs: the meaning of its architecture, on top of the sets called "usual". An architecture that nobody knows
// keeps its own name as class and model_type.
GgufArchitecture gguf_architecture(std::string_view name, const GgufArchitecture* known, const GgufWords& common);
// The first meaning whose conditions hold; nullptr where there is none.
const GgufArchitecture* find_gguf_architecture(const GgufWords& words, std::string_view name, const GgufMetadata& metadata);

// "general.architecture"; kBadConfig where there is none.
Result<std::string> gguf_architecture_name(const GgufMetadata& metadata, const std::string& path);

} // namespace plimsoll
