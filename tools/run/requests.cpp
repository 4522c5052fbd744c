#include "requests.hpp"

#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string_view>

namespace plimsoll::cli {
namespace {

using LineJson = nlohmann::json;

constexpr std::size_t kMostRequests = 1 << 16, kMostLineBytes = 1 << 24, kMostFileBytes = 1 << 28;

tl::unexpected<Error> wrong(std::string message, std::string where) {
  return fail(ErrorCode::kBadRequest, std::move(message), std::move(where));
}

Result<std::vector<Token>> token_list(std::string_view text) {
  std::vector<Token> tokens;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    Token token = 0;
    const auto [stopped, failed] = std::from_chars(at, end, token);
    if (failed != std::errc() || (stopped != end && (*stopped != ',' || stopped + 1 == end)))
      return wrong("ids with commas between them were expected, such as 5,9,30", "--prompt-ids");
    tokens.push_back(token);
    at = stopped == end ? end : stopped + 1;
  }
  if (tokens.empty()) return wrong("at least one id was expected", "--prompt-ids");
  return tokens;
}

TextGenerationRequest usual(const Asked& asked) {
  TextGenerationRequest request;
  request.max_new_tokens = asked.max_new_tokens;
  request.sampling = {asked.temperature, asked.top_k, asked.top_p, asked.seed};
  request.log_probabilities = asked.logprobs;
  request.echo = asked.echo;
  request.ignore_end = asked.ignore_end;
  return request;
}

// One line of a file: an object whose keys are those below.
class Line {
public:
  Line(const LineJson& json, std::string where, TextGenerationRequest usual)
      : json_(json), where_(std::move(where)), request_(std::move(usual)) {}

  Result<TextGenerationRequest> read() {
    if (!json_.is_object()) return wrong("an object was expected", where_);
    for (const auto& [key, value] : json_.items())
      if (!take(key, value)) return wrong(fmt::format("'{}' {}", key.substr(0, 64), said_), where_ + ": /" + key.substr(0, 64));
    if (request_.prompt.empty() == request_.prompt_tokens.empty()) return wrong("either prompt or prompt_ids was expected", where_);
    return std::move(request_);
  }

private:
  bool take(const std::string& key, const LineJson& value) {
    if (key == "prompt") return text(value, request_.prompt);
    if (key == "prompt_ids") return tokens(value, request_.prompt_tokens);
    if (key == "stop_ids") return tokens(value, request_.stop_tokens);
    if (key == "cache_salt") return text(value, request_.cache_salt);
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
    return expected(
        "is no key of a request; there are prompt, prompt_ids, id, max_new_tokens, max_length, temperature, top_k, top_p, seed, "
        "stop, stop_ids, ignore_end, logprobs, echo and cache_salt");
  }
  bool expected(std::string what) {
    said_ = std::move(what);
    return false;
  }
  bool text(const LineJson& value, std::string& out) {
    if (!value.is_string()) return expected("is no text");
    out = value.get<std::string>();
    return true;
  }
  bool flag(const LineJson& value, bool& out) {
    if (!value.is_boolean()) return expected("is neither true nor false");
    out = value.get<bool>();
    return true;
  }
  bool real(const LineJson& value, double& out) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) return expected("is no number");
    out = value.get<double>();
    return true;
  }
  bool number(const LineJson& value, std::uint64_t& out) {
    if (!value.is_number_unsigned()) return expected("is no whole number of at least 0");
    out = value.get<std::uint64_t>();
    return true;
  }
  bool whole(const LineJson& value, std::int32_t& out) {
    std::uint64_t wide = 0;
    if (!number(value, wide)) return false;
    if (wide > INT32_MAX) return expected("is too large");
    out = static_cast<std::int32_t>(wide);
    return true;
  }
  bool tokens(const LineJson& value, std::vector<Token>& out) {
    if (!value.is_array()) return expected("is no list of ids");
    out.clear();
    for (const LineJson& one : value) {
      if (!whole(one, out.emplace_back())) return expected("is no list of ids");
    }
    return true;
  }
  bool texts(const LineJson& value, std::vector<std::string>& out) {
    if (value.is_string()) return text(value, out.emplace_back());
    if (!value.is_array()) return expected("is neither a text nor a list of texts");
    for (const LineJson& one : value)
      if (!text(one, out.emplace_back())) return expected("is neither a text nor a list of texts");
    return true;
  }

  const LineJson& json_;
  std::string where_, said_;
  TextGenerationRequest request_;
};

Result<std::vector<TextGenerationRequest>> read_lines(std::istream& in, const std::string& name, const Asked& asked) {
  std::vector<TextGenerationRequest> out;
  std::string line;
  std::size_t number = 0, bytes = 0;
  while (std::getline(in, line)) {
    const std::string where = fmt::format("{}: line {}", name, ++number);
    bytes += line.size();
    if (line.size() > kMostLineBytes || bytes > kMostFileBytes) return wrong("more than can be read", where);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (out.size() >= kMostRequests) return wrong(fmt::format("more than {} requests", kMostRequests), where);
    const LineJson json = LineJson::parse(line, nullptr, false);
    if (json.is_discarded()) return wrong("is no JSON", where);
    PLIMSOLL_ASSIGN(TextGenerationRequest request, Line(json, where, usual(asked)).read());
    out.push_back(std::move(request));
  }
  if (in.bad()) return wrong("cannot be read", name);
  if (out.empty()) return wrong("there are no requests in it", name);
  return out;
}

} // namespace

Result<std::vector<TextGenerationRequest>> read_requests(const Asked& asked) {
  const int ways = (asked.prompts.empty() ? 0 : 1) + (asked.prompt_ids.empty() ? 0 : 1) + (asked.requests.empty() ? 0 : 1);
  if (ways != 1) return wrong("one of --prompt, --prompt-ids and --requests was expected", "command line");
  std::vector<TextGenerationRequest> out;
  if (!asked.prompt_ids.empty()) {
    out.push_back(usual(asked));
    PLIMSOLL_ASSIGN(out.back().prompt_tokens, token_list(asked.prompt_ids));
    return out;
  }
  for (const std::string& prompt : asked.prompts) {
    out.push_back(usual(asked));
    out.back().prompt = prompt;
  }
  if (asked.requests.empty()) return out;
  if (asked.requests == "-") return read_lines(std::cin, "standard input", asked);
  std::ifstream file(asked.requests);
  if (!file) return wrong("cannot be opened", asked.requests);
  return read_lines(file, asked.requests, asked);
}

} // namespace plimsoll::cli
