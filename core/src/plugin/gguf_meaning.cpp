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

// One plugin's families asked in turn; the first broken file is kept.
class Asked {
public:
  Asked(const Registry& registry, const GgufWords& common, const std::string& name, const GgufMetadata& metadata)
      : registry_(registry), common_(common), name_(name), metadata_(metadata) {}

  // The first that says how elements lie, else the first.
  std::optional<GgufArchitecture> ask(const Plugin& plugin) {
    std::optional<GgufArchitecture> first;
    for (const FamilyManifest& family : plugin.manifest.families) {
      if (family.gguf_file.empty()) continue;
      auto found = meaning_of(words_path(plugin.manifest, family), common_, name_, metadata_);
      if (found && *found && (*found)->orders) return std::move(**found);
      if (found && *found && !first) first = std::move(**found);
      if (found) continue;
      if (registry_.log())
        registry_.log()(LogLevel::kWarning, fmt::format("{} ({}) is passed over", found.error().message, found.error().where));
      if (!broken_) broken_ = std::move(found.error());
    }
    return first;
  }
  // The answer of those for whom `wanted` holds, likewise, and who gave it.
  template <class Wanted>
  std::optional<GgufArchitecture> first(Wanted&& wanted, const Plugin** who) {
    std::optional<GgufArchitecture> out;
    for (const auto& plugin : registry_.plugins()) {
      if (!plugin->available() || !wanted(*plugin)) continue;
      auto found = ask(*plugin);
      if (!found || (out && !found->orders)) continue;
      *who = plugin.get();
      out = std::move(found);
      if (out->orders || !plugin->built_in) break; // a stranger's first word stands
    }
    return out;
  }
  const std::optional<Error>& broken() const { return broken_; }

private:
  const Registry& registry_;
  const GgufWords& common_;
  const std::string& name_;
  const GgufMetadata& metadata_;
  std::optional<Error> broken_;
};

} // namespace

Result<GgufArchitecture> gguf_meaning(const Registry& registry, const std::string& common_path, const std::string& name,
                                      const GgufMetadata& metadata) {
  PLIMSOLL_ASSIGN(const GgufWords common, read_common(common_path));
  Asked asked(registry, common, name, metadata);
  const Plugin* built_in = nullptr;
  const Plugin* vendor = nullptr;
  auto own = asked.first([](const Plugin& plugin) { return plugin.built_in; }, &built_in);
  const auto may_speak = [&](const Plugin& plugin) { return !plugin.built_in && (!own || plugin.may_replace(*built_in, name, name)); };
  if (auto other = asked.first(may_speak, &vendor)) return std::move(*other);
  if (own) return std::move(*own);
  if (asked.broken()) return tl::unexpected(*asked.broken());
  return gguf_architecture(name, nullptr, common);
}

Result<GgufArchitecture> gguf_meaning_of_class(const Registry& registry, const std::string& common_path, const std::string& class_name) {
  PLIMSOLL_ASSIGN(const GgufWords common, read_common(common_path));
  for (const auto& plugin : registry.plugins()) {
    if (!plugin->available()) continue;
    for (const FamilyManifest& family : plugin->manifest.families) {
      if (family.gguf_file.empty()) continue;
      const std::string path = words_path(plugin->manifest, family);
      PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMaxWordsBytes, ErrorCode::kPluginFailed));
      if (!may_know(text, class_name)) continue;
      PLIMSOLL_ASSIGN(const GgufWords words, parse_words(std::move(text), &common, path));
      for (const auto& [name, meanings] : words.architectures)
        for (const GgufArchitecture& meaning : meanings)
          if (meaning.class_name == class_name) return gguf_architecture(name, &meaning, common);
    }
  }
  return gguf_architecture(class_name, nullptr, common);
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
