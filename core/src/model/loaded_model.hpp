// A loaded model: config, planners, quantisation and declared classes. Made by Context::load; read by plan().
// Holds no request. Threads: immutable after load.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "checkpoint/checkpoint.hpp"
#include "model/declared.hpp"
#include "model/described.hpp"
#include "model/inventory.hpp"
#include "model/sentence_rules.hpp"
#include "plimsoll/host.hpp"
#include "plugin/registry.hpp"
#include "storage/quantization.hpp"

namespace plimsoll {

struct Model::Data {
  ModelInfo info;
  std::string where; // names the config in messages
  std::shared_ptr<const Registry> registry;
  std::shared_ptr<const Json> config;
  Quantization quantization;
  Dtype dtype; // of what is not quantised
  bool dtype_assumed = false;
  std::shared_ptr<const Planners> planners;
  Declared declared;
  std::vector<WeightClass> pooled_heads; // of an embedder whose class generates: stored nowhere
  std::uint64_t parameters = 0, declared_bytes = 0;
  std::optional<Inventory> inventory; // where there is a checkpoint
  CheckpointTotals stored;
  std::vector<Warning> load_warnings;          // what every plan of this model must say
  ModelFiles files;                            // of the checkpoint, where there is one
  bool given_as_text = false;                  // its path is a name and no file
  std::vector<std::uint64_t> saved_rank_bytes; // of a checkpoint that is cut for so many ranks; empty: it is not
  std::string adapter_path;                    // the model was given as a LoRA adapter of it; empty: it was not
  std::string projector_path;                  // of a projector that lies beside it; empty: none
  // A what-if (what_if.hpp): the method as it was asked for, and by class whether its bytes are what that would store.
  std::string quantize;
  std::vector<bool> supposed;
  const StoredClass* stored_class(std::size_t i) const { return inventory ? &inventory->classes[i] : nullptr; }
  // The forward pass, asked for when somebody first wants it, by any thread.
  const Result<Described>& described() const {
    std::call_once(described_once,
                   [this] { described_pipeline.emplace(describe_pipeline(*planners, declared, sentence_rules_of(*config))); });
    return *described_pipeline;
  }
  // "fp8", "gguf": how whoever wrote its weights calls that; empty where they are plain.
  std::string_view stored_method() const {
    return info.weights_source == WeightsSource::kGguf ? std::string_view("gguf") : std::string_view(quantization.method());
  }
  // What-ifs of this model, each made when somebody first asks for it, by any thread.
  struct WhatIfs {
    std::mutex mutex;
    std::map<std::string, std::shared_ptr<const Data>, std::less<>> by_method;
  };
  mutable WhatIfs what_ifs;
  mutable std::once_flag described_once;
  mutable std::optional<Result<Described>> described_pipeline;
};

// Holds the checkpoint's headers against what the model declares; the plan counts stored bytes from then on.
Result<void> take_inventory(Model::Data& model, const Checkpoint& checkpoint);

// Of all families that plan the model; what several say adds up, in the order in which they first say it.
Fusions fusions_of(const Planners& planners);

// How the model's settings say that its weights are stored, read with what its planners' manifests know. `hf_quant_config` may be null.
Result<Quantization> quantization_of(const Planners& planners, const Json& config, const Json* hf_quant_config, const std::string& where);

// Finds the planners, lets them declare and adds up. `hf_quant_config` may be null, and so may `checkpoint`, which planners may look at.
// Errors name file and pointer.
Result<std::shared_ptr<Model::Data>> load_model(std::shared_ptr<const Registry> registry, Json config, const Json* hf_quant_config,
                                                const std::string& path, const std::string& where, const Checkpoint* checkpoint = nullptr);

// Lets the planners of `data` declare with its quantisation and its type, and adds up; says who planned in its info. Part of loading.
Result<void> declare_model(Model::Data& data);

} // namespace plimsoll
