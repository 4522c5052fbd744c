#include "tokenizer/gguf_lists.hpp"

#include <array>
#include <fmt/format.h>
#include <utility>

#include "checkpoint/gguf.hpp"
#include "checkpoint/gguf_cursor.hpp"

namespace plimsoll {
namespace {

// Value types of metadata pairs, by the specification's numbers; sizes of those that are neither texts nor lists.
constexpr std::uint32_t kI32 = 5, kF32 = 6, kText = 8, kList = 9;
constexpr std::array<std::uint64_t, 13> kValueBytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

class Reader {
public:
  explicit Reader(const RegularFile& file) : file_(file), cursor_(file, kGgufHeaderLimitBytes) {}

  Result<GgufLists> run() {
    std::uint32_t magic = 0, version = 0;
    std::uint64_t tensors = 0, pairs = 0;
    if (!cursor_.read(magic) || !cursor_.read(version) || !cursor_.read(tensors) || !cursor_.read(pairs)) return ended("the counts");
    for (; pairs > 0; --pairs) PLIMSOLL_TRY(pair());
    return std::move(lists_);
  }

private:
  tl::unexpected<Error> wrong(std::string message, std::string_view key) const {
    return fail(ErrorCode::kBadCheckpoint, std::move(message), fmt::format("{}: {}", file_.path(), key));
  }
  tl::unexpected<Error> ended(std::string_view key) {
    if (cursor_.read_error()) return tl::unexpected(std::move(*cursor_.read_error()));
    return wrong("the value leads beyond the end of the header or has a text of more than 256 KiB", key);
  }

  Result<void> pair() {
    std::uint64_t key_bytes = 0;
    std::string_view text;
    std::uint32_t kind = 0;
    if (!cursor_.read(key_bytes) || !cursor_.read_text(key_bytes, text)) return ended("a metadata key");
    const std::string key(text);
    if (!cursor_.read(kind)) return ended(key);
    if (kind == kList) return list(key);
    std::uint64_t length_bytes = kind < kValueBytes.size() ? kValueBytes[kind] : 0;
    if (kind == kText && !cursor_.read(length_bytes)) return ended(key);
    return cursor_.skip(length_bytes) ? Result<void>() : ended(key);
  }

  Result<void> list(const std::string& key) {
    std::uint32_t kind = 0;
    std::uint64_t count = 0;
    if (!cursor_.read(kind) || !cursor_.read(count)) return ended(key);
    if (kind >= kValueBytes.size() || kind == kList) return wrong(fmt::format("the list's elements have the type {}", kind), key);
    const std::uint64_t element_bytes = kind == kText ? sizeof(std::uint64_t) : kValueBytes[kind];
    if (count > cursor_.left_bytes() / element_bytes) return ended(key);
    if (key == "tokenizer.ggml.tokens") return texts(key, kind, count, lists_.pieces);
    if (key == "tokenizer.ggml.merges") return texts(key, kind, count, lists_.merges);
    if (key == "tokenizer.ggml.scores") return numbers(key, kind, kF32, count, lists_.scores);
    if (key == "tokenizer.ggml.token_type") return numbers(key, kind, kI32, count, lists_.kinds);
    return (kind == kText ? cursor_.skip_strings(count) : cursor_.skip(count * element_bytes)) ? Result<void>() : ended(key);
  }

  Result<void> texts(const std::string& key, std::uint32_t kind, std::uint64_t count, TextList& to) {
    if (kind != kText) return wrong(fmt::format("the list's elements have the type {}, expected texts", kind), key);
    for (; count > 0; --count) {
      std::uint64_t length_bytes = 0;
      std::string_view text;
      if (!cursor_.read(length_bytes) || !cursor_.read_text(length_bytes, text)) return ended(key);
      to.push_back(text);
    }
    return {};
  }

  template <class Number>
  Result<void> numbers(const std::string& key, std::uint32_t kind, std::uint32_t expected_kind, std::uint64_t count,
                       std::vector<Number>& to) {
    // Kinds of pieces are small: unsigned ones read alike.
    if (kind != expected_kind && !(expected_kind == kI32 && kValueBytes[kind] == 4 && kind != kF32))
      return wrong(fmt::format("the list's elements have the type {}, expected {}", kind, expected_kind), key);
    to.reserve(static_cast<std::size_t>(count));
    for (; count > 0; --count) {
      Number number{};
      if (!cursor_.read(number)) return ended(key);
      to.push_back(number);
    }
    return {};
  }

  const RegularFile& file_;
  GgufCursor cursor_;
  GgufLists lists_;
};

} // namespace

Result<GgufLists> read_gguf_lists(const RegularFile& file) { return Reader(file).run(); }

} // namespace plimsoll
