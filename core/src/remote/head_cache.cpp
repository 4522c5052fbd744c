#include "remote/head_cache.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/regular_file.hpp"
#include "remote/remote_model.hpp"
#include "storage/name_hashes.hpp"

// heads/HOST/FOLDER/NAME,FILE_BYTES,HEAD_BYTES,HASH,ETAG is a head; models/HASH is a folder of links to some of them.

namespace plimsoll {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostHeadBytes = 256'000'000;
constexpr std::size_t kMostName = 250;

tl::unexpected<Error> refused(std::string_view what, const std::string& path, int error) {
  return fail(ErrorCode::kBadRequest,
              fmt::format("{}: {}; set XDG_CACHE_HOME to a folder of yours with room for the headers of models", what,
                          std::error_code(error, std::generic_category()).message()),
              path);
}

// Where the heads of a URL's folder are, and the file's name as it is in the URL.
struct Place {
  std::string folder, name;
};
Place place_of(const std::string& directory, const std::string& url) {
  std::string host = host_of(url);
  std::replace(host.begin(), host.end(), ':', '+');
  const bool secure = url.starts_with("https://");
  const std::size_t path = url.find('/', url.find("://") + 3), name = url.rfind('/');
  return {fmt::format("{}/heads/{}{}{}", directory, secure ? "" : "http+", host, url.substr(path, name - path)), url.substr(name + 1)};
}

// An ETag as part of a file's name; empty where it has letters that none should have.
std::string etag_text(std::string_view etag) {
  std::string out;
  if (etag.starts_with("W/")) {
    out = "W~";
    etag.remove_prefix(2);
  }
  if (etag.size() < 3 || etag.size() > 100 || etag.front() != '"' || etag.back() != '"') return {};
  etag = etag.substr(1, etag.size() - 2);
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '=' ||
           c == '+';
  };
  if (!std::all_of(etag.begin(), etag.end(), is_plain)) return {};
  return out + std::string(etag);
}

std::string etag_of(std::string_view text) {
  if (text.starts_with("W~")) return fmt::format("W/\"{}\"", text.substr(2));
  return fmt::format("\"{}\"", text);
}

