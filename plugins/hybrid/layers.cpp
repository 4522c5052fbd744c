// The rules behind layers.hpp. Pure, any thread.
//
// Examples: Qwen3-Next, 48 layers, full_attention_interval 4: attention in layers 3, 7, ... 47, which is periodic(48, 4, 3).
// Jamba, attn_layer_period 8, attn_layer_offset 4: layers 4, 12, 20, 28 of 32.
#include "layers.hpp"

#include <algorithm>

namespace hybrid {
namespace {

[[noreturn]] void wrong_length(const char* pointer, std::uint64_t found, std::uint64_t expected) {
  throw Error(PLIMSOLL_E_CONFIG, pointer,
              "has " + std::to_string(found) + " entries; " + std::to_string(expected) + " were expected, one per layer");
}

} // namespace

std::vector<std::string> words(const Config& config, const char* pointer, std::uint32_t n, std::initializer_list<std::string_view> known) {
  const auto found = config.str_list(pointer);
  if (found.size() != n) wrong_length(pointer, found.size(), n);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (std::find(known.begin(), known.end(), found[i]) == known.end()) {
      std::string expected;
      for (const std::string_view word : known) expected += (expected.empty() ? "" : ", ") + std::string(word);
      throw Error(PLIMSOLL_E_CONFIG, std::string(pointer) + "/" + std::to_string(i),
                  "is \"" + std::string(found[i].substr(0, 64)) + "\"; one of " + expected + " was expected");
    }
    out.emplace_back(found[i]);
  }
  return out;
}

Layers where(const std::vector<std::string>& kinds, std::initializer_list<std::string_view> wanted) {
  Layers out;
  for (std::uint32_t i = 0; i < kinds.size(); ++i)
    if (std::find(wanted.begin(), wanted.end(), kinds[i]) != wanted.end()) out.push_back(i);
  return out;
}

Layers without(std::uint32_t n, const Layers& taken) {
  Layers out;
  for (std::uint32_t i = 0; i < n; ++i)
    if (!std::binary_search(taken.begin(), taken.end(), i)) out.push_back(i);
  return out;
}

Layers periodic(std::uint32_t n, std::uint64_t period, std::uint64_t offset) {
  Layers out;
  for (std::uint32_t i = 0; i < n; ++i)
    if (i % period == offset) out.push_back(i);
  return out;
}

Layers numbers(const Config& config, const char* pointer, std::uint32_t n) {
  Layers out;
  for (const std::uint64_t layer : config.u64_list(pointer)) {
    if (layer >= n)
      throw Error(PLIMSOLL_E_CONFIG, pointer,
                  "names layer " + std::to_string(layer) + "; the model has " + std::to_string(n) + " layers, counted from 0");
    out.push_back(static_cast<std::uint32_t>(layer));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<std::string> nemotron_blocks(const Config& config, const char* letters, const char* spelled) {
  std::vector<std::string> out;
  const auto pattern = config.find_str(letters);
  if (!pattern) {
    const std::uint32_t n = plimsoll::checked_layers(config.find_len(spelled).value_or(0), spelled);
    return words(config, spelled, n, {"mamba", "attention", "mlp", "moe"});
  }
  plimsoll::checked_layers(pattern->size(), letters);
  for (const char c : *pattern) {
    if (c != 'M' && c != '*' && c != '-' && c != 'E')
      throw Error(PLIMSOLL_E_CONFIG, letters, std::string("has the letter \"") + c + "\"; M, *, - and E were expected");
    out.emplace_back(c == 'M' ? "mamba" : c == '*' ? "attention" : c == '-' ? "mlp" : "moe");
  }
  return out;
}

} // namespace hybrid
