// A small memory of what files said; forgets everything when it is full. Never reads a file itself.
// Threads: any; values are shared and immutable.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "plimsoll/result.hpp"

namespace plimsoll {

template <class T>
class FileCache {
public:
  template <class Make>
  Result<std::shared_ptr<const T>> get(const std::string& key, Make&& make) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto it = map_.find(key); it != map_.end()) return it->second;
    }
    Result<T> made = make();
    if (!made) return tl::unexpected(std::move(made.error()));
    auto value = std::make_shared<const T>(std::move(*made));
    const std::unique_lock lock(mutex_);
    if (map_.size() >= kMaxCached) map_.clear();
    map_.emplace(key, value);
    return value;
  }

private:
  static constexpr std::size_t kMaxCached = 256;
  std::shared_mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const T>> map_;
};

} // namespace plimsoll
