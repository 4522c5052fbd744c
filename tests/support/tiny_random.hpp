// Numbers for the weights of tiny models, the same on every machine: 24 random bits each (splitmix64 over the tensor's name and a seed),
// then integers and one multiplication, so that no compiler's contraction and no mathematical library can change a bit. Called by
// tiny_weights.cpp. Threads: plain functions.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace plimsoll::test {

// `count` numbers uniform in [-half_width, half_width).
std::vector<float> draw_uniform(std::uint64_t seed, std::string_view name, std::uint64_t count, float half_width);
// `count` numbers uniform in [center - permille / 1000, center + permille / 1000).
std::vector<float> draw_around(std::uint64_t seed, std::string_view name, std::uint64_t count, std::int64_t center, std::int64_t permille);

} // namespace plimsoll::test
