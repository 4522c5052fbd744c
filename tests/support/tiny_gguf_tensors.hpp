// The tensors of a tiny model under llama.cpp's names and in the order in which its graphs read them. Called by tiny_gguf.cpp. Throws
// std::out_of_range for a tensor that it does not know. Threads: a plain function.
#pragma once

#include <vector>

#include "support/tiny_model.hpp"

namespace plimsoll::test {

// `shape` as safetensors writes it, slowest first; GGUF counts from the other end. A configuration with "gguf_projections": "apart" has the
// projections of a delta net as later converters write them.
std::vector<TinyTensor> tiny_gguf_tensors(const TinyModel& model);

} // namespace plimsoll::test
