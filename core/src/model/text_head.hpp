// What stands at the end of a text model by the name of its class, where no planner knows the class itself: bare "...Model" and
// classifiers have no language-model head. Knows the endings that class names share, no architecture.
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/json.hpp"
#include "model/declared.hpp"

namespace plimsoll {

enum class TextHead {
  kLanguageModel,
  kNone,     // LlamaModel: hidden states
  kSequence, // ...ForSequenceClassification: a score for each label
  kToken,    // ...ForTokenClassification: the same with a bias
  kAnswer,   // ...ForQuestionAnswering: where an answer starts and ends
  kReward    // ...RewardModel: a score for the whole or for each step
};

TextHead text_head_of(std::string_view architecture);

// Takes the language-model head out of what was declared and puts in the head of the class; without a vocabulary to sample from
// the facts have none. `config` says how many labels there are.
Result<void> replace_head(TextHead head, const Json& config, const Dtype& dtype, std::string_view planner, Declared& declared);

} // namespace plimsoll
