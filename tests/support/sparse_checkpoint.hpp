// Checkpoints for tests: true headers, and a hole where the weights would be, so that a file of gigabytes takes a page of disk.
// Called by tests of every room that reads checkpoints. Knows nothing of the library under test. Throws std::runtime_error where the disk
// refuses. Threads: plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::test {

// A directory that goes away with the object.
class TemporaryDirectory {
public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string path() const { return path_.string(); }
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }

private:
  std::filesystem::path path_;
};

void write_text(const std::string& path, std::string_view text);
// `start`, then a hole up to `file_bytes`.
void write_sparse(const std::string& path, std::string_view start, std::uint64_t file_bytes);

// ---- safetensors ----

struct SparseTensor {
  std::string name, dtype; // "BF16"
  std::vector<std::uint64_t> shape;
};

std::uint64_t sparse_tensor_bytes(const SparseTensor& tensor);

struct SafetensorsStyle {
  bool spaced = false;  // ", " and ": " between things, offsets first: legal, though no common writer does it
  bool metadata = true; // {"format": "pt"} in front
};

// The JSON header with data offsets in the order given; `data_bytes` is their end.
std::string safetensors_header(const std::vector<SparseTensor>& tensors, std::uint64_t& data_bytes, const SafetensorsStyle& style = {});
// Eight length bytes and the header: the start of a file, whose whole length goes to `file_bytes`.
std::string safetensors_start(const std::vector<SparseTensor>& tensors, std::uint64_t& file_bytes, const SafetensorsStyle& style = {});
void write_safetensors(const std::string& path, const std::vector<SparseTensor>& tensors, const SafetensorsStyle& style = {});
// Any header text behind its true length, and any number of data bytes.
std::string safetensors_start_of(std::string_view header);

// Shards in `directory` ("model-00001-of-00003.safetensors"; one is "model.safetensors") and the index beside them.
void write_sharded(const std::string& directory, const std::vector<std::vector<SparseTensor>>& shards, bool index = true);
std::string index_text(const std::map<std::string, std::string>& weight_map, std::uint64_t total_bytes);

// ---- GGUF ----

class GgufWriter {
public:
  explicit GgufWriter(std::uint32_t version = 3) : version_(version) {}

  GgufWriter& u16(std::string_view key, std::uint16_t value);
  GgufWriter& u32(std::string_view key, std::uint32_t value);
  GgufWriter& i32(std::string_view key, std::int32_t value);
  GgufWriter& f32(std::string_view key, float value);
  GgufWriter& flag(std::string_view key, bool value);
  GgufWriter& text(std::string_view key, std::string_view value);
  GgufWriter& u32s(std::string_view key, const std::vector<std::uint32_t>& values);
  GgufWriter& texts(std::string_view key, const std::vector<std::string>& values);
  // Any bytes as a pair's type and value.
  GgufWriter& raw(std::string_view key, std::string_view type_and_value);
  // `dims` as GGUF stores them, fastest first; `stored_bytes` is what the tensor takes.
  GgufWriter& tensor(std::string_view name, std::uint32_t type, const std::vector<std::uint64_t>& dims, std::uint64_t stored_bytes);
  GgufWriter& tensor_at(std::string_view name, std::uint32_t type, const std::vector<std::uint64_t>& dims, std::uint64_t offset_bytes);

  // The header, padded to 32 bytes.
  std::string start() const;
  std::uint64_t file_bytes() const { return start().size() + data_bytes_; }
  void write(const std::string& path) const;

private:
  GgufWriter& pair(std::string_view key, std::uint32_t type, std::string_view value);

  std::uint32_t version_;
  std::uint64_t pair_count_ = 0, tensor_count_ = 0, data_bytes_ = 0;
  std::string pairs_, tensors_;
};

// A little-endian number of N bytes, for hostile files.
std::string little_endian(std::uint64_t value, unsigned bytes);
// A GGUF string: its length in eight bytes, then the text.
std::string gguf_string(std::string_view text);

} // namespace plimsoll::test