std::optional<std::uint64_t> number(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || wrong != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct HeadName {
  std::string_view name, etag;
  std::uint64_t file_bytes = 0, head_bytes = 0, hash = 0;
};

std::optional<HeadName> parse_name(std::string_view text) {
  HeadName out;
  std::vector<std::string_view> parts;
  for (int i = 0; i < 4; ++i) { // from behind: a name may have commas
    const std::size_t comma = text.rfind(',');
    if (comma == std::string_view::npos) return std::nullopt;
    parts.push_back(text.substr(comma + 1));
    text = text.substr(0, comma);
  }
  const auto hash = number(parts[1], 16), head_bytes = number(parts[2], 10), file_bytes = number(parts[3], 10);
  if (!hash || !head_bytes || !file_bytes || *head_bytes > *file_bytes || *head_bytes > kMostHeadBytes) return std::nullopt;
  out.name = text;
  out.etag = parts[0];
  out.hash = *hash;
  out.head_bytes = *head_bytes;
  out.file_bytes = *file_bytes;
  return out;
}

std::string head_name(const std::string& name, std::uint64_t file_bytes, std::string_view head, const std::string& etag) {
  std::string out = fmt::format("{},{},{},{:016x},{}", name, file_bytes, head.size(), name_hash(head), etag_text(etag));
  if (out.size() > kMostName) out = fmt::format("{},{},{},{:016x},", name, file_bytes, head.size(), name_hash(head));
  return out;
}

std::string unused_name() {
  static std::atomic<std::uint64_t> count{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  return fmt::format(".new.{}.{}.{}", getpid(), now, count.fetch_add(1));
}

Result<void> make_folders(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) return refused("the folder cannot be made", path, failed.value());
  return {};
}

Result<void> write_all(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return refused("cannot be written", path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> write_head(const std::string& path, std::string_view head, std::uint64_t file_bytes) {
  rlimit most = {}; // beyond it the system ends a process that does not expect it
  if (::getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY && file_bytes > most.rlim_cur)
    return refused(fmt::format("a file of {} bytes, as its server has it, is beyond `ulimit -f`", file_bytes), path, EFBIG);
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return refused("cannot be written", path, errno);
  Result<void> written = write_all(descriptor, head, path);
  if (written && (file_bytes > static_cast<std::uint64_t>(INT64_MAX) || ::ftruncate(descriptor, static_cast<off_t>(file_bytes)) != 0))
    written = refused(fmt::format("a file of {} bytes, as its server has it, cannot be", file_bytes), path, errno);
  if (::close(descriptor) != 0 && written) written = refused("cannot be written", path, errno);
  if (!written) ::unlink(path.c_str());
  return written;
}

bool is_same_file(const std::string& a, const std::string& b) {
  struct stat first = {}, second = {};
  return ::lstat(a.c_str(), &first) == 0 && ::lstat(b.c_str(), &second) == 0 && first.st_ino == second.st_ino &&
         first.st_dev == second.st_dev;
}

} // namespace

Result<HeadCache> HeadCache::open(const std::string& directory, const CacheLimits& limits) {
  PLIMSOLL_TRY(make_folders(directory + "/heads"));
  PLIMSOLL_TRY(make_folders(directory + "/models"));
  if (::chmod(directory.c_str(), 0700) != 0) return refused("the folder is not this user's", directory, errno);
  return HeadCache(directory, limits);
}

// What is kept under one name of a folder.
std::vector<std::string> HeadCache::files_of(const std::string& folder, const std::string& name) const {
  auto [listed, is_new] = listed_.try_emplace(folder);
  std::vector<std::string>& files = listed->second;
  if (is_new) {
    std::error_code failed;
    for (fs::directory_iterator it(folder, failed), end; !failed && it != end && files.size() < limits_.files; it.increment(failed))
      files.push_back(it->path().filename().string());
    std::sort(files.begin(), files.end());
  }
  std::vector<std::string> out;
  const std::string start = name + ",";
  for (auto at = std::lower_bound(files.begin(), files.end(), start); at != files.end() && at->starts_with(start); ++at)
    if (const auto said = parse_name(*at); said && said->name == name) out.push_back(*at);
  return out;
}

std::optional<Head> HeadCache::find(const std::string& url) const {
  const Place place = place_of(directory_, url);
  for (const std::string& file : files_of(place.folder, place.name)) {
    const auto said = parse_name(file);
    if (said->etag.empty()) continue;
    const auto opened = RegularFile::open(place.folder + "/" + file);
    if (!opened || opened->file_bytes() != said->file_bytes) continue;
    std::string head(said->head_bytes, '\0');
    if (!opened->read(0, head) || name_hash(head) != said->hash) continue;
    ::utimensat(AT_FDCWD, opened->path().c_str(), nullptr, 0); // used now
    return Head{opened->path(), etag_of(said->etag), said->file_bytes, said->head_bytes};
  }
  return std::nullopt;
}

Result<Head> HeadCache::keep(const std::string& url, const std::string& etag, std::string_view head, std::uint64_t file_bytes) const {
  const Place place = place_of(directory_, url);
  const std::string name = head_name(place.name, file_bytes, head, etag);
  Head out{place.folder + "/" + name, etag, file_bytes, head.size()};
  const std::string fresh = place.folder + "/" + unused_name();
  Result<void> written = write_head(fresh, head, file_bytes);
  if (!written && ::access(place.folder.c_str(), F_OK) != 0) { // the first one of its folder
    PLIMSOLL_TRY(make_folders(place.folder));
    written = write_head(fresh, head, file_bytes);
  }
  PLIMSOLL_TRY(written);
  if (::rename(fresh.c_str(), out.path.c_str()) != 0) {
    const int error = errno;
    ::unlink(fresh.c_str());
    return refused("cannot be written", out.path, error);
  }
  for (const std::string& older : files_of(place.folder, place.name))
    if (older != name) ::unlink((place.folder + "/" + older).c_str());
  return out;
}

// Whether a folder has these very files and no others.
static bool has_files(const std::string& path, const std::vector<std::pair<std::string, Head>>& named) {
  for (const auto& [name, head] : named)
    if (!is_same_file(path + "/" + name, head.path)) return false;
  std::error_code failed;
  std::size_t files = 0;
  for (fs::recursive_directory_iterator it(path, failed), end; !failed && it != end; it.increment(failed))
    if (!it->is_directory(failed)) ++files;
  return !failed && files == named.size();
}

Result<std::string> HeadCache::folder(const std::vector<std::pair<std::string, Head>>& named) const {
  std::uint64_t hash = 0;
  for (const auto& [name, head] : named) { // of the file itself: another's, fetched at the same time, has a folder of its own
    struct stat found = {};
    ::lstat(head.path.c_str(), &found);
    hash = mixed(mixed(hash ^ name_hash(name + "\n" + head.path)) ^ found.st_ino);
  }
  const std::string path = fmt::format("{}/models/{:016x}", directory_, hash);
  if (has_files(path, named)) {
    ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
    return path;
  }
  std::error_code failed;
  const std::string fresh = directory_ + "/models/" + unused_name();
  PLIMSOLL_TRY(make_folders(fresh));
  for (const auto& [name, head] : named) {
    const std::string to = fresh + "/" + name;
    if (name.find('/') != std::string::npos) PLIMSOLL_TRY(make_folders(fs::path(to).parent_path().string()));
    if (::link(head.path.c_str(), to.c_str()) != 0 && ::symlink(head.path.c_str(), to.c_str()) != 0) {
      const int error = errno;
      fs::remove_all(fresh, failed);
      return refused("cannot be made", to, error);
    }
  }
  if (::rename(fresh.c_str(), path.c_str()) == 0) return path;
  if (has_files(path, named)) { // somebody was faster
    fs::remove_all(fresh, failed);
    return path;
  }
  const std::string damaged = directory_ + "/models/" + unused_name();
  ::rename(path.c_str(), damaged.c_str());
  fs::remove_all(damaged, failed);
  return ::rename(fresh.c_str(), path.c_str()) == 0 ? path : fresh;
}

void HeadCache::prune() const {
  struct Kept {
    std::string path;
    std::uint64_t bytes = 0;
    std::int64_t used = 0;
  };
  std::vector<Kept> kept;
  std::uint64_t bytes = 0;
  std::error_code failed;
  for (fs::recursive_directory_iterator it(directory_ + "/heads", fs::directory_options::skip_permission_denied, failed), end;
       !failed && it != end; it.increment(failed)) {
    struct stat found = {};
    if (::lstat(it->path().c_str(), &found) != 0 || S_ISDIR(found.st_mode)) continue;
    kept.push_back({it->path().string(), static_cast<std::uint64_t>(found.st_blocks) * 512, found.st_mtime});
    bytes += kept.back().bytes;
  }
  if (bytes <= limits_.kept_bytes && kept.size() <= limits_.files) return;
  std::sort(kept.begin(), kept.end(), [](const Kept& a, const Kept& b) { return a.used < b.used; });
  std::size_t files = kept.size();
  for (const Kept& one : kept) {
    if (bytes <= limits_.kept_bytes / 2 && files <= limits_.files / 2) break;
    ::unlink(one.path.c_str());
    bytes -= one.bytes;
    --files;
  }
  constexpr std::int64_t kInUseSeconds = 3600; // somebody may be reading it
  const std::int64_t now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (fs::directory_iterator it(directory_ + "/models", failed), end; !failed && it != end; it.increment(failed)) {
    struct stat found = {};
    std::error_code ignored;
    if (::lstat(it->path().c_str(), &found) == 0 && now - found.st_mtime > kInUseSeconds) fs::remove_all(it->path(), ignored);
  }
}

} // namespace plimsoll
