#include "plimsoll/generation_json.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <set>
#include <sstream>
#include <stop_token>
#include <utility>

#include "base/document_text.hpp"
#include "base/json.hpp"
#include "runtime/request_images.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostRequests = 1 << 16;

tl::unexpected<Error> wrong(std::string message, std::string where) {
  return fail(ErrorCode::kBadRequest, std::move(message), std::move(where));
}

// An object whose keys are those below.
class RequestReader {
public:
  // `keys`: what stands before the pointer of a key.
  RequestReader(const Json& json, std::string where, std::string keys, TextGenerationRequest usual, const FindImage& find)
      : json_(json), find_(find), where_(std::move(where)), keys_(std::move(keys)), request_(std::move(usual)) {}

  Result<TextGenerationRequest> read() {
    if (!json_.is_object()) return wrong("an object was expected", where_);
    for (const auto& [key, value] : json_.items())
      if (!take(key, value)) return wrong(fmt::format("'{}' {}", key.substr(0, 64), said_), keys_ + "/" + key.substr(0, 64));
    if (request_.prompt.empty() == request_.prompt_tokens.empty()) return wrong("either prompt or prompt_ids was expected", where_);
    return std::move(request_);
  }

private:
  bool take(const std::string& key, const Json& value) {
    if (key == "prompt") return text(value, request_.prompt);
    if (key == "prompt_ids") return tokens(value, request_.prompt_tokens);
    if (key == "stop_ids") return tokens(value, request_.stop_tokens);
    if (key == "cache_salt") return text(value, request_.cache_salt);
    if (key == "adapter") return text(value, request_.adapter);
    if (key == "echo") return flag(value, request_.echo);
    if (key == "ignore_end") return flag(value, request_.ignore_end);
    if (key == "temperature") return real(value, request_.sampling.temperature);
    if (key == "top_p") return real(value, request_.sampling.top_p);
    if (key == "top_k") return number(value, request_.sampling.top_k);
    if (key == "seed") return number(value, request_.sampling.seed);
    if (key == "id") return number(value, request_.id.emplace());
    if (key == "max_new_tokens") return number(value, request_.max_new_tokens.emplace());
    if (key == "max_length") return number(value, request_.max_length.emplace());
    if (key == "logprobs") return whole(value, request_.log_probabilities);
    if (key == "stop") return texts(value, request_.stop_strings);
    if (key == "images") return images(value);
    return expected(
        "is no key of a request; there are prompt, prompt_ids, id, max_new_tokens, max_length, temperature, top_k, top_p, seed, "
        "stop, stop_ids, ignore_end, logprobs, echo, cache_salt, adapter and images");
  }
  bool expected(std::string what) {
    said_ = std::move(what);
    return false;
  }
  bool text(const Json& value, std::string& out) {
    if (!value.is_string()) return expected("is no text");
    out = value.get<std::string>();
    return true;
  }
  bool flag(const Json& value, bool& out) {
    if (!value.is_boolean()) return expected("is neither true nor false");
    out = value.get<bool>();
    return true;
  }
  bool real(const Json& value, double& out) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) return expected("is no number");
    out = value.get<double>();
    return true;
  }
  bool number(const Json& value, std::uint64_t& out) {
    if (!value.is_number_unsigned()) return expected("is no whole number of at least 0");
    out = value.get<std::uint64_t>();
    return true;
  }
  bool whole(const Json& value, std::int32_t& out) {
    std::uint64_t wide = 0;
    if (!number(value, wide)) return false;
    if (wide > INT32_MAX) return expected("is too large");
    out = static_cast<std::int32_t>(wide);
    return true;
  }
  bool tokens(const Json& value, std::vector<Token>& out) {
    if (!value.is_array()) return expected("is no list of ids");
    out.clear();
    for (const Json& one : value) {
      if (!whole(one, out.emplace_back())) return expected("is no list of ids");
    }
    return true;
  }
  bool texts(const Json& value, std::vector<std::string>& out) {
    if (value.is_string()) return text(value, out.emplace_back());
    if (!value.is_array()) return expected("is neither a text nor a list of texts");
    for (const Json& one : value)
      if (!text(one, out.emplace_back())) return expected("is neither a text nor a list of texts");
    return true;
  }

  bool images(const Json& value) {
    std::vector<std::string> names;
    if (!texts(value, names)) return false;
    if (!find_) return expected("cannot be had: nobody here has images");
    request_.images.clear();
    for (const std::string& name : names) {
      auto image = find_(name);
      if (!image) return expected(fmt::format("names {}: {}", name.substr(0, 256), image.error().message));
      request_.images.push_back(std::move(*image));
    }
    return true;
  }

  const Json& json_;
  const FindImage& find_;
  std::string where_, keys_, said_;
  TextGenerationRequest request_;
};

Json number_or_null(double seconds, std::uint64_t tokens) {
  if (seconds <= 0 || tokens == 0) return nullptr;
  return static_cast<double>(tokens) / seconds;
}

Json log_probabilities(const LogProbabilities& of) {
  Json top = Json::array();
  for (const auto& row : of.top) {
    Json entries = Json::array();
    for (const auto& [token, value] : row) entries.push_back({{"token", token}, {"log_probability", value}});
    top.push_back(std::move(entries));
  }
  return {{"tokens", of.sampled}, {"token_log_probabilities", of.token}, {"top_log_probabilities", std::move(top)}};
}

Json output(const TextGenerationOutput& of) {
  Json out = {{"request", of.id}, {"tokens", of.tokens}, {"text", of.text}, {"status", status_name(of.status)}};
  out["drafted_tokens"] = of.drafted_tokens;
  out["accepted_tokens"] = of.accepted_tokens;
  out["log_probabilities"] = of.log_probabilities ? log_probabilities(*of.log_probabilities) : Json(nullptr);
  out["error"] = of.error ? error_object(*of.error) : Json(nullptr);
  return out;
}

} // namespace

