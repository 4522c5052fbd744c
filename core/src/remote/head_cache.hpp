// Heads of remote files on this machine: as long as the files they are of, with a hole where the rest would be, so that readers of files
// read them. Called by fetch_model.cpp. Every file is there completely or not at all, whoever else fetches; what others put there is taken
// for nothing that it does not prove to be. Threads: an object is one thread's; any number of them and of processes have one folder.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

struct CacheLimits {
  std::uint64_t kept_bytes = 2ULL << 30; // of the disk
  std::size_t files = 50'000;
};

struct Head {
  std::string path, etag;
  std::uint64_t file_bytes = 0, head_bytes = 0;
};

class HeadCache {
public:
  // `directory` is made where it is not there, for this user alone.
  static Result<HeadCache> open(const std::string& directory, const CacheLimits& limits = {});

  // What is kept of a URL; nothing where that is damaged, or where its server gave no ETag to ask with.
  std::optional<Head> find(const std::string& url) const;
  // Keeps the first bytes of a file, in the place of what was kept of that URL. kBadRequest where the disk refuses.
  Result<Head> keep(const std::string& url, const std::string& etag, std::string_view head, std::uint64_t file_bytes) const;
  // A folder with these files under these names, which may have folders of their own; the same files have the same folder.
  Result<std::string> folder(const std::vector<std::pair<std::string, Head>>& named) const;
  // Throws out what was not used for longest, down to half of what may be kept, where there is more.
  void prune() const;

private:
  HeadCache(std::string directory, const CacheLimits& limits) : directory_(std::move(directory)), limits_(limits) {}
  std::vector<std::string> files_of(const std::string& folder, const std::string& name) const;

  std::string directory_;
  CacheLimits limits_;
  mutable std::map<std::string, std::vector<std::string>> listed_; // folders as they were when first asked for, sorted
};

} // namespace plimsoll
