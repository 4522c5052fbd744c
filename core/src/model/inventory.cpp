#include "model/inventory.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <utility>

#include "base/human.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaxNamed = 1000;       // missing tensors that a report names one by one
constexpr std::uint64_t kDensestPacking = 16; // no format stores 16-bit weights in less than a bit each

// Decides of every class and layer of which nothing is stored whether the file can lack it and be complete.
class Completeness {
public:
  Completeness(const Declared& declared, const LayerSites& sites, const Inventory& found, bool all_there)
      : sites_(sites), found_(found), all_there_(all_there) {
    for (std::size_t i = 0; i < declared.weights.size(); ++i) {
      const WeightClass& c = declared.weights[i];
      const std::int32_t site = sites.site_of(c);
      declared_bytes_[site] += c.declared_bytes();
      embedding_there_ = embedding_there_ || (is_embedding(c) && found.classes[i].tensors != 0);
      for (std::size_t l = 0; l < c.layers.size(); ++l)
        if (found.classes[i].layer_bytes[l] != 0) stored_layers_.insert({site, c.layers[l]});
    }
  }

  // True: nothing in the file can be layer `l` of the class. False: the file has a hole there.
  bool is_absent(const WeightClass& c, const StoredClass& stored, std::size_t l) const {
    if (c.layers.empty()) return !needs_unlayered(c);
    const std::int32_t site = sites_.site_of(c);
    const std::uint32_t layer = c.layers[l];
    if (found_.unknown.in_layer(site, layer)) return true; // what is there under other names counts instead
    const bool layer_there = stored_layers_.contains({site, layer});
    if (layer_there) return all_there_ || stored.tensors == 0;            // a class that some layers have and this one lacks is a hole
    return !site_there(site) && can_be_outside(declared_bytes_.at(site)); // the file counts its layers in another way
  }

private:
  static bool is_embedding(const WeightClass& c) {
    return c.aspect == PLIMSOLL_ASPECT_EMBED && c.placement == PLIMSOLL_PLACE_VOCAB && c.role != PLIMSOLL_ROLE_DRAFT;
  }
  // Nothing runs without an embedding; any other single tensor may be optional, tied or fused into another.
  bool needs_unlayered(const WeightClass& c) const {
    if (is_embedding(c) ? embedding_there_ : c.role != PLIMSOLL_ROLE_DRAFT) return false;
    return !can_be_outside(c.declared_bytes());
  }
  // Whether tensors whose names have no layer are enough to be this much, packed or not.
  bool can_be_outside(Checked declared) const {
    const std::uint64_t outside = found_.unknown.outside_bytes();
    return outside != 0 && (Checked(outside) * kDensestPacking).saturated() >= declared.saturated();
  }
  bool site_there(std::int32_t site) const {
    const auto at = stored_layers_.lower_bound({site, 0});
    return at != stored_layers_.end() && at->first == site;
  }

  const LayerSites& sites_;
  const Inventory& found_;
  bool all_there_;
  bool embedding_there_ = false;
  std::map<std::int32_t, Checked> declared_bytes_; // by site
  std::set<std::pair<std::int32_t, std::uint32_t>> stored_layers_;
};

void count(Lacking& lacking, const std::string& first) {
  if (lacking.classes++ == 0) lacking.first = first;
}

} // namespace

void Inventory::add(const Inventory& other) {
  for (std::size_t i = 0; i < classes.size(); ++i) {
    StoredClass& mine = classes[i];
    const StoredClass& theirs = other.classes[i];
    for (std::size_t l = 0; l < mine.layer_bytes.size(); ++l) mine.layer_bytes[l] += theirs.layer_bytes[l];
    if (theirs.tensors != 0)
      for (std::size_t s = 0; s < mine.seen.size(); ++s)
        if (theirs.seen[s]) mine.seen[s] = true;
    mine.tensors += theirs.tensors;
    mine.packed_type = mine.packed_type || theirs.packed_type;
    if (mine.part_elements.size() < theirs.part_elements.size()) mine.part_elements.resize(theirs.part_elements.size());
    for (std::size_t l = 0; l < theirs.part_elements.size(); ++l) mine.part_elements[l] += theirs.part_elements[l];
  }
  unclaimed.add(other.unclaimed);
  mismatched.add(other.mismatched);
  unknown.add(other.unknown);
  kv_scale_bytes += other.kv_scale_bytes;
  table_bytes += other.table_bytes;
  buffer_bytes += other.buffer_bytes;
  mismatched_count += other.mismatched_count;
}

bool is_unpacked(const WeightClass& c, const WeightVariant& variant, const StoredClass* stored) {
  if (!variant.storage->is_plain()) return true;
  if (stored == nullptr || !stored->packed_type) return false;
  return std::all_of(c.variants.begin(), c.variants.end(), [](const WeightVariant& v) { return v.storage->is_plain(); });
}

std::uint64_t StoredClass::bytes() const {
  std::uint64_t sum = 0; // no overflow: the scan has added up all tensors
  for (const std::uint64_t bytes : layer_bytes) sum += bytes;
  return sum;
}

void Inventory::mismatch(std::uint32_t file_index, std::string_view name, std::string declared, std::string stored) {
  ++mismatched_count;
  mismatched.add(file_index, {std::string(name), std::move(declared), std::move(stored)});
}

