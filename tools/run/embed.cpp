#include "embed.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "plimsoll/human.hpp"
#include "requests.hpp"
#include "run_report.hpp"

namespace plimsoll::cli {
namespace {

// "12 tokens, length 1.0000" and the numbers behind it, a line for each text.
std::string vector_lines(const std::vector<Embedding>& embeddings) {
  std::string out;
  for (const Embedding& of : embeddings) {
    out += fmt::format("{} token{}, length {:.4f}:", of.tokens, of.tokens == 1 ? "" : "s", of.norm());
    for (const float x : of.vector) out += fmt::format(" {:.6g}", x);
    out += '\n';
  }
  return out;
}

std::uint64_t tokens_of(const std::vector<Embedding>& embeddings) {
  std::uint64_t sum = 0;
  for (const Embedding& of : embeddings) sum += of.tokens;
  return sum;
}

} // namespace

int embed(const CommandLine& line, const AskedVectors& asked, const Task& task, PipelineOptions options) {
  std::vector<EmbeddingRequest> requests;
  for (const std::string& text : asked.texts) {
    if (text.empty()) return line.fail({ErrorCode::kBadRequest, "is empty; a text of at least one character was expected", "--embed"});
    requests.push_back({text, {}});
  }
  for (const std::string& ids : asked.ids) {
    auto tokens = token_list(ids, "--embed-ids");
    if (!tokens) return line.fail(tokens.error());
    requests.push_back({{}, std::move(*tokens)});
  }
  options.load_tokenizer = !asked.texts.empty();
  const std::shared_ptr<Processes> processes = options.processes;
  auto pipeline = EmbeddingPipeline::create(task.context, task.model, task.request, options);
  if (!pipeline) return line.fail(pipeline.error());
  const auto embeddings = pipeline->embed(requests);
  if (!embeddings) return line.fail(embeddings.error());
  std::vector<UsageRow> usage = pipeline->usage_rows();
  if (processes) {
    auto all = usage_of_ranks(*processes, usage);
    if (!all) return line.fail(all.error());
    usage = std::move(*all);
  }
  int code = kExitFits;
  for (const UsageRow& row : usage)
    if (row.peak_bytes > row.planned_bytes) code = kExitDoesNotFit;
  const Output& output = line.output();
  if (output.format != Format::kTable) return output.write_document(embeddings_to_json(*pipeline, *embeddings, usage), code);
  if (write_all(STDOUT_FILENO, vector_lines(*embeddings)) != 0) return code;
  if (output.quiet) return code;
  const bool mean = pipeline->pooling() == RowPooling::kMean;
  const std::string made =
      fmt::format("{} tokens in {} pass{}; vectors of {} numbers, {}{}\n", tokens_of(*embeddings), pipeline->passes(),
                  pipeline->passes() == 1 ? "" : "es", pipeline->width(),
                  mean ? std::string("the mean of a text's rows") : fmt::format("the {} row of a text", pooling_name(pipeline->pooling())),
                  pipeline->normalised() ? ", of length 1" : "");
  write_all(STDERR_FILENO, made + usage_lines(usage, output.style()));
  return code;
}

} // namespace plimsoll::cli
