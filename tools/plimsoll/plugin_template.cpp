// See plugin_template.hpp.
#include "plugin_template.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <utility>

namespace plimsoll::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostIdBytes = 64; // as manifests have it
constexpr std::string_view kTemplateId = "com.example.copyme", kTemplateClass = "Copyme", kTemplateType = "copyme",
                           kTemplateVendor = "Example";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::vector<std::string> segments_of(const std::string& id) {
  std::vector<std::string> out(1);
  for (const char c : id) {
    if (c == '.') out.emplace_back();
    else out.back() += c;
  }
  return out;
}

bool is_segment(const std::string& text) {
  return !text.empty() && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; });
}

// "big-vl" as BigVl.
std::string camel(const std::string& text) {
  std::string out;
  bool begins = true;
  for (const char c : text) {
    if (c == '-' || c == '_') {
      begins = true;
      continue;
    }
    out += begins ? upper(c) : c;
    begins = false;
  }
  return out;
}

std::string renamed(std::string_view text, const PluginNames& names) {
  const std::array<std::pair<std::string_view, std::string_view>, 4> rules{
      {{kTemplateId, names.id}, {kTemplateClass, names.class_name}, {kTemplateType, names.model_type}, {kTemplateVendor, names.vendor}}};
  std::string out;
  while (!text.empty()) {
    const auto* const rule = std::find_if(rules.begin(), rules.end(), [&](const auto& each) { return text.starts_with(each.first); });
    if (rule == rules.end()) {
      out += text.front();
      text.remove_prefix(1);
    } else {
      out += rule->second;
      text.remove_prefix(rule->first.size());
    }
  }
  return out;
}

tl::unexpected<Error> cannot(std::string_view what, const fs::path& path, const std::error_code& problem) {
  return fail(ErrorCode::kBadRequest, fmt::format("cannot be {}: {}", what, problem.message()), path.string());
}
std::error_code last_problem() { return {errno, std::generic_category()}; }

// A folder that goes away with this object, unless it was given its name.
class NewFolder {
public:
  static Result<NewFolder> beside(const std::string& target) {
    std::string path = target + ".XXXXXX";
    if (mkdtemp(path.data()) == nullptr) return cannot("written", target, last_problem());
    return NewFolder(std::move(path));
  }
  NewFolder(NewFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  NewFolder& operator=(NewFolder&&) = delete;
  ~NewFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }
  // What has come there meanwhile stays, but for an empty folder: so rename() is with folders.
  Result<void> rename_to(const std::string& target) {
    if (std::rename(path_.c_str(), target.c_str()) != 0) return cannot("written", target, last_problem());
    path_.clear();
    return {};
  }

private:
  explicit NewFolder(std::string path) : path_(std::move(path)) {}
  fs::path path_;
};

Result<void> copy_file(const fs::path& from, const fs::path& to, const PluginNames& names) {
  std::ifstream in(from, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in.is_open() || in.bad()) return cannot("read", from, last_problem());
  std::error_code problem;
  fs::create_directories(to.parent_path(), problem);
  if (problem) return cannot("written", to.parent_path(), problem);
  std::ofstream out(to, std::ios::binary);
  out << renamed(text, names);
  out.close();
  if (!out) return cannot("written", to, last_problem());
  const fs::perms runs = fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;
  if ((fs::status(from, problem).permissions() & fs::perms::owner_exec) != fs::perms::none)
    fs::permissions(to, runs, fs::perm_options::add, problem);
  if (problem) return cannot("written", to, problem);
  return {};
}

// Its regular files, relative and sorted.
Result<std::vector<std::string>> files_of(const std::string& source) {
  std::vector<std::string> out;
  std::error_code problem;
  for (fs::recursive_directory_iterator it(source, problem), end; !problem && it != end; it.increment(problem))
    if (it->is_regular_file(problem)) out.push_back(fs::path(it->path()).lexically_relative(source).string());
  if (problem) return cannot("read", source, problem);
  if (out.empty()) return fail(ErrorCode::kInternal, "the template has no files; install it anew", source);
  std::sort(out.begin(), out.end());
  return out;
}

} // namespace

Result<PluginNames> plugin_names(const std::string& id) {
  const std::vector<std::string> segments = segments_of(id);
  if (segments.size() < 2 || id.size() > kMostIdBytes || !std::all_of(segments.begin(), segments.end(), is_segment))
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is no vendor's id; give a reverse domain such as com.acme.vlm: words of letters, digits, - and _ that "
                            "begin with a letter, between dots, at most {} bytes",
                            id.substr(0, kMostIdBytes), kMostIdBytes),
                "NAME");
  PluginNames out;
  out.id = id;
  const std::string& vendor = segments[segments.size() > 2 ? 1 : 0];
  out.vendor = camel(vendor);
  out.class_name = out.vendor + camel(segments.back());
  for (const char c : vendor + "_" + segments.back()) out.model_type += c == '-' ? '_' : lower(c);
  return out;
}

Result<std::vector<std::string>> write_plugin(const std::string& source, const std::string& target, const PluginNames& names) {
  struct stat info {};
  if (lstat(target.c_str(), &info) == 0) return fail(ErrorCode::kBadRequest, "is there already; nothing was written", target);
  PLIMSOLL_ASSIGN(std::vector<std::string> files, files_of(source));
  PLIMSOLL_ASSIGN(NewFolder folder, NewFolder::beside(target));
  for (const std::string& file : files) PLIMSOLL_TRY(copy_file(fs::path(source) / file, folder.path() / file, names));
  const mode_t mask = umask(0);
  umask(mask);
  if (chmod(folder.path().c_str(), 0777 & ~mask) != 0) return cannot("written", target, last_problem());
  PLIMSOLL_TRY(folder.rename_to(target));
  return files;
}

} // namespace plimsoll::cli
