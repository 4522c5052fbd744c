// See plimsoll/check.hpp: where the catalogue and the program of the processes are.
#include "plimsoll/check.hpp"

#include "check/runner.hpp"
#include "plugin/registry.hpp"
#include "worker/worker_link.hpp"

namespace plimsoll {

Result<CheckReport> check_plugin(const std::string& directory, const CheckOptions& options) {
  const std::string catalogue = options.catalogue_path.empty() ? installation_prefix() + "/share/plimsoll" : options.catalogue_path;
  return check::run_check(directory, options, worker_program(), catalogue);
}

} // namespace plimsoll
