// The rules behind layer_rule.hpp, one function each. Loops over no more than 4096 layers. Pure, any thread.
//
// Examples: DeepSeek-V3 first_k_dense_replace 3: layers 3 to 60 of 61. Llama-4-Maverick interleave_moe_layer_step 2:
// layers 1, 3, ... 47. ERNIE-4.5-21B moe_layer_start_index 1, moe_layer_end_index -1: layers 1 to 27 of 28.
#include "layer_rule.hpp"

#include <optional>
#include <string>

namespace moe {
namespace {

using plimsoll::Config;
using plimsoll::Error;
using Flags = std::vector<bool>;

void check_length(std::uint64_t found, std::uint64_t expected, const char* pointer) {
  if (found == expected) return;
  throw Error(PLIMSOLL_E_CONFIG, pointer,
              "has " + std::to_string(found) + " entries; " + std::to_string(expected) + " were expected, one per layer");
}

std::optional<Flags> by_type_list(const Config& config, std::uint64_t n) {
  const auto types = config.str_list("/mlp_layer_types");
  if (types.empty()) return std::nullopt;
  check_length(types.size(), n, "/mlp_layer_types");
  Flags out(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (types[i] != "sparse" && types[i] != "dense")
      throw Error(PLIMSOLL_E_CONFIG, "/mlp_layer_types/" + std::to_string(i),
                  "is \"" + std::string(types[i]) + "\"; sparse or dense was expected");
    out[i] = types[i] == "sparse";
  }
  return out;
}

// A flag per layer, as MiMo-V2 writes it.
std::optional<Flags> by_frequency_list(const Config& config, std::uint64_t n) {
  const auto list = config.u64_list("/moe_layer_freq");
  if (list.empty()) return std::nullopt;
  check_length(list.size(), n, "/moe_layer_freq");
  Flags out;
  for (const std::uint64_t flag : list) out.push_back(flag != 0);
  return out;
}

std::optional<Flags> by_layer_numbers(const Config& config, std::uint64_t n) {
  for (const char* key : {"/moe_layers", "/moe_layers_enum"}) {
    const auto layers = config.u64_list(key);
    if (layers.empty()) continue;
    Flags out(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (layers[i] >= n)
        throw Error(PLIMSOLL_E_CONFIG, std::string(key) + "/" + std::to_string(i),
                    "is layer " + std::to_string(layers[i]) + "; the model has " + std::to_string(n) + " layers, counted from 0");
      out[static_cast<std::size_t>(layers[i])] = true;
    }
    return out;
  }
  return std::nullopt;
}

template <class Rule>
Flags flags(std::uint64_t n, Rule&& rule) {
  Flags out(static_cast<std::size_t>(n));
  for (std::uint64_t i = 0; i < n; ++i) out[static_cast<std::size_t>(i)] = rule(i);
  return out;
}

// ERNIE-4.5-VL gives two numbers, for text and for what is seen: the first.
std::string first_of(const std::string& key, const Config& config) { return config.find_len(key) ? key + "/0" : key; }

// The last expert layer; -1 and absence mean the last layer of all.
std::uint64_t last_expert_layer(const Config& config, std::uint64_t n) {
  const std::string key = first_of("/moe_layer_end_index", config);
  const std::int64_t last = config.find_i64(key).value_or(-1);
  if (last < -1) throw Error(PLIMSOLL_E_CONFIG, key, "is negative; a layer number, or -1 for the last layer, was expected");
  return last == -1 || static_cast<std::uint64_t>(last) >= n ? n - 1 : static_cast<std::uint64_t>(last);
}

Flags by_arithmetic(const Config& config, std::uint64_t n) {
  if (config.has("/moe_layer_start_index") || config.has("/moe_layer_interval")) {
    const std::uint64_t first = config.u64(first_of("/moe_layer_start_index", config), 0);
    const std::uint64_t last = last_expert_layer(config, n);
    const std::uint64_t step = config.has("/moe_layer_interval") ? config.positive("/moe_layer_interval") : 1;
    return flags(n, [=](std::uint64_t i) { return i >= first && i <= last && (i + 1) % step == 0; });
  }
  for (const char* key : {"/interleave_moe_layer_step", "/moe_layer_frequency"}) {
    if (!config.has(key)) continue;
    const std::uint64_t step = config.u64(key); // 0: no layer has experts
    return flags(n, [=](std::uint64_t i) { return step != 0 && (i + 1) % step == 0; });
  }
  if (config.has("/decoder_sparse_step") || config.has("/mlp_only_layers")) {
    const std::uint64_t step = config.has("/decoder_sparse_step") ? config.positive("/decoder_sparse_step") : 1;
    Flags out = flags(n, [=](std::uint64_t i) { return (i + 1) % step == 0; });
    for (const std::uint64_t dense : config.u64_list("/mlp_only_layers"))
      if (dense < n) out[static_cast<std::size_t>(dense)] = false;
    return out;
  }
  const std::uint64_t dense = config.find_u64_of({"/first_k_dense_replace", "/num_dense_layers"}).value_or(0);
  const std::uint64_t step = config.has("/moe_layer_freq") ? config.positive("/moe_layer_freq") : 1;
  return flags(n, [=](std::uint64_t i) { return i >= dense && i % step == 0; });
}

} // namespace

std::vector<bool> expert_layers(const Config& config, std::uint64_t n_layers) {
  if (auto out = by_type_list(config, n_layers)) return *out;
  if (auto out = by_frequency_list(config, n_layers)) return *out;
  if (auto out = by_layer_numbers(config, n_layers)) return *out;
  return by_arithmetic(config, n_layers);
}

} // namespace moe
