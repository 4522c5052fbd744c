#include "checkpoint/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <simdjson.h>
#include <utility>

#include "checkpoint/byte_ranges.hpp"
#include "checkpoint/compact_scanner.hpp"
#include "checkpoint/json_strings.hpp"
#include "checkpoint/json_tokens.hpp"
#include "checkpoint/quoted_name.hpp"
#include "storage/name_hashes.hpp"

namespace plimsoll {
namespace {

namespace json = simdjson::ondemand;

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::string_view kAdvice = "; the file is damaged or no safetensors file, fetch it again";

struct NamedDtype {
  std::string_view name;
  Dtype dtype;
};

// Names are exact here ("bf16" is no safetensors type), most frequent first.
const std::vector<NamedDtype>& dtypes() {
  static const std::vector<NamedDtype> table = [] {
    std::vector<NamedDtype> rows;
    for (const std::string_view name :
         {"BF16",    "F32",     "F8_E4M3", "U8",   "F16", "I32", "I8",  "F8_E5M2", "I64", "F8_E8M0",     "F4",
          "F6_E2M3", "F6_E3M2", "F64",     "BOOL", "I16", "U16", "U32", "U64",     "C64", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})
      if (const auto dtype = find_dtype(name)) rows.push_back({name, *dtype});
    return rows;
  }();
  return table;
}

class NobodyVisits final : public TensorVisitor {
public:
  Result<void> tensor(const TensorEntry&) override { return {}; }
};

// One header's walk: run_compact() first, run() for whatever that does not know. Fields of a tensor may come in any order, each once.
class Walk {
public:
  Walk(std::string_view header, std::uint64_t data_bytes, std::uint64_t shard_salt, TensorEntry& entry, ByteRanges& ranges,
       TensorVisitor& visitor, std::vector<std::uint64_t>* hashes)
      : header_(header), data_bytes_(data_bytes), shard_salt_(shard_salt), entry_(entry), ranges_(ranges), visitor_(visitor),
        hashes_(hashes) {}

  // From now on nothing is visited or summed; who claims byte `at` is noted instead.
  void look_for(std::uint64_t at) { probe_ = at; }
  const std::vector<std::string>& claimants() const { return claimants_; }

  enum class Fast { kDone, kStopped, kUnusual };

  // The header as the reference writer lays it out, in one pass. kStopped: flaw() or visitor_error() says why; kUnusual:
  // run() must go over the text, and passes by the tensors that were visited here.
  Fast run_compact() {
    if (!simdjson::validate_utf8(header_.data(), header_.size())) return Fast::kUnusual;
    CompactScanner scan(header_);
    if (!scan.literal('{')) return Fast::kUnusual;
    bool more = !scan.literal('}');
    for (; more; more = scan.literal(',')) {
      std::string_view name;
      if (!scan.literal('"') || !scan.rest_of_string(name) || !scan.literal(':')) return Fast::kUnusual;
      if (name == kMetadataKey) {
        if (metadata_seen_ || !compact_metadata(scan)) return Fast::kUnusual;
        metadata_seen_ = true;
        continue;
      }
      std::uint64_t begin = 0, end = 0;
      if (!compact_tensor(scan, begin, end)) return Fast::kUnusual;
      name_ = name;
      if (!check(begin, end)) return Fast::kStopped;
    }
    if (totals_.tensor_count != 0 || metadata_seen_) {
      if (!scan.literal('}')) return Fast::kUnusual;
    }
    scan.space();
    return scan.at_end() ? Fast::kDone : Fast::kUnusual;
  }

