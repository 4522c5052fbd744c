#include "support/sparse_checkpoint.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <unistd.h>

namespace plimsoll::test {
namespace {

constexpr std::uint64_t kGgufAlignment = 32;

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment; }

// Bits of one element.
std::uint64_t element_bits(std::string_view dtype) {
  static const std::map<std::string_view, std::uint64_t> bits{
      {"F64", 64},    {"I64", 64},    {"U64", 64},    {"C64", 64},    {"F32", 32},    {"I32", 32}, {"U32", 32},
      {"F16", 16},    {"BF16", 16},   {"I16", 16},    {"U16", 16},    {"U8", 8},      {"I8", 8},   {"BOOL", 8},
      {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4}};
  const auto found = bits.find(dtype);
  return found == bits.end() ? 8 : found->second;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string joined(const std::vector<std::uint64_t>& numbers, std::string_view separator) {
  std::string out;
  for (const std::uint64_t number : numbers) {
    if (!out.empty()) out += separator;
    out += std::to_string(number);
  }
  return out;
}

} // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "plimsoll-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory");
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_text(const std::string& path, std::string_view text) { write_sparse(path, text, text.size()); }

void write_sparse(const std::string& path, std::string_view start, std::uint64_t file_bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) throw std::runtime_error("cannot write " + path);
  const bool written = std::fwrite(start.data(), 1, start.size(), file) == start.size() && std::fflush(file) == 0 &&
                       ::ftruncate(::fileno(file), static_cast<off_t>(file_bytes)) == 0;
  if (std::fclose(file) != 0 || !written) throw std::runtime_error("cannot write " + path);
}

std::string little_endian(std::uint64_t value, unsigned bytes) {
  std::string out;
  for (unsigned i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
  return out;
}

std::uint64_t sparse_tensor_bytes(const SparseTensor& tensor) {
  std::uint64_t elements = 1;
  for (const std::uint64_t dim : tensor.shape) elements *= dim;
  return elements * element_bits(tensor.dtype) / 8;
}

std::string safetensors_header(const std::vector<SparseTensor>& tensors, std::uint64_t& data_bytes, const SafetensorsStyle& style) {
  const std::string comma = style.spaced ? ", " : ",", colon = style.spaced ? ": " : ":";
  std::string out = "{";
  if (style.metadata) out += "\"__metadata__\"" + colon + "{\"format\"" + colon + "\"pt\"}";
  data_bytes = 0;
  for (const SparseTensor& tensor : tensors) {
    const std::uint64_t end = data_bytes + sparse_tensor_bytes(tensor);
    const std::string dtype = "\"dtype\"" + colon + quote(tensor.dtype),
                      shape = "\"shape\"" + colon + "[" + joined(tensor.shape, comma) + "]",
                      offsets = "\"data_offsets\"" + colon + "[" + joined({data_bytes, end}, comma) + "]";
    if (out.size() > 1) out += comma;
    out += quote(tensor.name) + colon + "{" +
           (style.spaced ? offsets + comma + dtype + comma + shape : dtype + comma + shape + comma + offsets) + "}";
    data_bytes = end;
  }
  return out + "}";
}

std::string safetensors_start_of(std::string_view header) { return little_endian(header.size(), 8).append(header); }

std::string safetensors_start(const std::vector<SparseTensor>& tensors, std::uint64_t& file_bytes, const SafetensorsStyle& style) {
  std::string header = safetensors_header(tensors, file_bytes, style);
  header.append((8 - header.size() % 8) % 8, ' '); // the data begins at a multiple of eight
  file_bytes += 8 + header.size();
  return safetensors_start_of(header);
}

void write_safetensors(const std::string& path, const std::vector<SparseTensor>& tensors, const SafetensorsStyle& style) {
  std::uint64_t file_bytes = 0;
  const std::string start = safetensors_start(tensors, file_bytes, style);
  write_sparse(path, start, file_bytes);
}

std::string index_text(const std::map<std::string, std::string>& weight_map, std::uint64_t total_bytes) {
  std::string out = "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(total_bytes) + "\n  },\n  \"weight_map\": {";
  bool first = true;
  for (const auto& [tensor, shard] : weight_map) {
    out += (first ? "\n    " : ",\n    ") + quote(tensor) + ": " + quote(shard);
    first = false;
  }
  return out + "\n  }\n}\n";
}

