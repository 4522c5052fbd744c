#include "support/tiny_random.hpp"

namespace plimsoll::test {
namespace {

constexpr std::int64_t kOne = 1 << 23; // a draw of 24 bits, as a signed fraction of this

// FNV-1a, so that a tensor's numbers depend on its name and not on how many were drawn before it.
std::uint64_t name_hash(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
class Draws {
public:
  Draws(std::uint64_t seed, std::string_view name) : state_(name_hash(name) ^ (seed * 0x9e3779b97f4a7c15)) {}

  std::int64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<std::int64_t>((z ^ (z >> 31)) >> 40) - kOne;
  }

private:
  std::uint64_t state_;
};

} // namespace

std::vector<float> draw_uniform(std::uint64_t seed, std::string_view name, std::uint64_t count, float half_width) {
  Draws draws(seed, name);
  const float unit = half_width / static_cast<float>(kOne); // a power of two: exact
  std::vector<float> out(count);
  for (float& value : out) value = static_cast<float>(draws.next()) * unit;
  return out;
}

std::vector<float> draw_around(std::uint64_t seed, std::string_view name, std::uint64_t count, std::int64_t center, std::int64_t permille) {
  Draws draws(seed, name);
  std::vector<float> out(count);
  for (float& value : out) value = static_cast<float>(center * kOne + draws.next() * permille / 1000) / static_cast<float>(kOne);
  return out;
}

} // namespace plimsoll::test