  // False: flaw() or visitor_error() says why.
  bool run(json::parser& parser, std::size_t capacity_bytes) {
    if (!few_tokens(header_)) {
      name_ = {};
      return flawed(fmt::format("the {} bytes of the header hold more than {} JSON tokens, which no list of tensors does; the file is "
                                "damaged, fetch it again",
                                header_.size(), header_.size() / 2));
    }
    json::document document;
    already_visited_ = totals_.tensor_count;
    metadata_seen_ = false;
    if (const auto error = parser.iterate(header_.data(), header_.size(), capacity_bytes).get(document)) return broken(error);
    json::object tensors;
    if (const auto error = document.get_object().get(tensors)) return broken(error);
    for (auto member : tensors) {
      json::field field;
      if (const auto error = std::move(member).get(field)) return broken(error);
      std::string_view name;
      if (const auto error = key_text(field, header_end()).get(name)) return broken(error);
      if (name == kMetadataKey) {
        if (!metadata(field.value())) return false;
        continue;
      }
      name_ = name;
      if (!tensor(field.value())) return false;
    }
    if (!ends_here(document)) return flawed("there is text after the closing brace");
    return true;
  }

  const std::string& flaw() const { return flaw_; }
  std::string_view tensor_name() const { return name_; }
  std::optional<Error>& visitor_error() { return visitor_error_; }
  const HeaderTotals& totals() const { return totals_; }

private:
  const char* header_end() const { return header_.data() + header_.size(); }
  static bool compact_metadata(CompactScanner& scan) {
    std::string_view text;
    if (!scan.literal('{')) return false;
    if (scan.literal('}')) return true;
    do {
      if (!scan.literal('"') || !scan.rest_of_string(text) || !scan.literal(":\"") || !scan.rest_of_string(text)) return false;
    } while (scan.literal(','));
    return scan.literal('}');
  }

  bool compact_tensor(CompactScanner& scan, std::uint64_t& begin, std::uint64_t& end) {
    std::string_view dtype_name;
    if (!scan.literal("{\"dtype\":\"") || !scan.rest_of_string(dtype_name) || !known_dtype(dtype_name)) return false;
    if (!scan.literal(",\"shape\":[")) return false;
    entry_.rank = 0;
    if (!scan.literal(']')) {
      do {
        if (entry_.rank == kMaxTensorRank || !scan.number(entry_.dims[entry_.rank])) return false;
        ++entry_.rank;
      } while (scan.literal(','));
      if (!scan.literal(']')) return false;
    }
    return scan.literal(",\"data_offsets\":[") && scan.number(begin) && scan.literal(',') && scan.number(end) && scan.literal("]}");
  }

  bool known_dtype(std::string_view name) {
    if (name == dtype_name_ && !name.empty()) return true;
    for (const NamedDtype& row : dtypes())
      if (row.name == name) {
        dtype_name_ = row.name;
        entry_.dtype = row.dtype;
        return true;
      }
    return false;
  }

  bool flawed(std::string message) {
    flaw_ = std::move(message);
    return false;
  }
  bool broken(simdjson::error_code error) {
    return flawed(fmt::format("the header is not the JSON expected ({})", simdjson::error_message(error)));
  }

  bool metadata(json::value value) {
    if (metadata_seen_) return flawed("__metadata__ occurs twice");
    metadata_seen_ = true;
    json::object pairs;
    if (const auto error = value.get_object().get(pairs)) return broken(error);
    for (auto member : pairs) {
      json::field field;
      if (const auto error = std::move(member).get(field)) return broken(error);
      std::string_view text;
      if (const auto error = string_text(field.value(), header_end()).get(text)) return broken(error);
    }
    return true;
  }

  bool tensor(json::value value) {
    json::object fields;
    if (const auto error = value.get_object().get(fields)) return broken(error);
    unsigned seen = 0;
    constexpr unsigned kDtype = 1, kShape = 2, kOffsets = 4;
    std::uint64_t begin = 0, end = 0;
    for (auto member : fields) {
      json::field field;
      if (const auto error = std::move(member).get(field)) return broken(error);
      const auto key = field.key();
      unsigned which = 0;
      if (key.unsafe_is_equal("dtype")) {
        which = kDtype;
        if (!dtype(field.value())) return false;
      } else if (key.unsafe_is_equal("shape")) {
        which = kShape;
        if (!shape(field.value())) return false;
      } else if (key.unsafe_is_equal("data_offsets")) {
        which = kOffsets;
        if (!offsets(field.value(), begin, end)) return false;
      } else {
        json::json_type type{};
        if (const auto error = field.value().type().get(type)) return broken(error);
        if (type == json::json_type::object || type == json::json_type::array)
          return flawed("has a nested value beside dtype, shape and data_offsets");
      }
      if ((seen & which) != 0) return flawed("has dtype, shape or data_offsets twice");
      seen |= which;
    }
    if (seen != (kDtype | kShape | kOffsets)) return flawed("lacks dtype, shape or data_offsets");
    return check(begin, end);
  }

