#include "tokenizer/tokenizer_steps.hpp"

#include <array>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "tokenizer/published_patterns.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaxSteps = 64;          // of a kind; published files have up to five
constexpr std::size_t kMaxInsertedBytes = 256; // of a text that a step puts in

// The "type" of a part.
Result<std::string> type_of(const JsonPart& part) { return part.text_at("type"); }

tl::unexpected<Error> unsupported(const JsonPart& part, std::string_view what, const std::string& type, std::string_view supported) {
  return part.wrong(fmt::format("the {} '{}' is not supported; those that are: {}", what, type.substr(0, 80), supported));
}

// Calls read(part) for the part itself or, where it is a Sequence, for each in its list, however deep; the JSON reader bounds that.
template <class Read>
Result<void> for_each_in_sequence(const JsonPart& part, std::string_view list_key, Read&& read) {
  PLIMSOLL_ASSIGN(const std::string type, type_of(part));
  if (type != "Sequence") return read(part, type);
  PLIMSOLL_ASSIGN(const JsonPart list, part.need(list_key));
  PLIMSOLL_ASSIGN(const std::vector<JsonPart> items, list.items());
  for (const JsonPart& item : items) PLIMSOLL_TRY(for_each_in_sequence(item, list_key, read));
  return {};
}

Result<std::string> inserted_text_at(const JsonPart& part, std::string_view key) {
  PLIMSOLL_ASSIGN(const JsonPart text_part, part.need(key));
  PLIMSOLL_ASSIGN(std::string text, text_part.text());
  if (text.size() > kMaxInsertedBytes)
    return text_part.wrong(fmt::format("the text has {} bytes, expected at most {}", text.size(), kMaxInsertedBytes));
  return text;
}

// {"String": "a"} or {"Regex": "a+"}.
Result<Pattern> pattern_at(const JsonPart& part) {
  PLIMSOLL_ASSIGN(const JsonPart pattern, part.need("pattern"));
  if (const auto plain = pattern.find("String")) {
    PLIMSOLL_ASSIGN(std::string text, plain->text());
    if (text.empty()) return plain->wrong("the text to look for is empty");
    return Pattern::plain(std::move(text));
  }
  PLIMSOLL_ASSIGN(const JsonPart expression, pattern.need("Regex"));
  PLIMSOLL_ASSIGN(const std::string text, expression.text());
  auto compiled = Pattern::regex(text);
  if (!compiled) return expression.wrong(std::move(compiled.error().message));
  return compiled;
}

Result<void> check_room(const JsonPart& part, std::size_t steps) {
  if (steps < kMaxSteps) return {};
  return part.wrong(fmt::format("more than {} steps; expected a handful", kMaxSteps));
}

Result<void> read_normalizer(const JsonPart& part, const std::string& type, std::vector<TextStep>& steps) {
  PLIMSOLL_TRY(check_room(part, steps.size()));
  constexpr std::array<std::pair<std::string_view, UnicodeForm>, 4> kForms{
      {{"NFC", UnicodeForm::kNfc}, {"NFD", UnicodeForm::kNfd}, {"NFKC", UnicodeForm::kNfkc}, {"NFKD", UnicodeForm::kNfkd}}};
  for (const auto& [name, form] : kForms)
    if (type == name) {
      steps.emplace_back(form);
      return {};
    }
  if (type == "Prepend") {
    PLIMSOLL_ASSIGN(std::string text, inserted_text_at(part, "prepend"));
    steps.emplace_back(PrependStep{std::move(text)});
    return {};
  }
  if (type == "Replace") {
    PLIMSOLL_ASSIGN(Pattern pattern, pattern_at(part));
    PLIMSOLL_ASSIGN(std::string content, inserted_text_at(part, "content"));
    steps.emplace_back(ReplaceStep{std::move(pattern), std::move(content)});
    return {};
  }
  if (type == "Strip") {
    PLIMSOLL_ASSIGN(const bool left, part.flag_at("strip_left", true));
    PLIMSOLL_ASSIGN(const bool right, part.flag_at("strip_right", true));
    steps.emplace_back(StripStep{left, right});
    return {};
  }
  if (type == "BertNormalizer") {
    BertStep step;
    PLIMSOLL_ASSIGN(step.cleans, part.flag_at("clean_text", true));
    PLIMSOLL_ASSIGN(step.parts_ideographs, part.flag_at("handle_chinese_chars", true));
    PLIMSOLL_ASSIGN(step.lowers, part.flag_at("lowercase", true));
    PLIMSOLL_ASSIGN(step.strips_accents, part.flag_at("strip_accents", step.lowers));
    steps.emplace_back(step);
    return {};
  }
  return unsupported(part, "normalizer", type, "BertNormalizer, NFC, NFD, NFKC, NFKD, Prepend, Replace, Sequence, Strip");
}

