// GGUF tensor names as a config's own checkpoint writes them: "blk.3.attn_q.weight" is "model.layers.3.self_attn.q_proj.weight", so that
// one set of patterns serves both formats. Which name is which is data (gguf_words.hpp); how names are put together is here. A name
// without a counterpart (rope_freqs) stays as it is. Threads: immutable after construction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/gguf_words.hpp"

namespace plimsoll {

class GgufNames {
public:
  GgufNames() = default;
  // Later sets win over earlier ones.
  explicit GgufNames(const std::vector<GgufNameSet>& sets);

  // Writes the translated name of `stored` into `out`. ".weight", ".bias" and ".scale" follow by themselves unless the config's name
  // ends with $; a set may name a tensor with its ending too, and then says the whole name. Experts are one tensor for all of a layer in
  // GGUF and keep a name without a number. Worked example, with the catalogue's usual names: "blk.60.ffn_down_exps.weight" becomes
  // "model.layers.60.mlp.experts.down_proj.weight".
  void translate(std::string_view stored, std::string& out) const;

private:
  bool append(std::string_view name, std::string_view layer_mark, std::string& out) const;

  GgufNameSet names_;
  std::vector<std::pair<std::string, std::string>> numbered_; // those with a {} in them
  std::string layer_start_, layer_end_;                       // around the layer's number
};

// A stored name as sets write it, with its ending, and its layer: of "blk.3.attn_q.weight" "blk.attn_q.weight" and 3.
struct StoredKey {
  std::string key;
  std::optional<std::uint32_t> layer; // none: of no layer, or of one beyond 32 bits
};
StoredKey stored_key(std::string_view stored);

// How the elements of a tensor of this stored name lie; later sets win over earlier ones.
StoredOrder stored_order(const std::vector<StoredOrderSet>& sets, std::string_view stored);

// Whether a tensor is a table that converters compute from the configuration: "rope_freqs.weight" holds the rotary
// frequencies that a config.json describes in words.
bool is_gguf_table(std::string_view stored);

} // namespace plimsoll