  bool dtype(json::value value) {
    std::string_view name;
    if (const auto error = string_text(value, header_end()).get(name)) return broken(error);
    if (known_dtype(name)) return true;
    return flawed(fmt::format("has the unknown dtype {}, expected BF16, F16, F32, F8_E4M3, U8 or another name of the format; "
                              "a newer release of this program may know it",
                              quoted_name(name)));
  }

  bool shape(json::value value) {
    json::array dims;
    if (const auto error = value.get_array().get(dims)) return broken(error);
    std::uint32_t rank = 0;
    for (auto item : dims) {
      std::uint64_t dim = 0;
      if (const auto error = item.get_uint64().get(dim))
        return flawed(fmt::format("has a shape that is no list of whole numbers ({})", simdjson::error_message(error)));
      if (rank == kMaxTensorRank) return flawed(fmt::format("has more than {} dimensions", kMaxTensorRank));
      entry_.dims[rank++] = dim;
    }
    entry_.rank = rank;
    return true;
  }

  bool offsets(json::value value, std::uint64_t& begin, std::uint64_t& end) {
    json::array pair;
    if (const auto error = value.get_array().get(pair)) return broken(error);
    unsigned count = 0;
    for (auto item : pair) {
      std::uint64_t offset = 0;
      if (const auto error = item.get_uint64().get(offset))
        return flawed(fmt::format("has data_offsets that are no whole numbers ({})", simdjson::error_message(error)));
      if (count < 2) (count == 0 ? begin : end) = offset;
      ++count;
    }
    return count == 2 || flawed(fmt::format("has {} data_offsets, expected 2", count));
  }

  bool check(std::uint64_t begin, std::uint64_t end) {
    if (already_visited_ > 0) {
      --already_visited_;
      return true;
    }
    if (name_.size() > kSafetensorsNameLimitBytes)
      return flawed(fmt::format("has a name of {} bytes, expected at most {}", name_.size(), kSafetensorsNameLimitBytes));
    if (begin > end) return flawed(fmt::format("has data_offsets [{}, {}] that run backwards", begin, end));
    if (end > data_bytes_)
      return flawed(
          fmt::format("has data_offsets [{}, {}], but the file has only {} data bytes; it is truncated or damaged, fetch it again", begin,
                      end, data_bytes_));
    Checked elements = 1;
    for (std::uint32_t i = 0; i < entry_.rank; ++i) elements *= entry_.dims[i];
    const Checked bytes = entry_.dtype.bytes(elements);
    if (bytes.overflowed()) return flawed("has a shape whose product does not fit 64 bits");
    if (entry_.dtype.block_elements > 1 && elements.value() % entry_.dtype.block_elements != 0)
      return flawed(fmt::format("has {} elements of {}, which fill no whole number of bytes", elements.value(), entry_.dtype.safetensors));
    if (bytes.value() != end - begin)
      return flawed(fmt::format("needs {} bytes by its shape and dtype, but its data_offsets [{}, {}] hold {}", bytes.value(), begin, end,
                                end - begin));
    if (probe_) {
      if (begin <= *probe_ && *probe_ < end && claimants_.size() < 2) claimants_.push_back(quoted_name(name_));
      return true;
    }
    ranges_.add(begin, end);
    entry_.name = entry_.stored_name = name_;
    entry_.elements = elements.value();
    entry_.stored_bytes = bytes.value();
    entry_.offset_bytes = kSafetensorsLengthBytes + header_.size() + begin;
    ++totals_.tensor_count;
    totals_.stored_bytes += bytes.value(); // overlaps are refused later; until then the sum may wrap unseen
    if (hashes_ != nullptr) {
      const std::uint64_t hash = name_hash(name_);
      hashes_->push_back(hash);
      totals_.fingerprint += pair_fingerprint(hash, shard_salt_);
    }
    if (auto answer = visitor_.tensor(entry_); !answer) {
      visitor_error_ = std::move(answer.error());
      return false;
    }
    return true;
  }

