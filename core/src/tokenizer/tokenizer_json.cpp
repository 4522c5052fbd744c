#include "tokenizer/tokenizer_json.hpp"

#include <fmt/format.h>
#include <optional>
#include <simdjson.h>
#include <utility>

#include "base/regular_file.hpp"
#include "checkpoint/json_tokens.hpp"
#include "checkpoint/quoted_name.hpp"
#include "tokenizer/byte_alphabet.hpp"
#include "tokenizer/byte_piece.hpp"
#include "tokenizer/json_part.hpp"
#include "tokenizer/tokenizer_steps.hpp"

namespace plimsoll {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxPrefixBytes = 64; // of pieces that go on with a word
constexpr std::string_view kCollides = "was made to collide with others; the file is not to be trusted";

class TokenizerJsonReader {
public:
  TokenizerJsonReader(const std::string& path, std::uint32_t vocab_size) : path_(path), vocab_size_(vocab_size) {}

  Result<VocabularyParts> run(const dom::element& document) {
    PLIMSOLL_TRY(take_apart(document));
    const JsonPart root = root_of(small_, path_);
    PLIMSOLL_ASSIGN(const JsonPart model, root.need("model"));
    PLIMSOLL_ASSIGN(const bool word_pieces, check_model(model));
    PLIMSOLL_TRY(read_tokenizer_steps(root, vocab_size_, parts_, byte_level_));
    PLIMSOLL_TRY(read_vocabulary(model));
    PLIMSOLL_TRY(read_added_tokens(root));
    PLIMSOLL_ASSIGN(const BpeRules rules, rules_of(model));
    if (word_pieces) PLIMSOLL_TRY(read_word_pieces(model, rules));
    else PLIMSOLL_TRY(read_merges(model, rules));
    return std::move(parts_);
  }

private:
  // Everything but vocabulary and merges is small and goes into a tree of its own.
  Result<void> take_apart(const dom::element& document) {
    dom::object root;
    if (document.get(root) != simdjson::SUCCESS)
      return fail(ErrorCode::kBadConfig, "found no JSON object, expected that of a tokenizer", path_ + ": /");
    small_ = Json::object();
    for (const auto& [key, value] : root) {
      dom::object model;
      if (key == "model" && value.get(model) == simdjson::SUCCESS) PLIMSOLL_TRY(take_model(model));
      else PLIMSOLL_TRY(copy(small_, key, value, path_ + ": "));
    }
    return {};
  }
  Result<void> take_model(const dom::object& model) {
    Json& small = small_["model"] = Json::object();
    for (const auto& [key, value] : model) {
      if (key == "vocab") vocab_ = value;
      else if (key == "merges") merges_ = value;
      else PLIMSOLL_TRY(copy(small, key, value, path_ + ": /model"));
    }
    return {};
  }
  static Result<void> copy(Json& to, std::string_view key, const dom::element& value, const std::string& where) {
    const std::string name(key);
    if (to.contains(name)) return fail(ErrorCode::kBadConfig, "the key stands there twice", json_where(where, key));
    PLIMSOLL_ASSIGN(to[name], parse_json(simdjson::minify(value), json_where(where, key), ErrorCode::kBadConfig));
    return {};
  }

  // Whether it is WordPiece; else it is BPE.
  static Result<bool> check_model(const JsonPart& model) {
    if (const auto type_part = model.find("type")) {
      PLIMSOLL_ASSIGN(const std::string type, type_part->text());
      if (type == "WordPiece") return true;
      if (type != "BPE")
        return type_part->wrong(fmt::format("the model '{}' is not supported, expected BPE or WordPiece", type.substr(0, 80)));
    }
    for (const char* const key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const auto part = model.find(key);
      if (!part) continue;
      PLIMSOLL_ASSIGN(const std::string text, part->text());
      if (!text.empty())
        return part->wrong(fmt::format("found '{}', expected nothing: marks at the ends of words are not supported", text.substr(0, 80)));
    }
    if (const auto dropout = model.find("dropout"); dropout && *dropout->json != 0)
      return dropout->wrong("merges that are left out at random are not supported, expected null");
    return false;
  }