void write_sharded(const std::string& directory, const std::vector<std::vector<SparseTensor>>& shards, bool index) {
  std::map<std::string, std::string> weight_map;
  std::uint64_t total_bytes = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, shards.size());
    const std::string file = shards.size() == 1 ? "model.safetensors" : name;
    write_safetensors(directory + "/" + file, shards[i]);
    for (const SparseTensor& tensor : shards[i]) {
      weight_map[tensor.name] = file;
      total_bytes += sparse_tensor_bytes(tensor);
    }
  }
  if (index && shards.size() > 1) write_text(directory + "/model.safetensors.index.json", index_text(weight_map, total_bytes));
}

std::string gguf_string(std::string_view text) { return little_endian(text.size(), 8).append(text); }

GgufWriter& GgufWriter::raw(std::string_view key, std::string_view type_and_value) {
  pairs_ += gguf_string(key);
  pairs_ += type_and_value;
  ++pair_count_;
  return *this;
}

GgufWriter& GgufWriter::pair(std::string_view key, std::uint32_t type, std::string_view value) {
  return raw(key, little_endian(type, 4).append(value));
}

GgufWriter& GgufWriter::u16(std::string_view key, std::uint16_t value) { return pair(key, 2, little_endian(value, 2)); }
GgufWriter& GgufWriter::u32(std::string_view key, std::uint32_t value) { return pair(key, 4, little_endian(value, 4)); }
GgufWriter& GgufWriter::i32(std::string_view key, std::int32_t value) {
  return pair(key, 5, little_endian(static_cast<std::uint32_t>(value), 4));
}
GgufWriter& GgufWriter::f32(std::string_view key, float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return pair(key, 6, little_endian(bits, 4));
}
GgufWriter& GgufWriter::flag(std::string_view key, bool value) { return pair(key, 7, little_endian(value ? 1 : 0, 1)); }
GgufWriter& GgufWriter::text(std::string_view key, std::string_view value) { return pair(key, 8, gguf_string(value)); }

GgufWriter& GgufWriter::u32s(std::string_view key, const std::vector<std::uint32_t>& values) {
  std::string out = little_endian(4, 4) + little_endian(values.size(), 8);
  for (const std::uint32_t value : values) out += little_endian(value, 4);
  return pair(key, 9, out);
}

GgufWriter& GgufWriter::texts(std::string_view key, const std::vector<std::string>& values) {
  std::string out = little_endian(8, 4) + little_endian(values.size(), 8);
  for (const std::string& value : values) out += gguf_string(value);
  return pair(key, 9, out);
}

GgufWriter& GgufWriter::tensor_at(std::string_view name, std::uint32_t type, const std::vector<std::uint64_t>& dims,
                                  std::uint64_t offset_bytes) {
  tensors_ += gguf_string(name) + little_endian(dims.size(), 4);
  for (const std::uint64_t dim : dims) tensors_ += little_endian(dim, 8);
  tensors_ += little_endian(type, 4) + little_endian(offset_bytes, 8);
  ++tensor_count_;
  return *this;
}

GgufWriter& GgufWriter::tensor(std::string_view name, std::uint32_t type, const std::vector<std::uint64_t>& dims,
                               std::uint64_t stored_bytes) {
  tensor_at(name, type, dims, data_bytes_);
  data_bytes_ += aligned(stored_bytes);
  return *this;
}

std::string GgufWriter::start() const {
  std::string out =
      "GGUF" + little_endian(version_, 4) + little_endian(tensor_count_, 8) + little_endian(pair_count_, 8) + pairs_ + tensors_;
  out.resize(aligned(out.size()), '\0');
  return out;
}

void GgufWriter::write(const std::string& path) const {
  const std::string bytes = start();
  write_sparse(path, bytes, bytes.size() + data_bytes_);
}

} // namespace plimsoll::test
