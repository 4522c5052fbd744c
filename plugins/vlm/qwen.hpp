// Qwen's towers under names of other packagings. Called by the functions that make towers. Threads: pure.
#pragma once

#include <memory>
#include <string>

#include "block.hpp"
#include "tower.hpp"

namespace vlm {

inline constexpr BlockNames kQwen25Block{{"norm1", "norm2"}, "attn.qkv",     "", "", "", "attn.proj", "mlp.gate_proj",
                                         "mlp.up_proj",      "mlp.down_proj"};

// `prefix` is what names start with: "visual.".
// Qwen2-VL's; `out` is the width that its merger gives, 0 where it has none.
std::unique_ptr<Tower> make_qwen2_tower(const PartKeys& keys, std::uint64_t out, std::string prefix);
std::unique_ptr<Tower> make_qwen2_5_tower(const PartKeys& keys, std::uint64_t text, std::string prefix,
                                          const BlockNames& names = kQwen25Block);
std::unique_ptr<Tower> make_qwen3_tower(const PartKeys& keys, std::uint64_t text, std::string prefix);
// Qwen3-VL's under the names that Qwen3-Omni has for mergers.
std::unique_ptr<Tower> make_qwen3_omni_tower(const PartKeys& keys, std::uint64_t text, std::string prefix);

} // namespace vlm
