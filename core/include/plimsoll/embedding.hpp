// plimsoll/embedding.hpp - vectors of texts from a model inside its plan: encoders, and decoders of which sentence-transformers makes
// embedders. Servers and `plimsoll run --embed` use it. It never takes memory that the plan does not count; an encoder takes no pages.
// Several texts share a pass as far as the plan's batch goes, and what else is in it changes nothing but rounding. Errors are values.
// Threads: [serial] per pipeline.
//
//   auto pipeline = EmbeddingPipeline::create(context, model, request).value();
//   auto vectors = pipeline.embed({{.text = "In the beginning"}, {.text = "And it came to pass"}}).value();
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/generation_json.hpp"
#include "plimsoll/text_generation.hpp"

namespace plimsoll {

struct EmbeddingRequest {
  std::string text;          // for which the pipeline needs a tokenizer; or
  std::vector<Token> tokens; // ids, with those that begin and end a text
};

struct PLIMSOLL_API Embedding {
  std::vector<float> vector;
  std::uint64_t tokens = 0; // of the text
  double norm() const;      // the vector's length
};

class PLIMSOLL_API EmbeddingPipeline {
public:
  // Plans, and refuses with the plan's error what does not fit before anything is allocated; then weights, tables, pages where the model
  // has a cache, tokenizer. Replicas have each its part of the texts, as threads or as processes. kBadRequest: a model that gives words.
  static Result<EmbeddingPipeline> create(const Context& context, const Model& model, const PlanRequest& request,
                                          const PipelineOptions& options = {});
  EmbeddingPipeline(EmbeddingPipeline&&) noexcept;
  EmbeddingPipeline& operator=(EmbeddingPipeline&&) noexcept;
  ~EmbeddingPipeline();

  // A vector for each request, in their order. kBadRequest, before anything is computed: a text and ids at once, an id that the model does
  // not have, a text without a tokenizer, one without tokens or with more than longest_tokens().
  Result<std::vector<Embedding>> embed(std::span<const EmbeddingRequest> requests);
  Result<std::vector<Embedding>> embed(std::initializer_list<EmbeddingRequest> requests);

  std::uint64_t width() const;          // elements of a vector
  RowPooling pooling() const;           // how it is made of a text's rows
  bool normalised() const;              // whether its length is 1
  std::uint64_t longest_tokens() const; // of a text
  std::uint64_t passes() const;         // computed so far
  const Tokenizer* tokenizer() const;   // null where none was loaded
  const Plan& plan() const;
  // What every category took of what was planned for it: all ranks, or this process's.
  std::array<Usage, kCategories> usage() const;
  std::vector<UsageRow> usage_rows() const;

private:
  class Impl;
  explicit EmbeddingPipeline(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

// {"requests": ["a text", [5, 9, 30], ...]}, one at least: a text or a list of ids each. kBadRequest names the place.
PLIMSOLL_API Result<std::vector<EmbeddingRequest>> read_embedding_requests(std::string_view json);

// The document plimsoll.embed/1: the vectors with their tokens and lengths, how they are made, what was taken. A newline at its end.
PLIMSOLL_API std::string embeddings_to_json(const EmbeddingPipeline& pipeline, std::span<const Embedding> embeddings,
                                            std::span<const UsageRow> usage);

} // namespace plimsoll
