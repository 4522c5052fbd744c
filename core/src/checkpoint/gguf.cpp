#include "checkpoint/gguf.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <optional>
#include <simdjson.h>
#include <utility>

#include "checkpoint/byte_ranges.hpp"
#include "checkpoint/gguf_cursor.hpp"
#include "checkpoint/quoted_name.hpp"

namespace plimsoll {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t kMagic = 0x46554747;         // "GGUF"
constexpr std::uint32_t kSwappedMagic = 0x47475546;  // "FUGG"
constexpr std::uint64_t kMostDataBytes = 1ULL << 50; // no file of a model has a pebibyte
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kKeptStringBytes = 65'536, kKeptArrayElements = 4096, kKeptElementsInAll = 65'536;
constexpr std::uint64_t kReservedTensors = 4096;
constexpr std::uint64_t kSmallestPairBytes = 13;   // key length, type, one byte
constexpr std::uint64_t kSmallestTensorBytes = 24; // name length, rank, type, offset

// Numbers of ggml's enum ggml_type; the gaps are types that ggml has removed.
struct NumberedType {
  std::uint32_t number;
  std::string_view name;
};
constexpr std::array kTypes{
    NumberedType{0, "float32"},   NumberedType{1, "float16"}, NumberedType{2, "q4_0"},     NumberedType{3, "q4_1"},
    NumberedType{6, "q5_0"},      NumberedType{7, "q5_1"},    NumberedType{8, "q8_0"},     NumberedType{9, "q8_1"},
    NumberedType{10, "q2_k"},     NumberedType{11, "q3_k"},   NumberedType{12, "q4_k"},    NumberedType{13, "q5_k"},
    NumberedType{14, "q6_k"},     NumberedType{15, "q8_k"},   NumberedType{16, "iq2_xxs"}, NumberedType{17, "iq2_xs"},
    NumberedType{18, "iq3_xxs"},  NumberedType{19, "iq1_s"},  NumberedType{20, "iq4_nl"},  NumberedType{21, "iq3_s"},
    NumberedType{22, "iq2_s"},    NumberedType{23, "iq4_xs"}, NumberedType{24, "int8"},    NumberedType{25, "int16"},
    NumberedType{26, "int32"},    NumberedType{27, "int64"},  NumberedType{28, "float64"}, NumberedType{29, "iq1_m"},
    NumberedType{30, "bfloat16"}, NumberedType{34, "tq1_0"},  NumberedType{35, "tq2_0"},   NumberedType{39, "mxfp4"},
    NumberedType{40, "nvfp4"},    NumberedType{41, "q1_0"},   NumberedType{42, "q2_0"},
};
constexpr std::uint32_t kTypeNumbers = 43;

// Value types of metadata pairs.
enum class Kind : std::uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

// 0 for strings and arrays.
constexpr std::uint64_t kind_bytes(Kind kind) {
  switch (kind) {
  case Kind::kU8:
  case Kind::kI8:
  case Kind::kBool: return 1;
  case Kind::kU16:
  case Kind::kI16: return 2;
  case Kind::kU32:
  case Kind::kI32:
  case Kind::kF32: return 4;
  case Kind::kU64:
  case Kind::kI64:
  case Kind::kF64: return 8;
  case Kind::kString:
  case Kind::kArray: return 0;
  }
  return 0;
}

class Parser {
public:
  Parser(GgufCursor& cursor, std::uint64_t file_bytes, const std::string& path) : cursor_(cursor), file_bytes_(file_bytes), path_(path) {}

  Result<GgufHeader> run() {
    std::uint64_t tensor_count = 0, key_count = 0;
    PLIMSOLL_TRY(preamble(tensor_count, key_count));
    for (std::uint64_t i = 0; i < key_count; ++i) PLIMSOLL_TRY(pair());
    PLIMSOLL_TRY(alignment());
    header_.tensors.reserve(std::min(tensor_count, kReservedTensors)); // the count is a claim so far
    for (std::uint64_t i = 0; i < tensor_count; ++i) PLIMSOLL_TRY(tensor());
    PLIMSOLL_TRY(places());
    PLIMSOLL_TRY(unique_names());
    return std::move(header_);
  }
  bool ran_out() const { return ran_out_; }

private:
  tl::unexpected<Error> wrong(std::string message, std::string_view subject = {}) const {
    return fail(ErrorCode::kBadCheckpoint, std::move(message), subject.empty() ? path_ : fmt::format("{}: {}", path_, subject));
  }
  // The bytes ran out (or could not be read) inside `what`.
  tl::unexpected<Error> ended(std::string_view what, std::string_view subject = {}) {
    ran_out_ = true;
    if (cursor_.read_error()) return tl::unexpected(std::move(*cursor_.read_error()));
    return wrong(
        fmt::format("{} leads beyond the end of the header (file: {} bytes, headers: at most {}); the file is truncated or damaged, "
                    "fetch it again",
                    what, file_bytes_, kGgufHeaderLimitBytes),
        subject);
  }

