#include "runtime_capi/options_reader.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace plimsoll::capi {
namespace {

tl::unexpected<Error> bad_option(const std::string& key, std::string expected) {
  return fail(ErrorCode::kBadRequest, key + " takes " + std::move(expected), "/" + key);
}

} // namespace

Result<OptionsReader> OptionsReader::create(const char* json, std::initializer_list<std::string_view> known) {
  OptionsReader out;
  out.document_ = Json::object();
  if (json == nullptr) return out;
  PLIMSOLL_ASSIGN(out.document_, parse_json(json, "", ErrorCode::kBadRequest));
  if (!out.document_.is_object()) return fail(ErrorCode::kBadRequest, "the options are no JSON object", "");
  for (const auto& [key, value] : out.document_.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(ErrorCode::kBadRequest, fmt::format("unknown key '{}'; there are {}", key.substr(0, 60), fmt::join(known, ", ")),
                  "/" + key.substr(0, 60));
  return out;
}

const Json* OptionsReader::find(const char* key) const {
  const auto found = document_.find(key);
  return found == document_.end() || found->is_null() ? nullptr : &*found;
}

Result<void> OptionsReader::number(const char* key, std::uint64_t most, std::uint64_t& out) const {
  const Json* const value = find(key);
  if (value == nullptr) return {};
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() > most)
    return bad_option(key, fmt::format("a whole number from 0 to {}", most));
  out = value->get<std::uint64_t>();
  return {};
}

Result<void> OptionsReader::flag(const char* key, bool& out) const {
  const Json* const value = find(key);
  if (value == nullptr) return {};
  if (!value->is_boolean()) return bad_option(key, "true or false");
  out = value->get<bool>();
  return {};
}

Result<void> OptionsReader::text(const char* key, std::string& out) const {
  const Json* const value = find(key);
  if (value == nullptr) return {};
  if (!value->is_string()) return bad_option(key, "a text");
  out = value->get<std::string>();
  return {};
}

Result<void> OptionsReader::texts(const char* key, std::vector<std::string>& out) const {
  const Json* const value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array() || !std::all_of(value->begin(), value->end(), [](const Json& one) { return one.is_string(); }))
    return bad_option(key, "a list of texts");
  out = value->get<std::vector<std::string>>();
  return {};
}

} // namespace plimsoll::capi
