#include "plugin/trust.hpp"

#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

namespace plimsoll {
namespace {

TrustFault misplaced(std::string message, const std::string& path) { return {false, {ErrorCode::kPluginFailed, std::move(message), path}}; }

} // namespace

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
  return real == nullptr ? std::string() : std::string(real.get());
}

std::optional<FileIdentity> identify_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return FileIdentity{info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

Believed believed_like(const std::string& library) {
  struct stat info {};
  if (::stat(library.c_str(), &info) != 0) return {};
  Believed believed;
  believed.owner = info.st_uid;
  if ((info.st_mode & S_IWGRP) != 0) believed.group = info.st_gid;
  return believed;
}

std::optional<Error> TrustCheck::writers(const std::string& path, const struct ::stat& info, bool folder) const {
  if (info.st_uid != 0 && info.st_uid != ::geteuid() && info.st_uid != believed_.owner)
    return Error{ErrorCode::kPluginFailed,
                 fmt::format("belongs to user {}; plugins must belong to root or to the user who runs them", info.st_uid), path};
  const bool group_writes = (info.st_mode & S_IWGRP) != 0 && info.st_gid != believed_.group;
  const bool others_write = group_writes || (info.st_mode & S_IWOTH) != 0;
  if (!others_write || (folder && (info.st_mode & S_ISVTX) != 0)) return std::nullopt;
  return Error{ErrorCode::kPluginFailed, "may be written by others; remove that permission (chmod go-w), or load plugins in open mode",
               path};
}

std::optional<TrustFault> TrustCheck::folder_fault(const std::string& folder) {
  if (right_folders_.count(folder) != 0) return std::nullopt;
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) return misplaced("cannot be examined", folder);
  if (!S_ISDIR(info.st_mode)) return misplaced("is not a folder", folder);
  if (auto error = writers(folder, info, true)) return TrustFault{true, std::move(*error)};
  const std::size_t cut = folder.rfind('/');
  if (folder != "/")
    if (auto above = folder_fault(cut == 0 ? "/" : folder.substr(0, cut))) return above;
  right_folders_.insert(folder);
  return std::nullopt;
}

std::optional<TrustFault> TrustCheck::fault(const std::string& folder, const std::vector<std::string>& files) {
  std::optional<TrustFault> of_writers;
  for (const std::string& name : files) {
    const std::string path = folder + "/" + name;
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return misplaced("is not there", path);
    if (S_ISLNK(info.st_mode)) {
      const std::string real = real_path(path);
      if (real.empty() || ::stat(real.c_str(), &info) != 0) return misplaced("is a link to nothing", path);
      if (real.substr(0, real.rfind('/')) != folder)
        return misplaced("leads out of the plugin's folder; its files must lie beside its manifest", path);
    }
    if (!S_ISREG(info.st_mode)) return misplaced("is not a regular file", path);
    if (of_writers) continue;
    if (auto error = writers(path, info, false)) of_writers = TrustFault{true, std::move(*error)};
  }
  if (of_writers) return of_writers;
  return folder_fault(folder);
}

bool process_is_elevated() { return ::getauxval(AT_SECURE) != 0; }

Result<void> check_trust(Trust trust, bool elevated) {
  if (trust == Trust::kOpen && elevated)
    return fail(ErrorCode::kPluginFailed,
                "open trust is refused where the process has more rights than who started it; leave it out, then plugins are checked",
                "trust");
  return {};
}

} // namespace plimsoll