Result<SplitBehavior> behavior_at(const JsonPart& part) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors{
      {{"Isolated", SplitBehavior::kIsolated},
       {"Removed", SplitBehavior::kRemoved},
       {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
       {"MergedWithNext", SplitBehavior::kMergedWithNext},
       {"Contiguous", SplitBehavior::kContiguous}}};
  PLIMSOLL_ASSIGN(const JsonPart word, part.need("behavior"));
  PLIMSOLL_ASSIGN(const std::string text, word.text());
  for (const auto& [name, behavior] : kBehaviors)
    if (text == name) return behavior;
  return unsupported(word, "behavior", text, "Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
}

struct Metaspace {
  std::string replacement;
  bool prepends = true, only_first = false;
};

Result<Metaspace> metaspace_of(const JsonPart& part) {
  Metaspace out;
  PLIMSOLL_ASSIGN(out.replacement, inserted_text_at(part, "replacement"));
  if (out.replacement.empty()) return part.wrong("the replacement for spaces is empty");
  PLIMSOLL_ASSIGN(out.prepends, part.flag_at("add_prefix_space", true));
  if (const auto scheme = part.find("prepend_scheme")) {
    PLIMSOLL_ASSIGN(const std::string word, scheme->text());
    if (word != "always" && word != "first" && word != "never") return unsupported(*scheme, "prepend_scheme", word, "always, first, never");
    out.prepends = word != "never";
    out.only_first = word == "first";
  }
  return out;
}

class PreTokenizerReader {
public:
  PreTokenizerReader(VocabularyParts& parts, bool& byte_level) : parts_(parts), byte_level_(byte_level) {}

  Result<void> operator()(const JsonPart& part, const std::string& type) {
    PLIMSOLL_TRY(check_room(part, parts_.splits.size()));
    if (byte_level_)
      return part.wrong(fmt::format("the pre-tokenizer '{}' stands behind ByteLevel, expected ByteLevel last", type.substr(0, 80)));
    if (type == "ByteLevel") return byte_level(part);
    if (type == "Metaspace") return metaspace(part);
    if (type == "Split") {
      PLIMSOLL_ASSIGN(Pattern pattern, pattern_at(part));
      PLIMSOLL_ASSIGN(const SplitBehavior behavior, behavior_at(part));
      PLIMSOLL_ASSIGN(const bool inverted, part.flag_at("invert", false));
      parts_.splits.push_back({std::move(pattern), behavior, inverted});
      return {};
    }
    if (type == "Digits") {
      PLIMSOLL_ASSIGN(const bool one_by_one, part.flag_at("individual_digits", false));
      return split_by(part, "\\p{N}", one_by_one ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
    }
    if (type == "BertPreTokenizer") {
      PLIMSOLL_TRY(split_by(part, "\\s", SplitBehavior::kRemoved));
      return split_by(part, "[\\p{P}!-/:-@\\[-`{-~]", SplitBehavior::kIsolated);
    }
    return unsupported(part, "pre-tokenizer", type, "BertPreTokenizer, ByteLevel, Digits, Metaspace, Sequence, Split");
  }

private:
  Result<void> split_by(const JsonPart& part, std::string_view expression, SplitBehavior behavior) {
    auto pattern = Pattern::regex(std::string(expression));
    if (!pattern) return part.wrong(std::move(pattern.error().message));
    parts_.splits.push_back({std::move(*pattern), behavior});
    return {};
  }
  // Text can be put in front only before anything is cut.
  Result<void> first(const JsonPart& part) const {
    if (parts_.splits.empty()) return {};
    return part.wrong("a pre-tokenizer that puts spaces in front stands behind another, expected it first");
  }
  Result<void> byte_level(const JsonPart& part) {
    PLIMSOLL_ASSIGN(const bool prefix_space, part.flag_at("add_prefix_space", true));
    PLIMSOLL_ASSIGN(const bool use_regex, part.flag_at("use_regex", true));
    if (prefix_space) {
      PLIMSOLL_TRY(first(part));
      parts_.word_steps.emplace_back(PrependStep{" ", false, true});
    }
    byte_level_ = true;
    return use_regex ? split_by(part, kGpt2Pattern, SplitBehavior::kIsolated) : Result<void>();
  }
  Result<void> metaspace(const JsonPart& part) {
    PLIMSOLL_TRY(first(part));
    PLIMSOLL_ASSIGN(const Metaspace space, metaspace_of(part));
    PLIMSOLL_ASSIGN(const bool split, part.flag_at("split", true));
    parts_.word_steps.emplace_back(ReplaceStep{Pattern::plain(" "), space.replacement});
    if (space.prepends) parts_.word_steps.emplace_back(PrependStep{space.replacement, space.only_first, true});
    if (split) parts_.splits.push_back({Pattern::plain(space.replacement), SplitBehavior::kMergedWithNext});
    return {};
  }

  VocabularyParts& parts_;
  bool& byte_level_;
};

class DecoderReader {
public:
  explicit DecoderReader(PieceText& out) : out_(out) {}

  bool byte_level() const { return byte_level_; }

  Result<void> operator()(const JsonPart& part, const std::string& type) {
    PLIMSOLL_TRY(check_room(part, out_.replaced.size()));
    if (type == "ByteLevel") {
      byte_level_ = true;
      return {};
    }
    if (type == "ByteFallback") return {}; // byte pieces are bytes always
    if (type == "Fuse") {
      fused_ = true;
      return {};
    }
    if (type == "Replace") return replace(part);
    if (type == "Strip") return strip(part);
    if (type == "Metaspace") {
      PLIMSOLL_ASSIGN(const Metaspace space, metaspace_of(part));
      out_.replaced.push_back({space.replacement, " "});
      out_.drops_first_space = space.prepends;
      return {};
    }
    if (type == "WordPiece") { // without its cleaning, which guesses where spaces were
      PLIMSOLL_ASSIGN(out_.goes_on, inserted_text_at(part, "prefix"));
      return {};
    }
    return unsupported(part, "decoder", type, "ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence, Strip, WordPiece");
  }

private:
  Result<void> replace(const JsonPart& part) {
    PLIMSOLL_ASSIGN(const JsonPart pattern, part.need("pattern"));
    PLIMSOLL_ASSIGN(const JsonPart what_part, pattern.need("String"));
    PLIMSOLL_ASSIGN(std::string what, what_part.text());
    PLIMSOLL_ASSIGN(std::string by, part.text_at("content"));
    if (what.empty() || by.size() > what.size()) return part.wrong("a text is replaced by a longer one, expected one that is not longer");
    out_.replaced.push_back({std::move(what), std::move(by)});
    return {};
  }
  Result<void> strip(const JsonPart& part) {
    PLIMSOLL_ASSIGN(const std::string content, part.text_at("content"));
    PLIMSOLL_ASSIGN(const JsonPart start_part, part.need("start"));
    PLIMSOLL_ASSIGN(const std::uint64_t start, start_part.number());
    PLIMSOLL_ASSIGN(const JsonPart stop_part, part.need("stop"));
    PLIMSOLL_ASSIGN(const std::uint64_t stop, stop_part.number());
    if (!fused_ || content != " " || start > 1 || stop != 0)
      return part.wrong("this Strip is not supported; expected one space at the start, behind Fuse");
    out_.drops_first_space = start == 1;
    return {};
  }

  PieceText& out_;
  bool byte_level_ = false, fused_ = false;
};

class PostProcessorReader {
public:
  PostProcessorReader(VocabularyParts& parts, std::uint32_t vocab_size) : parts_(parts), vocab_size_(vocab_size) {}

  Result<void> operator()(const JsonPart& part, const std::string& type) {
    if (type == "ByteLevel") return {}; // about offsets alone
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      PLIMSOLL_ASSIGN(const Token first, named_id(part, "cls"));
      PLIMSOLL_ASSIGN(const Token last, named_id(part, "sep"));
      parts_.prefix.insert(parts_.prefix.begin(), first);
      parts_.suffix.push_back(last);
      return {};
    }
    if (type != "TemplateProcessing")
      return unsupported(part, "post-processor", type, "BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing");
    PLIMSOLL_ASSIGN(const JsonPart single, part.need("single"));
    PLIMSOLL_ASSIGN(const std::vector<JsonPart> items, single.items());
    bool behind_text = false;
    std::vector<Token> prefix, suffix;
    for (const JsonPart& item : items) {
      if (item.find("Sequence")) {
        if (std::exchange(behind_text, true)) return item.wrong("the text stands twice in the template, expected it once");
        continue;
      }
      PLIMSOLL_ASSIGN(const JsonPart special, item.need("SpecialToken"));
      PLIMSOLL_ASSIGN(const std::vector<Token> ids, ids_of(part, special));
      std::vector<Token>& side = behind_text ? suffix : prefix;
      side.insert(side.end(), ids.begin(), ids.end());
    }
    if (!behind_text) return single.wrong("the template leaves out the text, expected {\"Sequence\": {\"id\": \"A\"}}");
    parts_.prefix.insert(parts_.prefix.begin(), prefix.begin(), prefix.end());
    parts_.suffix.insert(parts_.suffix.end(), suffix.begin(), suffix.end());
    return {};
  }

private:
  // ["[SEP]", 102].
  Result<Token> named_id(const JsonPart& part, const char* key) const {
    PLIMSOLL_ASSIGN(const JsonPart pair, part.need(key));
    PLIMSOLL_ASSIGN(const std::vector<JsonPart> items, pair.items());
    if (items.size() != 2) return pair.wrong("expected a token and its id");
    PLIMSOLL_ASSIGN(const std::uint64_t id, items[1].number());
    if (id >= vocab_size_)
      return items[1].wrong(fmt::format("the token {} is none of the model's, which are 0 to {}", id, vocab_size_ - 1));
    return static_cast<Token>(id);
  }
  Result<std::vector<Token>> ids_of(const JsonPart& part, const JsonPart& special) const {
    PLIMSOLL_ASSIGN(const std::string name, special.text_at("id"));
    PLIMSOLL_ASSIGN(const JsonPart tokens, part.need("special_tokens"));
    PLIMSOLL_ASSIGN(const JsonPart token, tokens.need(name));
    PLIMSOLL_ASSIGN(const JsonPart list, token.need("ids"));
    PLIMSOLL_ASSIGN(const std::vector<JsonPart> items, list.items());
    std::vector<Token> ids;
    for (const JsonPart& item : items) {
      PLIMSOLL_ASSIGN(const std::uint64_t id, item.number());
      if (id >= vocab_size_) return item.wrong(fmt::format("the token {} is none of the model's, which are 0 to {}", id, vocab_size_ - 1));
      ids.push_back(static_cast<Token>(id));
    }
    return ids;
  }

  VocabularyParts& parts_;
  std::uint32_t vocab_size_;
};

} // namespace

