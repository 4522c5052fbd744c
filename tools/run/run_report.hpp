// What `plimsoll run` says of a run: the document plimsoll.run/1, and the lines for people. Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plimsoll/terminal.hpp"
#include "plimsoll/text_generation.hpp"

namespace plimsoll::cli {

// How long it took, and of how many tokens.
struct RunTimes {
  double load_seconds = 0, prompt_seconds = 0, generate_seconds = 0; // until every request had its first token; from then on
  std::uint64_t prompt_tokens = 0, generated_tokens = 0;             // those generated in generate_seconds
};

// Of one rank and category, as a plan's items have them.
struct UsageRow {
  std::uint32_t rank = 0;
  Category category = Category::kWeights;
  std::uint64_t planned_bytes = 0, peak_bytes = 0;
};
std::vector<UsageRow> usage_rows(const TextGenerationPipeline& pipeline);

struct RunResult {
  std::vector<TextGenerationOutput> outputs;
  std::vector<UsageRow> usage;
  RunTimes times;
};

std::string run_to_json(const RunResult& result);
// "64 tokens, 4,100 tokens/s; ..." and what each category took.
std::string run_summary(const RunResult& result, const Style& style);

} // namespace plimsoll::cli
