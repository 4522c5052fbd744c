#include "plugin/trust.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace plimsoll {
namespace {

Result<void> check_one(const std::string& path, bool folder) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return fail(ErrorCode::kPluginFailed, "cannot be examined", path);
  if (folder ? !S_ISDIR(info.st_mode) : !S_ISREG(info.st_mode))
    return fail(ErrorCode::kPluginFailed, folder ? "is not a folder" : "is not a regular file", path);
  if (info.st_uid != 0 && info.st_uid != ::geteuid())
    return fail(ErrorCode::kPluginFailed,
                fmt::format("belongs to user {}; plugins must belong to root or to the user who runs them", info.st_uid), path);
  const bool others_write = (info.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  if (others_write && !(folder && (info.st_mode & S_ISVTX) != 0))
    return fail(ErrorCode::kPluginFailed, "may be written by others; remove that permission (chmod go-w), or load plugins in open mode",
                path);
  return {};
}

} // namespace

Result<void> check_plugin_files(const std::string& directory, const std::string& library) {
  std::error_code failed;
  const std::filesystem::path folder = std::filesystem::canonical(directory, failed);
  if (failed) return fail(ErrorCode::kPluginFailed, failed.message(), directory);
  const std::filesystem::path file = std::filesystem::canonical(folder / library, failed);
  if (failed) return fail(ErrorCode::kPluginFailed, failed.message(), directory + "/" + library);
  if (file.parent_path() != folder)
    return fail(ErrorCode::kPluginFailed, "leads out of the plugin's folder; the library must lie beside its manifest",
                directory + "/" + library);
  PLIMSOLL_TRY(check_one(file.string(), false));
  PLIMSOLL_TRY(check_one((folder / "plugin.yaml").string(), false));
  for (std::filesystem::path at = folder;; at = at.parent_path()) {
    PLIMSOLL_TRY(check_one(at.string(), true));
    if (at == at.parent_path()) return {};
  }
}

} // namespace plimsoll
