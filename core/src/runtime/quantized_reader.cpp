#include "runtime/quantized_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <utility>

#include "base/checked.hpp"
#include "base/dtype.hpp"
#include "base/quants.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kBandBytes = 4U << 20; // of quants and scales at one time
constexpr std::size_t kMostOpenFiles = 8;

bool in_words(const QuantizedMatrices& from) { return from.quants.dtype == "int32"; }
std::uint64_t groups_of(const QuantizedMatrices& from) {
  const ArrayShape scales = scales_shape(from.how, 1, from.columns);
  return from.how.scales_by_input() ? scales.rows : scales.columns;
}
std::uint64_t element_bytes_of(const StoredArray& array) { return find_dtype(array.dtype)->block_bytes; }

bool has(const StoredArray& array, const ArrayShape& shape) { return array.rows == shape.rows && array.columns == shape.columns; }

// The parts of Unpacking that a division or a shift goes by.
bool is_possible(const Unpacking& how) {
  switch (how.element) {
  case Unpacking::Element::kFloat8: return how.bits == 8 && how.order == Unpacking::Order::kByOutput;
  case Unpacking::Element::kFloat4: return how.bits == 4 && how.order == Unpacking::Order::kByOutput;
  case Unpacking::Element::kInteger: break;
  }
  if (how.order == Unpacking::Order::kByInputOutputs) return how.bits == 4;
  return how.bits == 2 || how.bits == 4 || how.bits == 8;
}

} // namespace

void each_array(const QuantizedMatrices& matrices, const std::function<void(const StoredArray&, std::uint64_t bytes)>& see) {
  for (const StoredArray* const array :
       {&matrices.quants, &matrices.scales, &matrices.zeros, &matrices.second, &matrices.index, &matrices.shape}) {
    if (!array->is_there()) continue;
    const Checked elements = Checked(array->rows) * array->columns * matrices.matrices;
    see(*array, find_dtype(array->dtype)->bytes(elements).saturated());
  }
}

std::string inconsistency_of(const QuantizedMatrices& m, std::size_t files) {
  const Unpacking& how = m.how;
  if (!is_possible(how)) return "numbers that nothing here unpacks";
  if (m.matrices == 0 || m.rows == 0 || m.columns == 0 || m.columns > kMostQuantizedColumns)
    return "matrices of no size or of too many inputs";
  if ((Checked(m.matrices) * m.rows * m.columns * sizeof(float)).overflowed()) return "matrices that do not fit 64 bits";
  for (const StoredArray* const array : {&m.quants, &m.scales, &m.zeros, &m.second, &m.index, &m.shape}) {
    if (!array->is_there()) continue;
    const std::optional<Dtype> type = find_dtype(array->dtype);
    if (!type || type->block_elements != 1 || type->name != array->dtype) return "an array of a type that nobody knows";
    const Checked bytes = type->bytes(Checked(array->rows) * array->columns * m.matrices);
    if ((bytes + array->offset_bytes).overflowed()) return "an array beyond any file";
    if (array->file >= files) return "a file that is not listed";
  }
  if (!is_quant_type(how, m.quants.dtype) || !has(m.quants, quants_shape(how, in_words(m), m.rows, m.columns))) return "other quants";
  if (!is_scale_type(how, m.scales.dtype) || !has(m.scales, scales_shape(how, m.rows, m.columns))) return "other scales";
  const bool zeros = how.zero != Unpacking::Zero::kNone;
  if (zeros != m.zeros.is_there() || (zeros && (how.element != Unpacking::Element::kInteger || m.zeros.dtype != m.quants.dtype ||
                                                !has(m.zeros, zeros_shape(how, in_words(m), m.rows, m.columns)))))
    return "other zeros";
  const bool second = how.second != Unpacking::Second::kNone;
  if (second != m.second.is_there() || (second && (m.second.dtype != "float32" || !has(m.second, {1, 1})))) return "another second scale";
  if (m.index.is_there() && (how.index == Unpacking::Index::kNone || m.index.dtype != "int32" || !has(m.index, {1, m.columns})))
    return "another index of inputs";
  if (m.shape.is_there() && ((m.shape.dtype != "int32" && m.shape.dtype != "int64") || !has(m.shape, {1, 2}))) return "another shape";
  return "";
}

tl::unexpected<Error> QuantizedReader::bad(const StoredArray& array, std::string what) const {
  return fail(ErrorCode::kBadCheckpoint, fmt::format("tensor '{}' {}", array.name, what), files_[array.file]);
}

Result<void> QuantizedReader::read_window(const StoredArray& array, std::uint64_t matrix, std::uint64_t first_row, std::uint64_t rows,
                                          std::uint64_t first_column, std::uint64_t columns, std::vector<std::byte>& to) {
  auto file = open_.find(array.file);
  if (file == open_.end()) {
    if (open_.size() == kMostOpenFiles) open_.clear();
    PLIMSOLL_ASSIGN(RegularFile opened, RegularFile::open(files_[array.file]));
    file = open_.emplace(array.file, std::move(opened)).first;
  }
  const std::uint64_t element = element_bytes_of(array);
  to.resize(rows * columns * element);
  const std::span<char> chars(reinterpret_cast<char*>(to.data()), to.size());
  const std::uint64_t start = array.offset_bytes + (matrix * array.rows + first_row) * array.columns * element;
  if (columns == array.columns) return file->second.read(start, chars);
  const std::uint64_t run = columns * element;
  for (std::uint64_t row = 0; row < rows; ++row)
    PLIMSOLL_TRY(file->second.read(start + (row * array.columns + first_column) * element, chars.subspan(row * run, run)));
  return {};
}

