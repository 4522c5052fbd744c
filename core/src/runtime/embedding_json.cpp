// Texts and vectors as JSON.
#include <fmt/format.h>

#include "base/document_text.hpp"
#include "base/json.hpp"
#include "plimsoll/embedding.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostTexts = 1 << 16;

Result<EmbeddingRequest> request_of(const Json& json, const std::string& where) {
  EmbeddingRequest request;
  if (json.is_string() && !json.get_ref<const std::string&>().empty()) {
    request.text = json.get<std::string>();
    return request;
  }
  bool ids = json.is_array() && !json.empty();
  for (std::size_t i = 0; ids && i < json.size(); ++i) {
    const auto id = as_u64(json[i]);
    ids = id && *id <= INT32_MAX;
    if (ids) request.tokens.push_back(static_cast<Token>(*id));
  }
  if (!ids) return fail(ErrorCode::kBadRequest, "a text or a list of ids was expected", where);
  return request;
}

} // namespace

Result<std::vector<EmbeddingRequest>> read_embedding_requests(std::string_view json) {
  PLIMSOLL_ASSIGN(const Json document, parse_json(std::string(json), "", ErrorCode::kBadRequest));
  const Json* const list = document.is_object() && document.size() == 1 ? find_pointer(document, "/requests") : nullptr;
  if (list == nullptr || !list->is_array() || list->empty() || list->size() > kMostTexts)
    return fail(ErrorCode::kBadRequest, fmt::format("a list of 1 to {} texts was expected, and nothing else", kMostTexts), "/requests");
  std::vector<EmbeddingRequest> out;
  for (std::size_t i = 0; i < list->size(); ++i) {
    PLIMSOLL_ASSIGN(EmbeddingRequest request, request_of((*list)[i], fmt::format("/requests/{}", i)));
    out.push_back(std::move(request));
  }
  return out;
}

std::string embeddings_to_json(const EmbeddingPipeline& pipeline, std::span<const Embedding> embeddings, std::span<const UsageRow> usage) {
  Json vectors = Json::array(), taken = Json::array();
  for (const Embedding& of : embeddings) vectors.push_back({{"tokens", of.tokens}, {"norm", of.norm()}, {"vector", of.vector}});
  for (const UsageRow& row : usage)
    taken.push_back({{"rank", row.rank},
                     {"category", category_name(row.category)},
                     {"planned_bytes", row.planned_bytes},
                     {"peak_bytes", row.peak_bytes}});
  Json out = {{"schema", "plimsoll.embed/1"}};
  out["pooling"] = pooling_name(pipeline.pooling());
  out["normalised"] = pipeline.normalised();
  out["width"] = pipeline.width();
  out["passes"] = pipeline.passes();
  out["embeddings"] = std::move(vectors);
  out["usage"] = std::move(taken);
  out["error"] = nullptr;
  return dump_document(out, 2) + "\n";
}

} // namespace plimsoll
