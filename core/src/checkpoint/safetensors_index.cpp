#include "checkpoint/safetensors_index.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <simdjson.h>
#include <span>
#include <utility>

#include "base/regular_file.hpp"
#include "checkpoint/compact_scanner.hpp"
#include "checkpoint/json_strings.hpp"
#include "checkpoint/json_tokens.hpp"
#include "checkpoint/quoted_name.hpp"
#include "checkpoint/safetensors.hpp"
#include "storage/name_hashes.hpp"

namespace plimsoll {
namespace {

namespace json = simdjson::ondemand;

constexpr std::size_t kShardLimit = 65'536;

tl::unexpected<Error> broken(simdjson::error_code error, const std::string& path, std::string_view pointer) {
  return fail(ErrorCode::kBadCheckpoint,
              fmt::format("the index is not the JSON expected ({}); fetch it again", simdjson::error_message(error)),
              fmt::format("{}{}{}", path, pointer.empty() ? "" : ": ", pointer));
}

constexpr std::size_t kNameLimitBytes = 255, kPathLimitBytes = 1024;

// Whether `name` is a file beside the index or in folders below: no absolute path, and none that leads out.
bool stays_inside(std::string_view name) {
  if (name.empty() || name.size() > kPathLimitBytes || name.find('\0') != std::string_view::npos) return false;
  while (true) {
    const std::size_t slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    if (part.empty() || part.size() > kNameLimitBytes || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

// Shards seen so far, with the salt of each for the fingerprint; entries of one shard mostly follow one another.
class ShardNames {
public:
  // The salt of `name`, or nothing where it is no file of the model's folder or there are too many.
  std::optional<std::uint64_t> salt(std::string_view name) {
    if (last_ < names_.size() && names_[last_].first == name) return names_[last_].second;
    const auto at =
        std::lower_bound(names_.begin(), names_.end(), name, [](const auto& have, std::string_view want) { return have.first < want; });
    last_ = static_cast<std::size_t>(at - names_.begin());
    if (at != names_.end() && at->first == name) return at->second;
    if (!stays_inside(name) || names_.size() == kShardLimit) return std::nullopt;
    return names_.emplace(at, std::string(name), shard_salt(name))->second;
  }
  std::vector<std::string> take() {
    std::vector<std::string> out;
    out.reserve(names_.size());
    for (auto& [name, salt] : names_) out.push_back(std::move(name));
    return out;
  }

private:
  std::vector<std::pair<std::string, std::uint64_t>> names_; // sorted
  std::size_t last_ = 0;
};

Result<void> read_weight_map(json::value value, const char* end, const std::string& path, const IndexEntryVisitor& each, ShardNames& shards,
                             IndexSummary& summary) {
  json::object entries;
  if (const auto error = value.get_object().get(entries)) return broken(error, path, "/weight_map");
  for (auto member : entries) {
    json::field field;
    if (const auto error = std::move(member).get(field)) return broken(error, path, "/weight_map");
    std::string_view tensor, shard;
    if (const auto error = key_text(field, end).get(tensor)) return broken(error, path, "/weight_map");
    if (const auto error = string_text(field.value(), end).get(shard)) return broken(error, path, "/weight_map");
    const auto salt = shards.salt(shard);
    if (!salt)
      return fail(ErrorCode::kBadCheckpoint,
                  fmt::format("the index puts tensor {} into {}, expected a file beside the index or in a folder below",
                              quoted_name(tensor), quoted_name(shard)),
                  path + ": /weight_map");
    ++summary.tensor_count;
    summary.fingerprint += pair_fingerprint(name_hash(tensor), *salt);
    if (each) each(tensor, shard);
  }
  return {};
}

// total_size is written as a whole number, as 1.4e10 or not at all; it is information, so nothing here is an error.
void read_metadata(json::value value, IndexSummary& summary) {
  json::object metadata;
  if (value.get_object().get(metadata)) return;
  for (auto member : metadata) {
    json::field field;
    if (std::move(member).get(field)) return;
    if (!field.key().unsafe_is_equal("total_size")) continue;
    json::value number = field.value();
    std::uint64_t whole = 0;
    double real = 0;
    if (!number.get_uint64().get(whole)) summary.total_bytes = whole;
    else if (!number.get_double().get(real) && real >= 0 && real < 9e18) summary.total_bytes = static_cast<std::uint64_t>(real);
  }
}

// Reads an index from front to back through a window, so that no page of memory is touched for what is read once.
class Window {
public:
  static constexpr std::size_t kEntryBytes = std::size_t{1} << 14; // no usual entry is longer
  using Read = std::function<Result<void>(std::uint64_t offset_bytes, std::span<char> to)>;

  Window(Read read, std::uint64_t length_bytes)
      : read_(std::move(read)), left_bytes_(length_bytes), room_bytes_(std::min<std::uint64_t>(kWindowBytes, length_bytes)) {
    std::memset(end_, 0, CompactScanner::kPaddingBytes);
  }

  CompactScanner& scanner() { return scanner_; }
  // At least one entry, or all that is left, lies before the scanner; false where bytes are not ASCII or not readable.
  bool ready() { return scanner_.left_bytes() >= kEntryBytes || left_bytes_ == 0 || refill(); }
  std::optional<Error>& read_error() { return read_error_; }

private:
  static constexpr std::size_t kWindowBytes = std::size_t{1} << 18;

  bool refill() {
    const std::size_t kept = scanner_.left_bytes(),
                      more = static_cast<std::size_t>(std::min<std::uint64_t>(room_bytes_ - kept, left_bytes_));
    char* const start = bytes_.get();
    std::memmove(start, end_ - kept, kept);
    if (auto got = read_(done_bytes_, {start + kept, more}); !got) {
      read_error_ = std::move(got.error());
      return false;
    }
    done_bytes_ += more;
    left_bytes_ -= more;
    end_ = start + kept + more;
    std::memset(end_, 0, CompactScanner::kPaddingBytes);
    scanner_ = CompactScanner({start, kept + more});
    unsigned char bits = 0;
    for (const char* at = start + kept; at != end_; ++at) bits |= static_cast<unsigned char>(*at);
    return bits < 0x80;
  }

  Read read_;
  std::uint64_t done_bytes_ = 0, left_bytes_;
  std::size_t room_bytes_;
  std::unique_ptr<char[]> bytes_ = std::make_unique_for_overwrite<char[]>(room_bytes_ + CompactScanner::kPaddingBytes);
  char* end_ = bytes_.get();
  CompactScanner scanner_{{bytes_.get(), 0}};
  std::optional<Error> read_error_;
};

// The index as the usual writers lay it out: ASCII, metadata with plain values, then weight_map. False: ask simdjson.
bool scan_compact(Window& window, IndexSummary& summary) {
  if (!window.ready()) return false;
  CompactScanner& scan = window.scanner();
  const auto key = [&scan](std::string_view& name) {
    scan.space();
    if (!scan.literal('"') || !scan.rest_of_string(name)) return false;
    scan.space();
    if (!scan.literal(':')) return false;
    scan.space();
    return true;
  };
  std::string_view name, shard;
  scan.space();
  if (!scan.literal('{') || !key(name)) return false;
  if (name == "metadata") {
    std::uint64_t value = 0;
    if (!scan.literal('{')) return false;
    do {
      if (!window.ready() || !key(name)) return false;
      if (scan.literal('"')) {
        if (!scan.rest_of_string(shard)) return false;
      } else {
        if (!scan.number(value)) return false;
        if (name == "total_size") summary.total_bytes = value;
      }
      scan.space();
    } while (scan.literal(','));
    if (!scan.literal('}')) return false;
    scan.space();
    if (!window.ready() || !scan.literal(',') || !key(name)) return false;
  }
  ShardNames shards;
  if (name != "weight_map" || !scan.literal('{')) return false;
  do {
    if (!window.ready() || !key(name) || !scan.literal('"') || !scan.rest_of_string(shard)) return false;
    const auto salt = shards.salt(shard);
    if (!salt) return false;
    ++summary.tensor_count;
    summary.fingerprint += pair_fingerprint(name_hash(name), *salt);
    scan.space();
  } while (scan.literal(','));
  if (!scan.literal('}')) return false;
  scan.space();
  if (!window.ready() || !scan.literal('}')) return false;
  scan.space();
  summary.shards = shards.take();
  return window.ready() && scan.at_end();
}

// `text` is followed by simdjson's padding, all zero.
Result<IndexSummary> parse_padded(std::string_view text, std::size_t capacity_bytes, const std::string& path,
                                  const IndexEntryVisitor& each) {
  if (!few_tokens(text))
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("the {} bytes of the index hold more than {} JSON tokens, which no list of tensors does; fetch it again",
                            text.size(), text.size() / 2),
                path);
  json::parser parser;
  json::document document;
  if (const auto error = parser.iterate(text.data(), text.size(), capacity_bytes).get(document)) return broken(error, path, "");
  json::object root;
  if (const auto error = document.get_object().get(root)) return broken(error, path, "");
  IndexSummary summary;
  ShardNames shards;
  bool map_seen = false;
  for (auto member : root) {
    json::field field;
    if (const auto error = std::move(member).get(field)) return broken(error, path, "");
    const auto key = field.key();
    if (key.unsafe_is_equal("weight_map")) {
      if (std::exchange(map_seen, true)) return fail(ErrorCode::kBadCheckpoint, "weight_map occurs twice in the index", path);
      PLIMSOLL_TRY(read_weight_map(field.value(), text.data() + text.size(), path, each, shards, summary));
    } else if (key.unsafe_is_equal("metadata")) {
      read_metadata(field.value(), summary);
    }
  }
  if (!map_seen || summary.tensor_count == 0)
    return fail(ErrorCode::kBadCheckpoint, "the index has no weight_map with tensors; fetch it again", path + ": /weight_map");
  if (!ends_here(document)) return fail(ErrorCode::kBadCheckpoint, "there is text after the index's closing brace", path);
  summary.shards = shards.take();
  return summary;
}

} // namespace

Result<IndexSummary> read_safetensors_index(const std::string& path, const IndexEntryVisitor& each) {
  PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(path));
  if (file.file_bytes() > kIndexLimitBytes)
    return fail(ErrorCode::kBadCheckpoint, fmt::format("the index has {} bytes, expected at most {}", file.file_bytes(), kIndexLimitBytes),
                path);
  if (!each) {
    Window window([&file](std::uint64_t offset_bytes, std::span<char> to) { return file.read(offset_bytes, to); }, file.file_bytes());
    if (IndexSummary summary; scan_compact(window, summary)) return summary;
    if (window.read_error()) return tl::unexpected(std::move(*window.read_error()));
  }
  const std::size_t length = file.file_bytes(), capacity_bytes = length + simdjson::SIMDJSON_PADDING;
  const auto buffer = std::make_unique_for_overwrite<char[]>(capacity_bytes);
  PLIMSOLL_TRY(file.read(0, {buffer.get(), length}));
  std::fill(buffer.get() + length, buffer.get() + capacity_bytes, '\0');
  return parse_padded({buffer.get(), length}, capacity_bytes, path, each);
}

Result<IndexSummary> parse_safetensors_index(std::string_view text, const std::string& path, const IndexEntryVisitor& each) {
  if (!each) {
    Window window(
        [text](std::uint64_t offset_bytes, std::span<char> to) -> Result<void> {
          text.copy(to.data(), to.size(), offset_bytes);
          return {};
        },
        text.size());
    if (IndexSummary summary; scan_compact(window, summary)) return summary;
  }
  const simdjson::padded_string padded(text);
  return parse_padded({padded.data(), padded.size()}, padded.size() + simdjson::SIMDJSON_PADDING, path, each);
}

} // namespace plimsoll
