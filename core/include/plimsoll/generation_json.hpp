// plimsoll/generation_json.hpp - requests for text and what came of them, as JSON: lines of `plimsoll run --requests`, the document
// plimsoll.run/1, and what plimsoll/runtime.h takes and gives. Threads: pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/text_generation.hpp"

namespace plimsoll {

// The image that a request calls by a name: a file, or one that the host has. Empty: requests have none.
using FindImage = std::function<Result<std::shared_ptr<const Image>>(const std::string& name)>;

// One request: an object of prompt or prompt_ids, and id, max_new_tokens, max_length, temperature, top_k, top_p, seed, stop, stop_ids,
// ignore_end, logprobs, echo, cache_salt, adapter, images. What it leaves out is as in `usual`. kBadRequest names `where` and the key.
PLIMSOLL_API Result<TextGenerationRequest> read_generation_request(std::string_view json, const std::string& where,
                                                                   TextGenerationRequest usual, const FindImage& find = {});
// {"requests": [...]}, one at least. Keys of it as `where`: "/requests/3/prompt".
PLIMSOLL_API Result<std::vector<TextGenerationRequest>> read_generation_requests(std::string_view json, const FindImage& find = {});

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
PLIMSOLL_API std::vector<UsageRow> usage_rows(const TextGenerationPipeline& pipeline);
// Those of all ranks, where each process has its own. Together.
PLIMSOLL_API Result<std::vector<UsageRow>> usage_of_ranks(Processes& processes, std::span<const UsageRow> own);

struct RunResult {
  std::vector<TextGenerationOutput> outputs;
  std::vector<UsageRow> usage;
  RunTimes times;
};

// Told after every step what it gave, which may be nothing; false cancels what is left.
using StepSink = std::function<bool(const std::vector<TextGenerationOutput>&)>;
// All requests to their end, timed; `load_seconds` is the caller's.
PLIMSOLL_API Result<RunResult> run_requests(TextGenerationPipeline& pipeline, const std::vector<TextGenerationRequest>& requests,
                                            const StepSink& told);

// The document plimsoll.run/1, with a newline at its end.
PLIMSOLL_API std::string run_to_json(const RunResult& result);

} // namespace plimsoll
