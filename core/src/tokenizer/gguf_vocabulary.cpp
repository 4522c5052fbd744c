#include "tokenizer/gguf_vocabulary.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "base/json.hpp"
#include "checkpoint/gguf.hpp"
#include "checkpoint/quoted_name.hpp"
#include "tokenizer/byte_alphabet.hpp"
#include "tokenizer/gguf_lists.hpp"
#include "tokenizer/published_patterns.hpp"
#include "tokenizer/scored_pieces.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";

class GgufVocabularyReader {
public:
  GgufVocabularyReader(const RegularFile& file, std::uint32_t vocab_size) : file_(file), vocab_size_(vocab_size) {}

  Result<GgufTokenizer> run() {
    PLIMSOLL_ASSIGN(GgufHeader header, read_gguf(file_));
    metadata_ = std::move(header.metadata);
    PLIMSOLL_ASSIGN(lists_, read_gguf_lists(file_));
    PLIMSOLL_ASSIGN(const std::optional<std::string> model, text("model"));
    if (!model) return wrong("model", "the file names no tokenizer; use a folder with a tokenizer.json");
    if (*model != "llama" && *model != "gpt2")
      return wrong("model", fmt::format("the tokenizer '{}' is not supported, expected llama or gpt2", model->substr(0, 80)));
    PLIMSOLL_TRY(check_lists());
    GgufTokenizer out;
    PLIMSOLL_TRY(*model == "llama" ? scored(out.parts) : byte_level(out.parts));
    const bool is_scored = *model == "llama";
    PLIMSOLL_ASSIGN(out.named, named_tokens(is_scored));
    PLIMSOLL_TRY(ends(is_scored, out));
    return out;
  }

private:
  tl::unexpected<Error> wrong(std::string_view key, std::string message) const {
    return fail(ErrorCode::kBadCheckpoint, std::move(message), fmt::format("{}: {}{}", file_.path(), kPrefix, key));
  }
  const Json* value(std::string_view key) const {
    const auto found = metadata_.values.find(std::string(kPrefix).append(key));
    return found == metadata_.values.end() || found->second.is_null() ? nullptr : &found->second;
  }
  Result<std::optional<std::string>> text(std::string_view key) const {
    const Json* const json = value(key);
    if (json == nullptr) return std::nullopt;
    if (!json->is_string()) return wrong(key, "expected a text");
    return json->get<std::string>();
  }
  Result<std::optional<bool>> flag(std::string_view key) const {
    const Json* const json = value(key);
    if (json == nullptr) return std::nullopt;
    if (!json->is_boolean()) return wrong(key, "expected true or false");
    return json->get<bool>();
  }
  Result<std::optional<Token>> token(std::string_view key) const {
    const Json* const json = value(key);
    if (json == nullptr) return std::nullopt;
    const auto id = as_u64(*json);
    if (!id || *id >= lists_.pieces.size())
      return wrong(key, fmt::format("there is no token {}; the vocabulary has {}", json->dump().substr(0, 40), lists_.pieces.size()));
    return static_cast<Token>(*id);
  }

  Result<void> check_lists() const {
    if (lists_.pieces.size() == 0) return wrong("tokens", "the list of tokens is missing or empty");
    if (lists_.pieces.size() > vocab_size_)
      return wrong("tokens", fmt::format("the list has {} tokens, but the model has {}", lists_.pieces.size(), vocab_size_));
    for (const auto& [key, count] : {std::pair("scores", lists_.scores.size()), std::pair("token_type", lists_.kinds.size())})
      if (count != 0 && count != lists_.pieces.size())
        return wrong(key, fmt::format("the list has {} elements for {} tokens", count, lists_.pieces.size()));
    return {};
  }
  Result<ScoredKind> kind(std::size_t id) const {
    if (lists_.kinds.empty()) return ScoredKind::kNormal;
    const std::int32_t number = lists_.kinds[id];
    if (number < 0 || number > 6) return wrong("token_type", fmt::format("token {} has the type {}, expected 1 to 6", id, number));
    return number == 0 ? ScoredKind::kNormal : static_cast<ScoredKind>(number);
  }

  Result<void> scored(VocabularyParts& parts) const {
    if (lists_.scores.empty()) return wrong("scores", "the list of scores is missing");
    std::vector<ScoredPiece> pieces;
    for (std::size_t id = 0; id < lists_.pieces.size(); ++id) {
      PLIMSOLL_ASSIGN(const ScoredKind piece_kind, kind(id));
      pieces.push_back({lists_.pieces[id], lists_.scores[id], piece_kind});
    }
    PLIMSOLL_ASSIGN(const std::optional<bool> space_prefix, flag("add_space_prefix"));
    auto made = parts_of_scored_pieces(pieces, space_prefix.value_or(true));
    if (!made) return wrong("tokens", std::move(made.error().message));
    parts = std::move(*made);
    return {};
  }

