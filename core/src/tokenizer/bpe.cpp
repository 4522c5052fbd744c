#include "tokenizer/bpe.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "checkpoint/quoted_name.hpp"
#include "tokenizer/utf8.hpp"

namespace plimsoll {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};

std::uint64_t pair_key(Token left, Token right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32U | static_cast<std::uint32_t>(right);
}

// For a heap whose front is the candidate to merge first.
bool later(const Bpe::Scratch::Candidate& a, const Bpe::Scratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
}

} // namespace

bool Bpe::add_merge(Token left, Token right, std::uint32_t rank, Token merged) {
  return merges_.assign(pair_key(left, right), {rank, merged});
}

// One symbol for each character that is a piece, one for each byte of the others, or the unknown token.
Result<void> Bpe::split(const Vocabulary& vocabulary, std::string_view word, std::vector<Scratch::Symbol>& symbols) const {
  symbols.clear();
  bool after_unknown = false;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t length_bytes = rules_.byte_level ? 1 : code_point_at(word, at).length_bytes;
    const std::string_view character = word.substr(at, length_bytes);
    at += length_bytes;
    if (const auto id =
            rules_.byte_level ? vocabulary.byte_token(static_cast<unsigned char>(character.front())) : vocabulary.find(character)) {
      symbols.push_back({*id});
      after_unknown = false;
      continue;
    }
    const auto has_token = [&](char byte) { return vocabulary.byte_token(static_cast<unsigned char>(byte)).has_value(); };
    if (!rules_.byte_level && std::all_of(character.begin(), character.end(), has_token)) {
      for (const char byte : character) symbols.push_back({*vocabulary.byte_token(static_cast<unsigned char>(byte))});
      after_unknown = false;
      continue;
    }
    if (!rules_.unknown)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("the vocabulary has no token for {} and names none for unknown characters", quoted_name(character)));
    if (!after_unknown || !rules_.fuse_unknown) symbols.push_back({*rules_.unknown});
    after_unknown = true;
  }
  for (std::uint32_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = i == 0 ? kNone : i - 1;
    symbols[i].next = i + 1 == symbols.size() ? kNone : i + 1;
  }
  return {};
}

// Puts the pair of which `left` is the left one among the candidates, if it may merge.
void Bpe::propose(Scratch& scratch, std::uint32_t left) const {
  const std::uint32_t right = scratch.symbols[left].next;
  if (right == kNone) return;
  const Token left_id = scratch.symbols[left].id, right_id = scratch.symbols[right].id;
  const Merge* const merge = merges_.find(pair_key(left_id, right_id));
  if (merge == nullptr) return;
  scratch.candidates.push_back({merge->rank, left, left_id, right_id, merge->merged});
  std::push_heap(scratch.candidates.begin(), scratch.candidates.end(), later);
}

Result<void> Bpe::encode(const Vocabulary& vocabulary, std::string_view word, Scratch& scratch, std::vector<Token>& out) const {
  if (rules_.whole_words) {
    if (const auto id = vocabulary.find(word)) {
      out.push_back(*id);
      return {};
    }
  }
  PLIMSOLL_TRY(split(vocabulary, word, scratch.symbols));
  auto& symbols = scratch.symbols;
  auto& candidates = scratch.candidates;
  candidates.clear();
  for (std::uint32_t i = 0; i < symbols.size(); ++i) propose(scratch, i);
  while (!candidates.empty()) {
    std::pop_heap(candidates.begin(), candidates.end(), later);
    const Scratch::Candidate best = candidates.back();
    candidates.pop_back();
    Scratch::Symbol& left = symbols[best.left];
    if (left.gone || left.id != best.left_id || left.next == kNone || symbols[left.next].id != best.right_id) continue; // merged since
    Scratch::Symbol& right = symbols[left.next];
    left.id = best.merged;
    left.next = right.next;
    right.gone = true;
    if (left.next != kNone) symbols[left.next].previous = best.left;
    propose(scratch, best.left);
    if (left.previous != kNone) propose(scratch, left.previous);
  }
  for (std::uint32_t i = symbols.empty() ? kNone : 0; i != kNone; i = symbols[i].next) out.push_back(symbols[i].id);
  return {};
}

} // namespace plimsoll
