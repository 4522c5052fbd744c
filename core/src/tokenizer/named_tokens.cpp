#include "tokenizer/named_tokens.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

#include "base/regular_file.hpp"
#include "checkpoint/quoted_name.hpp"
#include "tokenizer/json_part.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{16} << 20U; // the largest known tokenizer_config.json has 1.2 MB

// Calls read(root) where there is such a file.
template <class Read>
Result<void> read_if_there(const std::string& folder, std::string_view name, Read&& read) {
  const std::string path = fmt::format("{}/{}", folder, name);
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(path));
  if (kind == PathKind::kMissing) return {};
  PLIMSOLL_ASSIGN(const Json json, read_json_file(path, kMaxFileBytes));
  return read(root_of(json, path));
}

class NamedTokensReader {
public:
  NamedTokensReader(std::uint32_t vocab_size, const std::function<std::optional<Token>(std::string_view)>& id_of)
      : vocab_size_(vocab_size), id_of_(id_of) {}

  FolderTokens& out() { return out_; }

  // "<s>" or {"content": "<s>", ...}.
  Result<void> by_text(const JsonPart& root) {
    for (const auto& [key, to] : {std::pair("bos_token", &out_.named.bos), std::pair("eos_token", &out_.eos)}) {
      auto part = root.find(key);
      if (!part) continue;
      if (part->json->is_object()) {
        PLIMSOLL_ASSIGN(part, part->need("content"));
      }
      PLIMSOLL_ASSIGN(const std::string text, part->text());
      *to = id_of_(text);
      if (!*to) return part->wrong(fmt::format("{} is no token of the vocabulary", quoted_name(text)));
    }
    if (out_.eos) out_.named.stops.push_back(*out_.eos);
    for (const auto& [key, to] : {std::pair("add_bos_token", &out_.adds_bos), std::pair("add_eos_token", &out_.adds_eos)}) {
      const auto part = root.find(key);
      if (!part) continue;
      PLIMSOLL_ASSIGN(*to, part->flag());
    }
    return {};
  }

  // 2 or [2, 7].
  Result<void> by_id(const JsonPart& root) {
    if (const auto bos = root.find("bos_token_id"); bos && !out_.named.bos) {
      PLIMSOLL_ASSIGN(out_.named.bos, checked(*bos));
    }
    const auto eos = root.find("eos_token_id");
    if (!eos) return {};
    std::vector<JsonPart> ids{*eos};
    if (eos->json->is_array()) {
      PLIMSOLL_ASSIGN(ids, eos->items());
    }
    for (const JsonPart& id : ids) {
      PLIMSOLL_ASSIGN(const Token token, checked(id));
      out_.named.stops.push_back(token);
    }
    return {};
  }

private:
  Result<Token> checked(const JsonPart& part) const {
    PLIMSOLL_ASSIGN(const std::uint64_t id, part.number());
    if (id < vocab_size_) return static_cast<Token>(id);
    return part.wrong(fmt::format("the token {} is none of the model's, which are 0 to {}", id, vocab_size_ - 1));
  }

  std::uint32_t vocab_size_;
  const std::function<std::optional<Token>(std::string_view)>& id_of_;
  FolderTokens out_;
};

} // namespace

Result<FolderTokens> read_folder_tokens(const std::string& folder, std::uint32_t vocab_size,
                                        const std::function<std::optional<Token>(std::string_view)>& id_of) {
  NamedTokensReader reader(vocab_size, id_of);
  PLIMSOLL_TRY(read_if_there(folder, "tokenizer_config.json", [&](const JsonPart& root) { return reader.by_text(root); }));
  PLIMSOLL_TRY(read_if_there(folder, "generation_config.json", [&](const JsonPart& root) { return reader.by_id(root); }));
  PLIMSOLL_TRY(read_if_there(folder, "config.json", [&](const JsonPart& root) -> Result<void> {
    const auto text_config = root.find("text_config"); // of a model that reads more than text
    PLIMSOLL_TRY(reader.by_id(root));
    return text_config ? reader.by_id(*text_config) : Result<void>();
  }));
  std::vector<Token>& stops = reader.out().named.stops;
  std::sort(stops.begin(), stops.end());
  stops.erase(std::unique(stops.begin(), stops.end()), stops.end());
  return std::move(reader.out());
}

} // namespace plimsoll
