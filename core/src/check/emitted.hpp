// What a planner hands over in one call, as text and numbers that can be compared. Takes any struct as it comes, judges nothing but its
// size. Threads: a recorder is of one call.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "plimsoll/abi.h"

namespace plimsoll::check {

struct EmittedOne {
  enum class Kind : std::uint8_t { kWeight, kKv, kEntry, kItem };
  Kind kind = Kind::kWeight;
  std::uint32_t aspect = 0, rank = 0, lifetime = 0, category = 0, memory = 0;
  std::uint64_t bytes = 0; // of items
  std::string label, phase;
  std::string pattern;               // of weights
  std::vector<std::uint32_t> layers; // of weights and groups
  std::string text;                  // every field, in words
};

struct Emitted {
  std::vector<EmittedOne> all;
  plimsoll_status status = PLIMSOLL_OK;
  std::string size_fault; // the first struct whose struct_size is not version 1.0's

  std::string text() const; // in order
  std::vector<std::string> sorted() const;
};

class Recorder {
public:
  Recorder();
  const plimsoll_sink* sink() const { return &sink_; }
  std::uint64_t refuse_from = UINT64_MAX; // the number of the first that is refused
  std::function<void()> between;          // called for every struct; may be empty
  Emitted emitted;
  std::uint64_t calls = 0;

private:
  template <class What>
  static plimsoll_status take(void* ctx, const What* what) noexcept;
  plimsoll_sink sink_;
};

// The bytes of items on a rank: what is resident and of each request, and the largest phase.
std::uint64_t bytes_on_rank(const Emitted& emitted, std::uint32_t rank, std::uint64_t batch);

} // namespace plimsoll::check
