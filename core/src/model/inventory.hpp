// What a checkpoint stores, held against what the planners declare: bytes per class and layer, and every tensor that is
// missing, extra or of another shape. Filled by a Matcher while a scan streams; keeps numbers, not the tensors.
// A complete checkpoint is its own truth: finish() says what of the declared classes nothing in the file can be.
// Threads: an Inventory belongs to one scanning thread until all are added up; immutable afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/declared.hpp"
#include "model/layer_sites.hpp"
#include "model/named.hpp"
#include "model/unknown_tensors.hpp"
#include "plimsoll/host.hpp"

namespace plimsoll {

// The stored side of one weight class.
struct StoredClass {
  std::vector<std::uint64_t> layer_bytes;   // per entry of WeightClass::layers, or one entry; packed values and scales
  std::vector<bool> absent;                 // likewise, or empty: nothing in the file can be it, it does not count; after finish()
  std::vector<bool> seen;                   // main tensors by layer and expert
  std::vector<std::uint64_t> part_elements; // of a fused class stored in parts, per layer; empty: not stored so
  std::uint64_t tensors = 0;
  bool packed_type = false; // some tensor has a type that packs values: a cast leaves it alone

  std::uint64_t bytes() const;
  bool is_absent(std::size_t layer) const { return !absent.empty() && absent[layer]; }
};

// Whether layers of a variant are float32 where a loader unpacks: they are quantised; or the checkpoint packs the class in blocks, which it
// may do in any layer of it. `stored` may be null.
bool is_unpacked(const WeightClass& c, const WeightVariant& variant, const StoredClass* stored);

// How many classes lack something, and the first tensor of them.
struct Lacking {
  std::uint64_t classes = 0;
  std::string first;
};

// What one worker found. Sums of two inventories are an inventory.
struct Inventory {
  std::vector<StoredClass> classes; // as Declared::weights
  Named<TensorBytes> unclaimed;     // the names of `unknown`
  UnknownTensors unknown;
  std::uint64_t kv_scale_bytes = 0;
  std::uint64_t table_bytes = 0;  // tables of rotary frequencies that a GGUF file adds: loaded, no weights
  std::uint64_t buffer_bytes = 0; // masks, positions, frequencies that an old exporter left behind: engines compute them
  Named<Mismatch> mismatched;
  std::uint64_t mismatched_count = 0;
  // After finish():
  std::vector<std::string> missing; // names of tensors that the file lacks, counted or not
  Lacking holes;                    // the file is not complete without them: they count as declared
  Lacking not_stored;               // nothing in the file can be them: they do not count
  bool draft_missing = false;       // nothing of the multi-token prediction layers is stored
  bool draft_counted = false;       // and nothing in the file can be them: they count as declared where they are asked for

  void add(const Inventory& other);
  // After the last tensor. `all_there`: the format is refused by its engines where a tensor is missing (GGUF), so a layer of
  // which something is stored lacks nothing.
  void finish(const Declared& declared, const LayerSites& sites, bool all_there);
  void mismatch(std::uint32_t file_index, std::string_view name, std::string declared, std::string stored);

private:
  void judge_missing(const Declared& declared, const LayerSites& sites, bool all_there);
  void name_missing(const WeightClass& c, const StoredClass& stored, bool all_there);
  void compare_parts(const WeightClass& c, const StoredClass& stored);
};

// What a plan must say of a checkpoint that is not as its planners think. `with_draft`: draft layers are planned too.
std::vector<Warning> checkpoint_warnings(const Inventory& inventory, bool with_draft);

// Names of main tensors that the class declares and the checkpoint lacks, at most `most` of them.
std::vector<std::string> missing_tensors(const WeightClass& c, const StoredClass& stored, std::size_t most);

} // namespace plimsoll