  Result<void> byte_level(VocabularyParts& parts) {
    PLIMSOLL_ASSIGN(const std::optional<std::string> pre, text("pre"));
    const GgufPreTokenizer* const known = find_gguf_pre_tokenizer(pre.value_or("default"));
    if (known == nullptr)
      return wrong(
          "pre", fmt::format("the pre-tokenizer {} is not known here; use the model's folder with its tokenizer.json", quoted_name(*pre)));
    pre_tokenizer_ = known;
    for (const std::string_view expression : known->patterns) {
      PLIMSOLL_ASSIGN(Pattern pattern, Pattern::regex(std::string(expression)));
      parts.splits.push_back({std::move(pattern), SplitBehavior::kIsolated});
    }
    PLIMSOLL_TRY(add_pieces(parts));
    BpeRules rules;
    rules.byte_level = true;
    rules.whole_words = known->whole_words;
    if (lists_.merges.size() > kMaxMerges)
      return wrong("merges", fmt::format("there are {} merges, expected at most {}", lists_.merges.size(), kMaxMerges));
    parts.bpe = Bpe(rules, lists_.merges.size());
    for (std::size_t rank = 0; rank < lists_.merges.size(); ++rank) {
      const std::string_view merge = lists_.merges[rank];
      const std::size_t space = merge.find(' ', 1);
      if (space == std::string_view::npos)
        return wrong("merges", fmt::format("merge {} is {}, expected two pieces with a space between them", rank, quoted_name(merge)));
      const auto left = find(parts, merge.substr(0, space)), right = find(parts, merge.substr(space + 1));
      const auto merged = find(parts, std::string(merge.substr(0, space)).append(merge.substr(space + 1)));
      if (!left || !right || !merged)
        return wrong("merges", fmt::format("merge {}, {}, has a piece that is no token", rank, quoted_name(merge)));
      if (!parts.bpe.add_merge(*left, *right, static_cast<std::uint32_t>(rank), *merged))
        return wrong("merges", "the merges were made to collide; the file is not to be trusted");
    }
    return {};
  }
  static std::optional<Token> find(const VocabularyParts& parts, std::string_view piece) {
    const auto bytes = bytes_of_alphabet(piece);
    return bytes ? parts.vocabulary.find(*bytes) : std::nullopt;
  }

  Result<void> add_pieces(VocabularyParts& parts) const {
    parts.vocabulary = Vocabulary(lists_.pieces.size());
    std::vector<AddedToken> added;
    for (std::size_t index = 0; index < lists_.pieces.size(); ++index) {
      PLIMSOLL_ASSIGN(const ScoredKind piece_kind, kind(index));
      const std::string_view piece = lists_.pieces[index];
      const auto id = static_cast<Token>(index);
      if (piece_kind == ScoredKind::kControl || piece_kind == ScoredKind::kUnknown || piece_kind == ScoredKind::kUserDefined) {
        parts.vocabulary.add(id, piece, piece_kind == ScoredKind::kUserDefined ? PieceKind::kAdded : PieceKind::kControl);
        if (!piece.empty()) added.push_back({std::string(piece), id});
        continue;
      }
      const auto bytes = piece_kind == ScoredKind::kNormal ? bytes_of_alphabet(piece) : std::nullopt;
      if (!bytes) { // no word can be it
        parts.vocabulary.add(id, piece, PieceKind::kAdded);
        continue;
      }
      const auto outcome = parts.vocabulary.add(id, *bytes, PieceKind::kText);
      if (outcome == Vocabulary::Outcome::kCrowded)
        return wrong("tokens", "the tokens were made to collide; the file is not to be trusted");
      if (outcome == Vocabulary::Outcome::kAdded && bytes->size() == 1)
        parts.vocabulary.serve_byte(static_cast<unsigned char>(bytes->front()), id);
    }
    auto made = AddedTokens::make(std::move(added));
    if (!made) return wrong("tokens", std::move(made.error().message));
    parts.raw_added = std::move(*made);
    return {};
  }

  // A vocabulary with scores has its beginning at 1 and its end at 2 unless the file says otherwise, as in llama.cpp.
  Result<NamedTokens> named_tokens(bool is_scored) const {
    NamedTokens named;
    PLIMSOLL_ASSIGN(named.bos, token("bos_token_id"));
    for (const char* const key : {"eos_token_id", "eot_token_id", "eom_token_id"}) {
      PLIMSOLL_ASSIGN(const std::optional<Token> stop, token(key));
      if (stop) named.stops.push_back(*stop);
    }
    if (is_scored && !named.bos && lists_.pieces.size() > 1) named.bos = 1;
    if (is_scored && named.stops.empty() && lists_.pieces.size() > 2) named.stops.push_back(2);
    std::sort(named.stops.begin(), named.stops.end());
    named.stops.erase(std::unique(named.stops.begin(), named.stops.end()), named.stops.end());
    return named;
  }

  // The tokens around every text.
  Result<void> ends(bool is_scored, GgufTokenizer& out) const {
    PLIMSOLL_ASSIGN(const std::optional<bool> adds_bos, flag("add_bos_token"));
    PLIMSOLL_ASSIGN(const std::optional<bool> adds_eos, flag("add_eos_token"));
    if (adds_bos.value_or(is_scored || pre_tokenizer_->adds_bos)) {
      if (out.named.bos) out.parts.prefix.push_back(*out.named.bos);
      else if (adds_bos) return wrong("add_bos_token", "a token of beginning is to be added, but bos_token_id names none");
    }
    if (adds_eos.value_or(false)) {
      PLIMSOLL_ASSIGN(const std::optional<Token> eos, token("eos_token_id"));
      if (!eos) return wrong("add_eos_token", "a token of end is to be added, but eos_token_id names none");
      out.parts.suffix.push_back(*eos);
    }
    return {};
  }

  const RegularFile& file_;
  std::uint32_t vocab_size_;
  GgufMetadata metadata_;
  GgufLists lists_;
  const GgufPreTokenizer* pre_tokenizer_ = nullptr; // of a byte-level vocabulary
};

} // namespace

Result<GgufTokenizer> read_gguf_tokenizer(const RegularFile& file, std::uint32_t vocab_size) {
  return GgufVocabularyReader(file, vocab_size).run();
}

} // namespace plimsoll
