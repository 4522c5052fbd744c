// Finds values of a config.json in GGUF metadata, by the rules of gguf_words.hpp. Reads only what it is given and never fails: a
// rule whose sources are absent or of another kind finds nothing. Threads: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "checkpoint/gguf.hpp"
#include "checkpoint/gguf_words.hpp"

namespace plimsoll {

inline constexpr std::uint32_t kMostGgufLayers = 4096; // that lists of the config are written for

// Layers that store a tensor, ascending, by its name without their number: "blk.ssm_norm.weight". Of tensors of no layer: none.
using StoredLayers = std::map<std::string, std::vector<std::uint32_t>, std::less<>>;

// A file's metadata under one architecture's prefix, and what it stores. Refers to both.
class GgufValues {
public:
  GgufValues(const GgufMetadata& metadata, std::string_view architecture, const StoredLayers* stored = nullptr)
      : metadata_(metadata), architecture_(architecture), stored_(stored) {}

  // Of "<architecture>.<key>"; nullptr where it is absent or was not kept.
  const Json* find(std::string_view key) const;
  std::optional<std::uint64_t> number(std::string_view key) const;
  // One number per layer, where the file has that; 0 for what is no number.
  std::vector<std::uint64_t> per_layer(std::string_view key) const;
  bool holds(const GgufCondition& condition) const;
  // Of "blk.ssm_norm" or "blk.ssm_conv1d.bias"; nullptr where no such tensor is stored.
  const std::vector<std::uint32_t>* layers_storing(std::string_view name) const;

private:
  const GgufMetadata& metadata_;
  std::string_view architecture_;
  const StoredLayers* stored_;
};

std::optional<std::uint64_t> gguf_number(const Json& json);
bool gguf_positive(const Json& json); // a number above 0, or true
bool gguf_conditions_hold(const std::vector<GgufCondition>& conditions, const GgufMetadata& metadata, std::string_view architecture);

// Writes what the rules of one set find into `config`. A list of numbers becomes its largest, with the list beside it under
// "<name>_per_layer" where its numbers differ. Worked example: {"num_local_experts": "/num_experts"} on a config that has num_experts 8.
void apply_gguf_keys(const GgufKeySet& set, const GgufValues& values, Json& config);

// The same for one key whose value is the metadata's own.
void copy_gguf_number(const GgufValues& values, std::string_view key, const std::string& name, Json& config);

} // namespace plimsoll
