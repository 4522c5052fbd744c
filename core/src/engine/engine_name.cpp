#include "engine/engine_name.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <vector>

#include "base/json.hpp"
#include "base/nearest.hpp"
#include "base/regular_file.hpp"
#include "base/words.hpp"
#include "engine/release.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostNamesBytes = 1U << 16;

bool has_profile(const std::string& catalogue, const std::string& name) {
  std::error_code failed;
  return !name.empty() && std::filesystem::is_regular_file(fmt::format("{}/engines/{}.yaml", catalogue, name), failed);
}

tl::unexpected<Error> no_profile(const std::string& catalogue, const std::string& typed, const std::string& name) {
  std::vector<std::string> known;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(catalogue + "/engines", failed), end; !failed && it != end; it.increment(failed))
    if (it->path().extension() == ".yaml") known.push_back(it->path().stem().string());
  std::sort(known.begin(), known.end());
  const std::vector<std::string> close = nearest(name, {known.begin(), known.end()}, 1);
  return fail(ErrorCode::kBadRequest,
              fmt::format("no engine profile '{}'; {}there is {}, or give a YAML file", typed.substr(0, 64),
                          close.empty() ? "" : "did you mean " + close.front() + "? ", either(known)),
              "--engine");
}

} // namespace

Result<EngineName> find_engine_name(const std::string& catalogue, const std::string& typed) {
  if (typed.find('/') != std::string::npos || typed.ends_with(".yaml") || typed.ends_with(".yml")) return EngineName{typed, "", true};
  std::size_t at = typed.find('@');
  if (at == std::string::npos) // vllm:0.11.0, as images are named
    if (const std::size_t colon = typed.find(':'); colon != std::string::npos && parse_release(typed.substr(colon + 1))) at = colon;
  EngineName out{lower_case(typed.substr(0, at)), at == std::string::npos ? "" : typed.substr(at + 1)};
  if (!has_profile(catalogue, out.name)) {
    PLIMSOLL_ASSIGN(const std::string text, read_text_file(catalogue + "/engine_names.json", kMostNamesBytes, ErrorCode::kInternal));
    PLIMSOLL_ASSIGN(const Json names, parse_json(text, catalogue + "/engine_names.json", ErrorCode::kInternal));
    const auto word_of = [&](const char* part) {
      const Json* const word =
          find_pointer(names, fmt::format("/{}/{}", part, out.name.find_first_of("~/") == std::string::npos ? out.name : ""));
      return word != nullptr && word->is_string() ? word->get<std::string>() : std::string();
    };
    if (const std::string explained = word_of("explained"); !explained.empty()) return fail(ErrorCode::kBadRequest, explained, "--engine");
    const std::string meant = word_of("aliases");
    if (meant.empty()) return no_profile(catalogue, typed.substr(0, at), out.name);
    out.name = meant;
  }
  if (at != std::string::npos && out.release.empty())
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' names no release behind the @", typed.substr(0, 64)), "--engine");
  return out;
}

} // namespace plimsoll
