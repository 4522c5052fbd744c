// What says how a model is built: its config.json and, where there is one, hf_quant_config.json; or an entry of the catalogue,
// which holds both. Where modules.json says that an embedder is made of the model, the configuration's `runner` is "pooling" from then on.
// Reads files and judges nothing in them. Threads: pure functions.
#pragma once

#include <optional>
#include <string>

#include "base/json.hpp"
#include "checkpoint/locate.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct ConfigFiles {
  Json config;
  std::optional<Json> hf_quant_config;
  // Puts `changes` over the configuration (a merge patch); a quantisation among them stands in place of the one that was there.
  void change(const Json& changes);
  const Json* quant() const { return hf_quant_config ? &*hf_quant_config : nullptr; }
};

// `catalogue`: the folder that says what the kinds of a params.json are called. `with_checkpoint`: tensors lie beside it, which say what
// such a file leaves out.
Result<ConfigFiles> read_config(const std::string& path, const std::optional<std::string>& hf_quant_path, const std::string& catalogue,
                                bool with_checkpoint = true);

// Parts that a configuration names by repositories of their own (Ultravox: text_model_id): their configurations, found as models are.
// Nothing where it names none, or has the part itself.
Result<void> read_named_parts(Json& config, const LocateOptions& options, const std::string& catalogue, const std::string& where);

// The model that the LoRA adapter in that folder was made for; nothing where the folder holds no adapter, or a model of its own.
Result<std::optional<std::string>> adapted_model(const std::string& folder);

} // namespace plimsoll
