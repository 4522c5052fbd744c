// Images of a request against its prompt and against what the plan takes: who stands where, under which hash. Called when a request becomes
// a context. Threads: pure functions.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "plimsoll/image.hpp"
#include "plimsoll/pipeline_model.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/text_context.hpp"

namespace plimsoll {

// Where a prompt has one placeholder for each image it is repeated as often as the image has rows; else there is one for each row already.
// kBadRequest: placeholders that are no image's, an image that is none, is no multiple of what is merged, or is larger than planned.
Result<std::vector<MediaSpan>> place_images(std::span<const std::shared_ptr<const Image>> images, const std::optional<ImageLimits>& limits,
                                            std::vector<Token>& prompt);

} // namespace plimsoll
