#include "model/matcher.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <map>

#include "storage/stored_name.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxSeen = 1ULL << 26; // main tensors of one class whose presence is kept

// The shape of one tensor of the class as it is stored: experts stacked or side by side where the class says so.
LinearShape stored_shape(const WeightClass& c, bool packed) {
  std::array<std::uint64_t, PLIMSOLL_MAX_DIMS + 1> dims{};
  std::size_t n = 0;
  if (packed && c.experts != 0 && c.expert_storage != PLIMSOLL_EXPERTS_CONCATENATED) dims[n++] = c.experts;
  const std::size_t lead = n;
  for (std::uint32_t i = 0; i < c.n_dims; ++i) dims[n++] = c.dims[i];
  if (packed && c.experts != 0 && c.expert_storage == PLIMSOLL_EXPERTS_CONCATENATED && c.n_dims > 0) dims[0] *= c.experts;
  LinearShape shape = LinearShape::of(std::span(dims.data(), n), c.dtype);
  if (c.n_dims >= 2) {
    shape.in_dim = static_cast<std::uint8_t>(lead + c.in_dim);
    shape.out_dim = static_cast<std::uint8_t>(lead + (c.in_dim + 1 == c.n_dims ? c.n_dims - 2 : c.n_dims - 1));
  }
  return shape;
}

// What old exporters leave behind and engines compute: masks, positions, rotary frequencies.
bool is_buffer(std::string_view name) {
  for (const std::string_view end :
       {".rotary_emb.inv_freq", ".position_ids", ".attn.bias", ".attention.bias", ".attn.masked_bias", ".attention.masked_bias"})
    if (name.ends_with(end)) return true;
  return false;
}

} // namespace

std::string shape_text(std::span<const std::uint64_t> dims, const Dtype& type) {
  std::string out = fmt::format("{} [", type.safetensors.empty() ? type.name : type.safetensors);
  for (std::size_t i = 0; i < dims.size(); ++i) out += fmt::format("{}{}", i == 0 ? "" : ", ", dims[i]);
  return out + "]";
}

bool same_dims(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
  // Where one list of running products holds the other.
  const auto product = [](std::span<const std::uint64_t> dims) {
    Checked p = 1;
    for (const std::uint64_t dim : dims) p *= dim;
    return p.saturated();
  };
  if (product(a) != product(b)) return false;
  const std::span<const std::uint64_t> fine = a.size() > b.size() ? a : b, coarse = a.size() > b.size() ? b : a;
  std::size_t i = 0;
  for (const std::uint64_t dim : coarse) {
    Checked folded = 1;
    while (i < fine.size() && folded.saturated() < dim) folded *= fine[i++];
    if (folded.saturated() != dim) return false;
  }
  return true;
}

Matcher::Matcher(const Declared& declared, Fusions fusions, bool compare_types)
    : declared_(declared), fusions_(std::move(fusions)), compare_types_(compare_types), sites_(declared) {
  const auto common = std::find_if(declared.weights.begin(), declared.weights.end(), [](const WeightClass& c) { return !c.own_dtype; });
  if (common != declared.weights.end()) common_type_ = &common->dtype;
  for (std::uint32_t i = 0; i < declared.weights.size(); ++i) {
    const std::string& pattern = declared.weights[i].pattern;
    add_candidates(i, pattern, StoredPlace::kWhole);
    for (const auto& [fused, parts] : fusions_)
      if (const std::size_t at = pattern.find(fused); at != std::string::npos)
        for (std::size_t part = 0; part < parts.size(); ++part) {
          std::string other = pattern;
          other.replace(at, fused.size(), parts[part]);
          add_candidates(i, other, static_cast<std::int32_t>(part));
        }
  }
  add_joints();
  expect_shapes();
  const std::size_t size = std::bit_ceil(std::max<std::size_t>(16, list_.size() * 4));
  table_.resize(size);
  for (const Candidate& c : list_) {
    std::size_t at = c.hash & (size - 1);
    while (table_[at].hash != 0) at = (at + 1) & (size - 1);
    table_[at] = c;
  }
  list_.clear();
}

