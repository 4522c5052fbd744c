// Tiny encoders with random weights, for tests that embed: the same on every machine, under the names, shapes and config keys that
// transformers gives them. Called by tests of the runtime. Knows nothing of the library under test. Throws std::runtime_error where a name
// is not known or the disk refuses. Threads: plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/tiny_model.hpp"

namespace plimsoll::test {

// "bert", "contriever", "distilbert", "modernbert", "xlm_roberta".
std::vector<std::string> tiny_encoder_names();
TinyModel tiny_encoder(std::string_view name);

// modules.json and the configuration of its pooling, as sentence-transformers writes them: `pooling` is the switch that is on, such as
// "pooling_mode_mean_tokens"; `modules` come behind, such as "Normalize".
void write_sentence_modules(const std::string& folder, const std::string& pooling, const std::vector<std::string>& modules = {});

} // namespace plimsoll::test
