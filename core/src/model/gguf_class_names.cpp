#include "model/gguf_class_names.hpp"

#include <utility>

#include "checkpoint/gguf_names.hpp"

namespace plimsoll {
namespace {

// "model.layers.{layer}.mlp.experts.{expert}.up_proj.weight" in layer 3 as "layers.3.mlp.experts.up_proj.weight": without what stands in
// front of the layers, which other configurations call otherwise, and without the expert, of which GGUF has one tensor.
std::string tail_of(std::string name) {
  for (std::size_t at = name.find(".{expert}"); at != std::string::npos; at = name.find(".{expert}")) name.erase(at, 9);
  const std::size_t layers = name.find("layers.");
  if (layers != std::string::npos) return name.substr(layers);
  return name.substr(name.starts_with("model.") ? 6 : 0);
}

} // namespace

GgufClassNames::GgufClassNames(const GgufArchitecture& words) {
  const GgufNames names(words.names);
  for (const GgufNameSet& set : words.names)
    for (const auto& [key, unused] : set) {
      if (key == "blk" || key.find("{}") != std::string::npos) continue;
      const std::string stored = (key.starts_with("blk.") ? "blk.0." + key.substr(4) : key) + ".weight";
      std::string name;
      names.translate(stored, name);
      stored_.emplace(tail_of(name), stored);
    }
}

std::vector<std::string> GgufClassNames::of(const WeightClass& c) const {
  std::string name = c.pattern;
  if (const std::size_t at = name.find("{layer}"); at != std::string::npos) name.replace(at, 7, "0");
  std::vector<std::string> out;
  if (stored_.empty()) return {name}; // classes go by what the file calls their tensors
  const auto [first, last] = stored_.equal_range(tail_of(std::move(name)));
  for (auto it = first; it != last; ++it) out.push_back(it->second);
  if (!out.empty() || c.experts == 0) return out;
  if (c.shard_dim == c.in_dim) return {"blk.0.ffn_down_exps.weight"};
  return {"blk.0.ffn_gate_exps.weight", "blk.0.ffn_up_exps.weight"};
}

} // namespace plimsoll
