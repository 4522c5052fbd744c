#include "check/cases.hpp"

#include <algorithm>
#include <array>

namespace plimsoll::check {

CaseFunction find_case(std::string_view rule) {
  for (const auto& group : {manifest_cases(), load_cases(), abi_cases(), life_cases(), error_cases(), determinism_cases(), law_cases(),
                            composition_cases(), process_cases(), pipeline_cases(), fuzz_cases()})
    for (const Case& one : group)
      if (one.rule == rule) return one.run;
  return nullptr;
}

Finding for_each_input(CaseContext& context, const std::function<Finding(Subject&, const Input&)>& each) {
  auto subject = Subject::open(context.directory, context.catalogue, context.note);
  if (!subject) return failed(subject.error().message);
  bool passed_one = false;
  Finding skipped_last = skipped("there is no configuration");
  for (const Input& input : context.inputs) {
    context.at(input.name);
    (*subject)->shim().forget();
    Finding finding = each(**subject, input);
    if (finding.status == CheckStatus::kSkip) {
      skipped_last = std::move(finding);
      continue;
    }
    if (finding.input.empty()) finding.input = input.name;
    if (finding.status != CheckStatus::kPass) return finding;
    passed_one = true;
  }
  return passed_one ? passed() : skipped_last;
}

bool is_plugin_fault(const Error& error) { return error.code == ErrorCode::kPluginFailed || error.code == ErrorCode::kInternal; }

namespace {

// The object that holds the last part of a pointer; nullptr where there is none.
Json* holder(Json& root, const std::string& pointer) {
  Json* node = &root;
  for (std::size_t at = 1; node != nullptr;) {
    const std::size_t slash = pointer.find('/', at);
    if (!node->is_object()) return nullptr;
    if (slash == std::string::npos) return node;
    const std::string key = pointer.substr(at, slash - at);
    if (!node->contains(key)) return nullptr;
    node = &(*node)[key];
    at = slash + 1;
  }
  return nullptr;
}

} // namespace

Json with_value(const Json& config, const std::string& pointer, Json value) {
  Json out = config;
  if (Json* object = holder(out, pointer)) (*object)[last_part(pointer)] = std::move(value);
  return out;
}
Json without_key(const Json& config, const std::string& pointer) {
  Json out = config;
  if (Json* object = holder(out, pointer)) object->erase(last_part(pointer));
  return out;
}

std::vector<std::string> own_keys(const Subject& subject, const Json& config) {
  constexpr std::array<std::string_view, 2> kNames{"architectures", "model_type"};
  std::vector<std::string> out;
  for (const std::string& pointer : const_cast<Subject&>(subject).shim().lookups()) {
    if (pointer.empty() || std::find(kNames.begin(), kNames.end(), last_part(pointer)) != kNames.end()) continue;
    const Json* outer = find_pointer(config, std::string_view(pointer).substr(0, pointer.rfind('/')));
    if (outer != nullptr && outer->is_object() && find_pointer(config, pointer) != nullptr && out.size() < 200) out.push_back(pointer);
  }
  return out;
}

std::string last_part(const std::string& pointer) { return pointer.substr(pointer.rfind('/') + 1); }

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 120 ? text : text.substr(0, 120) + " ...";
}

} // namespace plimsoll::check
