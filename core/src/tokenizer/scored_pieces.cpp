#include "tokenizer/scored_pieces.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <optional>
#include <utility>

#include "checkpoint/quoted_name.hpp"
#include "tokenizer/byte_piece.hpp"
#include "tokenizer/utf8.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kSpace = "\u2581"; // LOWER ONE EIGHTH BLOCK
constexpr std::size_t kMaxPieceBytes =
    256; // SentencePiece's own limit is 16 characters unless told otherwise, the longest known have 93 bytes

tl::unexpected<Error> wrong(std::size_t id, std::string_view text, std::string_view what) {
  return fail(ErrorCode::kBadConfig, fmt::format("piece {} ({}) {}", id, quoted_name(text), what));
}

Result<void> add_piece(const ScoredPiece& piece, std::size_t index, VocabularyParts& parts, std::vector<AddedToken>& control,
                       std::vector<AddedToken>& user_defined) {
  const auto id = static_cast<Token>(index);
  Vocabulary& vocabulary = parts.vocabulary;
  auto outcome = Vocabulary::Outcome::kAdded;
  switch (piece.kind) {
  case ScoredKind::kNormal:
    if (piece.text.size() > kMaxPieceBytes) return wrong(index, piece.text, fmt::format("has more than {} bytes", kMaxPieceBytes));
    outcome = vocabulary.add(id, piece.text, PieceKind::kText);
    break;
  case ScoredKind::kUnused: outcome = vocabulary.add(id, piece.text, PieceKind::kAdded); break; // shown, never made
  case ScoredKind::kControl:
  case ScoredKind::kUnknown:
    outcome = vocabulary.add(id, piece.text, PieceKind::kControl);
    if (!piece.text.empty() && piece.kind == ScoredKind::kControl) control.push_back({std::string(piece.text), id});
    break;
  case ScoredKind::kUserDefined:
    outcome = vocabulary.add(id, piece.text, PieceKind::kAdded);
    if (!piece.text.empty()) user_defined.push_back({std::string(piece.text), id});
    break;
  case ScoredKind::kByte: {
    const auto byte = byte_of_piece(piece.text);
    if (!byte) return wrong(index, piece.text, "is marked as a byte, but is not written like <0x0A>");
    outcome = vocabulary.add(id, std::string_view(&*byte, 1), PieceKind::kByte);
    break;
  }
  }
  if (outcome == Vocabulary::Outcome::kCrowded)
    return wrong(index, piece.text, "was made to collide with others; the file is not to be trusted");
  return {};
}

// A merge for each way to make a piece of two others. Equal scores have equal ranks: the leftmost of them merges first.
Result<void> add_merges(const std::vector<ScoredPiece>& pieces, const std::vector<std::uint32_t>& ranks, BpeRules rules,
                        VocabularyParts& parts) {
  struct Merge {
    Token left, right, merged;
  };
  std::vector<Merge> merges;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::string_view text = pieces[i].text;
    if (pieces[i].kind != ScoredKind::kNormal || parts.vocabulary.find(text) != static_cast<Token>(i)) continue;
    for (std::size_t at = code_point_at(text, 0).length_bytes; at < text.size(); at += code_point_at(text, at).length_bytes) {
      const auto left = parts.vocabulary.find(text.substr(0, at));
      if (!left) continue;
      if (const auto right = parts.vocabulary.find(text.substr(at))) merges.push_back({*left, *right, static_cast<Token>(i)});
    }
    if (merges.size() > kMaxMerges) return wrong(i, text, fmt::format("and those before it can be made in more than {} ways", kMaxMerges));
  }
  parts.bpe = Bpe(rules, merges.size());
  for (const Merge& merge : merges)
    if (!parts.bpe.add_merge(merge.left, merge.right, ranks[static_cast<std::size_t>(merge.merged)], merge.merged))
      return wrong(static_cast<std::size_t>(merge.merged), pieces[static_cast<std::size_t>(merge.merged)].text,
                   "was made to collide with others; the file is not to be trusted");
  return {};
}

// 0 for the best score.
Result<std::vector<std::uint32_t>> ranks_of(const std::vector<ScoredPiece>& pieces) {
  std::vector<float> scores;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (!std::isfinite(pieces[i].score)) return wrong(i, pieces[i].text, "has a score that is no number");
    scores.push_back(pieces[i].score);
  }
  std::sort(scores.begin(), scores.end(), std::greater());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  std::vector<std::uint32_t> ranks;
  for (const ScoredPiece& piece : pieces)
    ranks.push_back(
        static_cast<std::uint32_t>(std::lower_bound(scores.begin(), scores.end(), piece.score, std::greater()) - scores.begin()));
  return ranks;
}

} // namespace

Result<VocabularyParts> parts_of_scored_pieces(const std::vector<ScoredPiece>& pieces, bool add_space_prefix) {
  PLIMSOLL_ASSIGN(const std::vector<std::uint32_t> ranks, ranks_of(pieces));
  VocabularyParts parts;
  parts.vocabulary = Vocabulary(pieces.size());
  std::vector<AddedToken> control, user_defined;
  BpeRules rules;
  rules.fuse_unknown = true;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    PLIMSOLL_TRY(add_piece(pieces[i], i, parts, control, user_defined));
    if (pieces[i].kind == ScoredKind::kUnknown && !rules.unknown) rules.unknown = static_cast<Token>(i);
  }
  PLIMSOLL_TRY(add_merges(pieces, ranks, rules, parts));
  PLIMSOLL_ASSIGN(parts.raw_added, AddedTokens::make(std::move(control)));
  PLIMSOLL_ASSIGN(parts.step_added, AddedTokens::make(std::move(user_defined)));
  const std::string space(kSpace);
  if (add_space_prefix) parts.steps.emplace_back(PrependStep{space, false, false});
  parts.steps.emplace_back(ReplaceStep{Pattern::plain(" "), space});
  parts.piece_text = {{{space, " "}}, add_space_prefix};
  return parts;
}

} // namespace plimsoll
