// plimsoll/adapters.hpp - LoRA adapters: the room that a plan sets aside for them, and where one lies in its file. An adapter adds
// scale * B (A x) to what linear layers give; a slot has room for A and B of every layer that may be changed, at the largest rank.
// Slots are made with a program (Context::program), sources by Context::adapter; plimsoll/lora_manager.hpp fills slots from sources.
// Values; nothing in them refers to a model. Threads: immutable once made.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace plimsoll {

inline constexpr std::uint64_t kDefaultLoraRank = 16; // where a plan has adapters and no rank is asked for

// What a rank has of something whole: [first, first + n) of it.
struct AdapterRange {
  std::uint64_t whole = 0, first = 0, n = 0;
};

// A linear layer that adapters may change: a class of weights in one layer. Each of its parts (queries, keys and values of a fused
// projection) has matrices of its own. In a slot its A begin at a_offset_elements, [max_rank, in] for each part; its B at
// b_offset_elements, [out, max_rank] for all parts, whose rows follow one another. Of several ranks each has the part that its part of the
// layer needs: columns of A where that is cut by its inputs, rows of B where by its outputs; nothing of a layer on another stage.
struct AdapterTarget {
  std::string label;
  std::uint32_t layer = UINT32_MAX; // UINT32_MAX: belongs to no layer
  std::uint64_t in = 0;             // 0: of another stage
  std::vector<std::uint64_t> parts; // rows of each, one at least; padding of a vocabulary too
  AdapterRange columns;             // of A
  std::vector<AdapterRange> rows;   // of each part's B
  std::uint64_t a_offset_elements = 0, b_offset_elements = 0;
  std::uint64_t first_part = 0; // number of its first part among those of all targets
  std::uint64_t out() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t part : parts) sum += part;
    return sum;
  }
};

struct AdapterSlots {
  std::uint64_t slots = 0, max_rank = 0;
  std::string dtype;                  // of the elements: "float32", "bfloat16", "float16"
  std::vector<AdapterTarget> targets; // by label, then layer: the same ones on every rank
  std::uint64_t parts = 0;            // of all targets
  std::uint64_t slot_elements = 0;
  std::uint64_t bytes = 0; // of all slots
};

// The matrices of one adapter for one part of one target: A [rank, in] and B [rows of the part, rank], row after row.
struct AdapterPair {
  std::string name;                   // of the layer, as the file has it
  std::uint32_t target = 0, part = 0; // of the slots
  std::uint64_t rank = 0;
  double scale = 1;
  std::uint64_t a_offset_bytes = 0, b_offset_bytes = 0; // in the file
  std::string a_dtype, b_dtype;
};

struct AdapterSources {
  std::string file;       // empty: there is none; elements are drawn
  std::uint64_t seed = 0; // from this
  std::uint64_t rank = 0; // the highest of its pairs
  std::vector<AdapterPair> pairs;
};

} // namespace plimsoll