void Inventory::finish(const Declared& declared, const LayerSites& sites, bool all_there) {
  bool draft_declared = false, draft_stored = false;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    draft_declared = draft_declared || declared.weights[i].role == PLIMSOLL_ROLE_DRAFT;
    draft_stored = draft_stored || (declared.weights[i].role == PLIMSOLL_ROLE_DRAFT && classes[i].tensors != 0);
  }
  draft_missing = draft_declared && !draft_stored;
  judge_missing(declared, sites, all_there);
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const WeightClass& c = declared.weights[i];
    const StoredClass& stored = classes[i];
    if (c.role == PLIMSOLL_ROLE_TIED) continue; // a view of another tensor, stored or not
    if (c.role == PLIMSOLL_ROLE_DRAFT && draft_missing)
      draft_counted = draft_counted || std::find(stored.absent.begin(), stored.absent.end(), false) != stored.absent.end();
    if (c.role == PLIMSOLL_ROLE_UNUSED || (c.role == PLIMSOLL_ROLE_DRAFT && draft_missing)) continue;
    name_missing(c, stored, all_there);
    compare_parts(c, stored);
  }
}

void Inventory::judge_missing(const Declared& declared, const LayerSites& sites, bool all_there) {
  const auto lacks = [&](std::size_t i) {
    const std::vector<std::uint64_t>& bytes = classes[i].layer_bytes;
    return declared.weights[i].role != PLIMSOLL_ROLE_TIED && std::find(bytes.begin(), bytes.end(), 0U) != bytes.end();
  };
  std::vector<std::size_t> lacking;
  for (std::size_t i = 0; i < classes.size(); ++i)
    if (lacks(i)) lacking.push_back(i);
  if (lacking.empty()) return; // as most checkpoints
  const Completeness completeness(declared, sites, *this, all_there);
  for (const std::size_t i : lacking) {
    StoredClass& stored = classes[i];
    stored.absent.assign(stored.layer_bytes.size(), false);
    for (std::size_t l = 0; l < stored.layer_bytes.size(); ++l)
      stored.absent[l] = stored.layer_bytes[l] == 0 && completeness.is_absent(declared.weights[i], stored, l);
  }
}

void Inventory::name_missing(const WeightClass& c, const StoredClass& stored, bool all_there) {
  const std::vector<std::string> names = missing_tensors(c, stored, kMaxNamed - std::min(kMaxNamed, missing.size()) + 1);
  if (names.empty()) return;
  bool counted = false;
  for (std::size_t l = 0; l < stored.layer_bytes.size(); ++l) counted = counted || (stored.layer_bytes[l] == 0 && !stored.is_absent(l));
  const bool absent = std::find(stored.absent.begin(), stored.absent.end(), true) != stored.absent.end();
  if (counted || !absent) count(holes, names.front());
  else if (!all_there) count(not_stored, names.front()); // a format whose engines demand every tensor has optional ones
  for (const std::string& name : names)
    if (missing.size() < kMaxNamed) missing.push_back(name);
}

void Inventory::compare_parts(const WeightClass& c, const StoredClass& stored) {
  if (!c.variants.front().storage->is_plain()) return; // packed parts have other elements than the class
  const std::uint64_t whole = (c.elements_of_one() * c.whole_experts()).saturated();
  for (std::size_t l = 0; l < stored.part_elements.size(); ++l)
    if (const std::uint64_t found = stored.part_elements[l]; found != 0 && found != whole)
      mismatch(UINT32_MAX, tensor_name(c.pattern, c.layers.empty() ? 0 : c.layers[l], 0), fmt::format("{} elements", whole),
               fmt::format("{} elements in parts", found));
}

std::vector<Warning> checkpoint_warnings(const Inventory& inventory, bool with_draft) {
  std::vector<Warning> out;
  if (inventory.holes.classes > 0)
    out.push_back({WarningCode::kMissingTensors,
                   fmt::format("the checkpoint lacks tensors of {} weight classes, {} first; they are counted as declared",
                               inventory.holes.classes, inventory.holes.first)});
  if (inventory.not_stored.classes > 0)
    out.push_back({WarningCode::kMissingTensors,
                   fmt::format("nothing in the checkpoint can be the tensors of {} weight classes, {} first; what is stored counts instead",
                               inventory.not_stored.classes, inventory.not_stored.first)});
  if (inventory.draft_counted && with_draft)
    out.push_back({WarningCode::kMissingTensors, "the checkpoint stores no multi-token prediction layers; they are counted as declared"});
  if (inventory.mismatched_count > 0)
    out.push_back({WarningCode::kMismatchedTensors,
                   fmt::format("{} tensors of the checkpoint are not as the configuration says, {} first; what is stored counts",
                               inventory.mismatched_count, inventory.mismatched.front().name)});
  if (inventory.unknown.count() > 0)
    out.push_back({WarningCode::kUnclaimedTensors,
                   fmt::format("{} tensors ({}) of the checkpoint belong to no weight class, {} first; they are counted as stored: layers' "
                               "large matrices split over the ranks, all others on every rank of their stage",
                               inventory.unknown.count(), human_bytes(inventory.unknown.bytes()), inventory.unclaimed.front().name)});
  return out;
}

std::vector<std::string> missing_tensors(const WeightClass& c, const StoredClass& stored, std::size_t most) {
  std::vector<std::string> names;
  if (c.role == PLIMSOLL_ROLE_TIED) return names;
  const std::uint64_t experts = c.whole_experts();
  for (std::size_t s = 0; s < stored.seen.size() && names.size() < most; ++s) {
    if (stored.seen[s]) continue;
    const std::size_t layer = s / experts;
    names.push_back(tensor_name(c.pattern, c.layers.empty() ? 0 : c.layers[layer], s % experts));
    if (c.pattern.find("{expert}") == std::string::npos) s = (layer + 1) * experts - 1; // one tensor for all of them
  }
  return names;
}

} // namespace plimsoll
