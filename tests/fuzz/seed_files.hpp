// Seeds that lie in the repository as files. Threads: any.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace plimsoll::fuzz {

inline std::string read_seed(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// The files of one folder with that extension and at most that many bytes, sorted by name.
inline std::vector<std::filesystem::path> seed_files(const std::filesystem::path& folder, const std::string& extension,
                                                     std::uintmax_t most_bytes) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == extension && entry.file_size() <= most_bytes) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

} // namespace plimsoll::fuzz
