#include "model/text_head.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>

namespace plimsoll {
namespace {

struct Ending {
  std::string_view text;
  TextHead head;
};
// The first that fits decides.
constexpr std::array<Ending, 8> kEndings{{{"LMHeadModel", TextHead::kLanguageModel},
                                          {"HeadsModel", TextHead::kLanguageModel},
                                          {"ChatModel", TextHead::kLanguageModel},
                                          {"ForSequenceClassification", TextHead::kSequence},
                                          {"ForTokenClassification", TextHead::kToken},
                                          {"ForQuestionAnswering", TextHead::kAnswer},
                                          {"RewardModel", TextHead::kReward},
                                          {"Model", TextHead::kNone}}};

// As the library behind these classes counts them: a number, a table of names, or two.
std::uint64_t labels_of(const Json& config, std::uint64_t otherwise) {
  if (const Json* count = find_pointer(config, "/num_labels"))
    if (const auto number = as_u64(*count); number && *number != 0) return *number;
  if (const Json* names = find_pointer(config, "/id2label"); names != nullptr && names->is_object() && !names->empty())
    return names->size();
  return otherwise;
}

class HeadMaker {
public:
  HeadMaker(const Dtype& dtype, std::string_view planner, Declared& declared) : dtype_(dtype), planner_(planner), declared_(declared) {}

  void linear(const std::string& name, std::uint64_t out, std::uint64_t in, bool bias) {
    add(name + ".weight", {out, in}, 2);
    if (bias) add(name + ".bias", {out}, 1);
  }

private:
  void add(const std::string& pattern, WeightDims dims, std::uint32_t n_dims) {
    static const Storage kPlain;
    WeightClass c;
    c.label = pattern;
    c.pattern = pattern;
    c.planner = planner_;
    c.aspect = PLIMSOLL_ASPECT_HEAD;
    c.stage = PLIMSOLL_STAGE_LAST;
    c.placement = PLIMSOLL_PLACE_REPLICATE;
    c.n_dims = n_dims;
    c.in_dim = 1;
    c.dims = dims;
    c.dtype = dtype_;
    c.variants.push_back({&kPlain, {}});
    declared_.weights.push_back(std::move(c));
  }

  Dtype dtype_;
  std::string_view planner_;
  Declared& declared_;
};

} // namespace

TextHead text_head_of(std::string_view architecture) {
  for (const Ending& ending : kEndings)
    if (architecture.ends_with(ending.text)) return ending.head;
  return TextHead::kLanguageModel;
}

Result<void> replace_head(TextHead head, const Json& config, const Dtype& dtype, std::string_view planner, Declared& declared) {
  if (head == TextHead::kLanguageModel) return {};
  std::erase_if(declared.weights, [](const WeightClass& c) {
    return c.aspect == PLIMSOLL_ASPECT_HEAD && c.placement == PLIMSOLL_PLACE_VOCAB && c.role != PLIMSOLL_ROLE_DRAFT;
  });
  declared.facts.vocab_tokens = 0;
  declared.head_left_out = true;
  declared.scores = head != TextHead::kNone;
  const std::uint64_t hidden = declared.facts.hidden_elements, labels = labels_of(config, head == TextHead::kReward ? 1 : 2);
  if (head == TextHead::kNone || hidden == 0) return {};
  HeadMaker make(dtype, planner, declared);
  switch (head) {
  case TextHead::kSequence: make.linear("score", labels, hidden, false); break;
  case TextHead::kToken: make.linear("score", labels, hidden, true); break;
  case TextHead::kAnswer: make.linear("qa_outputs", 2, hidden, true); break;
  default:
    // A reward that is read at a token of its own is one row; otherwise a layer as wide as the model comes before it.
    if (find_pointer(config, "/reward_token_id") != nullptr) {
      make.linear("v_head", 1, hidden, false);
    } else {
      make.linear("score.0", hidden, hidden, true);
      make.linear("score.2", labels, hidden, true);
    }
  }
  for (const WeightClass& c : declared.weights)
    if (c.declared_bytes().overflowed())
      return fail(ErrorCode::kBadConfig, fmt::format("the bytes of {} do not fit 64 bits; check the number of labels", c.label));
  return {};
}

} // namespace plimsoll
