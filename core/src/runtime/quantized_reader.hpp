// Reads quantised matrices out of files, a few rows at a time, and hands out float32. Called by the loader. Takes no more memory than a
// band of rows: some MiB, whatever a matrix has. Reads with pread. Threads: one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/regular_file.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/weight_sources.hpp"

namespace plimsoll {

// Whether the arrays are those of the shape, in types that are unpacked, in files [0, files). The text says what is not; empty: all is
// well.
std::string inconsistency_of(const QuantizedMatrices& matrices, std::size_t files);
// Calls see(array, bytes) for every array that is there.
void each_array(const QuantizedMatrices& matrices, const std::function<void(const StoredArray&, std::uint64_t bytes)>& see);

class QuantizedReader {
public:
  // `files` outlive it. What it reads has passed inconsistency_of().
  explicit QuantizedReader(std::span<const std::string> files) : files_(files) {}

  // Elements [first, first + n) of all matrices, one after the other, as calls of put() with some of one row. kBadCheckpoint: an index of
  // inputs that leads nowhere, another shape than the file says, a file that ends too early.
  using Put = std::function<Result<void>(std::span<const float> elements)>;
  Result<void> read(const QuantizedMatrices& from, std::uint64_t first, std::uint64_t n, const Put& put);

private:
  Result<void> read_matrix(const QuantizedMatrices& from, std::uint64_t matrix, std::uint64_t first, std::uint64_t n, const Put& put);
  Result<void> read_band(const QuantizedMatrices& from, std::uint64_t matrix, std::uint64_t first_row, std::uint64_t rows);
  Result<void> read_index(const QuantizedMatrices& from, std::uint64_t matrix);
  Result<void> check_shape(const QuantizedMatrices& from, std::uint64_t matrix);
  // A window of one matrix's array, row after row.
  Result<void> read_window(const StoredArray& array, std::uint64_t matrix, std::uint64_t first_row, std::uint64_t rows,
                           std::uint64_t first_column, std::uint64_t columns, std::vector<std::byte>& to);
  tl::unexpected<Error> bad(const StoredArray& array, std::string what) const;

  std::span<const std::string> files_;
  std::map<std::uint32_t, RegularFile> open_;
  std::vector<std::byte> quants_, bytes_;
  std::vector<float> scales_, zeros_, floats_, row_;
  std::vector<std::uint32_t> index_;
};

} // namespace plimsoll
