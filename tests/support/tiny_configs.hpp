// The configurations of the tiny models, in the vocabulary that published models of their classes use, each with a seed that gives a text
// worth comparing. Called by tiny_model.cpp. Threads: constant data.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace plimsoll::test {

struct TinyConfig {
  std::string_view name;
  std::uint64_t seed;
  std::string_view json; // what config.json holds
};

std::span<const TinyConfig> tiny_configs();
// Of them those whose layers are recurrent, or partly, and classes that came after these: tiny_hybrid_configs.cpp.
std::span<const TinyConfig> tiny_hybrid_configs();
// And what came after those: tiny_late_configs.cpp.
std::span<const TinyConfig> tiny_late_configs();

} // namespace plimsoll::test