  Result<void> preamble(std::uint64_t& tensor_count, std::uint64_t& key_count) {
    std::uint32_t magic = 0;
    if (!cursor_.read(magic) || (magic != kMagic && magic != kSwappedMagic)) {
      if (cursor_.read_error()) return ended("the magic number");
      return wrong("expected a GGUF file, but it does not begin with 'GGUF'");
    }
    if (!cursor_.read(header_.version)) return ended("the version");
    if (magic == kSwappedMagic || (header_.version != 0 && (header_.version & 0xffffU) == 0))
      return wrong("the file is big-endian, expected little-endian; convert it with gguf_convert_endian");
    if (header_.version < 2 || header_.version > 3)
      return wrong(fmt::format("the file has GGUF version {}, expected 2 or 3; convert it anew", header_.version));
    if (!cursor_.read(tensor_count) || !cursor_.read(key_count)) return ended("the counts");
    const std::uint64_t left = std::min(file_bytes_, kGgufHeaderLimitBytes) - cursor_.position();
    if (key_count > kGgufMaxMetadataKeys || key_count > left / kSmallestPairBytes)
      return wrong(
          fmt::format("the header announces {} metadata keys, which is more than its {} bytes or any model can hold", key_count, left));
    if (tensor_count > left / kSmallestTensorBytes)
      return wrong(fmt::format("the header announces {} tensors, more than its {} bytes can hold", tensor_count, left));
    return {};
  }

  Result<void> pair() {
    std::uint64_t key_bytes = 0;
    std::string_view text;
    if (!cursor_.read(key_bytes)) return ended("a metadata key");
    if (key_bytes > kGgufMaxKeyBytes)
      return wrong(fmt::format("a metadata key has {} bytes, expected at most {}", key_bytes, kGgufMaxKeyBytes));
    if (!cursor_.read_text(key_bytes, text)) return ended("a metadata key");
    std::string key(text);
    std::uint32_t kind = 0;
    if (!simdjson::validate_utf8(key.data(), key.size())) return wrong("a metadata key is no UTF-8", quoted_name(key));
    if (header_.metadata.values.contains(key) || header_.metadata.array_counts.contains(key))
      return wrong("the metadata key occurs twice", quoted_name(key));
    if (!cursor_.read(kind)) return ended("its type", quoted_name(key));
    if (kind > static_cast<std::uint32_t>(Kind::kF64)) return wrong(fmt::format("unknown metadata type {}", kind), quoted_name(key));
    return static_cast<Kind>(kind) == Kind::kArray ? array(std::move(key)) : scalar(std::move(key), static_cast<Kind>(kind));
  }

  Result<void> scalar(std::string key, Kind kind) {
    Json value;
    if (!read_value(kind, value)) return ended("the value", quoted_name(key));
    header_.metadata.values.emplace(std::move(key), std::move(value));
    return {};
  }

  Result<void> array(std::string key) {
    std::uint32_t kind_number = 0;
    std::uint64_t count = 0;
    if (!cursor_.read(kind_number) || !cursor_.read(count)) return ended("the array's type and length", quoted_name(key));
    if (kind_number > static_cast<std::uint32_t>(Kind::kF64))
      return wrong(fmt::format("unknown metadata type {} in an array", kind_number), quoted_name(key));
    const auto kind = static_cast<Kind>(kind_number);
    if (kind == Kind::kArray) return wrong("found an array of arrays, which no GGUF reader supports", quoted_name(key));
    const std::uint64_t element_bytes = kind == Kind::kString ? sizeof(std::uint64_t) : kind_bytes(kind);
    if (count > cursor_.left_bytes() / element_bytes) return ended(fmt::format("the array of {} elements", count), quoted_name(key));
    if (kind != Kind::kString && count <= kKeptArrayElements && count <= kKeptElementsInAll - kept_elements_) {
      kept_elements_ += count;
      Json values = Json::array();
      for (std::uint64_t i = 0; i < count; ++i) {
        Json value;
        if (!read_value(kind, value)) return ended("the array", quoted_name(key));
        values.push_back(std::move(value));
      }
      header_.metadata.values.emplace(std::move(key), std::move(values));
      return {};
    }
    const bool complete = kind == Kind::kString ? cursor_.skip_strings(count) : cursor_.skip(count * element_bytes);
    if (!complete) return ended("the array", quoted_name(key));
    header_.metadata.array_counts.emplace(std::move(key), count);
    return {};
  }

  template <class T>
  bool read_as(Json& value) {
    T raw{};
    if (!cursor_.read(raw)) return false;
    value = raw;
    return true;
  }

