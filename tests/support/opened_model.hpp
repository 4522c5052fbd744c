// A model of this build's plugins as the rooms below Context see it: loaded, with its checkpoint open. For tests of where its weights
// lie. Programs that include it have PLIMSOLL_SOURCE_DIR and PLIMSOLL_BUILD_DIR. Threads: any, once the registry is made.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/locate.hpp"
#include "host/config_files.hpp"
#include "model/loaded_model.hpp"
#include "model/weight_sources.hpp"
#include "plugin/gguf_meaning.hpp"
#include "plugin/registry.hpp"

namespace plimsoll::test {

struct OpenedModel {
  std::shared_ptr<const Model::Data> model;
  Checkpoint checkpoint;
};

inline std::shared_ptr<const Registry> built_registry() {
  static const auto registry = std::make_shared<const Registry>(
      RegistryOptions{std::vector<std::string>{PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins"}, Trust::kOpen}, LogCallback{});
  return registry;
}

// What Context::load makes of a directory or a GGUF file.
inline Result<OpenedModel> open_model(const std::string& path) {
  const std::string words = PLIMSOLL_SOURCE_DIR "/core/catalogue/gguf.json";
  PLIMSOLL_ASSIGN(const ModelFiles files, locate_model(path));
  const auto meaning_of = [&](const std::string& name, const GgufMetadata& metadata) {
    return gguf_meaning(*built_registry(), words, name, metadata);
  };
  PLIMSOLL_ASSIGN(Checkpoint checkpoint, open_checkpoint(files, meaning_of));
  ConfigFiles config{checkpoint.config(), {}};
  if (files.config_path) {
    PLIMSOLL_ASSIGN(config, read_config(*files.config_path, files.hf_quant_config_path, PLIMSOLL_SOURCE_DIR "/core/catalogue"));
  }
  PLIMSOLL_ASSIGN(std::shared_ptr<Model::Data> model,
                  load_model(built_registry(), std::move(config.config), config.quant(), path, path, &checkpoint));
  PLIMSOLL_TRY(take_inventory(*model, checkpoint));
  return OpenedModel{std::move(model), std::move(checkpoint)};
}

inline Result<WeightSources> sources_of(const std::string& path) {
  PLIMSOLL_ASSIGN(const OpenedModel opened, open_model(path));
  return weight_sources(*opened.model, opened.checkpoint);
}

} // namespace plimsoll::test
