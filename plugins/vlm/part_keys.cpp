// The lookups of part_keys.hpp. Threads: see there.
#include "part_keys.hpp"

#include <numeric>

namespace vlm {

using plimsoll::Config;
using plimsoll::Error;
using plimsoll::kMaxLayers;

PartKeys::PartKeys(const Config& model, std::string_view base) : model_(model), base_(base) {
  // A part that carries the outer model_type (Qwen2-VL) has no defaults of its own.
  const std::string_view type = model.str(at("/model_type"), "");
  if (type.empty() || type == model.model_type()) return;
  const plimsoll_view* view = nullptr;
  if (model.host()->subview(model.view(), plimsoll::to_str(base), nullptr, 0, &view) == PLIMSOLL_OK) own_.emplace(model.host(), view);
}

void PartKeys::refuse(std::string_view key, std::string message) const { throw Error(PLIMSOLL_E_CONFIG, at(key), std::move(message)); }

std::optional<std::uint64_t> PartKeys::find(std::string_view key) const {
  if (const auto value = model_.find_u64(at(key))) return value;
  return own_ ? own_->find_u64(key) : std::nullopt;
}

std::uint64_t PartKeys::positive(std::string_view key, std::string_view other_spelling) const {
  auto value = find(key);
  if (!value && !other_spelling.empty()) value = find(other_spelling);
  if (!value) refuse(key, "key is missing; a number is needed to size the tower");
  if (*value == 0) refuse(key, "is 0; a positive number was expected");
  return *value;
}

bool PartKeys::boolean(std::string_view key, bool fallback) const {
  if (const auto value = model_.find_bool(at(key))) return *value;
  return own_ ? own_->boolean(key, fallback) : fallback;
}

std::optional<double> PartKeys::decimal(std::string_view key) const {
  if (const auto value = model_.find_f64(at(key))) return value;
  return own_ ? own_->find_f64(key) : std::nullopt;
}

std::string_view PartKeys::text(std::string_view key, std::string_view fallback) const {
  if (const auto value = model_.find_str(at(key))) return *value;
  return own_ ? own_->str(key, fallback) : fallback;
}

std::uint64_t PartKeys::length(std::string_view key) const {
  if (const auto value = model_.find_len(at(key))) return *value;
  return own_ ? own_->find_len(key).value_or(0) : 0;
}

std::vector<std::uint32_t> PartKeys::layer_list(std::string_view key, std::string_view other_spelling) const {
  const std::uint64_t n = positive(key, other_spelling);
  if (n > kMaxLayers) refuse(key, "is " + std::to_string(n) + "; a tower of at most 4096 layers was expected");
  std::vector<std::uint32_t> out(static_cast<std::size_t>(n));
  std::iota(out.begin(), out.end(), 0U);
  return out;
}

std::uint64_t PartKeys::side_of(const std::string& key) const { return length(key) > 0 ? positive(key + "/0") : positive(key); }

std::uint64_t PartKeys::patches_per_side() const {
  const std::uint64_t image = side_of("/image_size"), patch = side_of("/patch_size");
  if (image < patch)
    refuse("/image_size", "is " + std::to_string(image) + ", smaller than one patch of " + std::to_string(patch) + " pixels");
  if (image / patch > 65536) refuse("/image_size", "makes more than 65536 patches a side; check image_size and patch_size");
  return image / patch;
}

} // namespace vlm
