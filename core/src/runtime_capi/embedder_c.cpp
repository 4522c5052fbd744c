// The vectors of plimsoll/runtime.h: a pipeline behind a handle, texts and vectors as documents. Never lets an exception out.
#include <string>
#include <utility>
#include <vector>

#include "base/c_interface.hpp"
#include "plimsoll/embedding.hpp"
#include "runtime_capi/options_reader.hpp"
#include "runtime_capi/pipeline_calls.hpp"

struct plimsoll_embedder {
  plimsoll::EmbeddingPipeline pipeline;
};

namespace plimsoll::capi {
namespace {

Result<plimsoll_embedder> load_embedder(const Context& context, const char* request_json, const char* options_json, LoadProgress progress) {
  PLIMSOLL_ASSIGN(const PlanTask task, read_run_task(context, request_json));
  PipelineOptions options;
  options.progress = std::move(progress);
  PLIMSOLL_ASSIGN(const OptionsReader read, OptionsReader::create(options_json, {"tokenizer"}));
  PLIMSOLL_TRY(read.flag("tokenizer", options.load_tokenizer));
  options.arena_mode = usual_arena_mode(task.request);
  PLIMSOLL_ASSIGN(EmbeddingPipeline pipeline, EmbeddingPipeline::create(context, task.model, task.request, options));
  return plimsoll_embedder{std::move(pipeline)};
}

Result<std::string> embedding_document(plimsoll_embedder& embedder, const char* requests_json) {
  PLIMSOLL_ASSIGN(const std::vector<EmbeddingRequest> requests, read_embedding_requests(requests_json));
  PLIMSOLL_ASSIGN(const std::vector<Embedding> embeddings, embedder.pipeline.embed(requests));
  return embeddings_to_json(embedder.pipeline, embeddings, embedder.pipeline.usage_rows());
}

} // namespace
} // namespace plimsoll::capi

using namespace plimsoll;       // NOLINT: the C functions below are this file's only content
using namespace plimsoll::capi; // NOLINT

int plimsoll_embedder_create(const plimsoll_context* context, const char* request_json, const char* options_json,
                             plimsoll_load_progress progress, void* user, plimsoll_embedder** out, char** error) {
  return create_pipeline(context, request_json, progress, user, out, error, [&](const Context& in, LoadProgress told) {
    return load_embedder(in, request_json, options_json, std::move(told));
  });
}

int plimsoll_embed_json(plimsoll_embedder* embedder, const char* requests_json, char** out_json) {
  if (out_json == nullptr) return PLIMSOLL_HOST_BAD_REQUEST;
  *out_json = nullptr;
  const auto failed = [&](const Error& problem) {
    return hand_out_document(failure_to_json("plimsoll.embed/1", problem), code_number(problem.code), out_json);
  };
  return walled(
      [&] {
        if (embedder == nullptr || requests_json == nullptr)
          return failed(null_argument(embedder == nullptr ? "embedder" : "requests_json"));
        const auto document = embedding_document(*embedder, requests_json);
        if (!document) return failed(document.error());
        return hand_out_document(*document, PLIMSOLL_HOST_OK, out_json);
      },
      failed);
}

int plimsoll_embedder_plan(const plimsoll_embedder* embedder, char** out_json) { return hand_out_plan(embedder, out_json); }
