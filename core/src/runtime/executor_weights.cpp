#include "runtime/executor_weights.hpp"

#include "base/checked.hpp"

namespace plimsoll {
namespace {

ElementType type_of(const WeightTensor& tensor) { return find_element_type(tensor.dtype).value_or(ElementType::kFloat32); }

const void* at(const void* data, ElementType type, std::uint64_t elements) {
  return static_cast<const std::byte*>(data) + elements * element_bytes(type);
}

PartRange part_of(const std::vector<std::uint64_t>& parts, std::uint64_t part) {
  if (part >= parts.size()) return {};
  PartRange range{true, 0, parts[static_cast<std::size_t>(part)]};
  for (std::size_t before = 0; before < part; ++before) range.first += parts[before];
  return range;
}

} // namespace

LinearShape linear_shape(const WeightTensor& tensor) {
  const std::size_t n = tensor.dims.size();
  if (n == 2 && tensor.in_dim <= 1) return {true, tensor.dims[1 - tensor.in_dim], tensor.dims[tensor.in_dim]};
  if (n > 2 && tensor.in_dim + 1 == n && tensor.experts == 0 && tensor.dims[0] > 0)
    return {true, tensor.dims[0], elements_of_one(tensor) / tensor.dims[0]};
  return {};
}

PartRange part_of_matrix(const WeightTensor& tensor, std::uint64_t part) {
  const LinearShape shape = linear_shape(tensor);
  if (!shape.known) return {};
  const std::uint64_t out = shape.out;
  if (part == kAllParts || (part == 0 && tensor.parts.empty())) return {true, 0, out};
  PartRange range = part_of(tensor.parts, part);
  range.known = range.known && range.n <= out && range.first <= out - range.n;
  return range;
}

PartRange part_of_bias(const WeightTensor& tensor, std::uint64_t part) {
  const std::uint64_t all = elements_of_all(tensor);
  if (part == kAllParts || tensor.parts.size() <= 1) return {true, 0, all};
  PartRange range = part_of(tensor.parts, part);
  range.known = range.known && range.n <= all && range.first <= all - range.n;
  return range;
}

std::uint64_t elements_of_one(const WeightTensor& tensor) {
  Checked elements = 1;
  for (const std::uint64_t extent : tensor.dims) elements *= extent;
  return elements.saturated();
}

std::uint64_t elements_of_all(const WeightTensor& tensor) {
  return (Checked(elements_of_one(tensor)) * (tensor.experts == 0 ? 1 : tensor.experts)).saturated();
}

Matrix matrix_of(const WeightTensor& tensor, const void* data, const PartRange& part) {
  Matrix matrix;
  matrix.type = type_of(tensor);
  const LinearShape shape = linear_shape(tensor);
  matrix.in_major = tensor.in_dim == 0;
  matrix.stride = matrix.in_major ? shape.out : shape.in;
  matrix.in = shape.in;
  matrix.out = part.n;
  matrix.data = at(data, matrix.type, part.first * (matrix.in_major ? 1 : matrix.stride));
  return matrix;
}

PartRange part_of_channels(const WeightTensor& tensor, std::uint64_t part) {
  const std::uint64_t all = tensor.dims.empty() ? 0 : tensor.dims[0];
  if (part == kAllParts) return {all > 0, 0, all};
  PartRange range = part_of(tensor.parts, part);
  range.known = range.known && range.n <= all && range.first <= all - range.n;
  return range;
}

Matrix taps_of(const WeightTensor& tensor, const void* data, std::uint64_t part) {
  const PartRange range = part_of_channels(tensor, part);
  Matrix matrix;
  matrix.type = type_of(tensor);
  matrix.in = elements_of_one(tensor) / tensor.dims[0];
  matrix.stride = matrix.in;
  matrix.out = range.n;
  matrix.data = at(data, matrix.type, range.first * matrix.stride);
  return matrix;
}

ExpertMatrices experts_of(const WeightTensor& tensor, const void* data) {
  return {matrix_of(tensor, data, part_of_matrix(tensor, kAllParts)), elements_of_one(tensor)};
}

Vector vector_of(const WeightTensor& tensor, const void* data) { return {data, type_of(tensor), elements_of_all(tensor)}; }

Vector vector_of(const WeightTensor& tensor, const void* data, const PartRange& part) {
  return {at(data, type_of(tensor), part.first), type_of(tensor), part.n};
}

} // namespace plimsoll
