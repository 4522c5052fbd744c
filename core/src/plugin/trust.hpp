// Who may hand us code and data: owner and permissions of a plugin's files and of every folder above them. Asked at discovery, before any
// of a plugin counts. Never follows a file out of its folder. Threads: one, but for the free functions.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>
#include <vector>

#include "plimsoll/host.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Where a path leads, all links on the way followed; empty where nothing is there.
std::string real_path(const std::string& path);

// Which file lies at a path, and whether it is still the same text: compared before and after a library is opened.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  off_t file_bytes = 0;
  time_t changed_seconds = 0;
  long changed_nanoseconds = 0;
  bool same_file(const FileIdentity& other) const { return device == other.device && inode == other.inode; }
  bool operator==(const FileIdentity&) const = default;
};
std::optional<FileIdentity> identify_file(const std::string& path);

// Who is believed beside root and this user. The installation believes whoever may write the library that this code is in: its owner, and
// its group where that may write it too. Nobody else does.
struct Believed {
  std::optional<uid_t> owner;
  std::optional<gid_t> group;
};
Believed believed_like(const std::string& library);

struct TrustFault {
  bool of_writers = false; // others may write it: loaded in open mode all the same. Otherwise it is missing, no file, or elsewhere
  Error error;             // kPluginFailed, names the file or folder
};

// Remembers which folders are right, so that many plugins of one place cost one look at those above.
class TrustCheck {
public:
  explicit TrustCheck(Believed believed = {}) : believed_(believed) {}
  // Nothing, where every one of `files` is a regular file in `folder` (a path without links), and they, the folder and every folder
  // above belong to who is believed and nobody else may write them. A folder that all may write is right where it is sticky, as
  // temporary folders are: others cannot rename in it.
  std::optional<TrustFault> fault(const std::string& folder, const std::vector<std::string>& files);

private:
  std::optional<TrustFault> folder_fault(const std::string& folder);
  std::optional<Error> writers(const std::string& path, const struct ::stat& info, bool folder) const;

  Believed believed_;
  std::set<std::string> right_folders_;
};

// Whether this process has more rights than who started it (setuid, file capabilities).
bool process_is_elevated();
// kPluginFailed for open mode in an elevated process: whoever starts it would choose what runs with its rights.
Result<void> check_trust(Trust trust, bool elevated);

} // namespace plimsoll
