// The models that have names here: of the local Hugging Face cache, of the catalogue, and other names of the catalogue's.
// Called by locate.cpp for a name that is none of them letter by letter, so that a plan of a name that is right pays nothing for it.
// Reads two folders and one small file. Threads: pure functions of the file system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

struct KnownNames {
  std::string name;                 // the one that was meant; empty where that is not certain
  std::vector<std::string> meant;   // several that it may mean
  std::vector<std::string> nearest; // where it means none: those that look like it, the likeliest first
};

// What `name` stands for, without regard to case, with or without the organisation, and with blanks, - and _ as one. An error only
// where the list of other names is at fault.
Result<KnownNames> find_known_model(std::string_view name, const std::string& cache_directory, const std::string& catalogue_directory);

// The file of other names beside the catalogue's models.
std::string other_names_file(const std::string& catalogue_directory);

} // namespace plimsoll
