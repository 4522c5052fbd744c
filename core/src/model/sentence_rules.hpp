// What sentence-transformers' files beside a model say of the vectors that are made of it, as the reader of configurations left it under
// `sentence_modules`: which row of a sequence, and whether vectors have length 1. Asked for when a forward pass is described.
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>

#include "base/json.hpp"
#include "plimsoll/program.hpp"

namespace plimsoll {

struct SentenceRules {
  std::optional<RowPooling> pooling; // none: the model's own way
  bool normalised = false;
  std::string unsupported; // what they ask for and no op does, with the file; empty: nothing
};

// {"pooling": "mean", "normalised": true, "unsupported": "..."}, all of which may be absent.
SentenceRules sentence_rules_of(const Json& config);

} // namespace plimsoll
