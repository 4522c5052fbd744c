// See layering.hpp.
#include "lint/layering.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string_view>

namespace plimsoll::lint {
namespace {

namespace fs = std::filesystem;

// The rooms, lowest first, and what each may include beside itself: only rooms above its line, and of those what it needs.
// core/README.md draws the same. A room whose folder is not there yet keeps its place.
struct Room {
  std::string_view name, may_include;
};
constexpr std::array<Room, 32> kRooms{{{"base", ""},
                                       {"storage", "base"},
                                       {"checkpoint", "base storage"},
                                       {"device", "base"},
                                       {"engine", "base"},
                                       {"request", "base"},
                                       {"flags", "base engine request"},
                                       {"emit", "base engine flags"},
                                       {"process", "base"},
                                       {"remote", "base storage checkpoint"},
                                       {"plugin", "base storage checkpoint process"},
                                       {"worker", "base storage checkpoint process plugin"},
                                       {"model", "base storage checkpoint plugin worker"},
                                       {"placement", "base storage model"},
                                       {"kv", "base engine model placement"},
                                       {"estimate", "base kv"},
                                       {"schedule", "base model placement"},
                                       {"plan", "base device engine plugin model placement kv schedule"},
                                       {"search", "base device kv plan"},
                                       {"compare", "base plan"},
                                       {"diff", "base"},
                                       {"document", "base"},
                                       {"check", "base checkpoint engine process plugin model placement schedule plan"},
                                       {"kv_cache", "base"}, // and plimsoll/kv_geometry.hpp, never the plan
                                       {"backend", "base schedule"},
                                       {"backend_cuda", "base backend schedule"}, // and the one file that sees CUDA beside device's
                                       {"tokenizer", "base checkpoint"},
                                       {"runtime", "base schedule kv_cache backend tokenizer"},
                                       {"mpi", "runtime"}, // what it fills in, and no more
                                       {"host", "base checkpoint device engine request flags emit process remote plugin worker model "
                                                "placement plan search compare document check schedule"},
                                       {"capi", "base document host"},
                                       {"runtime_capi", "base capi runtime"}}};

const std::set<std::string_view> kTopLevel{"CMakeLists.txt", "CMakePresets.json", "README.md", "core", "plugins", "sdk", "tests", "tools"};

const std::set<std::string_view> kStandardC{"assert.h", "ctype.h",  "errno.h",  "float.h",  "inttypes.h", "limits.h", "locale.h",
                                            "math.h",   "setjmp.h", "signal.h", "stdarg.h", "stdbool.h",  "stddef.h", "stdint.h",
                                            "stdio.h",  "stdlib.h", "string.h", "time.h",   "wchar.h"};

struct ThirdParty {
  std::string_view prefix;
  std::string_view folder; // the only place that may include it, besides tests
};
constexpr std::array<ThirdParty, 20> kThirdParty{
    {{"boost/", "core/src/plugin/library.cpp"},
     {"cuda", "core/src/device/cuda.cpp core/src/backend_cuda/cuda_device.cu"},
     {"cublas", "core/src/backend_cuda/cuda_device.cu"},
     {"nccl.h", "core/src/backend_cuda/cuda_device.cu"},
     {"driver_types.h", "core/src/device/cuda.cpp"},
     {"nvml.h", "core/src/device/cuda.cpp"},
     {"yaml-cpp/", "core/src/base/yaml.cpp core/src/request/pipeline.cpp core/src/request/prices.cpp core/src/flags/ "
                   "core/src/emit/yaml_text.cpp core/src/document/yaml.cpp"},
     {"simdjson", "core/src/"},
     {"curl/", "core/src/remote/curl_library.hpp"},
     {"httplib.h", "tools/watch/"},
     {"cblas.h", "core/src/backend/"},
     {"pcre2.h", "core/src/tokenizer/"},
     {"utf8proc.h", "core/src/tokenizer/"},
     {"mpi.h", "core/src/mpi/"},
     {"xxhash.h", "core/src/kv_cache/ core/src/runtime/processes.cpp"},
     {"nlohmann/", "core/src/ tools/"},
     {"fmt/", "core/src/ tools/"},
     {"CLI/", "tools/"},
     {"tl/", "core/ tools/"},
     {"benchmark/", ""}}};

bool starts_with_any(std::string_view path, std::string_view folders) {
  while (!folders.empty()) {
    const std::size_t space = std::min(folders.find(' '), folders.size());
    if (path.starts_with(folders.substr(0, space))) return true;
    folders.remove_prefix(std::min(space + 1, folders.size()));
  }
  return false;
}

bool is_standard(std::string_view header) {
  return kStandardC.contains(header) || (header.find('.') == std::string_view::npos && header.find('/') == std::string_view::npos);
}

std::string_view first_part(std::string_view path) { return path.substr(0, std::min(path.find('/'), path.size())); }

bool is_source(std::string_view path) {
  return path.ends_with(".cpp") || path.ends_with(".hpp") || path.ends_with(".h") || path.ends_with(".c") || path.ends_with(".cu");
}

// Words are looked for in what people write; data files quote the world.
bool is_prose(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
  return is_source(path) || path.ends_with(".md") || path.ends_with(".txt") || path.ends_with(".yaml") || path.ends_with(".cmake") ||
         path.ends_with(".py") || path.ends_with(".bash") || path.ends_with(".sh") || name.find('.') == std::string_view::npos;
}

struct Tree {
  fs::path root;
  std::set<std::string> files;
  std::vector<std::string> found;

