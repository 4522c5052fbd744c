#include "tokenizer/sentencepiece_model.hpp"

#include <bit>
#include <fmt/format.h>
#include <utility>
#include <vector>

#include "tokenizer/scored_pieces.hpp"

namespace plimsoll {
namespace {

// Field numbers of sentencepiece_model.proto.
constexpr std::uint64_t kPieces = 1, kTrainer = 2, kNormalizer = 3;
constexpr std::uint64_t kPieceText = 1, kPieceScore = 2, kPieceKind = 3;
constexpr std::uint64_t kModelType = 3, kSuffixSpaces = 24, kBosId = 41, kEosId = 42;
constexpr std::uint64_t kCharacterMap = 2, kDummyPrefix = 3, kExtraSpaces = 4, kEscapeSpaces = 5;
constexpr std::uint64_t kModelTypeBpe = 2;

// A field of a protocol buffer: its number and its value, a number or bytes.
struct Field {
  std::uint64_t number = 0, value = 0;
  std::string_view bytes;
};

// Walks over the fields of one message (protobuf's encoding, wire types 0, 1, 2 and 5).
class Fields {
public:
  explicit Fields(std::string_view message) : left_(message) {}

  // Nothing at the end, or where the message is broken.
  std::optional<Field> next() {
    Field field;
    std::uint64_t tag = 0;
    if (left_.empty() || !varint(tag)) return std::nullopt;
    field.number = tag >> 3U;
    switch (tag & 7U) {
    case 0: return varint(field.value) ? std::optional(field) : std::nullopt;
    case 1: return fixed(8, field.value) ? std::optional(field) : std::nullopt;
    case 2: {
      std::uint64_t length_bytes = 0;
      if (!varint(length_bytes) || length_bytes > left_.size()) return broken();
      field.bytes = left_.substr(0, static_cast<std::size_t>(length_bytes));
      left_.remove_prefix(static_cast<std::size_t>(length_bytes));
      return field;
    }
    case 5: return fixed(4, field.value) ? std::optional(field) : std::nullopt;
    default: return broken();
    }
  }
  bool is_broken() const { return broken_; }

private:
  std::nullopt_t broken() {
    broken_ = true;
    return std::nullopt;
  }
  bool varint(std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && !left_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80U) return true;
    }
    broken_ = true;
    return false;
  }
  bool fixed(unsigned count, std::uint64_t& value) {
    if (left_.size() < count) {
      broken_ = true;
      return false;
    }
    value = 0;
    for (unsigned i = 0; i < count; ++i) value |= std::uint64_t{static_cast<unsigned char>(left_[i])} << (8 * i);
    left_.remove_prefix(count);
    return true;
  }

  std::string_view left_;
  bool broken_ = false;
};

class SentencePieceReader {
public:
  SentencePieceReader(const std::string& path, std::uint32_t vocab_size) : path_(path), vocab_size_(vocab_size) {}

  Result<SentencepieceTokenizer> run(std::string_view bytes) {
    Fields fields(bytes);
    while (const auto field = fields.next()) {
      if (field->number == kPieces) PLIMSOLL_TRY(piece(field->bytes));
      else if (field->number == kTrainer) PLIMSOLL_TRY(trainer(field->bytes));
      else if (field->number == kNormalizer) PLIMSOLL_TRY(normalizer(field->bytes));
    }
    if (fields.is_broken()) return wrong("", "is no SentencePiece model or is damaged; fetch it again");
    if (pieces_.empty()) return wrong("pieces", "the model has no pieces");
    if (model_type_ != kModelTypeBpe)
      return wrong("trainer_spec.model_type", fmt::format("models of type {} are not supported, expected BPE (2)", model_type_));
    SentencepieceTokenizer out;
    auto parts = parts_of_scored_pieces(pieces_, dummy_prefix_);
    if (!parts) return wrong("pieces", std::move(parts.error().message));
    out.parts = std::move(*parts);
    const auto is_piece = [&](std::uint64_t id) { return id < pieces_.size(); }; // -1, none, is a large number
    if (is_piece(bos_id_)) out.named.bos = static_cast<Token>(bos_id_);
    if (is_piece(eos_id_)) out.named.stops.push_back(static_cast<Token>(eos_id_));
    if (out.named.bos) out.parts.prefix.push_back(*out.named.bos);
    return out;
  }

private:
  tl::unexpected<Error> wrong(std::string_view field, std::string message) const {
    return fail(ErrorCode::kBadConfig, std::move(message), field.empty() ? path_ : fmt::format("{}: {}", path_, field));
  }

  Result<void> piece(std::string_view message) {
    ScoredPiece piece;
    Fields fields(message);
    while (const auto field = fields.next()) {
      if (field->number == kPieceText) piece.text = field->bytes;
      else if (field->number == kPieceScore) piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field->value));
      else if (field->number == kPieceKind && (field->value < 1 || field->value > 6))
        return wrong(fmt::format("pieces[{}].type", pieces_.size()), fmt::format("found the type {}, expected 1 to 6", field->value));
      else if (field->number == kPieceKind) piece.kind = static_cast<ScoredKind>(field->value);
    }
    if (fields.is_broken()) return wrong(fmt::format("pieces[{}]", pieces_.size()), "the piece is damaged");
    if (pieces_.size() >= vocab_size_)
      return wrong(
          "pieces",
          fmt::format("there are more than {} pieces, as many as the model has tokens; the file belongs to another model", vocab_size_));
    pieces_.push_back(piece);
    return {};
  }
  Result<void> trainer(std::string_view message) {
    Fields fields(message);
    while (const auto field = fields.next()) {
      if (field->number == kModelType) model_type_ = field->value;
      else if (field->number == kBosId) bos_id_ = field->value;
      else if (field->number == kEosId) eos_id_ = field->value;
      else if (field->number == kSuffixSpaces && field->value != 0)
        return wrong("trainer_spec.treat_whitespace_as_suffix", "spaces behind words are not supported, expected false");
    }
    return fields.is_broken() ? wrong("trainer_spec", "the message is damaged") : Result<void>();
  }
  Result<void> normalizer(std::string_view message) {
    Fields fields(message);
    bool removes_spaces = true, escapes_spaces = true; // the proto's defaults
    while (const auto field = fields.next()) {
      if (field->number == kCharacterMap && !field->bytes.empty())
        return wrong("normalizer_spec.precompiled_charsmap",
                     "normalizations of characters are not supported, expected identity; use a tokenizer.json");
      if (field->number == kDummyPrefix) dummy_prefix_ = field->value != 0;
      else if (field->number == kExtraSpaces) removes_spaces = field->value != 0;
      else if (field->number == kEscapeSpaces) escapes_spaces = field->value != 0;
    }
    if (fields.is_broken()) return wrong("normalizer_spec", "the message is damaged");
    if (removes_spaces)
      return wrong("normalizer_spec.remove_extra_whitespaces", "removing spaces is not supported, expected false; use a tokenizer.json");
    if (!escapes_spaces) return wrong("normalizer_spec.escape_whitespaces", "spaces as they are are not supported, expected true");
    return {};
  }

  const std::string& path_;
  std::uint32_t vocab_size_;
  std::vector<ScoredPiece> pieces_;
  std::uint64_t model_type_ = 1, bos_id_ = 1, eos_id_ = 2; // the proto's defaults
  bool dummy_prefix_ = true;
};

} // namespace

Result<SentencepieceTokenizer> parse_sentencepiece_model(std::string_view bytes, const std::string& path, std::uint32_t vocab_size) {
  return SentencePieceReader(path, vocab_size).run(bytes);
}

} // namespace plimsoll
