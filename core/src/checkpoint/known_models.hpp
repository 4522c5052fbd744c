// The models that have names here: of the local Hugging Face cache, of the catalogue, and other names of the catalogue's.
// Called by locate.cpp for a name that is none of them letter by letter, so that a plan of a name that is right pays nothing for it.
// Reads two folders, and of the file of other names the rows that count. Threads: pure functions of the file system.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// A row of the catalogue's file of other names.
struct OtherName {
  std::string name, model; // what it is called, and the entry whose configuration it has
  Json changes;            // but for these keys, as a merge patch (RFC 7396): a quantisation, another length. Null: it is that model
  std::string assumed;     // what of the changes nobody published, for people
  bool is_variant() const { return !changes.is_null(); }
};

struct KnownNames {
  std::string name;                 // the one that was meant; empty where that is not certain
  std::optional<OtherName> variant; // where that is no entry but a row with changes
  std::vector<std::string> meant;   // several that it may mean
  std::vector<std::string> nearest; // where it means none: those that look like it, the likeliest first
};

// What `name` stands for, without regard to case, with or without the organisation, and with blanks, - and _ as one. An error only
// where a row that it needs of the list of other names is at fault.
Result<KnownNames> find_known_model(std::string_view name, const std::string& cache_directory, const std::string& catalogue_directory);

// The rows of the file of other names beside the catalogue's models, none where there is no such file. kBadRequest names the row at fault.
Result<std::vector<OtherName>> read_other_names(const std::string& catalogue_directory);

} // namespace plimsoll
