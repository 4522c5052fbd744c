// The models of tiny_hybrid_configs.cpp as llama.cpp's converter would write them: names, metadata, and elements that lie otherwise. Called
// by tiny_gguf.cpp and tiny_gguf_tensors.cpp. Throws std::runtime_error for a model_type that llama.cpp has none for, or computes
// otherwise. Threads: plain functions.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/sparse_checkpoint.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll::test {

std::string tiny_hybrid_architecture(const nlohmann::json& config);
// All but the architecture, the file's type and the vocabulary.
void add_tiny_hybrid_metadata(const nlohmann::json& config, GgufWriter& file);
std::vector<TinyTensor> tiny_hybrid_gguf_tensors(const TinyModel& model);

} // namespace plimsoll::test