  bool read_value(Kind kind, Json& value) {
    switch (kind) {
    case Kind::kU8: return read_as<std::uint8_t>(value);
    case Kind::kI8: return read_as<std::int8_t>(value);
    case Kind::kU16: return read_as<std::uint16_t>(value);
    case Kind::kI16: return read_as<std::int16_t>(value);
    case Kind::kU32: return read_as<std::uint32_t>(value);
    case Kind::kI32: return read_as<std::int32_t>(value);
    case Kind::kU64: return read_as<std::uint64_t>(value);
    case Kind::kI64: return read_as<std::int64_t>(value);
    case Kind::kF32: return read_float(value);
    case Kind::kF64: return read_as<double>(value);
    case Kind::kBool: {
      std::uint8_t raw = 0;
      if (!cursor_.read(raw)) return false;
      value = raw != 0;
      return true;
    }
    case Kind::kString: return read_string(value);
    case Kind::kArray: return false;
    }
    return false;
  }

  // A float as the shortest decimal that means it: 1e-05, not 9.999999747378752e-06.
  bool read_float(Json& value) {
    float raw = 0;
    if (!cursor_.read(raw)) return false;
    const std::string text = fmt::format("{}", raw);
    value = Json::parse(text, nullptr, false);
    if (value.is_discarded()) value = nullptr; // nan and inf have no place in a config
    return true;
  }

  // Long strings (chat templates) and broken ones are passed by and stay null.
  bool read_string(Json& value) {
    std::uint64_t length = 0;
    std::string_view text;
    if (!cursor_.read(length)) return false;
    if (length > kKeptStringBytes) return cursor_.skip(length);
    if (!cursor_.read_text(length, text)) return false;
    if (simdjson::validate_utf8(text.data(), text.size())) value = text;
    return true;
  }

  Result<void> alignment() {
    const auto found = header_.metadata.values.find("general.alignment");
    if (found == header_.metadata.values.end()) return {};
    if (!found->second.is_number_unsigned() || !std::has_single_bit(found->second.get<std::uint64_t>()) ||
        found->second.get<std::uint64_t>() > (1U << 20))
      return wrong(fmt::format("the alignment is {}, expected a power of two up to 1048576", found->second.dump()), "'general.alignment'");
    alignment_ = found->second.get<std::uint64_t>();
    return {};
  }

  Result<void> tensor() {
    std::uint64_t name_bytes = 0, offset = 0;
    std::string_view name;
    if (!cursor_.read(name_bytes)) return ended("a tensor's name");
    if (name_bytes > kGgufMaxNameBytes || name_bytes == 0)
      return wrong(
          fmt::format("the name of tensor {} has {} bytes, expected 1 to {}", header_.tensors.size(), name_bytes, kGgufMaxNameBytes));
    if (!cursor_.read_text(name_bytes, name)) return ended("a tensor's name");
    GgufTensor tensor;
    tensor.name_at = static_cast<std::uint32_t>(header_.names.size()); // names fit the header's limit
    tensor.name_bytes = static_cast<std::uint32_t>(name_bytes);
    header_.names += name;
    const auto subject = [&] { return quoted_name(header_.name(tensor)); };
    if (!simdjson::validate_utf8(header_.names.data() + tensor.name_at, tensor.name_bytes))
      return wrong("the tensor's name is no UTF-8", subject());
    std::uint32_t type = 0;
    if (!cursor_.read(tensor.rank)) return ended("its rank", subject());
    if (tensor.rank > kGgufMaxRank)
      return wrong(fmt::format("the tensor has {} dimensions, expected at most {}", tensor.rank, kGgufMaxRank), subject());
    Checked elements = 1;
    for (std::uint32_t i = 0; i < tensor.rank; ++i) {
      if (!cursor_.read(tensor.dims[i])) return ended("its shape", subject());
      elements *= tensor.dims[i];
    }
    if (!cursor_.read(type) || !cursor_.read(offset)) return ended("its type and offset", subject());
    tensor.dtype = ggml_type(type);
    if (tensor.dtype == nullptr)
      return wrong(fmt::format("the tensor has ggml type {}, which is unknown or no longer supported; quantise the model anew", type),
                   subject());
    const Checked bytes = tensor.dtype->bytes(elements);
    if (bytes.overflowed()) return wrong("the tensor's shape has a product that does not fit 64 bits", subject());
    if (tensor.dims[0] % tensor.dtype->block_elements != 0)
      return wrong(fmt::format("the tensor's rows have {} elements, expected a multiple of {} for {}", tensor.dims[0],
                               tensor.dtype->block_elements, tensor.dtype->name),
                   subject());
    if (offset % alignment_ != 0)
      return wrong(fmt::format("the tensor's offset {} is no multiple of the alignment {}", offset, alignment_), subject());
    tensor.elements = elements.value();
    tensor.stored_bytes = bytes.value();
    tensor.offset_bytes = offset; // of the data, until places() knows where they begin
    header_.tensors.push_back(tensor);
    return {};
  }

