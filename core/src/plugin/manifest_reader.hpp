// Keys of a plugin's files, read one by one: what is missing, misspelt or of another kind is kept with its place, the first of it counts.
// Knows no key by name. Used for plugin.yaml and the files beside it. Threads: one reader, one thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace plimsoll {

struct NamedValue {
  std::string_view name;
  std::uint32_t value;
};

class ManifestReader {
public:
  explicit ManifestReader(std::string path) : path_(std::move(path)) {}

  // The member of an object, where it is there and not null.
  static const Json* member(const Json& object, const char* key);
  static Json* member(Json& object, const char* key);
  static bool is_name(const Json& value) { return value.is_string() && !value.get_ref<const std::string&>().empty(); }

  std::string name(const Json& value, const std::string& pointer);
  std::string text(const Json& object, const std::string& pointer, const char* key);
  // A text that may stand in paths, messages and C source: 1 to 64 letters, digits, - . and _, a letter or digit first.
  std::string identifier(const Json& object, const std::string& pointer, const char* key);
  // A number up to 65535 that must be there.
  std::uint32_t number(const Json& object, const std::string& pointer, const char* key);
  // One that may be absent.
  std::uint64_t number(const Json& object, const std::string& pointer, const char* key, std::uint64_t most, std::uint64_t fallback);
  // A file's name without folders.
  std::string file_name(const Json& value, const std::string& pointer);
  // A list that may be absent.
  const Json& list(const Json& object, const std::string& pointer, const char* key);
  // The texts of a list, moved out; at most 256. Places are put together only for errors: every start reads these.
  void take_names(Json& list, const std::string& pointer, const std::string& key, std::vector<std::string>& out);
  // Every key of an object must be known: a misspelt one would be without effect, and nobody would notice.
  template <std::size_t N>
  void only(const Json& object, const std::string& pointer, const std::array<std::string_view, N>& known) {
    only_known(object, pointer, known.data(), N);
  }
  template <std::size_t N>
  std::uint32_t one_of(const Json* value, const std::string& pointer, const std::array<NamedValue, N>& names) {
    return one_named(value, pointer, names.data(), N);
  }

  void wrong(const std::string& pointer, const std::string& message);
  void wrong(const Error& error);
  const std::optional<Error>& error() const { return error_; }
  const std::string& path() const { return path_; }

private:
  void only_known(const Json& object, const std::string& pointer, const std::string_view* known, std::size_t n);
  std::uint32_t one_named(const Json* value, const std::string& pointer, const NamedValue* names, std::size_t n);

  std::string path_;
  std::optional<Error> error_;
};

inline constexpr std::size_t kMaxManifestNames = 256; // of one list
inline constexpr std::uint64_t kMaxManifestBytes = 1 << 20;

// As semver.org has it.
bool is_semantic_version(std::string_view text);
// Whether the first of two such versions comes after the second; what follows a + does not count.
bool is_newer_version(std::string_view version, std::string_view than);
// 1 to 64 bytes of UTF-8 without control characters.
bool is_printable_name(std::string_view text);

} // namespace plimsoll
