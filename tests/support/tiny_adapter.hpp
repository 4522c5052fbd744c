// LoRA adapters with random weights for tiny models, as PEFT saves them, and the same models with an adapter merged into their weights:
// what both compute must agree. Called by tests of the runtime. Throws std::runtime_error where the disk refuses. Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/tiny_model.hpp"

namespace plimsoll::test {

struct TinyAdapter {
  std::string config;               // adapter_config.json
  std::vector<TinyTensor> tensors;  // A and B of each layer, A first
  std::vector<std::string> modules; // whose they are, as the model names them
  std::vector<double> scales;       // of each module
};

struct TinyAdapterOptions {
  std::uint64_t rank = 4;
  double alpha = 8;
  bool rslora = false;
  std::uint64_t seed = 1;
  std::vector<std::string> targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
};

// Of every linear layer of the model that a target names, outside of experts.
TinyAdapter tiny_adapter(const TinyModel& model, const TinyAdapterOptions& options = {});
// The model with scale * B A added to its weights, computed in double.
TinyModel merged(const TinyModel& model, const TinyAdapter& adapter);
void write_tiny_adapter(const TinyAdapter& adapter, const std::string& folder, TinyFormat format = TinyFormat::kF32);
// As llama.cpp reads adapters, where its name of the architecture is the model's type.
void write_tiny_adapter_gguf(const TinyModel& model, const TinyAdapter& adapter, const std::string& path);

} // namespace plimsoll::test
