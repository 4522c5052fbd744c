// Tiny models and what a second engine says to them (tests/data/tiny/goldens.json), for tests that generate. Threads: one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plimsoll/text_generation.hpp"

namespace plimsoll::testing {

struct TopRow {
  std::size_t step = 0; // of the generated tokens
  std::vector<Token> tokens;
  std::vector<double> log_probabilities;
};
struct GoldenCase {
  std::string model;
  std::uint64_t max_length = 0;
  std::uint64_t adapter = 0; // seed of the LoRA adapter that it went through (tests/support/tiny_adapter.hpp); 0: none
  double tolerance = 0;      // of log-probabilities
  std::vector<Token> prompt, tokens;
  std::vector<TopRow> top;
};
// Of one model: without adapters, or with them.
std::vector<GoldenCase> golden_cases(const std::string& model, bool adapters = false);
// Every model that has cases, in their order.
std::vector<std::string> golden_models();

// A folder with the model, made once for this process and removed at its end; those that are stored are where they are.
std::string folder_of(const std::string& model);
// The same weights as a GGUF file, where one can be written.
bool has_gguf(const std::string& model);
std::string gguf_of(const std::string& model);

// The tiny Mixtral with so many experts, to a folder of the test's own.
void write_mixtral(std::uint32_t experts, const std::string& folder);

const Context& context();
// Ours, on a small device.
PlanRequest request_of(std::uint64_t max_length);
// The folder of an adapter of that model.
std::string adapter_of(const std::string& model, std::uint64_t seed);
// A pipeline over it, without a tokenizer; a failure that ends the test where there is none.
Result<TextGenerationPipeline> pipeline_of(const std::string& path, const PlanRequest& request, const PipelineOptions& options = {});
TextGenerationRequest greedy(const GoldenCase& golden);

} // namespace plimsoll::testing