Result<void> QuantizedReader::check_shape(const QuantizedMatrices& from, std::uint64_t matrix) {
  PLIMSOLL_TRY(read_window(from.shape, matrix, 0, 1, 0, 2, bytes_));
  std::array<std::uint64_t, 2> found{};
  const std::size_t size = bytes_.size() / 2;
  for (std::size_t i = 0; i < 2; ++i) std::memcpy(&found[i], bytes_.data() + i * size, size);
  if (found[0] == from.rows && found[1] == from.columns) return {};
  return bad(from.shape, fmt::format("says [{}, {}], expected [{}, {}]", found[0], found[1], from.rows, from.columns));
}

Result<void> QuantizedReader::read_index(const QuantizedMatrices& from, std::uint64_t matrix) {
  index_.clear();
  if (!from.index.is_there()) return {};
  PLIMSOLL_TRY(read_window(from.index, matrix, 0, 1, 0, from.columns, bytes_));
  std::vector<std::int32_t> numbers(from.columns);
  std::memcpy(numbers.data(), bytes_.data(), bytes_.size());
  // compressed-tensors leaves -1 everywhere where inputs are in order.
  const bool by_output = from.how.order == Unpacking::Order::kByOutput;
  if (by_output && std::all_of(numbers.begin(), numbers.end(), [](std::int32_t n) { return n == -1; })) return {};
  const std::uint64_t groups = groups_of(from);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < 0 || static_cast<std::uint64_t>(numbers[i]) >= groups)
      return bad(from.index, fmt::format("says that input {} is in group {}, and there are {}", i, numbers[i], groups));
    index_.push_back(static_cast<std::uint32_t>(numbers[i]));
  }
  return {};
}

Result<void> QuantizedReader::read_band(const QuantizedMatrices& from, std::uint64_t matrix, std::uint64_t first_row, std::uint64_t rows) {
  const Unpacking& how = from.how;
  const auto window_of = [&](const StoredArray& array, const ArrayWindow& window, std::vector<std::byte>& to) {
    return read_window(array, matrix, window.first_row, window.rows, window.first_column, window.columns, to);
  };
  float second = 1;
  if (from.second.is_there()) {
    PLIMSOLL_TRY(read_window(from.second, matrix, 0, 1, 0, 1, bytes_));
    read_floats(from.second.dtype, bytes_, &second);
  }
  const std::uint64_t groups = groups_of(from);
  const ArrayWindow of_scales = scales_window(how, first_row, rows, from.columns);
  const std::uint64_t blocks = how.scales_by_input() ? of_scales.columns : of_scales.rows;
  PLIMSOLL_TRY(window_of(from.scales, of_scales, bytes_));
  floats_.resize(blocks * groups);
  scales_.resize(blocks * groups);
  read_floats(from.scales.dtype, bytes_, floats_.data());
  band_scales(how, floats_, blocks, groups, second, scales_.data());
  zeros_.clear();
  if (from.zeros.is_there()) {
    PLIMSOLL_TRY(window_of(from.zeros, zeros_window(how, in_words(from), first_row, rows, from.columns), bytes_));
    zeros_.resize(blocks * groups);
    band_zeros(how, from.zeros.dtype, bytes_, first_row, rows, groups, zeros_.data());
  }
  return window_of(from.quants, quants_window(how, in_words(from), first_row, rows, from.columns), quants_);
}

Result<void> QuantizedReader::read_matrix(const QuantizedMatrices& from, std::uint64_t matrix, std::uint64_t first, std::uint64_t n,
                                          const Put& put) {
  if (from.shape.is_there()) PLIMSOLL_TRY(check_shape(from, matrix));
  PLIMSOLL_TRY(read_index(from, matrix));
  const std::uint64_t end = first + n, last_row = ceil_div(end, from.columns);
  const std::uint64_t row_bytes = ceil_div(from.columns * from.how.bits, 8) + groups_of(from) * 3 * sizeof(float);
  const std::uint64_t most = std::max<std::uint64_t>(kBandBytes / row_bytes, 1);
  row_.resize(from.columns);
  QuantBand band;
  band.how = &from.how;
  band.dtype = from.quants.dtype;
  band.columns = from.columns;
  band.groups = groups_of(from);
  for (std::uint64_t at = first / from.columns; at < last_row; at += band.n) {
    band.first = at;
    band.n = std::min(most, last_row - at);
    PLIMSOLL_TRY(read_band(from, matrix, band.first, band.n));
    band.quants = quants_;
    band.scales = scales_;
    band.zeros = zeros_;
    band.index = index_;
    for (std::uint64_t row = at; row < at + band.n; ++row) {
      unpack_row(band, row, row_);
      const std::uint64_t start = row * from.columns, from_column = std::max(first, start) - start;
      PLIMSOLL_TRY(put(std::span(row_).subspan(from_column, std::min(end - start, from.columns) - from_column)));
    }
  }
  return {};
}

Result<void> QuantizedReader::read(const QuantizedMatrices& from, std::uint64_t first, std::uint64_t n, const Put& put) {
  const std::uint64_t of_one = from.rows * from.columns, end = first + n;
  for (std::uint64_t matrix = first / of_one; matrix * of_one < end; ++matrix) {
    const std::uint64_t start = matrix * of_one, begin = std::max(first, start) - start;
    PLIMSOLL_TRY(read_matrix(from, matrix, begin, std::min(end - start, of_one) - begin, put));
  }
  return {};
}

} // namespace plimsoll