  std::string_view header_;
  std::uint64_t data_bytes_;
  std::uint64_t shard_salt_;
  TensorEntry& entry_;
  ByteRanges& ranges_;
  TensorVisitor& visitor_;
  std::vector<std::uint64_t>* hashes_;
  HeaderTotals totals_;
  std::string_view name_, dtype_name_;
  std::string flaw_;
  std::optional<Error> visitor_error_;
  std::optional<std::uint64_t> probe_;
  std::uint64_t already_visited_ = 0; // how many tensors from the start run() has to pass by
  std::vector<std::string> claimants_;
  bool metadata_seen_ = false;
};

std::uint64_t little_endian(const char* bytes) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < kSafetensorsLengthBytes; ++i)
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return value;
}

Result<std::uint64_t> header_length(const char* bytes, std::uint64_t file_bytes, const std::string& path) {
  const std::uint64_t length = little_endian(bytes);
  if (length < 2) // "{}" is the shortest header
    return fail(ErrorCode::kBadCheckpoint, fmt::format("the header length is {}, expected at least 2{}", length, kAdvice), path);
  if (length > file_bytes - kSafetensorsLengthBytes)
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("the header length is {}, but the file has only {} bytes{}", length, file_bytes, kAdvice), path);
  if (length > kSafetensorsHeaderLimitBytes)
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("the header length is {}, expected at most {}{}", length, kSafetensorsHeaderLimitBytes, kAdvice), path);
  return length;
}

Result<void> enough_for_length(std::uint64_t file_bytes, const std::string& path) {
  if (file_bytes >= kSafetensorsLengthBytes) return {};
  return fail(ErrorCode::kBadCheckpoint, fmt::format("the file has {} bytes, expected at least 8{}", file_bytes, kAdvice), path);
}

} // namespace

struct SafetensorsReader::Impl {
  json::parser parser;
  std::unique_ptr<char[]> buffer;
  std::size_t buffer_bytes = 0, header_bytes = 0;
  TensorEntry entry;
  ByteRanges ranges;

  // Room for a header and for what simdjson may read beyond it.
  char* room_for(std::size_t length) {
    constexpr std::size_t kStepBytes = std::size_t{1} << 16;
    const std::size_t wanted = length + simdjson::SIMDJSON_PADDING;
    if (wanted > buffer_bytes) {
      buffer_bytes = (wanted + kStepBytes - 1) / kStepBytes * kStepBytes;
      buffer = std::make_unique_for_overwrite<char[]>(buffer_bytes);
    }
    std::memset(buffer.get() + length, 0, simdjson::SIMDJSON_PADDING);
    header_bytes = length;
    return buffer.get();
  }

