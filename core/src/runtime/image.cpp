#include "plimsoll/image.hpp"

#include <cctype>
#include <cmath>
#include <fmt/format.h>
#include <optional>

#include "base/checked.hpp"
#include "base/json.hpp"
#include "base/regular_file.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostConfigBytes = 1U << 20, kMostImageBytes = 1ULL << 30;
constexpr std::uint64_t kChannels = 3;

Result<std::array<double, 3>> three_numbers(const Json& config, const char* key, const std::string& where) {
  const Json* const list = find_pointer(config, key);
  if (list == nullptr || !list->is_array() || list->size() != kChannels)
    return fail(ErrorCode::kBadConfig, "is no list of three numbers, one for each channel", where + ": " + key);
  std::array<double, 3> out{};
  for (std::size_t i = 0; i < kChannels; ++i) {
    if (!(*list)[i].is_number() || !std::isfinite((*list)[i].get<double>()))
      return fail(ErrorCode::kBadConfig, "is no list of three numbers, one for each channel", where + ": " + key);
    out[i] = (*list)[i].get<double>();
  }
  return out;
}

// The head of a PPM: numbers between white space and comments, one white space behind the last.
class PpmHead {
public:
  explicit PpmHead(std::string_view bytes) : bytes_(bytes) {}

  std::optional<std::uint32_t> number() {
    skip();
    std::uint64_t value = 0;
    const std::size_t begin = at_;
    for (; at_ < bytes_.size() && bytes_[at_] >= '0' && bytes_[at_] <= '9'; ++at_) {
      value = value * 10 + static_cast<std::uint64_t>(bytes_[at_] - '0');
      if (value > UINT32_MAX) return std::nullopt;
    }
    return at_ == begin ? std::nullopt : std::optional(static_cast<std::uint32_t>(value));
  }
  bool magic() {
    if (!bytes_.starts_with("P6")) return false;
    at_ = 2;
    return true;
  }
  // What is behind it.
  std::string_view pixels() const { return at_ < bytes_.size() ? bytes_.substr(at_ + 1) : std::string_view(); }

private:
  void skip() {
    while (at_ < bytes_.size()) {
      if (bytes_[at_] == '#') at_ = std::min(bytes_.find('\n', at_), bytes_.size());
      else if (std::isspace(static_cast<unsigned char>(bytes_[at_])) != 0) ++at_;
      else return;
    }
  }
  std::string_view bytes_;
  std::size_t at_ = 0;
};

} // namespace

Result<ImageNormalisation> read_image_normalisation(const std::string& folder) {
  const std::string path = folder + "/preprocessor_config.json";
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(path, kMostConfigBytes, ErrorCode::kBadConfig));
  PLIMSOLL_ASSIGN(const Json config, parse_json(text, path, ErrorCode::kBadConfig));
  ImageNormalisation by;
  const auto is_off = [&](const char* key) {
    const Json* const value = find_pointer(config, key);
    return value != nullptr && value->is_boolean() && !value->get<bool>();
  };
  if (is_off("/do_rescale")) by.rescale = 1;
  else if (const Json* const factor = find_pointer(config, "/rescale_factor"); factor != nullptr) {
    if (!factor->is_number() || !std::isfinite(factor->get<double>()))
      return fail(ErrorCode::kBadConfig, "is no number", path + ": /rescale_factor");
    by.rescale = factor->get<double>();
  }
  if (is_off("/do_normalize")) return by;
  PLIMSOLL_ASSIGN(by.mean, three_numbers(config, "/image_mean", path));
  PLIMSOLL_ASSIGN(by.deviation, three_numbers(config, "/image_std", path));
  for (const double deviation : by.deviation)
    if (deviation == 0) return fail(ErrorCode::kBadConfig, "has a 0, by which pixels would be divided", path + ": /image_std");
  return by;
}

Result<std::shared_ptr<const Image>> image_of_rgb(std::span<const std::uint8_t> rgb, std::uint32_t height, std::uint32_t width,
                                                  const ImageNormalisation& by) {
  const Checked elements = Checked(height) * width * kChannels;
  if (elements.saturated() == 0 || rgb.size() != elements.saturated())
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} bytes for an image of {} x {} pixels of three bytes each", rgb.size(), height, width), "images");
  auto image = std::make_shared<Image>();
  image->height = height;
  image->width = width;
  image->pixels.resize(rgb.size());
  for (std::size_t i = 0; i < rgb.size(); ++i)
    image->pixels[i] = static_cast<float>((by.rescale * rgb[i] - by.mean[i % kChannels]) / by.deviation[i % kChannels]);
  return image;
}

Result<std::shared_ptr<const Image>> read_image(const std::string& path, const ImageNormalisation& by) {
  PLIMSOLL_ASSIGN(const std::string bytes, read_text_file(path, kMostImageBytes, ErrorCode::kBadRequest));
  PpmHead head(bytes);
  if (!head.magic()) return fail(ErrorCode::kBadRequest, "is no binary PPM, which begins with P6; convert it", path);
  const auto width = head.number(), height = head.number(), most = head.number();
  if (!width || !height || most != 255U)
    return fail(ErrorCode::kBadRequest, "has no width, no height, or another largest value than 255", path);
  const std::string_view pixels = head.pixels();
  const std::uint64_t expected = (Checked(*width) * *height * kChannels).saturated();
  if (pixels.size() < expected)
    return fail(ErrorCode::kBadRequest, fmt::format("has {} B of pixels, where {} x {} need {}", pixels.size(), *width, *height, expected),
                path);
  auto image =
      image_of_rgb({reinterpret_cast<const std::uint8_t*>(pixels.data()), static_cast<std::size_t>(expected)}, *height, *width, by);
  if (!image) image.error().where = path;
  return image;
}

} // namespace plimsoll
