// Which configurations a plugin is tried with: those that were named, else the plugin's own, else the catalogue's of its architectures,
// else some that are made of its manifest. Threads: pure functions of the file system.
#pragma once

#include <string>
#include <vector>

#include "check/cases.hpp"

namespace plimsoll::check {

inline constexpr std::size_t kMostNamed = 16, kMostFound = 4;

// kBadRequest where a named one is no configuration.
Result<std::vector<Input>> collect_inputs(const Manifest& manifest, const std::vector<std::string>& named, const std::string& catalogue);

// What a checkpoint stores: a .safetensors file, a folder of them, an index (names alone) or a header as JSON. Empty `dtype`: unknown.
Result<std::vector<StoredTensor>> read_stored(const std::string& path);

} // namespace plimsoll::check
