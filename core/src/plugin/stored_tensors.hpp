// What a checkpoint stores, for planners that ask while they are created: read from the headers when the first one asks, and not kept
// any longer. Never reads tensor data. Threads: that of the creation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "plimsoll/abi.h"

namespace plimsoll {

struct StoredTensor {
  std::string name, dtype;
  std::vector<std::uint64_t> dims;
  std::uint64_t stored_bytes = 0;
};

// From the headers, in their order.
Result<std::vector<StoredTensor>> read_tensors(const Checkpoint& checkpoint);

// Reads them all; none: nothing is stored.
using TensorSource = std::function<std::vector<StoredTensor>()>;
// Of a checkpoint's headers, and none where it is null. Nothing is stored where the headers are broken: whoever loads the model finds that
// and says so. The checkpoint outlives what is returned.
TensorSource tensors_of(const Checkpoint* checkpoint);

class StoredTensors {
public:
  explicit StoredTensors(TensorSource source) : source_(std::move(source)) {}

  // Ordered by name.
  const std::vector<StoredTensor>& all();
  const StoredTensor* find(std::string_view name);

private:
  TensorSource source_; // none once they are read
  std::vector<StoredTensor> tensors_;
};

// The interface "plimsoll.tensors/1".
const plimsoll_tensors& tensors_table();

} // namespace plimsoll
