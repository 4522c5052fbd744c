// Reads a part of a model's configuration: its vision_config, or where another one lies (audio_config). An absent key answers with
// the class default, of the part's own model_type (clip_vision_model) or of the outer one (class_defaults: {qwen2_vl:
// {vision_config: ...}}). Called while towers are constructed, never later. Errors name the whole key. Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/plugin_util.hpp"

namespace vlm {

class PartKeys {
public:
  // `base` is a JSON pointer and must live as long as this object, as literals do.
  explicit PartKeys(const plimsoll::Config& model, std::string_view base = "/vision_config");

  // `key` is relative: "/hidden_size". The first of several spellings that is there.
  std::optional<std::uint64_t> find(std::string_view key) const;
  std::uint64_t positive(std::string_view key, std::string_view other_spelling = {}) const;
  std::uint64_t number(std::string_view key, std::uint64_t fallback) const { return find(key).value_or(fallback); }
  bool boolean(std::string_view key, bool fallback) const;
  // Whether the configuration has this part.
  bool there() const { return model_.find_len(base_).has_value(); }
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
  [[noreturn]] void refuse(std::string_view key, std::string message) const;

private:
  std::string at(std::string_view key) const { return std::string(base_).append(key); }
  plimsoll::Config model_;
  std::string_view base_;
  std::optional<plimsoll::Config> own_; // answers with the part's own class defaults
};

} // namespace vlm