// Classes that another exporter fuses: "q_proj", "k_proj" and "v_proj" of one layer in "qkv_proj".
void Matcher::add_joints() {
  std::map<std::string, Joint> joints;
  for (std::uint32_t i = 0; i < declared_.weights.size(); ++i) {
    const WeightClass& c = declared_.weights[i];
    if (c.role == PLIMSOLL_ROLE_TIED) continue;
    for (const auto& [fused_name, parts] : fusions_)
      for (std::size_t number = 0; number < parts.size(); ++number) {
        const std::string& part = parts[number];
        const std::size_t at = c.pattern.find(part), end = at + part.size();
        if (at == std::string::npos || at == 0 || c.pattern[at - 1] != '.' || (end < c.pattern.size() && c.pattern[end] != '.')) continue;
        std::string fused = c.pattern;
        fused.replace(at, part.size(), fused_name);
        Joint& joint = joints[fused];
        const auto place = std::upper_bound(joint.parts.begin(), joint.parts.end(), number) - joint.parts.begin();
        joint.parts.insert(joint.parts.begin() + place, number);
        joint.classes.insert(joint.classes.begin() + place, i);
        joint.elements.insert(joint.elements.begin() + place, c.elements_of_one().saturated());
      }
  }
  for (auto& [pattern, joint] : joints) {
    Checked sum = 0;
    for (const std::uint64_t elements : joint.elements) sum += elements;
    const WeightClass& first = declared_.weights[joint.classes.front()];
    const bool alike = std::all_of(joint.classes.begin(), joint.classes.end(), [&](std::uint32_t i) {
      return declared_.weights[i].layers == first.layers && declared_.weights[i].experts == first.experts;
    });
    if (joint.classes.size() < 2 || !alike || sum.overflowed() || sum.value() == 0) continue;
    joint.sum = sum.value();
    joints_.push_back(std::move(joint));
    add_candidates(joints_.back().classes.front(), pattern, 0, static_cast<std::int32_t>(joints_.size() - 1));
  }
}

void Matcher::add_candidates(std::uint32_t index, const std::string& pattern, std::int32_t part, std::int32_t joint) {
  const WeightClass& c = declared_.weights[index];
  const std::size_t at = pattern.find(".{expert}");
  const bool apart = at != std::string::npos;
  add_candidate(index, pattern, !apart && c.experts != 0, part, joint);
  if (apart) { // the same experts in one tensor
    std::string packed = pattern;
    packed.erase(at, 9);
    add_candidate(index, packed, true, part, joint);
    if (packed.ends_with(".weight")) add_candidate(index, std::string_view(packed).substr(0, packed.size() - 7), true, part, joint);
  } else if (c.experts != 0) { // or each in a tensor of its own
    const std::size_t experts = pattern.find("experts.");
    if (experts == std::string::npos) return;
    std::string separate = pattern;
    separate.insert(experts + 8, "{expert}.");
    if (!separate.ends_with(".weight") && !separate.ends_with("bias")) separate += ".weight";
    add_candidate(index, separate, false, part, joint);
  }
}

void Matcher::add_candidate(std::uint32_t index, std::string_view pattern, bool packed, std::int32_t part, std::int32_t joint) {
  // Numbers in place of the marks, told apart afterwards by their value.
  constexpr std::uint32_t kLayerMark = 4000000001U, kExpertMark = 4000000002U;
  std::string name(pattern);
  for (const auto& [mark, number] : {std::pair<std::string_view, std::uint32_t>{"{layer}", kLayerMark}, {"{expert}", kExpertMark}})
    if (const std::size_t at = name.find(mark); at != std::string::npos) name.replace(at, mark.size(), std::to_string(number));
  const NameKey key = NameKeys().key_of(name, "");
  Candidate candidate;
  candidate.hash = key.hash;
  candidate.class_index = index;
  candidate.packed = packed;
  candidate.part = part;
  candidate.joint = joint;
  candidate.n_numbers = key.n_numbers;
  for (std::uint32_t i = 0; i < key.n_numbers; ++i) {
    candidate.literals[i] = key.numbers[i];
    if (key.numbers[i] == kLayerMark) candidate.layer_at = static_cast<std::int8_t>(i);
    if (key.numbers[i] == kExpertMark) candidate.expert_at = static_cast<std::int8_t>(i);
  }
  list_.push_back(candidate);
}

Inventory Matcher::empty() const {
  Inventory inventory;
  inventory.classes.resize(declared_.weights.size());
  for (std::size_t i = 0; i < declared_.weights.size(); ++i) {
    const WeightClass& c = declared_.weights[i];
    inventory.classes[i].layer_bytes.assign(std::max<std::size_t>(1, c.layers.size()), 0);
    inventory.classes[i].seen.assign(static_cast<std::size_t>(std::min(c.count(), kMaxSeen)), false);
  }
  return inventory;
}

