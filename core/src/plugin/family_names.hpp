// What a family is called by, what its classes fill in, how its modules are stored: keys of a manifest, or of a JSON file beside it.
// A file of our own becomes values when somebody asks for a name that its text has: no start reads a thousand names for the one it is
// about.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/abi.h"
#include "plugin/manifest_reader.hpp"
#include "storage/module_names.hpp"

namespace plimsoll {

inline constexpr std::array<NamedValue, 3> kSignalPolicies{
    {{"never", PLIMSOLL_SIGNAL_NEVER}, {"multi_rank", PLIMSOLL_SIGNAL_MULTI_RANK}, {"always", PLIMSOLL_SIGNAL_ALWAYS}}};

// A fused projection ("qkv_proj") and the parts in which others store it ("q_proj", "k_proj", "v_proj").
using Fusions = std::map<std::string, std::vector<std::string>>;

struct FamilyNames {
  std::map<std::string, std::uint32_t, std::less<>> architectures; // name -> signal policy, PLIMSOLL_SIGNAL_*
  std::vector<std::string> model_types;
  std::map<std::string, LazyJson, std::less<>> class_defaults; // model_type -> object
  ModuleNames modules;                                         // of the linear layers that exporters treat apart
  Fusions fusions;

  bool has(std::string_view name) const; // an architecture or a model_type
};

// Takes texts out of `node`, an object that may have other keys, into `names`. `policy`: of architectures that state none.
void read_names(Json& node, const std::string& pointer, std::uint32_t policy, ManifestReader& read, FamilyNames& names);
// The whole text of a file of names into `names`; what is wrong is an error that names the file and the key.
Result<void> read_names_file(std::string text, const std::string& path, std::uint32_t policy, FamilyNames& names);

// Names that are there, or the text of a file that they are to be read of. Threads: any.
class LateNames {
public:
  explicit LateNames(FamilyNames names) : names_(std::move(names)) {}
  // A text of ours, which tests have read to the end.
  LateNames(std::string text, std::string path, std::uint32_t policy);
  LateNames(const LateNames&) = delete;
  LateNames& operator=(const LateNames&) = delete;

  // Reads them, the first time. Of a file that turns out to be broken nothing; see `fault`.
  const FamilyNames& get() const;
  // Whether an architecture or a model_type of that name can be among them; asks the text alone.
  bool may_have(std::string_view name) const;
  // Whether they can fill in something for a model_type.
  bool may_fill_in(std::string_view type) const;
  // What is wrong with the file; reads it.
  const std::optional<Error>& fault() const {
    static_cast<void>(get());
    return fault_;
  }

private:
  bool has_text() const { return !text_.empty(); }

  std::string text_, path_;
  std::uint32_t policy_ = 0;
  std::size_t names_end_ = 0; // of the part of the text before what classes fill in
  bool escapes_ = false;      // a name may be spelt otherwise
  mutable std::once_flag once_;
  mutable FamilyNames names_;
  mutable std::optional<Error> fault_;
};

} // namespace plimsoll
