// What says how a model is built: its config.json and, where there is one, hf_quant_config.json; or an entry of the catalogue,
// which holds both. Reads files and judges nothing in them. Threads: pure functions.
#pragma once

#include <optional>
#include <string>

#include "base/json.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct ConfigFiles {
  Json config;
  std::optional<Json> hf_quant_config;
  const Json* quant() const { return hf_quant_config ? &*hf_quant_config : nullptr; }
};

Result<ConfigFiles> read_config(const std::string& path, const std::optional<std::string>& hf_quant_path);

} // namespace plimsoll
