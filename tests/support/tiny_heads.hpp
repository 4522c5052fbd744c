// Tiny models with a head of their own that drafts, as their makers store them: one decoder layer more than the model has, what joins a
// token to the model's last state, and a norm. tests/data/tiny/heads.py reads what make_tiny writes of them. Knows nothing of the library
// under test. Throws std::runtime_error for a name that none has. Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/tiny_model.hpp"

namespace plimsoll::test {

struct TinyHead {
  std::uint64_t seed = 7;
  // The head knows what the model says where that follows from the last token alone: it passes the token on and adds nothing.
  bool knows = false;
  float of_layers = 1; // what the model's own layers add, times this; 0: what it says follows from the last token
};

// "head_deepseek_v3", "head_glm4_moe", "head_mimo", "head_qwen3_next".
std::vector<std::string> tiny_head_names();
TinyModel tiny_head(std::string_view name, const TinyHead& head = {});

} // namespace plimsoll::test
