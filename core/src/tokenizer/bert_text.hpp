// How BERT's tokenizers change a text before it is split. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace plimsoll {

struct BertStep {
  bool cleans = true;           // control characters are left out, white space becomes spaces
  bool parts_ideographs = true; // Chinese characters stand by themselves
  bool strips_accents = false;  // marks that a decomposed text has
  bool lowers = true;
};

// The parts of it that come before accents are stripped, and those that come after. Bytes that are no UTF-8 stay as they are.
std::string bert_cleaned(const BertStep& step, std::string_view text);
std::string bert_lowered(const BertStep& step, std::string_view text);

} // namespace plimsoll
