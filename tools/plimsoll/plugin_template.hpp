// A vendor's first project: a copy of the installation's template under the vendor's names. Threads: pure but for the files.
#pragma once

#include <string>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll::cli {

// What the files of a new plugin are called, all of its id: com.acme.big-vl gives AcmeBigVl, acme_big_vl and Acme.
struct PluginNames {
  std::string id, class_name, model_type, vendor;
};

// bad_request for what is no id of a vendor: a reverse domain, as com.acme.vlm.
Result<PluginNames> plugin_names(const std::string& id);

// Copies the folder `source` to `target`, which must not exist, with the template's names replaced; all of it or nothing. The files,
// relative to `target` and sorted.
Result<std::vector<std::string>> write_plugin(const std::string& source, const std::string& target, const PluginNames& names);

} // namespace plimsoll::cli
