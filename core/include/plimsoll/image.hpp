// plimsoll/image.hpp - images for models that see: pixels as the model's encoder takes them, made of RGB bytes or read from a file. Called
// by who makes requests. Sizes are never changed here: sides must be multiples of what the model merges (ProgramImages::step_pixels), which
// is the host's to see to, and the resizing that it likes best. Threads: pure functions, plain values.
//
//   auto how = read_image_normalisation("Qwen2-VL-2B-Instruct").value();
//   auto cat = read_image("cat.ppm", how).value();
//   pipeline.generate({.prompt = "<|vision_start|><|image_pad|><|vision_end|>What is it?", .images = {cat}});
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct Image {
  std::uint32_t height = 0, width = 0; // pixels
  std::vector<float> pixels;           // [height, width, channels], normalised as the model's processor does
};

// What a processor does to a byte of a pixel: (rescale * byte - mean) / deviation, channel by channel.
struct ImageNormalisation {
  double rescale = 1.0 / 255;
  std::array<double, 3> mean{}, deviation{1, 1, 1};
};

// Of the preprocessor_config.json in a model's folder. kBadConfig: there is none, or it does not say.
Result<ImageNormalisation> PLIMSOLL_API read_image_normalisation(const std::string& folder);
// Of [height, width, 3] bytes. kBadRequest: another number of bytes, or no pixel.
Result<std::shared_ptr<const Image>> PLIMSOLL_API image_of_rgb(std::span<const std::uint8_t> rgb, std::uint32_t height, std::uint32_t width,
                                                               const ImageNormalisation& by);
// Of a binary PPM (P6, 8 bits a channel). kBadRequest: another format, or a file that ends early.
Result<std::shared_ptr<const Image>> PLIMSOLL_API read_image(const std::string& path, const ImageNormalisation& by);

} // namespace plimsoll
