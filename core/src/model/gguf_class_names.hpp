// What a weight class is called in a GGUF file of such a model, whatever the model was loaded from: "blk.0.attn_q.weight". For
// --override-tensor and for what-ifs in GGUF types. Knows no architecture: names are the families' words. Threads: immutable once made.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "checkpoint/gguf_words.hpp"
#include "model/declared.hpp"

namespace plimsoll {

class GgufClassNames {
public:
  explicit GgufClassNames(const GgufArchitecture& words);

  // The names in layer 0 that a file may have for it; none where the words have none. Experts have those that all files give them.
  std::vector<std::string> of(const WeightClass& c) const;

private:
  std::multimap<std::string, std::string> stored_; // by what they are called in a config's own checkpoint, in layer 0
};

} // namespace plimsoll
