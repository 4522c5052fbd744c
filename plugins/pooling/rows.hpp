// Which class is made of which generative model, and what it has in place of the head. Never reads a configuration. Threads: constant
// data.
#pragma once

#include <cstdint>
#include <string_view>

namespace pooling {

enum class Projection : std::uint8_t {
  kNone,
  kTokens, // one vector for each token: a matrix as wide as a key says, or the file
  kRanker, // two matrices, to half the width and to 512
  kScorer, // two layers, as wide as the model and one for each label
  kLabels, // a matrix with a row for each label
  kGates   // that, and three layers whose last says how much each pair of labels weighs
};

struct Row {
  std::string_view architecture;
  std::string_view model_type = ""; // whose dialect it is in; empty: what the configuration says
  std::string_view part = "";       // of the configuration, that has the model
  std::string_view prefix = "";     // of its tensors
  Projection projection = Projection::kNone;
  std::string_view projection_name = "";
  std::string_view labels = ""; // of kLabels: the key that says how many; empty: num_labels or id2label
  std::uint64_t width = 0;      // of kTokens where nobody says it; 0: then there is none
  bool bias = false;
  bool both_ways = false; // tokens attend to later ones too
};

// The row of a class; nullptr where there is none.
const Row* find_row(std::string_view architecture);

} // namespace pooling
