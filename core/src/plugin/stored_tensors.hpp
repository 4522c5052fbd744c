// What a checkpoint stores, for planners that ask while they are created: read from the headers when the first one asks, and not kept
// any longer. Never reads tensor data. Threads: that of the creation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "plimsoll/abi.h"

namespace plimsoll {

struct StoredTensor {
  std::string name, dtype;
  std::vector<std::uint64_t> dims;
  std::uint64_t stored_bytes = 0;
};

class StoredTensors {
public:
  // nullptr: nothing is stored. The checkpoint outlives this.
  explicit StoredTensors(const Checkpoint* checkpoint) : checkpoint_(checkpoint) {}

  // Ordered by name. Empty where the headers are broken: whoever loads the model finds that and says so.
  const std::vector<StoredTensor>& all();
  const StoredTensor* find(std::string_view name);

private:
  const Checkpoint* checkpoint_;
  std::vector<StoredTensor> tensors_;
};

// The interface "plimsoll.tensors/1".
const plimsoll_tensors& tensors_table();

} // namespace plimsoll
