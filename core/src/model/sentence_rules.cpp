#include "model/sentence_rules.hpp"

namespace plimsoll {

SentenceRules sentence_rules_of(const Json& config) {
  SentenceRules rules;
  const Json* const modules = find_pointer(config, "/sentence_modules");
  if (modules == nullptr || !modules->is_object()) return rules;
  const auto text = [&](const char* key) {
    const Json* const value = find_pointer(*modules, key);
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
  };
  const std::string pooling = text("/pooling");
  for (const RowPooling how : {RowPooling::kFirst, RowPooling::kMean, RowPooling::kLast})
    if (pooling == pooling_name(how)) rules.pooling = how;
  const Json* const normalised = find_pointer(*modules, "/normalised");
  rules.normalised = normalised != nullptr && normalised->is_boolean() && normalised->get<bool>();
  rules.unsupported = text("/unsupported");
  return rules;
}

} // namespace plimsoll
