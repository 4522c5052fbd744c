// Whether what a host hands over for one pass can be computed: numbers that agree, tokens that the model knows, pages that are there.
// Called before every pass; takes no memory. Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/executor.hpp"

namespace plimsoll {

// What the ops of a program ask of a pass; found when an executor is made.
struct InputRules {
  std::uint64_t known_tokens = UINT64_MAX; // ids below it can be embedded
  struct Group {
    bool used = false;   // some op attends in it
    bool states = false; // some op keeps states in it
    std::uint32_t lanes = 1;
    Visibility visible; // of all layers that look into it
  };
  std::vector<Group> groups;
  bool pools = false;                 // a sequence has one row of outputs at most
  bool whole = false;                 // some op looks at whole sequences, which have nothing in a cache then
  const ProgramOp* patches = nullptr; // of an encoder, in the program
};
// The program must outlive the rules.
InputRules input_rules(const Program& program, std::span<const ExecutorKvGroup> groups);

// The pass, with as many rows of outputs as `inputs` ask for. Fills `offsets` (room for most_sequences + 1) with the first row of each
// sequence's outputs. kBadRequest.
Result<PassView> check_inputs(const ForwardInputs& inputs, const Program& program, std::span<const ExecutorKvGroup> groups,
                              const InputRules& rules, std::span<std::uint32_t> offsets);

// The pass of an encoder for one image, without its segment; writes the positions of its patches. `patches`: the op. kBadRequest.
Result<PassView> check_image(const EncoderInputs& inputs, const Program& program, const ProgramOp& patches);

} // namespace plimsoll