  Result<Token> checked_id(const dom::element& value, const std::string& where) const {
    std::uint64_t id = 0;
    if (value.get(id) != simdjson::SUCCESS) return fail(ErrorCode::kBadConfig, "found no id, expected a number from 0 on", where);
    if (id >= vocab_size_)
      return fail(
          ErrorCode::kBadConfig,
          fmt::format("the token {} is none of the model's, which are 0 to {}; the file belongs to another model", id, vocab_size_ - 1),
          where);
    return static_cast<Token>(id);
  }

  Result<void> read_vocabulary(const JsonPart& model) {
    const std::string where = json_where(model.where, "vocab");
    dom::object entries;
    if (!vocab_ || vocab_->get(entries) != simdjson::SUCCESS)
      return fail(ErrorCode::kBadConfig, "expected an object of pieces and their ids", where);
    PLIMSOLL_ASSIGN(const bool byte_fallback, model.flag_at("byte_fallback", false));
    const std::size_t pieces = count(entries);
    if (pieces > vocab_size_)
      return fail(ErrorCode::kBadConfig,
                  fmt::format("there are {} pieces, but the model has {} tokens; the file belongs to another model", pieces, vocab_size_),
                  where);
    parts_.vocabulary = Vocabulary(pieces);
    for (const auto& [piece, value] : entries) {
      PLIMSOLL_ASSIGN(const Token id, checked_id(value, json_where(where, piece)));
      switch (add_piece(piece, id, byte_fallback)) {
      case Vocabulary::Outcome::kAdded: break;
      case Vocabulary::Outcome::kIdTaken:
        return fail(ErrorCode::kBadConfig,
                    fmt::format("the id {} has another piece already, {}", id, quoted_name(parts_.vocabulary.text(id))),
                    json_where(where, piece));
      case Vocabulary::Outcome::kTextTaken: return fail(ErrorCode::kBadConfig, "the piece stands there twice", json_where(where, piece));
      case Vocabulary::Outcome::kCrowded:
        return fail(ErrorCode::kBadConfig, fmt::format("the piece {}", kCollides), json_where(where, piece));
      }
    }
    return {};
  }

  Vocabulary::Outcome add_piece(std::string_view piece, Token id, bool byte_fallback) {
    if (byte_level_) {
      const auto bytes = bytes_of_alphabet(piece);
      if (!bytes) return parts_.vocabulary.add(id, piece, PieceKind::kAdded); // no word can be it
      const auto outcome = parts_.vocabulary.add(id, *bytes, PieceKind::kText);
      if (outcome == Vocabulary::Outcome::kAdded && bytes->size() == 1)
        parts_.vocabulary.serve_byte(static_cast<unsigned char>(bytes->front()), id);
      return outcome;
    }
    const auto byte = byte_fallback ? byte_of_piece(piece) : std::nullopt;
    return byte ? parts_.vocabulary.add(id, std::string_view(&*byte, 1), PieceKind::kByte)
                : parts_.vocabulary.add(id, piece, PieceKind::kText);
  }

  // simdjson counts no further than 2^24 - 1.
  template <class List>
  static std::size_t count(const List& list) {
    if (list.size() < 0xffffff) return list.size();
    std::size_t count = 0;
    for (auto it = list.begin(); it != list.end(); ++it) ++count;
    return count;
  }