Result<void> read_tokenizer_steps(const JsonPart& root, std::uint32_t vocab_size, VocabularyParts& parts, bool& byte_level) {
  byte_level = false;
  if (const auto normalizer = root.find("normalizer")) {
    const auto read = [&](const JsonPart& part, const std::string& type) { return read_normalizer(part, type, parts.steps); };
    PLIMSOLL_TRY(for_each_in_sequence(*normalizer, "normalizers", read));
  }
  if (const auto pre_tokenizer = root.find("pre_tokenizer")) {
    PreTokenizerReader reader(parts, byte_level);
    PLIMSOLL_TRY(for_each_in_sequence(*pre_tokenizer, "pretokenizers", reader));
  }
  PLIMSOLL_ASSIGN(const JsonPart decoder, root.need("decoder"));
  DecoderReader decoder_reader(parts.piece_text);
  PLIMSOLL_TRY(for_each_in_sequence(decoder, "decoders", decoder_reader));
  if (decoder_reader.byte_level() != byte_level)
    return decoder.wrong("one of decoder and pre_tokenizer is ByteLevel and the other is not, expected both or none");
  if (const auto post_processor = root.find("post_processor")) {
    PostProcessorReader reader(parts, vocab_size);
    PLIMSOLL_TRY(for_each_in_sequence(*post_processor, "processors", reader));
  }
  return {};
}

} // namespace plimsoll
