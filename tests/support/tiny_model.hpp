// Tiny language models with random weights, for tests that execute a forward pass: the same on every machine, under the names, shapes and
// config keys that transformers gives them. tiny_gguf.hpp writes the same weights as llama.cpp's converter would.
// Called by tests of the runtime and by make_tiny. Knows nothing of the library under test. Throws std::runtime_error where a name is not
// known or the disk refuses. Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/tiny_bytes.hpp"

namespace plimsoll::test {

// Row-major float32; `shape` as safetensors writes it, slowest first.
struct TinyTensor {
  std::string name;
  std::vector<std::uint64_t> shape;
  std::vector<float> values;
};

struct TinyModel {
  std::string config; // config.json
  std::vector<TinyTensor> tensors;
};

// Every model's name: "llama", "qwen3", "deepseek_v3", ...
std::vector<std::string> tiny_model_names();
// The model of that name, with weights of its own seed or of another.
TinyModel tiny_model(std::string_view name);
TinyModel tiny_model(std::string_view name, std::uint64_t seed);
// A model of any configuration that has the keys of one of the tiny models: other widths, more layers.
TinyModel tiny_model_of(std::string config, std::uint64_t seed);
// What write_tiny_folder wrote in float32 as one file, or another program did: a config.json and a model.safetensors.
TinyModel read_tiny_folder(const std::string& folder);

// As what a tensor of that name, or of that pattern of names, is stored where the rest is rounded to `wanted`: most correction biases of
// routers stay float32, as published.
TinyFormat stored_format(std::string_view name, TinyFormat wanted);
// config.json and model.safetensors, or that many shards and their index, in stored_format.
void write_tiny_folder(const TinyModel& model, const std::string& folder, TinyFormat format = TinyFormat::kF32, std::uint32_t shards = 1);

} // namespace plimsoll::test