  Result<void> read_added_tokens(const JsonPart& root) {
    const auto list = root.find("added_tokens");
    if (!list) return {};
    PLIMSOLL_ASSIGN(const std::vector<JsonPart> items, list->items());
    std::vector<AddedToken> raw, after_steps;
    for (const JsonPart& item : items) {
      AddedToken token;
      PLIMSOLL_ASSIGN(const JsonPart id_part, item.need("id"));
      PLIMSOLL_ASSIGN(const std::uint64_t id, id_part.number());
      PLIMSOLL_ASSIGN(token.content, item.text_at("content"));
      PLIMSOLL_ASSIGN(token.single_word, item.flag_at("single_word", false));
      PLIMSOLL_ASSIGN(token.lstrip, item.flag_at("lstrip", false));
      PLIMSOLL_ASSIGN(token.rstrip, item.flag_at("rstrip", false));
      PLIMSOLL_ASSIGN(const bool special, item.flag_at("special", false));
      PLIMSOLL_ASSIGN(const bool normalized, item.flag_at("normalized", !special));
      if (id >= vocab_size_) continue;
      token.id = static_cast<Token>(id);
      if (token.content.empty() || token.content.size() > AddedTokens::kMaxContentBytes)
        return item.wrong(fmt::format("the content has {} bytes, expected 1 to {}", token.content.size(), AddedTokens::kMaxContentBytes));
      PLIMSOLL_TRY(name_added_token(item, token, special ? PieceKind::kControl : PieceKind::kAdded));
      if (normalized) {
        auto changed = apply_steps(parts_.steps, token.content, true);
        if (!changed) return item.wrong(std::move(changed.error().message));
        token.content = std::move(*changed);
        if (token.content.empty()) continue; // nothing of it is left to be found
        after_steps.push_back(std::move(token));
      } else {
        raw.push_back(std::move(token));
      }
    }
    PLIMSOLL_TRY(take(AddedTokens::make(std::move(raw)), *list, parts_.raw_added));
    return take(AddedTokens::make(std::move(after_steps)), *list, parts_.step_added);
  }
  static Result<void> take(Result<AddedTokens> made, const JsonPart& list, AddedTokens& to) {
    if (!made) return list.wrong(std::move(made.error().message));
    to = std::move(*made);
    return {};
  }

  // The token's id and text; where the vocabulary has both, they agree.
  Result<void> name_added_token(const JsonPart& item, const AddedToken& token, PieceKind kind) {
    Vocabulary& vocabulary = parts_.vocabulary;
    if (vocabulary.kind(token.id) == PieceKind::kNone) {
      vocabulary.add(token.id, token.content, kind);
      return {};
    }
    const std::string_view text = vocabulary.text(token.id);
    if (text != token.content && text != bytes_of_alphabet(token.content))
      return item.wrong(
          fmt::format("the id {} is that of {} in the vocabulary, expected {}", token.id, quoted_name(text), quoted_name(token.content)));
    vocabulary.set_kind(token.id, kind);
    return {};
  }

  // A piece as merges and names write it.
  std::optional<Token> find(std::string_view piece) const {
    if (!byte_level_) return parts_.vocabulary.find(piece);
    const auto bytes = bytes_of_alphabet(piece);
    return bytes ? parts_.vocabulary.find(*bytes) : std::nullopt;
  }

  Result<BpeRules> rules_of(const JsonPart& model) const {
    BpeRules rules;
    rules.byte_level = byte_level_;
    PLIMSOLL_ASSIGN(rules.whole_words, model.flag_at("ignore_merges", false));
    PLIMSOLL_ASSIGN(rules.fuse_unknown, model.flag_at("fuse_unk", false));
    if (const auto unknown = model.find("unk_token")) {
      PLIMSOLL_ASSIGN(const std::string text, unknown->text());
      rules.unknown = parts_.vocabulary.named(text);
      if (!rules.unknown) return unknown->wrong(fmt::format("{} is no piece of the vocabulary", quoted_name(text)));
    }
    return rules;
  }

  Result<void> read_word_pieces(const JsonPart& model, const BpeRules& rules) {
    WordPiece pieces;
    if (byte_level_) return model.wrong("the model is WordPiece and the pre-tokenizer ByteLevel, expected one of another kind");
    if (!rules.unknown) return model.wrong("a WordPiece model has no unk_token, expected the name of a piece");
    pieces.unknown = *rules.unknown;
    if (const auto prefix = model.find("continuing_subword_prefix")) {
      PLIMSOLL_ASSIGN(pieces.prefix, prefix->text());
      if (pieces.prefix.size() > kMaxPrefixBytes)
        return prefix->wrong(fmt::format("the prefix has {} bytes, expected at most {}", pieces.prefix.size(), kMaxPrefixBytes));
    }
    if (const auto most = model.find("max_input_chars_per_word")) {
      PLIMSOLL_ASSIGN(pieces.most_characters, most->number());
      if (pieces.most_characters > WordPiece::kMostCharacters)
        return most->wrong(fmt::format("{} characters of a word, expected at most {}", pieces.most_characters, WordPiece::kMostCharacters));
    }
    parts_.word_piece = std::move(pieces);
    return {};
  }

