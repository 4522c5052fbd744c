// What GGUF files' words mean by the source tree's own gguf.json files, without a registry: for tests of rooms below the plugins.
// Programs that include it have PLIMSOLL_SOURCE_DIR. Read once a program; any thread.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/regular_file.hpp"
#include "checkpoint/gguf_words.hpp"

namespace plimsoll::test {

struct SourceGguf {
  GgufWords common;
  std::vector<GgufWords> families;
};

inline GgufWords read_source_gguf(const std::string& path, const GgufWords* common) {
  auto text = read_text_file(path, 1 << 20, ErrorCode::kInternal);
  if (!text) throw std::runtime_error(text.error().where + ": " + text.error().message);
  const auto root = parse_json(std::move(*text), path, ErrorCode::kPluginFailed);
  if (!root) throw std::runtime_error(root.error().where + ": " + root.error().message);
  auto words = read_gguf_words(*root, common, path);
  if (!words) throw std::runtime_error(words.error().where + ": " + words.error().message);
  return std::move(*words);
}

inline const SourceGguf& source_gguf() {
  static const SourceGguf words = [] {
    SourceGguf out;
    const std::string root = PLIMSOLL_SOURCE_DIR;
    out.common = read_source_gguf(root + "/core/catalogue/gguf.json", nullptr);
    for (const auto& family : std::filesystem::directory_iterator(root + "/plugins"))
      if (const auto file = family.path() / "gguf.json"; std::filesystem::exists(file))
        out.families.push_back(read_source_gguf(file.string(), &out.common));
    return out;
  }();
  return words;
}

inline Result<GgufArchitecture> source_meaning(const std::string& name, const GgufMetadata& metadata) {
  const GgufArchitecture* first = nullptr;
  for (const GgufWords& words : source_gguf().families) {
    const GgufArchitecture* const known = find_gguf_architecture(words, name, metadata);
    if (known != nullptr && (first == nullptr || (known->orders && !first->orders))) first = known;
  }
  return gguf_architecture(name, first, source_gguf().common);
}

} // namespace plimsoll::test
