#include "document/yaml.hpp"

#include <yaml-cpp/yaml.h>

#include "plimsoll/host.hpp"

namespace plimsoll {
namespace {

using Json = nlohmann::ordered_json;

void emit(YAML::Emitter& out, const Json& value) {
  if (value.is_object()) {
    if (value.empty()) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& [key, part] : value.items()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, part);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    bool flat = true;
    for (const Json& part : value) flat = flat && !part.is_structured();
    if (flat) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const Json& part : value) emit(out, part);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    out << YAML::DoubleQuoted << value.get_ref<const std::string&>();
  } else if (value.is_null()) {
    out << YAML::Null;
  } else if (value.is_boolean()) {
    out << value.get<bool>();
  } else {
    out << value.dump();
  }
}

// No document of the library nests deeper than 8; a text from elsewhere may not exhaust the stack.
constexpr int kMaximumDepth = 64;

bool shallow(const Json& value, int depth) {
  if (!value.is_structured()) return true;
  if (depth == 0) return false;
  for (const Json& part : value)
    if (!shallow(part, depth - 1)) return false;
  return true;
}

} // namespace

std::string emit_yaml(const nlohmann::ordered_json& document) {
  YAML::Emitter out;
  emit(out, document);
  return std::string(out.c_str(), out.size());
}

Result<std::string> document_to_yaml(std::string_view json) {
  const Json document = Json::parse(json, nullptr, false);
  if (document.is_discarded() || !shallow(document, kMaximumDepth))
    return fail(ErrorCode::kBadRequest, "the text is no JSON document; give one that this library wrote");
  return emit_yaml(document);
}

} // namespace plimsoll
