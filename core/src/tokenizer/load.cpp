// Which files a model's tokenizer is read from.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/regular_file.hpp"
#include "plimsoll/tokenizer.hpp"
#include "tokenizer/byte_tokenizer.hpp"
#include "tokenizer/gguf_vocabulary.hpp"
#include "tokenizer/named_tokens.hpp"
#include "tokenizer/sentencepiece_model.hpp"
#include "tokenizer/tokenizer_json.hpp"
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace plimsoll {
namespace {

using TokenizerPointer = std::unique_ptr<Tokenizer>;

// Puts a token at one end of every text, or takes it away there.
void set_end(std::vector<Token>& tokens, bool front, std::optional<Token> token, bool add) {
  if (!token) return;
  const bool there = !tokens.empty() && (front ? tokens.front() : tokens.back()) == *token;
  const auto end = front ? tokens.begin() : tokens.end();
  if (add && !there) tokens.insert(end, *token);
  if (!add && there) tokens.erase(front ? tokens.begin() : tokens.end() - 1);
}

// The vocabulary together with what the files beside it say of beginning and end; that of config files counts before the vocabulary's own.
Result<TokenizerPointer> in_folder(const std::string& folder, std::string name, std::uint32_t vocab_size, VocabularyParts parts,
                                   NamedTokens own) {
  const auto id_of = [&](std::string_view text) { return parts.vocabulary.named(text); };
  PLIMSOLL_ASSIGN(FolderTokens found, read_folder_tokens(folder, vocab_size, id_of));
  if (!found.named.bos) found.named.bos = own.bos;
  if (found.named.stops.empty()) found.named.stops = std::move(own.stops);
  if (found.adds_bos) set_end(parts.prefix, true, found.named.bos, *found.adds_bos);
  if (found.adds_eos) set_end(parts.suffix, false, found.eos, *found.adds_eos);
  return std::make_unique<VocabularyTokenizer>(std::move(name), vocab_size, std::move(parts), std::move(found.named));
}

Result<TokenizerPointer> bytes_in_folder(const std::string& folder, std::uint32_t vocab_size) {
  if (vocab_size < ByteTokenizer::kTokens || vocab_size > ByteTokenizer::kMostTokens)
    return fail(
        ErrorCode::kBadConfig,
        fmt::format("found neither tokenizer.json nor tokenizer.model, and a vocabulary of {} tokens is not that of bytes alone, which "
                    "has {} to {}; fetch the model's tokenizer.json",
                    vocab_size, ByteTokenizer::kTokens, ByteTokenizer::kMostTokens),
        folder);
  PLIMSOLL_ASSIGN(FolderTokens found, read_folder_tokens(folder, vocab_size, [](std::string_view) { return std::nullopt; }));
  std::vector<Token> stops = std::move(found.named.stops);
  if (stops.empty()) stops.push_back(ByteTokenizer::kEos);
  return std::make_unique<ByteTokenizer>(vocab_size, std::move(stops));
}

Result<TokenizerPointer> of_folder(const std::string& folder, std::uint32_t vocab_size) {
  const std::string json = folder + "/tokenizer.json", sentencepiece = folder + "/tokenizer.model";
  PLIMSOLL_ASSIGN(const PathKind json_kind, path_kind(json));
  if (json_kind != PathKind::kMissing) {
    PLIMSOLL_ASSIGN(VocabularyParts parts, read_tokenizer_json(json, vocab_size));
    return in_folder(folder, "tokenizer.json", vocab_size, std::move(parts), {});
  }
  PLIMSOLL_ASSIGN(const PathKind sentencepiece_kind, path_kind(sentencepiece));
  if (sentencepiece_kind != PathKind::kMissing) {
    PLIMSOLL_ASSIGN(const std::string bytes, read_text_file(sentencepiece, kMaxSentencepieceBytes, ErrorCode::kBadConfig));
    PLIMSOLL_ASSIGN(SentencepieceTokenizer read, parse_sentencepiece_model(bytes, sentencepiece, vocab_size));
    return in_folder(folder, "tokenizer.model", vocab_size, std::move(read.parts), std::move(read.named));
  }
  return bytes_in_folder(folder, vocab_size);
}

Result<TokenizerPointer> of_gguf(const std::string& path, std::uint32_t vocab_size) {
  PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(path));
  PLIMSOLL_ASSIGN(GgufTokenizer read, read_gguf_tokenizer(file, vocab_size));
  return std::make_unique<VocabularyTokenizer>("gguf", vocab_size, std::move(read.parts), std::move(read.named));
}

} // namespace

Result<TokenizerPointer> load_tokenizer(const std::string& model, std::uint64_t vocab_size) {
  if (vocab_size == 0 || vocab_size > kMaxTokens)
    return fail(ErrorCode::kBadRequest, fmt::format("a vocabulary of {} tokens, expected 1 to {}", vocab_size, kMaxTokens), model);
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(model));
  const auto tokens = static_cast<std::uint32_t>(vocab_size);
  if (kind == PathKind::kDirectory) return of_folder(model, tokens);
  if (kind == PathKind::kFile) return of_gguf(model, tokens);
  return fail(ErrorCode::kBadRequest, "no folder and no GGUF file of that name; give the model's folder or its GGUF file", model);
}

} // namespace plimsoll
