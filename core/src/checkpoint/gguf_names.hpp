// GGUF tensor names as transformers writes them: "blk.3.attn_q.weight" is "model.layers.3.self_attn.q_proj.weight".
// Called by checkpoint.cpp for every GGUF tensor, so that one set of patterns serves both formats. The one place that knows
// the pairs. A name without a counterpart (rope_freqs) stays as it is. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace plimsoll {

// Writes the translated name of `stored` into `out`; `model_type` is the one that gguf_config found.
// Experts are one tensor for all of a layer in GGUF and keep a name without a number: "...mlp.experts.up_proj.weight" [E, I, h].
// Worked example (deepseek_v3): "blk.60.ffn_down_exps.weight" becomes "model.layers.60.mlp.experts.down_proj.weight".
void translate_gguf_name(std::string_view stored, std::string_view model_type, std::string& out);

// Whether a tensor is a table that converters compute from the configuration: "rope_freqs.weight" holds the rotary
// frequencies that a config.json describes in words.
bool is_gguf_table(std::string_view stored);

} // namespace plimsoll