const Matcher::Candidate* Matcher::find(const NameKey& key, std::uint32_t& layer, std::uint32_t& expert) const {
  for (std::size_t at = key.hash & (table_.size() - 1); table_[at].hash != 0; at = (at + 1) & (table_.size() - 1)) {
    const Candidate& c = table_[at];
    if (c.hash != key.hash || c.n_numbers != key.n_numbers) continue;
    bool fits = true;
    layer = expert = 0;
    for (std::uint32_t i = 0; fits && i < key.n_numbers; ++i) {
      if (static_cast<std::int8_t>(i) == c.layer_at) layer = key.numbers[i];
      else if (static_cast<std::int8_t>(i) == c.expert_at) expert = key.numbers[i];
      else fits = key.numbers[i] == c.literals[i];
    }
    if (!fits) continue;
    const WeightClass& w = declared_.weights[c.class_index];
    if (c.layer_at >= 0) {
      const std::size_t n = w.layers.size();
      // Layer lists are mostly runs: look where the number would be before searching.
      const std::size_t guess = n > 0 && layer >= w.layers.front() ? layer - w.layers.front() : n;
      if (guess < n && w.layers[guess] == layer) {
        layer = static_cast<std::uint32_t>(guess);
      } else {
        const auto it = std::lower_bound(w.layers.begin(), w.layers.end(), layer);
        if (it == w.layers.end() || *it != layer) continue;
        layer = static_cast<std::uint32_t>(it - w.layers.begin());
      }
    }
    if (c.expert_at >= 0 && expert >= w.whole_experts()) continue;
    return &c;
  }
  return nullptr;
}

// What a class's main tensor looks like in the checkpoint, for each format that its layers have.
void Matcher::expect_shapes() {
  for (const WeightClass& c : declared_.weights) {
    std::vector<Expected>& shapes = expected_.emplace_back();
    for (const WeightVariant& v : c.variants)
      for (const bool packed : {false, true}) {
        const LinearShape shape = stored_shape(c, packed);
        Expected& e = shapes.emplace_back();
        e.dtype = c.dtype;
        e.dims.assign(shape.dims.begin(), shape.dims.begin() + shape.rank);
        if (!compare_types_ || v.storage->is_plain()) continue;
        const Storage::Tensor main = v.storage->part(0, c.pattern, shape);
        e.dtype = main.dtype;
        e.dims.assign(main.dims.begin(), main.dims.begin() + main.rank);
      }
  }
}

void Matcher::check_shape(const TensorEntry& entry, const Candidate& found, std::uint32_t layer, Inventory& into) const {
  const WeightClass& c = declared_.weights[found.class_index];
  std::size_t variant = 0;
  if (!c.layers.empty() && c.variants.size() > 1)
    while (variant + 1 < c.variants.size() &&
           !std::binary_search(c.variants[variant].layers.begin(), c.variants[variant].layers.end(), c.layers[layer]))
      ++variant;
  const Expected& declared = expected_[found.class_index][variant * 2 + (found.packed ? 1 : 0)];
  if ((!compare_types_ || entry.dtype == declared.dtype) &&
      (std::equal(declared.dims.begin(), declared.dims.end(), entry.shape().begin(), entry.shape().end()) ||
       same_dims(entry.shape(), declared.dims)))
    return;
  // GGUF has a matrix's inputs last, whatever the config's own checkpoint has.
  if (!compare_types_ && std::is_permutation(declared.dims.begin(), declared.dims.end(), entry.shape().begin(), entry.shape().end()))
    return;
  into.mismatch(entry.file_index, entry.stored_name, shape_text(declared.dims, declared.dtype), shape_text(entry.shape(), entry.dtype));
}

Matcher::Found Matcher::look_up(const TensorEntry& entry, NameKeys& keys) const {
  Found out;
  StoredPlace& place = out.place;
  // A name that ends in ".weight" is a class's own; others may be what a format appended to one.
  if (!entry.name.ends_with(".weight"))
    if (const auto stored = parse_stored_name(entry.name, declared_.scale_names)) {
      if (stored->role == StoredRole::kKvScale) {
        place.kind = StoredPlace::Kind::kKvScale;
        return out;
      }
      out.candidate = find(keys.key_of(stored->stem, stored->has_weight ? ".weight" : ""), place.layer, place.expert);
      // Experts in a list of their own keep ".weight", packed ones do not.
      if (out.candidate == nullptr && !stored->has_weight)
        out.candidate = find(keys.key_of(stored->stem, ".weight"), place.layer, place.expert);
      place.main = out.candidate == nullptr || stored->role == StoredRole::kWeight;
    }
  if (out.candidate == nullptr) out.candidate = find(keys.key_of(entry.name, ""), place.layer, place.expert);
  if (out.candidate == nullptr) {
    if (entry.auxiliary) place.kind = StoredPlace::Kind::kTable;
    else if (is_buffer(entry.name)) place.kind = StoredPlace::Kind::kBuffer;
    return out;
  }
  const Candidate& found = *out.candidate;
  if (found.layer_at < 0) place.layer = 0;
  place.kind = StoredPlace::Kind::kClass;
  if (found.joint >= 0) place.classes = joints_[static_cast<std::size_t>(found.joint)].classes;
  else place.classes = {&found.class_index, 1};
  place.packed = found.packed;
  if (found.joint < 0) place.part = found.part;
  return out;
}