  // No tensor lies on another, and all inside the file. A file without most of its data is a header that was fetched alone, and says how
  // much it lacks; one with most of it is a download that broke.
  Result<void> places() {
    const std::uint64_t end = cursor_.position();
    header_.header_bytes = std::min(file_bytes_, ceil_div(end, alignment_) * alignment_);
    const std::uint64_t data_bytes = file_bytes_ - header_.header_bytes;
    ByteRanges ranges;
    Checked stored = 0;
    for (const GgufTensor& tensor : header_.tensors) {
      const std::uint64_t data_end = (Checked(tensor.offset_bytes) + tensor.stored_bytes).saturated();
      if (data_end > kMostDataBytes)
        return wrong(fmt::format("the tensor takes {} bytes from offset {}, but the file has only {} data bytes; it is damaged, fetch it "
                                 "again",
                                 tensor.stored_bytes, tensor.offset_bytes, data_bytes),
                     quoted_name(header_.name(tensor)));
      if (data_end > data_bytes) header_.lacking_bytes = std::max(header_.lacking_bytes, data_end - data_bytes);
      ranges.add(tensor.offset_bytes, tensor.offset_bytes + ceil_div(tensor.stored_bytes, alignment_) * alignment_);
      stored += tensor.stored_bytes;
    }
    if (header_.lacking_bytes != 0 && header_.lacking_bytes <= data_bytes)
      return wrong(
          fmt::format("the file ends {} bytes before its tensors do; it is truncated or damaged, fetch it again", header_.lacking_bytes),
          "tensor data");
    if (const auto summary = ranges.finish(); summary.overlap_at) return overlap(*summary.overlap_at);
    for (GgufTensor& tensor : header_.tensors) tensor.offset_bytes += header_.header_bytes;
    header_.stored_bytes = stored.saturated();
    return {};
  }

  tl::unexpected<Error> overlap(std::uint64_t at) const {
    std::vector<std::string> names;
    for (const GgufTensor& tensor : header_.tensors)
      if (names.size() < 2 && tensor.offset_bytes <= at &&
          at - tensor.offset_bytes < ceil_div(tensor.stored_bytes, alignment_) * alignment_)
        names.push_back(quoted_name(header_.name(tensor)));
    names.resize(2, "?");
    return wrong(fmt::format("tensors {} and {} both claim data byte {}; the file is damaged", names[0], names[1], at), names[0]);
  }

  Result<void> unique_names() const {
    std::vector<std::string_view> names;
    names.reserve(header_.tensors.size());
    for (const GgufTensor& tensor : header_.tensors) names.push_back(header_.name(tensor));
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end())
      return wrong(fmt::format("the tensor {} occurs twice; the file is damaged", quoted_name(*twice)), quoted_name(*twice));
    return {};
  }

  GgufCursor& cursor_;
  std::uint64_t file_bytes_;
  const std::string& path_;
  GgufHeader header_;
  std::uint64_t alignment_ = kDefaultAlignment;
  std::uint64_t kept_elements_ = 0;
  bool ran_out_ = false;
};

} // namespace

const Dtype* ggml_type(std::uint32_t number) {
  static const std::array<std::optional<Dtype>, kTypeNumbers> table = [] {
    std::array<std::optional<Dtype>, kTypeNumbers> rows;
    for (const NumberedType& type : kTypes) rows[type.number] = find_dtype(type.name);
    return rows;
  }();
  if (number >= table.size() || !table[number]) return nullptr;
  return &*table[number];
}

Result<GgufHeader> read_gguf(const RegularFile& file) {
  GgufCursor cursor(file, kGgufHeaderLimitBytes);
  return Parser(cursor, file.file_bytes(), file.path()).run();
}

Result<GgufHeader> parse_gguf(std::span<const std::byte> file_start, std::uint64_t file_bytes, const std::string& path) {
  GgufCursor cursor(reinterpret_cast<const char*>(file_start.data()), std::min<std::uint64_t>(file_start.size(), file_bytes),
                    kGgufHeaderLimitBytes);
  return Parser(cursor, file_bytes, path).run();
}

bool is_whole_gguf_header(std::span<const std::byte> file_start, std::uint64_t file_bytes) {
  if (file_start.size() >= std::min(file_bytes, kGgufHeaderLimitBytes)) return true;
  if (file_start.size() < sizeof(kMagic)) return false;
  const std::string nameless;
  GgufCursor cursor(reinterpret_cast<const char*>(file_start.data()), file_start.size(), kGgufHeaderLimitBytes);
  Parser parser(cursor, file_bytes, nameless);
  return parser.run().has_value() || !parser.ran_out();
}

} // namespace plimsoll