  Result<HeaderTotals> walk(std::uint64_t file_bytes, const std::string& path, std::uint32_t file_index, TensorVisitor& visitor,
                            std::vector<std::uint64_t>* hashes, std::string_view shard_name) {
    const std::string_view header(buffer.get(), header_bytes);
    const std::uint64_t data_bytes = file_bytes - kSafetensorsLengthBytes - header_bytes;
    if (shard_name.empty()) shard_name = std::string_view(path).substr(path.find_last_of('/') + 1);
    const std::uint64_t salt = shard_salt(shard_name);
    entry = {};
    entry.file_index = file_index;
    ranges.clear();
    Walk walk(header, data_bytes, salt, entry, ranges, visitor, hashes);
    const Walk::Fast fast = walk.run_compact();
    if (fast == Walk::Fast::kStopped || (fast == Walk::Fast::kUnusual && !walk.run(parser, buffer_bytes))) {
      if (walk.visitor_error()) return tl::unexpected(std::move(*walk.visitor_error()));
      if (walk.tensor_name().empty()) return fail(ErrorCode::kBadCheckpoint, walk.flaw(), path);
      return fail(ErrorCode::kBadCheckpoint, fmt::format("tensor {}: {}", quoted_name(walk.tensor_name()), walk.flaw()),
                  fmt::format("{}: {}", path, quoted_name(walk.tensor_name())));
    }
    const ByteRanges::Summary summary = ranges.finish();
    if (summary.overlap_at) return overlap(header, data_bytes, *summary.overlap_at, path);
    HeaderTotals totals = walk.totals();
    totals.header_bytes = kSafetensorsLengthBytes + header_bytes;
    totals.hole_bytes = summary.hole_bytes + (data_bytes - summary.end_bytes);
    return totals;
  }

  // A second walk to say which two tensors it was.
  tl::unexpected<Error> overlap(std::string_view header, std::uint64_t data_bytes, std::uint64_t at, const std::string& path) {
    NobodyVisits nobody;
    Walk walk(header, data_bytes, 0, entry, ranges, nobody, nullptr);
    walk.look_for(at);
    walk.run(parser, buffer_bytes);
    const auto& names = walk.claimants();
    const std::string first = names.empty() ? "?" : names[0], second = names.size() < 2 ? "?" : names[1];
    return fail(ErrorCode::kBadCheckpoint, fmt::format("tensors {} and {} both claim data byte {}; the file is damaged", first, second, at),
                fmt::format("{}: {}", path, first));
  }
};

SafetensorsReader::SafetensorsReader() : impl_(std::make_unique<Impl>()) {}
SafetensorsReader::~SafetensorsReader() = default;

Result<HeaderTotals> SafetensorsReader::read(const RegularFile& file, std::uint32_t file_index, TensorVisitor& visitor,
                                             std::vector<std::uint64_t>* name_hashes, std::string_view shard_name) {
  PLIMSOLL_TRY(enough_for_length(file.file_bytes(), file.path()));
  std::array<char, kSafetensorsLengthBytes> prefix{};
  PLIMSOLL_TRY(file.read(0, prefix));
  PLIMSOLL_ASSIGN(const std::uint64_t length, header_length(prefix.data(), file.file_bytes(), file.path()));
  char* const to = impl_->room_for(length);
  PLIMSOLL_TRY(file.read(kSafetensorsLengthBytes, {to, length}));
  return impl_->walk(file.file_bytes(), file.path(), file_index, visitor, name_hashes, shard_name);
}

Result<HeaderTotals> SafetensorsReader::read(std::span<const std::byte> file_start, std::uint64_t file_bytes, const std::string& path,
                                             std::uint32_t file_index, TensorVisitor& visitor, std::vector<std::uint64_t>* name_hashes) {
  PLIMSOLL_TRY(enough_for_length(std::min<std::uint64_t>(file_bytes, file_start.size()), path));
  const char* const bytes = reinterpret_cast<const char*>(file_start.data());
  PLIMSOLL_ASSIGN(const std::uint64_t length, header_length(bytes, file_bytes, path));
  if (length > file_start.size() - kSafetensorsLengthBytes)
    return fail(ErrorCode::kBadCheckpoint, fmt::format("the header length is {}, but only {} bytes are at hand", length, file_start.size()),
                path);
  std::memcpy(impl_->room_for(length), bytes + kSafetensorsLengthBytes, length);
  return impl_->walk(file_bytes, path, file_index, visitor, name_hashes, {});
}

Result<HeaderTotals> parse_safetensors_header(std::span<const std::byte> file_start, std::uint64_t file_bytes, TensorVisitor& visitor) {
  SafetensorsReader reader;
  return reader.read(file_start, file_bytes, {}, 0, visitor);
}

} // namespace plimsoll
