// Reading figures of a plan document, for properties. Threads: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "property/library.hpp"

namespace plimsoll::property {

// The parts of a device, as keys of its object without "_bytes"; "signal_buffer" and the like are also its items' categories.
inline constexpr std::array<const char*, 6> kParts{"weights", "activation", "signal_buffer", "vision_cache", "overhead", "kv_cache"};

inline std::uint64_t count(const Json& object, const char* key) { return object.at(key).get<std::uint64_t>(); }
inline std::string bytes_key(const char* part) { return std::string(part) + "_bytes"; }

// Sums may pass 64 bits where a model is beyond all memory.
__extension__ using Wide = __int128;

inline Wide parts_of(const Json& device) {
  Wide sum = 0;
  for (const char* part : kParts) sum += device.at(bytes_key(part)).get<std::uint64_t>();
  return sum;
}

// The devices that are ranks: all but the host.
inline Json ranks_of(const Json& document) {
  Json out = Json::array();
  for (const Json& device : document.at("devices"))
    if (device.at("kind") != "host") out.push_back(device);
  return out;
}

inline std::uint64_t limit(const Answer& answer, const char* key) { return count(answer.document["limits"], key); }

inline std::uint64_t divided_up(std::uint64_t value, std::uint64_t by) { return value / by + (value % by != 0 ? 1 : 0); }

// "name 12 is not 13" where they differ.
template <class A, class B>
std::string unequal(const std::string& name, const A& found, const B& expected) {
  const Json left = found, right = expected;
  return left == right ? std::string() : name + " " + left.dump() + " is not " + right.dump();
}

} // namespace plimsoll::property