Result<TextGenerationRequest> read_generation_request(std::string_view json, const std::string& where, TextGenerationRequest usual,
                                                      const FindImage& find) {
  PLIMSOLL_ASSIGN(const Json document, parse_json(std::string(json), where, ErrorCode::kBadRequest));
  return RequestReader(document, where, where + ": ", std::move(usual), find).read();
}

Result<std::vector<TextGenerationRequest>> read_generation_requests(std::string_view json, const FindImage& find) {
  PLIMSOLL_ASSIGN(const Json document, parse_json(std::string(json), "", ErrorCode::kBadRequest));
  const Json* const list = document.is_object() && document.size() == 1 ? find_pointer(document, "/requests") : nullptr;
  if (list == nullptr || !list->is_array() || list->empty() || list->size() > kMostRequests)
    return wrong(fmt::format("a list of 1 to {} requests was expected, and nothing else", kMostRequests), "/requests");
  std::vector<TextGenerationRequest> out;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = fmt::format("/requests/{}", i);
    PLIMSOLL_ASSIGN(TextGenerationRequest request, RequestReader((*list)[i], where, where, {}, find).read());
    out.push_back(std::move(request));
  }
  return out;
}

std::vector<UsageRow> usage_rows(const TextGenerationPipeline& pipeline) {
  std::vector<UsageRow> rows;
  std::uint32_t first = 0; // of the replica's ranks
  for (std::uint32_t replica = 0; replica < pipeline.n_replicas(); ++replica) {
    const std::span<const Arena> arenas = pipeline.model(replica).arenas();
    for (const Arena& arena : arenas)
      for (const Usage& of : arena.usage_by_category())
        rows.push_back({first + arena.rank(), of.category, of.planned_bytes, of.peak_bytes});
    first += static_cast<std::uint32_t>(pipeline.model(replica).plan().devices.size()); // also of ranks that are other processes
  }
  return rows;
}

Result<std::vector<UsageRow>> usage_of_ranks(Processes& processes, std::span<const UsageRow> own) {
  std::string lines;
  for (const UsageRow& row : own)
    lines += fmt::format("{} {} {} {}\n", row.rank, static_cast<std::size_t>(row.category), row.planned_bytes, row.peak_bytes);
  PLIMSOLL_ASSIGN(const std::vector<std::string> all, processes.gather(lines));
  std::vector<UsageRow> rows;
  for (const std::string& of_rank : all) {
    std::istringstream in(of_rank);
    UsageRow row;
    std::size_t category = 0;
    while (in >> row.rank >> category >> row.planned_bytes >> row.peak_bytes) {
      row.category = static_cast<Category>(std::min(category, kCategories - 1));
      rows.push_back(row);
    }
  }
  return rows;
}

Result<RunResult> run_requests(TextGenerationPipeline& pipeline, const std::vector<TextGenerationRequest>& requests, const StepSink& told) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::duration time) { return std::chrono::duration<double>(time).count(); };
  RunResult result;
  std::stop_source stop;
  PLIMSOLL_ASSIGN(Generation generation, pipeline.generate_async(requests));
  std::set<RequestId> started;
  const Clock::time_point begin = Clock::now();
  Clock::time_point first = begin;
  while (true) {
    PLIMSOLL_ASSIGN(const std::optional<std::vector<TextGenerationOutput>> outputs, generation.next(stop.get_token()));
    if (!outputs) break;
    const bool all_started = started.size() == requests.size();
    for (const TextGenerationOutput& output : *outputs) {
      if (all_started) result.times.generated_tokens += output.tokens.size();
      started.insert(output.id);
    }
    if (!all_started && started.size() == requests.size()) first = Clock::now();
    if (!told(*outputs)) stop.request_stop();
  }
  result.outputs = std::move(generation).finish();
  if (started.size() < requests.size()) first = Clock::now();
  result.times.prompt_seconds = seconds(first - begin);
  result.times.generate_seconds = seconds(Clock::now() - first);
  for (const TextGenerationRequest& request : requests) {
    std::vector<Token> tokens = request.prompt_tokens;
    if (const Tokenizer* tokenizer = pipeline.tokenizer(); tokenizer != nullptr && !request.prompt.empty())
      tokens = tokenizer->encode(request.prompt).value_or(std::vector<Token>());
    if (!request.images.empty()) static_cast<void>(place_images(request.images, pipeline.model().image_limits(), tokens));
    result.times.prompt_tokens += tokens.size();
  }
  result.usage = usage_rows(pipeline);
  return result;
}

std::string run_to_json(const RunResult& result) {
  Json out = {{"schema", "plimsoll.run/1"}};
  Json outputs = Json::array(), usage = Json::array();
  for (const TextGenerationOutput& of : result.outputs) outputs.push_back(output(of));
  for (const UsageRow& row : result.usage)
    usage.push_back({{"rank", row.rank},
                     {"category", category_name(row.category)},
                     {"planned_bytes", row.planned_bytes},
                     {"peak_bytes", row.peak_bytes}});
  out["outputs"] = std::move(outputs);
  out["usage"] = std::move(usage);
  const RunTimes& t = result.times;
  out["tokens_per_second"] = {{"prompt", number_or_null(t.prompt_seconds, t.prompt_tokens)},
                              {"generated", number_or_null(t.generate_seconds, t.generated_tokens)}};
  out["load_seconds"] = t.load_seconds;
  out["error"] = nullptr;
  return dump_document(out, 2) + "\n"; // text that is cut within a character is no UTF-8
}

} // namespace plimsoll
