#include "host/projector_file.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "base/checked.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostListed = 10'000;
constexpr std::uint64_t kUsualTokens = 4096; // where the file does not say how large an image is

std::string text_of(const GgufMetadata& metadata, const char* key) {
  const auto it = metadata.values.find(key);
  return it != metadata.values.end() && it->second.is_string() ? it->second.get<std::string>() : std::string();
}

// A number of the encoder of images, or where the file has none of that of sound; 0: neither.
std::uint64_t number_of(const GgufMetadata& metadata, const std::string& name) {
  for (const char* encoder : {"clip.vision.", "clip.audio."}) {
    const auto it = metadata.values.find(encoder + name);
    if (it != metadata.values.end() && it->second.is_number_unsigned()) return it->second.get<std::uint64_t>();
  }
  return 0;
}

} // namespace

bool is_projector(const GgufMetadata& metadata) {
  return text_of(metadata, "general.architecture") == "clip" || text_of(metadata, "general.type") == "mmproj";
}

Result<Projector> read_projector(const std::string& path) {
  PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(path, ErrorCode::kBadRequest));
  PLIMSOLL_ASSIGN(const GgufHeader header, read_gguf(file));
  if (!is_projector(header.metadata))
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is a model of architecture '{}' and no projector; give an mmproj file", path,
                            text_of(header.metadata, "general.architecture").substr(0, 64)),
                "--mmproj");
  Projector out;
  out.name = std::filesystem::path(path).filename().string();
  out.weights_bytes = header.stored_bytes;
  const std::uint64_t patch = number_of(header.metadata, "patch_size");
  const std::uint64_t side = patch == 0 ? 0 : number_of(header.metadata, "image_size") / patch;
  out.tokens = side == 0 ? kUsualTokens : (Checked(side) * side).saturated();
  out.elements = std::max(number_of(header.metadata, "embedding_length"), number_of(header.metadata, "feed_forward_length"));
  out.heads = std::max<std::uint64_t>(number_of(header.metadata, "attention.head_count"), 1);
  return out;
}

std::optional<std::string> projector_beside(const ModelFiles& files) {
  if (files.format != CheckpointFormat::kGguf || files.shards.empty()) return std::nullopt;
  const std::filesystem::path first = files.shards.front();
  std::error_code failed;
  std::filesystem::directory_iterator it(first.has_parent_path() ? first.parent_path() : ".", failed);
  std::optional<std::pair<std::uint64_t, std::string>> largest;
  std::uint64_t listed = 0;
  for (const std::filesystem::directory_iterator end; !failed && it != end && listed < kMostListed; it.increment(failed), ++listed) {
    const std::string name = it->path().filename().string();
    if (!name.ends_with(".gguf") || name.find("imatrix") != std::string::npos) continue;
    if (name.find("mmproj") == std::string::npos) {
      const bool own =
          std::any_of(files.shards.begin(), files.shards.end(), [&](const std::string& shard) { return shard.ends_with(name); });
      if (!own) return std::nullopt;
      continue;
    }
    std::error_code unknown;
    const std::uint64_t bytes = it->file_size(unknown);
    if (unknown) continue;
    std::pair found(bytes, it->path().string());
    if (!largest || found > *largest) largest = std::move(found);
  }
  if (!largest) return std::nullopt;
  return std::move(largest->second);
}

} // namespace plimsoll
