#include "plugin/gguf_meaning.hpp"

#include <fmt/format.h>
#include <optional>
#include <utility>

#include "base/regular_file.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxWordsBytes = 1 << 20;

std::string words_path(const Manifest& manifest, const FamilyManifest& family) { return manifest.directory + "/" + family.gguf_file; }

Result<GgufWords> parse_words(std::string text, const GgufWords* common, const std::string& path) {
  PLIMSOLL_ASSIGN(const Json root, parse_json(std::move(text), path, ErrorCode::kPluginFailed));
  return read_gguf_words(root, common, path);
}

Result<GgufWords> read_common(const std::string& path) {
  PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMaxWordsBytes, ErrorCode::kInternal));
  return parse_words(std::move(text), nullptr, path);
}

// A file that does not have the name in quotes says nothing about it; most need not be parsed.
bool may_know(const std::string& text, const std::string& name) {
  return text.find('"' + name + '"') != std::string::npos || text.find('\\') != std::string::npos;
}

// What one family says of `name`; nothing where it does not know it.
Result<std::optional<GgufArchitecture>> meaning_of(const std::string& path, const GgufWords& common, const std::string& name,
                                                   const GgufMetadata& metadata) {
  PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMaxWordsBytes, ErrorCode::kPluginFailed));
  if (!may_know(text, name)) return std::nullopt;
  PLIMSOLL_ASSIGN(const GgufWords words, parse_words(std::move(text), &common, path));
  const GgufArchitecture* known = find_gguf_architecture(words, name, metadata);
  if (known == nullptr) return std::nullopt;
  return gguf_architecture(name, known, common);
}

} // namespace

Result<GgufArchitecture> gguf_meaning(const Registry& registry, const std::string& common_path, const std::string& name,
                                      const GgufMetadata& metadata) {
  PLIMSOLL_ASSIGN(const GgufWords common, read_common(common_path));
  std::optional<Error> broken;
  for (const auto& plugin : registry.plugins()) {
    if (plugin->status != PluginStatus::kAvailable) continue;
    for (const FamilyManifest& family : plugin->manifest.families) {
      if (family.gguf_file.empty()) continue;
      auto found = meaning_of(words_path(plugin->manifest, family), common, name, metadata);
      if (found && *found) return std::move(**found);
      if (found) continue;
      if (registry.log())
        registry.log()(LogLevel::kWarning, fmt::format("{} ({}) is passed over", found.error().message, found.error().where));
      if (!broken) broken = std::move(found.error());
    }
  }
  if (broken) return tl::unexpected(std::move(*broken));
  return gguf_architecture(name, nullptr, common);
}

Result<void> check_gguf_words(const Manifest& manifest, const std::string& common_path) {
  for (const FamilyManifest& family : manifest.families) {
    if (family.gguf_file.empty()) continue;
    PLIMSOLL_ASSIGN(const GgufWords common, read_common(common_path));
    const std::string path = words_path(manifest, family);
    PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMaxWordsBytes, ErrorCode::kPluginFailed));
    PLIMSOLL_TRY(parse_words(std::move(text), &common, path));
  }
  return {};
}

} // namespace plimsoll
