// Tensors of a program as the matrices and vectors that ops read. Called by the executor, which has checked that tensors are what their
// ops say. Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "backend/backend.hpp"
#include "plimsoll/weight_sources.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kAllParts = UINT32_MAX; // PLIMSOLL_ALL_PARTS

// Outputs [first, first + n) of a linear layer; `known` where there are such.
struct PartRange {
  bool known = false;
  std::uint64_t first = 0, n = 0;
};
// What a linear layer reads and gives: a matrix, or a convolution over patches of its own size, [out, ...], as one.
struct LinearShape {
  bool known = false;
  std::uint64_t out = 0, in = 0;
};
LinearShape linear_shape(const WeightTensor& tensor);
// Of a matrix: one of its parts along the output, or all of them.
PartRange part_of_matrix(const WeightTensor& tensor, std::uint64_t part);
// Of the bias of such a matrix: a part where the bias has parts too, else all of it.
PartRange part_of_bias(const WeightTensor& tensor, std::uint64_t part);

// Elements of one expert, or of the tensor where it has none; saturates.
std::uint64_t elements_of_one(const WeightTensor& tensor);
std::uint64_t elements_of_all(const WeightTensor& tensor);

// Views of a tensor at an address. The dtype is one that the executor knows.
Matrix matrix_of(const WeightTensor& tensor, const void* data, const PartRange& part);
// Of a convolution [channels, taps], whatever dimensions of 1 lie between: the channels of a part, or all.
PartRange part_of_channels(const WeightTensor& tensor, std::uint64_t part);
Matrix taps_of(const WeightTensor& tensor, const void* data, std::uint64_t part);
ExpertMatrices experts_of(const WeightTensor& tensor, const void* data);
Vector vector_of(const WeightTensor& tensor, const void* data);
Vector vector_of(const WeightTensor& tensor, const void* data, const PartRange& part);

} // namespace plimsoll
