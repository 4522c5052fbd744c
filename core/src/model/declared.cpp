#include "model/declared.hpp"

#include <algorithm>
#include <span>

namespace plimsoll {

std::string tensor_name(std::string_view pattern, std::uint64_t layer, std::uint64_t expert) {
  std::string name(pattern);
  for (const auto& [mark, number] : {std::pair<std::string_view, std::uint64_t>{"{layer}", layer}, {"{expert}", expert}})
    if (const std::size_t at = name.find(mark); at != std::string::npos) name.replace(at, mark.size(), std::to_string(number));
  return name;
}

const WeightVariant& WeightClass::variant_of(std::size_t layer) const {
  if (layers.empty()) return variants.front();
  const auto found = std::find_if(variants.begin(), variants.end(), [&](const WeightVariant& v) {
    return std::binary_search(v.layers.begin(), v.layers.end(), layers[layer]);
  });
  return found == variants.end() ? variants.front() : *found;
}

Checked WeightClass::elements_of_one() const {
  Checked product = 1;
  for (std::uint32_t i = 0; i < n_dims; ++i) product *= dims[i];
  return product;
}

Checked WeightClass::bytes_of_one(const Storage& storage, const WeightDims& local, const Dtype& base) const {
  if (storage.is_plain()) {
    Checked product = 1;
    for (std::uint32_t i = 0; i < n_dims; ++i) product *= local[i];
    return base.bytes(product);
  }
  LinearShape shape = LinearShape::of(std::span(local.data(), n_dims), base);
  shape.in_dim = static_cast<std::uint8_t>(in_dim);
  shape.out_dim = static_cast<std::uint8_t>(in_dim + 1 == n_dims ? n_dims - 2 : n_dims - 1);
  Checked sum = storage.bytes(shape);
  // Exporters that convert linear layers take stacked experts apart: each half of a fused tensor has scalars of its own.
  if (expert_storage != PLIMSOLL_EXPERTS_SEPARATE && parts.size() > 1) sum += storage.scalar_bytes(base) * (parts.size() - 1);
  return sum;
}

Checked WeightClass::parameters() const {
  if (role == PLIMSOLL_ROLE_TIED || n_dims == 0) return 0;
  return elements_of_one() * count();
}

Checked WeightClass::declared_bytes() const {
  if (role == PLIMSOLL_ROLE_TIED) return 0;
  Checked sum = 0;
  for (const WeightVariant& v : variants)
    sum += bytes_of_one(*v.storage, dims, dtype) * (v.layers.empty() ? 1 : v.layers.size()) * (experts == 0 ? 1 : experts);
  return sum;
}

const MediaEntry* Declared::largest_entry() const {
  const auto most =
      std::max_element(entries.begin(), entries.end(), [](const MediaEntry& a, const MediaEntry& b) { return a.rows < b.rows; });
  return most == entries.end() ? nullptr : &*most;
}
const MediaEntry* Declared::entry_of(Modality modality) const {
  const auto it = std::find_if(entries.begin(), entries.end(), [&](const MediaEntry& e) { return e.modality == modality; });
  return it == entries.end() ? nullptr : &*it;
}

} // namespace plimsoll
