#include "lint/named_files.hpp"

#include <algorithm>
#include <filesystem>
#include <fnmatch.h>
#include <regex>
#include <set>

#include "lint/source_text.hpp"

namespace plimsoll::lint {
namespace {

// What looks like a file of ours and is the world's: a program's name, what models and systems bring, what a build or an example
// writes.
const std::set<std::string_view> kWorld{"llama.cpp",
                                        "ik_llama.cpp",
                                        "why_not_llama.cpp",
                                        "new.json",
                                        "config.json",
                                        "hf_quant_config.json",
                                        "generation_config.json",
                                        "adapter_config.json",
                                        "preprocessor_config.json",
                                        "params.json",
                                        "modules.json",
                                        "requests.jsonl",
                                        "plan.json",
                                        "pipeline.yaml",
                                        "prices.yaml",
                                        "engine.yaml",
                                        "request.json",
                                        "stdint.h",
                                        "plimsoll_identity.h",
                                        "acme.cpp",
                                        "simdjson.h",
                                        "sys/mman.h",
                                        "dlfcn.h",
                                        "model.safetensors.index.json"};

// Placeholders become what any name matches.
std::string pattern_of(std::string name) {
  static const std::regex placeholder("<[^>]*>");
  return std::regex_replace(name, placeholder, "*");
}

// Several endings in braces are several names.
std::vector<std::string> spelled_out(const std::string& name) {
  const std::size_t open = name.find('{'), close = name.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {name};
  std::vector<std::string> out;
  for (std::size_t begin = open + 1; begin <= close;) {
    const std::size_t end = std::min(name.find(',', begin), close);
    for (const std::string& rest : spelled_out(name.substr(0, open) + name.substr(begin, end - begin) + name.substr(close + 1)))
      out.push_back(rest);
    begin = end + 1;
  }
  return out;
}

bool matches(const std::string& pattern, const std::string& file) {
  if (pattern.find('*') == std::string::npos)
    return file.ends_with(pattern) && (file.size() == pattern.size() || file[file.size() - pattern.size() - 1] == '/');
  return fnmatch(pattern.c_str(), file.c_str(), 0) == 0 || fnmatch(("*/" + pattern).c_str(), file.c_str(), 0) == 0;
}

bool exists(const std::string& name, const std::string& path, const std::vector<std::string>& project) {
  if (kWorld.contains(name)) return true;
  const std::string pattern = pattern_of(name);
  const std::string beside = (std::filesystem::path(path).parent_path() / pattern).lexically_normal().generic_string();
  return std::any_of(project.begin(), project.end(), [&](const std::string& file) { return file == beside || matches(pattern, file); });
}

} // namespace

std::vector<std::string> check_named_files(const std::string& path, std::string_view text, const std::vector<std::string>& project) {
  // A path with placeholders, and an ending or several: "unit/<room>/*_test.cpp", "layering.{hpp,cpp}".
  static const std::regex name_of_file(R"(((?:[A-Za-z0-9_./*+-]|<[a-z_]+>)*(?:[A-Za-z0-9_*]|<[a-z_]+>)\.)"
                                       R"((?:\{[a-z]+(?:,[a-z]+)+\}|cpp|hpp|c|h|yaml|jsonl?|md|bash|py|cmake))(?![A-Za-z0-9_(]))");
  std::vector<std::string> found;
  for (const Line& line : prose_of(path, text)) {
    if (line.text.find('.') == std::string::npos) continue; // most lines, and the expression is slow
    for (std::sregex_iterator it(line.text.begin(), line.text.end(), name_of_file), end; it != end; ++it) {
      std::string word = (*it)[1].str();
      if (line.text.substr(0, static_cast<std::size_t>(it->position())).ends_with(":")) continue; // an address
      word.erase(0, word.find_first_not_of("+-"));
      for (const std::string& name : spelled_out(word))
        if (!exists(name, path, project))
          found.push_back(path + ":" + std::to_string(line.number) + ": names " + name + ", which is no file of the project");
    }
  }
  return found;
}

} // namespace plimsoll::lint
