#include "plugin/family_names.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace plimsoll {
namespace {

constexpr std::array<std::string_view, 7> kModelKeys{"architectures", "model_types", "class_defaults", "never_quantized",
                                                     "draft_modules", "draft_joins", "fusions"};
constexpr std::array<std::string_view, 2> kArchitectureKeys{"name", "signal_buffers"};
constexpr std::string_view kClassDefaults = "class_defaults";

void read_fusions(Json& node, const std::string& pointer, ManifestReader& read, FamilyNames& names) {
  const std::string here = pointer + "/fusions";
  if (!node.is_object()) return read.wrong(here, "keys and values were expected");
  if (node.size() > kMaxManifestNames)
    return read.wrong(here, fmt::format("{} names; at most {} are read", node.size(), kMaxManifestNames));
  for (auto& [fused, parts] : node.get_ref<Json::object_t&>()) {
    std::vector<std::string>& stored = names.fusions[fused];
    read.take_names(parts, here, fused, stored);
    if (stored.empty() || fused.empty()) read.wrong(here + "/" + fused, "the names of the parts were expected");
  }
}

// How the modules of a family's models are stored.
void read_modules(Json& node, const std::string& pointer, ManifestReader& read, FamilyNames& names) {
  for (auto& [key, value] : node.get_ref<Json::object_t&>()) {
    if (value.is_null()) continue;
    if (key == "never_quantized") read.take_names(value, pointer, key, names.modules.never_quantized);
    else if (key == "draft_modules") read.take_names(value, pointer, key, names.modules.draft_modules);
    else if (key == "draft_joins") read.take_names(value, pointer, key, names.modules.draft_joins);
    else if (key == "fusions") read_fusions(value, pointer, read, names);
  }
}

void read_class_defaults(Json& node, const std::string& pointer, ManifestReader& read, FamilyNames& names) {
  Json* classes = ManifestReader::member(node, kClassDefaults.data());
  if (classes == nullptr) return;
  if (!classes->is_object()) return read.wrong(pointer + "/class_defaults", "keys and values were expected");
  for (auto& [type, defaults] : classes->get_ref<Json::object_t&>()) {
    if (!defaults.is_object()) return read.wrong(fmt::format("{}/class_defaults/{}", pointer, type), "keys and values were expected");
    names.class_defaults.insert_or_assign(type, LazyJson([value = std::move(defaults)] { return value; }));
  }
}

// Where `what` begins in the text from `from` on; npos where it does not.
std::size_t find_in(std::string_view text, std::string_view what, std::size_t from = 0) {
  const void* const found = ::memmem(text.data() + from, text.size() - from, what.data(), what.size());
  return found == nullptr ? std::string_view::npos : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::string quoted(std::string_view name) { return fmt::format("\"{}\"", name); }

} // namespace

bool FamilyNames::has(std::string_view name) const {
  return architectures.contains(name) || std::find(model_types.begin(), model_types.end(), name) != model_types.end();
}

void read_names(Json& node, const std::string& pointer, std::uint32_t policy, ManifestReader& read, FamilyNames& names) {
  const Json& architectures = read.list(node, pointer, "architectures");
  for (std::size_t i = 0; i < architectures.size(); ++i) {
    const Json& entry = architectures[i];
    if (ManifestReader::is_name(entry)) { // as most are
      names.architectures[entry.get_ref<const std::string&>()] = policy;
      continue;
    }
    const std::string here = fmt::format("{}/architectures/{}", pointer, i);
    if (!entry.is_object()) return read.wrong(here, "a non-empty text was expected");
    read.only(entry, here, kArchitectureKeys);
    const Json* own = ManifestReader::member(entry, "signal_buffers");
    names.architectures[read.text(entry, here, "name")] =
        entry.contains("signal_buffers") ? read.one_of(own, here + "/signal_buffers", kSignalPolicies) : policy;
  }
  const Json& types = read.list(node, pointer, "model_types");
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (!ManifestReader::is_name(types[i]))
      return read.wrong(fmt::format("{}/model_types/{}", pointer, i), "a non-empty text was expected");
    names.model_types.push_back(types[i].get<std::string>());
  }
  read_modules(node, pointer, read, names);
  read_class_defaults(node, pointer, read, names);
}

Result<void> read_names_file(std::string text, const std::string& path, std::uint32_t policy, FamilyNames& names) {
  ManifestReader read(path);
  PLIMSOLL_ASSIGN(Json root, parse_json(std::move(text), path, ErrorCode::kPluginFailed));
  if (!root.is_object()) read.wrong("", "an object was expected");
  else read.only(root, "", kModelKeys);
  if (!read.error()) read_names(root, "", policy, read, names);
  if (read.error()) return tl::unexpected(*read.error());
  return {};
}

LateNames::LateNames(std::string text, std::string path, std::uint32_t policy)
    : text_(std::move(text)), path_(std::move(path)), policy_(policy),
      names_end_(std::min(find_in(text_, quoted(kClassDefaults)), text_.size())), escapes_(text_.find('\\') != std::string::npos) {}

const FamilyNames& LateNames::get() const {
  if (has_text())
    std::call_once(once_, [this] {
      FamilyNames read;
      auto apart = parse_apart(text_, kClassDefaults); // what classes fill in becomes values for the class that a plan is about
      if (!apart) {
        if (auto whole = read_names_file(text_, path_, policy_, read)) names_ = std::move(read);
        else fault_ = std::move(whole.error());
        return;
      }
      ManifestReader reader(path_);
      reader.only(apart->rest, "", kModelKeys);
      read_names(apart->rest, "", policy_, reader, read);
      for (auto& [type, defaults] : apart->members) read.class_defaults.insert_or_assign(std::move(type), std::move(defaults));
      if (reader.error()) fault_ = reader.error();
      else names_ = std::move(read);
    });
  return names_;
}

bool LateNames::may_have(std::string_view name) const {
  return !has_text() || escapes_ || find_in(std::string_view(text_).substr(0, names_end_), quoted(name)) != std::string_view::npos;
}

bool LateNames::may_fill_in(std::string_view type) const {
  if (!has_text() || escapes_) return true;
  const std::string name = quoted(type);
  for (std::size_t at = names_end_; (at = find_in(text_, name, at)) != std::string_view::npos; ++at)
    if (const std::size_t next = text_.find_first_not_of(" \t\r\n", at + name.size()); next != std::string::npos && text_[next] == ':')
      return true;
  return false;
}

} // namespace plimsoll
