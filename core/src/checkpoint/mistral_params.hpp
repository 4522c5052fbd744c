// params.json of repositories in Mistral's own format (params.json and consolidated*.safetensors, no config.json): the same model as a
// config.json says it. Reads no file. Threads: pure functions.
#pragma once

#include <string>

#include "base/json.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Dense models, mixtures of experts, and those with latent attention and shared experts; the language model of what sees or hears, whose
// tower counts as the checkpoint stores it. `with_checkpoint`: there is one; without it a tower is kUnsupportedArchitecture. kBadConfig
// names `where` and the key. `names`: core/catalogue/mistral_params.json, what each kind is called by a config.json.
Result<Json> config_of_mistral_params(const Json& params, const Json& names, bool with_checkpoint, const std::string& where);

} // namespace plimsoll