  bool has(const std::string& path) const { return files.contains(path); }
  void report(const std::string& path, std::size_t line, const std::string& what) {
    found.push_back(path + ":" + std::to_string(line) + ": " + what);
  }
};

// The header as a path from the root, where it is the project's own; else empty.
std::string own_header(const Tree& tree, const std::string& file, const std::string& header) {
  const std::string beside = (fs::path(file).parent_path() / header).lexically_normal().generic_string();
  std::vector<std::string> candidates{beside};
  for (const char* base : {"core/abi/include/", "core/include/", "sdk/include/", "core/src/", "tools/", "tests/"})
    candidates.push_back(base + header);
  if (file.starts_with("plugins/")) { // a plugin's own folder
    const std::string own = file.substr(0, file.find('/', 8) + 1);
    candidates.push_back(own + header);
  }
  for (const std::string& candidate : candidates)
    if (tree.has(candidate)) return candidate;
  return {};
}

std::size_t room_rank(std::string_view room) {
  return static_cast<std::size_t>(std::find_if(kRooms.begin(), kRooms.end(), [&](const Room& r) { return r.name == room; }) -
                                  kRooms.begin());
}

bool is_one_of(std::string_view word, std::string_view words) {
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t end = std::min(words.find(' ', at), words.size());
    if (words.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

// What a plugin's build makes of its manifest; no file of the project, and no other part of it has one.
constexpr std::string_view kIdentity = "plimsoll_identity.h";
bool may_have_identity(std::string_view file) {
  return file == "sdk/include/plimsoll/plugin/glue.hpp" || starts_with_any(file, "sdk/examples/ plugins/ tests/");
}

// Empty where `file` may include the project's own `target`; else the rule.
std::string own_rule(const std::string& file, const std::string& target) {
  const auto from = [&](std::string_view folder) { return file.starts_with(folder); };
  const auto to = [&](std::string_view folder) { return target.starts_with(folder); };
  if (from("tests/")) return {};
  if (to("tests/")) return "only tests include tests";
  if (from("core/abi/")) return to("core/abi/") ? "" : "the ABI includes nothing of ours";
  if (from("sdk/")) return to("sdk/") || to("core/abi/") ? "" : "the SDK includes only the ABI";
  if (from("plugins/")) {
    const std::string own = file.substr(0, file.find('/', 8) + 1);
    return to("sdk/include/") || to("core/abi/") || to(own) ? "" : "a plugin includes only the SDK and itself";
  }
  if (from("tools/")) return to("tools/") || to("core/include/") || to("core/abi/") ? "" : "tools include only core/include";
  if (from("core/include/")) return to("core/include/") || to("core/abi/") ? "" : "public headers include only public headers and the ABI";
  if (from("core/src/")) {
    if (to("core/include/") || to("core/abi/")) return {};
    if (!to("core/src/")) return "the core includes only itself and the ABI";
    const std::string_view own = first_part(std::string_view(file).substr(9)), other = first_part(std::string_view(target).substr(9));
    if (room_rank(own) == kRooms.size()) return "'" + std::string(own) + "' is no room; rooms are listed in tests/lint/layering.cpp";
    if (own == other) return {};
    if (room_rank(other) > room_rank(own)) return "room " + std::string(own) + " stands below " + std::string(other);
    const std::string_view may = kRooms[room_rank(own)].may_include;
    return is_one_of(other, may) ? "" : "room " + std::string(own) + " may include only: " + std::string(may);
  }
  return {};
}

// The same for a header that is not ours.
std::string foreign_rule(const std::string& file, const std::string& header) {
  if (file.starts_with("tests/")) return {};
  if (file.starts_with("core/abi/")) return header == "stddef.h" || header == "stdint.h" ? "" : "the ABI needs stddef.h and stdint.h only";
  if (is_standard(header)) return {};
  if (file.starts_with("sdk/") || file.starts_with("plugins/")) return "SDK and plugins use the standard library only";
  for (const ThirdParty& library : kThirdParty)
    if (header.starts_with(library.prefix))
      return starts_with_any(file, library.folder)
                 ? ""
                 : "belongs to " + (library.folder.empty() ? "tests" : std::string(library.folder)) + " only";
  if (file.starts_with("core/include/")) return "public headers use the standard library and tl::expected only";
  return {}; // the system's own headers: sys/mman.h, dlfcn.h, ...
}

void check_includes(Tree& tree, const std::string& file, const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  for (std::size_t number = 1; std::getline(lines, line); ++number) {
    std::size_t at = line.find_first_not_of(" \t");
    if (at == std::string::npos || line[at] != '#') continue;
    at = line.find_first_not_of(" \t", at + 1);
    if (at == std::string::npos || line.compare(at, 7, "include") != 0) continue;
    const std::size_t open = line.find_first_of("<\"", at + 7);
    const std::size_t close = open == std::string::npos ? open : line.find_first_of(">\"", open + 1);
    if (close == std::string::npos) continue;
    const std::string header = line.substr(open + 1, close - open - 1);
    if (header == kIdentity) {
      if (!may_have_identity(file)) tree.report(file, number, "includes " + header + ", which is made for plugins only");
      continue;
    }
    const std::string own = is_standard(header) && line[open] == '<' ? "" : own_header(tree, file, header);
    if (own.empty() && (line[open] == '"' || header.starts_with("plimsoll/")) && !file.starts_with("tests/")) {
      tree.report(file, number, "includes " + header + ", which is no file of the project");
      continue;
    }
    const std::string rule = own.empty() ? foreign_rule(file, header) : own_rule(file, own);
    if (!rule.empty()) tree.report(file, number, "includes " + header + ": " + rule);
  }
}

void check_words(Tree& tree, const std::string& file, const std::string& text) {
  struct Word {
    std::string text;
    bool whole;    // letters around it make another word of it
    bool in_tests; // forbidden there too
  };
  // Put together here, so that this file holds none of them.
  static const std::vector<Word> words{{std::string("TO") + "DO", true, true},
                                       {std::string("FIX") + "ME", true, true},
                                       {std::string("/wo") + "rk/", false, true},
                                       {std::string("/ho") + "me/", false, false},
                                       {std::string("/ro") + "ot/", false, false}};
  const auto letter = [&](std::size_t at) {
    return at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_');
  };
  for (const Word& word : words) {
    if (file.starts_with("tests/") && !word.in_tests) continue;
    for (std::size_t at = text.find(word.text); at != std::string::npos; at = text.find(word.text, at + 1)) {
      if (word.whole && ((at > 0 && letter(at - 1)) || letter(at + word.text.size()))) continue;
      // A path that goes on from a name is another path: "src/work/" and "${x}/home/".
      if (!word.whole && at > 0 && (letter(at - 1) || text[at - 1] == '.' || text[at - 1] == '}')) continue;
      tree.report(file, static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n')) + 1,
                  "holds the forbidden word " + word.text);
    }
  }
}

} // namespace

std::vector<std::string> project_files(const fs::path& root) {
  std::vector<std::string> files;
  const std::string command = "git -C '" + root.string() + "' ls-files --cached --others --exclude-standard -z 2>/dev/null";
  std::error_code problem;
  if (fs::exists(root / ".git", problem) && root.string().find('\'') == std::string::npos) {
    if (const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose); pipe != nullptr) {
      std::string name;
      for (int c = std::fgetc(pipe.get()); c != EOF; c = std::fgetc(pipe.get())) {
        if (c != 0) {
          name += static_cast<char>(c);
        } else {
          if (fs::exists(root / name, problem)) files.push_back(name);
          name.clear();
        }
      }
    }
  }
  if (files.empty())
    for (fs::recursive_directory_iterator it(root, problem), end; it != end; it.increment(problem)) {
      const std::string name = it->path().lexically_relative(root).generic_string();
      if (it.depth() == 0 && (name == "build" || name.starts_with("build-") || name == ".git")) it.disable_recursion_pending();
      else if (it->is_regular_file(problem)) files.push_back(name);
    }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> check_tree(const fs::path& root, const std::vector<std::string>& files) {
  Tree tree{root, {files.begin(), files.end()}, {}};
  std::set<std::string> strangers;
  for (const std::string& file : files) {
    const std::string_view top = first_part(file);
    if (!top.starts_with('.') && !kTopLevel.contains(top)) strangers.insert(std::string(top));
    const bool source = is_source(file);
    if (!source && !is_prose(file)) continue;
    std::ifstream in(root / file, std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    const std::string text = bytes.str();
    if (source) check_includes(tree, file, text);
    if (is_prose(file)) check_words(tree, file, text);
    if (file.starts_with("plugins/") && file.ends_with("CMakeLists.txt"))
      for (const char* command : {"target_link_libraries", "find_package", "link_libraries"})
        if (text.find(command) != std::string::npos) {
          tree.report(file, 1, std::string("calls ") + command + ": a plugin links the SDK only, through plimsoll_add_plugin");
          break;
        }
  }
  for (const std::string& stranger : strangers) tree.report(stranger, 0, "does not belong to the top level");
  return tree.found;
}

} // namespace plimsoll::lint
