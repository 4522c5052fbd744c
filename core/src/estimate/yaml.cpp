// An estimate's request as YAML: the same document in the other syntax. See plimsoll/estimate_json.hpp.
// Called by `plimsoll estimate`. Never trusts the text. Threads: pure functions.
#include "base/yaml.hpp"
#include "plimsoll/estimate_json.hpp"

namespace plimsoll {

Result<EstimateRequest> parse_estimate_request_yaml(std::string_view yaml, const std::string& where) {
  auto json = yaml_to_json(yaml);
  if (!json) {
    json.error().where = where;
    return tl::unexpected(std::move(json.error()));
  }
  return parse_estimate_request(*json);
}

} // namespace plimsoll
