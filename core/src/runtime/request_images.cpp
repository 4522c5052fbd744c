#include "runtime/request_images.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "kv_cache/page_keys.hpp"

namespace plimsoll {
namespace {

// The image as it stands in a text, at no place yet.
Result<MediaSpan> span_of(const std::shared_ptr<const Image>& image, std::size_t number, const ProgramImages& rules) {
  const std::string where = fmt::format("images/{}", number);
  if (!image) return fail(ErrorCode::kBadRequest, "is no image", where);
  const std::uint64_t step = rules.step_pixels();
  if (image->height == 0 || image->width == 0 || image->height % step != 0 || image->width % step != 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("has {} x {} pixels; sides that are multiples of {} were expected, so resize it before", image->height,
                            image->width, step),
                where);
  if (image->pixels.size() != (Checked(image->height) * image->width * rules.channels).saturated())
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("has {} numbers for {} x {} pixels of {} channels", image->pixels.size(), image->height, image->width, rules.channels),
        where);
  MediaSpan span;
  span.rows = static_cast<std::uint32_t>(image->height / step);
  span.columns = static_cast<std::uint32_t>(image->width / step);
  span.length_tokens = std::uint64_t{span.rows} * span.columns;
  if (span.length_tokens > rules.most_rows)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} x {} pixels are {} tokens; the largest image that the plan has room for is {}", image->height, image->width,
                            span.length_tokens, rules.most_rows),
                where);
  if (!std::all_of(image->pixels.begin(), image->pixels.end(), [](float pixel) { return std::isfinite(pixel); }))
    return fail(ErrorCode::kBadRequest, "has a pixel that is no number", where);
  const std::array<std::uint32_t, 2> sides{image->height, image->width};
  const BlockKey key = hash_after(hash_after({}, std::as_bytes(std::span(sides))), std::as_bytes(std::span(image->pixels)));
  span.hash_low = key.low;
  span.hash_high = key.high;
  span.image = image;
  return span;
}

// One placeholder for each image becomes as many as it has rows.
std::vector<Token> repeated(const std::vector<Token>& prompt, Token placeholder, const std::vector<MediaSpan>& spans) {
  std::vector<Token> out;
  auto next = spans.begin();
  for (const Token token : prompt)
    if (token != placeholder) out.push_back(token);
    else out.insert(out.end(), static_cast<std::size_t>((next++)->length_tokens), placeholder);
  return out;
}

} // namespace

Result<std::vector<MediaSpan>> place_images(std::span<const std::shared_ptr<const Image>> images, const std::optional<ImageLimits>& limits,
                                            std::vector<Token>& prompt) {
  std::vector<MediaSpan> spans;
  if (!limits) {
    if (images.empty()) return spans;
    return fail(ErrorCode::kBadRequest, "the plan has no room for images; give --vision-cache-utilization, of the engine reference",
                "images");
  }
  const auto placeholder = static_cast<Token>(limits->rules.token);
  const auto places = static_cast<std::uint64_t>(std::count(prompt.begin(), prompt.end(), placeholder));
  if (images.empty() && places == 0) return spans;
  std::uint64_t rows = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    PLIMSOLL_ASSIGN(MediaSpan span, span_of(images[i], i, limits->rules));
    rows += span.length_tokens;
    spans.push_back(std::move(span));
  }
  if (places != rows && places != images.size())
    return fail(ErrorCode::kBadRequest,
                fmt::format("the prompt has {} placeholders (token {}) and its {} images have {} rows; one for each image or one for each "
                            "row was expected",
                            places, placeholder, images.size(), rows),
                "images");
  if (places != rows) {
    if (rows > limits->most_tokens)
      return fail(ErrorCode::kBadRequest, fmt::format("{} rows of images; a request may have {} tokens", rows, limits->most_tokens),
                  "images");
    prompt = repeated(prompt, placeholder, spans);
  }
  auto at = prompt.begin();
  for (std::size_t i = 0; i < spans.size(); ++i) {
    at = std::find(at, prompt.end(), placeholder);
    spans[i].begin_tokens = static_cast<std::uint64_t>(at - prompt.begin());
    const auto end = std::find_if(at, prompt.end(), [&](Token token) { return token != placeholder; });
    if (static_cast<std::uint64_t>(end - at) < spans[i].length_tokens)
      return fail(ErrorCode::kBadRequest, fmt::format("has {} rows, and other tokens between its placeholders", spans[i].length_tokens),
                  fmt::format("images/{}", i));
    at += static_cast<std::ptrdiff_t>(spans[i].length_tokens);
  }
  return spans;
}

} // namespace plimsoll