  Result<void> read_merges(const JsonPart& model, BpeRules rules) {
    const std::string where = json_where(model.where, "merges");
    dom::array list;
    if (!merges_ || merges_->get(list) != simdjson::SUCCESS) return fail(ErrorCode::kBadConfig, "expected a list of merges", where);
    const std::size_t merges = count(list);
    if (merges > kMaxMerges)
      return fail(ErrorCode::kBadConfig, fmt::format("there are {} merges, expected at most {}", merges, kMaxMerges), where);
    parts_.bpe = Bpe(rules, merges);
    std::uint32_t rank = 0;
    std::string together;
    for (const dom::element item : list) {
      const auto wrong = [&](std::string message) {
        return fail(ErrorCode::kBadConfig, std::move(message), json_where(where, std::to_string(rank)));
      };
      const auto pair = pair_of(item);
      if (!pair) return wrong("expected two pieces, as a list or with one space between them");
      together.assign(pair->first).append(pair->second);
      const auto left = find(pair->first), right = find(pair->second), merged = find(together);
      if (!left || !right || !merged)
        return wrong(fmt::format("{} is no piece of the vocabulary", quoted_name(!left    ? pair->first
                                                                                 : !right ? pair->second
                                                                                          : std::string_view(together))));
      if (!parts_.bpe.add_merge(*left, *right, rank, *merged)) return wrong(fmt::format("the merge {}", kCollides));
      ++rank;
    }
    return {};
  }

  // "a b" or ["a", "b"].
  static std::optional<std::pair<std::string_view, std::string_view>> pair_of(const dom::element& item) {
    std::string_view text;
    if (item.get(text) == simdjson::SUCCESS) {
      const std::size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) return std::nullopt;
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
    dom::array both;
    std::string_view left, right;
    if (item.get(both) != simdjson::SUCCESS || both.size() != 2 || both.at(0).get(left) != simdjson::SUCCESS ||
        both.at(1).get(right) != simdjson::SUCCESS)
      return std::nullopt;
    return std::pair(left, right);
  }

  const std::string& path_;
  std::uint32_t vocab_size_;
  Json small_;
  std::optional<dom::element> vocab_, merges_;
  bool byte_level_ = false;
  VocabularyParts parts_;
};

Result<VocabularyParts> parse(const simdjson::padded_string& text, const std::string& path, std::uint32_t vocab_size) {
  const std::string_view view(text.data(), text.size());
  if (!few_tokens(view)) return fail(ErrorCode::kBadConfig, "has more brackets and commas than any tokenizer", path);
  dom::parser parser;
  dom::element document;
  auto error = parser.allocate(text.size(), kMaxDepth);
  if (error == simdjson::SUCCESS) error = parser.parse(text).get(document);
  if (error != simdjson::SUCCESS)
    return fail(ErrorCode::kBadConfig, fmt::format("is not valid JSON: {}", simdjson::error_message(error)), path);
  return TokenizerJsonReader(path, vocab_size).run(document);
}

} // namespace

Result<VocabularyParts> parse_tokenizer_json(const std::string& text, const std::string& path, std::uint32_t vocab_size) {
  return parse(simdjson::padded_string(text), path, vocab_size);
}

Result<VocabularyParts> read_tokenizer_json(const std::string& path, std::uint32_t vocab_size) {
  PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(path, ErrorCode::kBadConfig));
  if (file.file_bytes() > kMaxTokenizerJsonBytes)
    return fail(ErrorCode::kBadConfig, fmt::format("the file has {} bytes, expected at most {}", file.file_bytes(), kMaxTokenizerJsonBytes),
                path);
  simdjson::padded_string text(static_cast<std::size_t>(file.file_bytes()));
  PLIMSOLL_TRY(file.read(0, {text.data(), text.size()}));
  return parse(text, path, vocab_size);
}

} // namespace plimsoll
