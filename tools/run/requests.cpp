#include "requests.hpp"

#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <string_view>

#include "plimsoll/generation_json.hpp"

namespace plimsoll::cli {
namespace {

constexpr std::size_t kMostRequests = 1 << 16, kMostLineBytes = 1 << 24, kMostFileBytes = 1 << 28;

tl::unexpected<Error> wrong(std::string message, std::string where) {
  return fail(ErrorCode::kBadRequest, std::move(message), std::move(where));
}

TextGenerationRequest usual(const Asked& asked, NamedImages& images) {
  TextGenerationRequest request;
  request.max_new_tokens = asked.max_new_tokens;
  request.sampling = {asked.temperature, asked.top_k, asked.top_p, asked.seed};
  request.log_probabilities = asked.logprobs;
  request.echo = asked.echo;
  request.ignore_end = asked.ignore_end;
  request.adapter = asked.adapter;
  for (const std::string& file : asked.images) request.images.push_back(images.take(file));
  return request;
}

Result<std::vector<TextGenerationRequest>> read_lines(std::istream& in, const std::string& name, const Asked& asked, NamedImages& images) {
  const FindImage find = [&](const std::string& file) -> Result<std::shared_ptr<const Image>> { return images.take(file); };
  std::vector<TextGenerationRequest> out;
  std::string line;
  std::size_t number = 0, bytes = 0;
  while (std::getline(in, line)) {
    const std::string where = fmt::format("{}: line {}", name, ++number);
    bytes += line.size();
    if (line.size() > kMostLineBytes || bytes > kMostFileBytes) return wrong("more than can be read", where);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (out.size() >= kMostRequests) return wrong(fmt::format("more than {} requests", kMostRequests), where);
    PLIMSOLL_ASSIGN(TextGenerationRequest request, read_generation_request(line, where, usual(asked, images), find));
    out.push_back(std::move(request));
  }
  if (in.bad()) return wrong("cannot be read", name);
  if (out.empty()) return wrong("there are no requests in it", name);
  return out;
}

} // namespace

std::shared_ptr<const Image> NamedImages::take(const std::string& file) {
  std::shared_ptr<Image>& image = images_[file];
  if (!image) image = std::make_shared<Image>();
  return image;
}

Result<void> NamedImages::load(const std::string& model) {
  if (images_.empty()) return {};
  PLIMSOLL_ASSIGN(const ImageNormalisation by, read_image_normalisation(model));
  for (const auto& [file, image] : images_) {
    PLIMSOLL_ASSIGN(const std::shared_ptr<const Image> read, read_image(file, by));
    *image = *read;
  }
  return {};
}

Result<std::vector<Token>> token_list(std::string_view text, const std::string& option) {
  std::vector<Token> tokens;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    Token token = 0;
    const auto [stopped, failed] = std::from_chars(at, end, token);
    if (failed != std::errc() || (stopped != end && (*stopped != ',' || stopped + 1 == end)))
      return wrong("ids with commas between them were expected, such as 5,9,30", option);
    tokens.push_back(token);
    at = stopped == end ? end : stopped + 1;
  }
  if (tokens.empty()) return wrong("at least one id was expected", option);
  return tokens;
}

Result<std::vector<TextGenerationRequest>> read_requests(const Asked& asked, NamedImages& images) {
  const int ways = (asked.prompts.empty() ? 0 : 1) + (asked.prompt_ids.empty() ? 0 : 1) + (asked.requests.empty() ? 0 : 1);
  if (ways != 1) return wrong("one of --prompt, --prompt-ids and --requests was expected", "command line");
  std::vector<TextGenerationRequest> out;
  if (!asked.prompt_ids.empty()) {
    out.push_back(usual(asked, images));
    PLIMSOLL_ASSIGN(out.back().prompt_tokens, token_list(asked.prompt_ids, "--prompt-ids"));
    return out;
  }
  for (const std::string& prompt : asked.prompts) {
    if (prompt.empty()) return wrong("is empty; a text of at least one character was expected", "--prompt");
    out.push_back(usual(asked, images));
    out.back().prompt = prompt;
  }
  if (asked.requests.empty()) return out;
  if (asked.requests == "-") return read_lines(std::cin, "standard input", asked, images);
  std::ifstream file(asked.requests);
  if (!file) return wrong("cannot be opened", asked.requests);
  return read_lines(file, asked.requests, asked, images);
}

} // namespace plimsoll::cli
