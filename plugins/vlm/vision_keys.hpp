// Reads a model's vision_config. An absent key answers with the class default, of the vision model_type (clip_vision_model)
// or of the outer one (class_defaults: {qwen2_vl: {vision_config: ...}}). Called while towers are constructed, never
// later. Errors name the key below /vision_config. Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/plugin_util.hpp"

namespace vlm {

class VisionKeys {
public:
  explicit VisionKeys(const plimsoll::Config& model);

  // `key` is relative: "/hidden_size". The first of several spellings that is there.
  std::optional<std::uint64_t> find(std::string_view key) const;
  std::uint64_t positive(std::string_view key, std::string_view other_spelling = {}) const;
  std::uint64_t number(std::string_view key, std::uint64_t fallback) const { return find(key).value_or(fallback); }
  bool boolean(std::string_view key, bool fallback) const;
  std::optional<double> decimal(std::string_view key) const;
  std::string_view text(std::string_view key, std::string_view fallback) const;
  std::uint64_t length(std::string_view key) const;
  // 0, 1, 2 ... for a key that counts layers.
  std::vector<std::uint32_t> layer_list(std::string_view key, std::string_view other_spelling = {}) const;
  // A number, or the first of [height, width].
  std::uint64_t side_of(const std::string& key) const;
  // Patches along one side of the encoder's input: 336 / 14.
  std::uint64_t patches_per_side() const;
  std::string_view model_type() const { return text("/model_type", ""); }

  const plimsoll::Config& model() const { return model_; }
  [[noreturn]] static void refuse(std::string_view key, std::string message);

private:
  static std::string at(std::string_view key) { return "/vision_config" + std::string(key); }
  plimsoll::Config model_;
  std::optional<plimsoll::Config> own_; // answers with the vision model_type's class defaults
};

} // namespace vlm