StoredPlace Matcher::place_of(const TensorEntry& entry, NameKeys& keys) const { return look_up(entry, keys).place; }

void Matcher::take(const TensorEntry& entry, NameKeys& keys, Inventory& into) const {
  const auto [place, found] = look_up(entry, keys);
  switch (place.kind) {
  case StoredPlace::Kind::kKvScale: into.kv_scale_bytes += entry.stored_bytes; return;
  case StoredPlace::Kind::kTable: into.table_bytes += entry.stored_bytes; return;
  case StoredPlace::Kind::kBuffer: into.buffer_bytes += entry.stored_bytes; return;
  case StoredPlace::Kind::kUnknown:
    into.unknown.add(entry, sites_.place_of(entry), declared_.facts, common_type_);
    if (!into.unclaimed.full()) into.unclaimed.add(entry.file_index, {std::string(entry.stored_name), entry.stored_bytes});
    return;
  case StoredPlace::Kind::kClass: break;
  }
  if (found->joint >= 0) return take_joint(entry, *found, place.main, place.layer, place.expert, into);
  take_for(entry, *found, found->class_index, entry.stored_bytes, place.main, place.layer, place.expert, into);
  if (!place.main) return;
  if (found->part == StoredPlace::kWhole) return check_shape(entry, *found, place.layer, into);
  StoredClass& stored = into.classes[found->class_index];
  stored.part_elements.resize(stored.layer_bytes.size());
  stored.part_elements[place.layer] += entry.elements;
}

void Matcher::take_for(const TensorEntry& entry, const Candidate& found, std::uint32_t class_index, std::uint64_t bytes, bool main,
                       std::uint32_t layer, std::uint32_t expert, Inventory& into) const {
  StoredClass& stored = into.classes[class_index];
  stored.layer_bytes[layer] += bytes;
  ++stored.tensors;
  if (!main) return;
  if (entry.dtype.block_elements > 1 || entry.dtype.block_bytes < 2) stored.packed_type = true;
  const std::uint64_t experts = declared_.weights[class_index].whole_experts(), first = layer * experts;
  for (std::uint64_t e = found.packed ? 0 : expert, end = found.packed ? experts : expert + 1; e < end; ++e)
    if (first + e < stored.seen.size()) stored.seen[static_cast<std::size_t>(first + e)] = true;
}

// Shares a fused tensor out among its classes by their elements; the last gets the rest.
void Matcher::take_joint(const TensorEntry& entry, const Candidate& found, bool main, std::uint32_t layer, std::uint32_t expert,
                         Inventory& into) const {
  const Joint& joint = joints_[static_cast<std::size_t>(found.joint)];
  std::uint64_t left = entry.stored_bytes;
  for (std::size_t i = 0; i < joint.classes.size(); ++i) {
    const bool last = i + 1 == joint.classes.size();
    const std::uint64_t share = last ? left : std::min(left, mul_div(entry.stored_bytes, joint.elements[i], joint.sum));
    take_for(entry, found, joint.classes[i], share, main, layer, expert, into);
    left -= share;
  }
  const WeightClass& c = declared_.weights[found.class_index];
  if (!main || !c.variants.front().storage->is_plain()) return;
  const std::uint64_t whole = (Checked(joint.sum) * (found.packed ? c.whole_experts() : 1)).saturated();
  if (whole != entry.elements)
    into.mismatch(entry.file_index, entry.stored_name, fmt::format("{} elements", whole), shape_text(entry.shape(), entry.dtype));
}

Result<void> InventoryVisitor::tensor(const TensorEntry& entry) {
  matcher_.take(entry, keys_, inventory);
  return {};
}

} // namespace plimsoll
