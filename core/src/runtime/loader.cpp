#include "runtime/loader.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/block_types.hpp"
#include "base/checked.hpp"
#include "base/regular_file.hpp"
#include "runtime/quantized_reader.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kReadBytes = 1U << 20;      // of one read; more gains nothing
constexpr std::uint64_t kProgressBytes = 16U << 20; // between two calls

// 0 for a type that is not loaded.
std::uint64_t element_bytes_of(const WeightTensor& tensor) {
  if (tensor.dtype == "float32") return 4;
  return tensor.dtype == "float16" || tensor.dtype == "bfloat16" ? 2 : 0;
}

tl::unexpected<Error> inconsistent(const WeightTensor& tensor, std::string_view what) {
  return fail(ErrorCode::kInternal, fmt::format("the source of weight '{}' is inconsistent: {}", tensor.label, what));
}

// What of a run belongs together: an element, or a block of elements that are unpacked.
struct Blocks {
  const BlockType* type = nullptr;
  std::uint64_t stored_bytes = 0, loaded_bytes = 0;
};
Blocks blocks_of(const WeightTensor& tensor, const WeightPiece& piece) {
  const std::uint64_t element = element_bytes_of(tensor);
  const BlockType* const type = piece.block_type.empty() ? nullptr : find_block_type(piece.block_type);
  if (type == nullptr) return {nullptr, std::max<std::uint64_t>(element, 1), element};
  return {type, type->block_bytes, type->block_elements * sizeof(float)};
}

// Whether a piece is of matrices that can be unpacked, and stays inside them.
Result<void> check_quantized(const WeightTensor& tensor, const WeightPiece& piece, std::size_t files) {
  const QuantizedMatrices& from = *piece.quantized;
  if (tensor.dtype != "float32" || !piece.block_type.empty() || piece.minus_one || piece.logarithm)
    return inconsistent(tensor, "quantised, and not as plain float32");
  if (const std::string what = inconsistency_of(from, files); !what.empty()) return inconsistent(tensor, what);
  if (piece.file != from.quants.file || piece.offset_bytes % sizeof(float) != 0) return inconsistent(tensor, "a run that begins elsewhere");
  const std::uint64_t all = from.matrices * from.rows * from.columns * sizeof(float);
  if ((Checked(piece.offset_bytes) + piece.bytes).saturated() > all) return inconsistent(tensor, "a run beyond its matrices");
  return {};
}

// Whether a piece stays inside its tensor and its axes hold its bytes.
Result<void> check_piece(const WeightTensor& tensor, const WeightPiece& piece, std::size_t files) {
  const std::uint64_t element_bytes = element_bytes_of(tensor);
  const Blocks blocks = blocks_of(tensor, piece);
  if (piece.file >= files) return inconsistent(tensor, "a file that is not listed");
  if (element_bytes == 0) return inconsistent(tensor, "a type that is not loaded");
  if (!piece.block_type.empty() && (blocks.type == nullptr || tensor.dtype != "float32"))
    return inconsistent(tensor, "blocks that nothing here unpacks");
  if (piece.bytes == 0 || piece.bytes % blocks.stored_bytes != 0) return inconsistent(tensor, "a run of no whole elements");
  if (piece.quantized) PLIMSOLL_TRY(check_quantized(tensor, piece, files));
  const bool floats = tensor.dtype == "float32" && piece.block_type.empty();
  if (piece.minus_one && !floats) return inconsistent(tensor, "1 is taken off other elements than float32");
  if (piece.logarithm && !floats) return inconsistent(tensor, "logarithms are taken of other elements than float32");
  if ((Checked(piece.offset_bytes) + piece.bytes).overflowed()) return inconsistent(tensor, "a run beyond any file");
  const Checked in_memory = Checked(piece.bytes / blocks.stored_bytes) * blocks.loaded_bytes;
  Checked end = in_memory;
  if (!piece.axes.empty()) {
    Checked elements = 1, last = 0;
    for (const WeightAxis& axis : piece.axes) {
      if (axis.extent == 0) return inconsistent(tensor, "an axis of no elements");
      if (axis.first > axis.extent || axis.n() > axis.extent - axis.first) return inconsistent(tensor, "more of an axis than there is");
      elements *= axis.extent;
      last += Checked(axis.n() - 1) * axis.to_stride_elements;
    }
    if ((elements * element_bytes).saturated() != in_memory.saturated()) return inconsistent(tensor, "axes of another size than their run");
    end = (last + 1) * element_bytes;
  }
  if ((end + piece.to_bytes).saturated() > tensor.bytes) return inconsistent(tensor, "a run beyond its tensor");
  return {};
}

// Puts elements that come in the order of their file where they belong, and leaves out what is not taken.
class ElementScatter {
public:
  ElementScatter(const WeightPiece& piece, std::uint64_t element_bytes, std::byte* to)
      : axes_(piece.axes), element_bytes_(element_bytes), to_(to), at_(axes_.size()) {
    find_row();
  }

  void put(std::span<const std::byte> block) {
    const WeightAxis& inner = axes_.back();
    std::uint64_t& at = at_.back();
    while (!block.empty()) {
      const std::uint64_t run = std::min(inner.extent - at, block.size() / element_bytes_);
      const std::uint64_t begin = std::max(at, inner.first), end = std::min(at + run, inner.first + inner.n());
      if (row_taken_ && begin < end)
        copy_run(block.data() + (begin - at) * element_bytes_, end - begin, begin - inner.first, inner.to_stride_elements);
      block = block.subspan(run * element_bytes_);
      at += run;
      if (at == inner.extent) next_row();
    }
  }

private:
  void copy_run(const std::byte* from, std::uint64_t elements, std::uint64_t first, std::uint64_t stride) {
    std::byte* to = to_ + (row_ + first * stride) * element_bytes_;
    if (stride == 1) {
      std::memcpy(to, from, elements * element_bytes_);
      return;
    }
    for (std::uint64_t i = 0; i < elements; ++i, from += element_bytes_, to += stride * element_bytes_)
      if (element_bytes_ == 4) std::memcpy(to, from, 4);
      else std::memcpy(to, from, 2);
  }
  // Counts on in the outer axes.
  void next_row() {
    at_.back() = 0;
    for (std::size_t i = axes_.size() - 1; i-- > 0;) {
      if (++at_[i] < axes_[i].extent) break;
      at_[i] = 0;
    }
    find_row();
  }
  void find_row() {
    row_ = 0;
    row_taken_ = true;
    for (std::size_t i = 0; i + 1 < axes_.size() && row_taken_; ++i) {
      row_taken_ = at_[i] >= axes_[i].first && at_[i] - axes_[i].first < axes_[i].n();
      if (row_taken_) row_ += (at_[i] - axes_[i].first) * axes_[i].to_stride_elements;
    }
  }

  const std::vector<WeightAxis>& axes_;
  std::uint64_t element_bytes_;
  std::byte* to_;
  std::vector<std::uint64_t> at_;
  std::uint64_t row_ = 0; // elements from the start to where the inner axis begins
  bool row_taken_ = true;
};

void take_one_off(std::span<std::byte> floats) {
  for (std::size_t at = 0; at < floats.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, floats.data() + at, sizeof value);
    value -= 1;
    std::memcpy(floats.data() + at, &value, sizeof value);
  }
}

// Of -exp(x) x; the first element that is not below 0, of which there is none. exp(x) may have been 0, of x far below.
std::optional<float> take_logarithms(std::span<std::byte> floats) {
  for (std::size_t at = 0; at < floats.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, floats.data() + at, sizeof value);
    if (!(value <= 0) || std::isinf(value)) return value;
    value = std::log(-value);
    std::memcpy(floats.data() + at, &value, sizeof value);
  }
  return std::nullopt;
}

std::span<char> chars(std::span<std::byte> bytes) { return {reinterpret_cast<char*>(bytes.data()), bytes.size()}; }

// That are read: of packed weights fewer than they become (of quantised ones what they become), of a rank's columns more than it takes.
std::uint64_t file_bytes(const WeightSources& sources) {
  std::uint64_t sum = 0;
  for (const WeightTensor& tensor : sources.tensors)
    for (const WeightPiece& piece : tensor.pieces) sum += piece.bytes;
  return sum;
}

class WeightLoader {
public:
  WeightLoader(const WeightSources& sources, const WeightsProgress& progress)
      : sources_(sources), progress_(progress), total_bytes_(file_bytes(sources)), memory_(sources.tensors.size()) {}

  // Lists all runs as they follow one another in the files, and compares their ends with these.
  Result<void> prepare() {
    std::vector<std::uint64_t> ends(sources_.files.size(), 0);
    for (std::size_t i = 0; i < sources_.tensors.size(); ++i)
      for (const WeightPiece& piece : sources_.tensors[i].pieces) {
        PLIMSOLL_TRY(check_piece(sources_.tensors[i], piece, ends.size()));
        const auto see = [&](std::uint32_t file, std::uint64_t end) { ends[file] = std::max(ends[file], end); };
        if (piece.quantized)
          each_array(*piece.quantized, [&](const StoredArray& array, std::uint64_t bytes) { see(array.file, array.offset_bytes + bytes); });
        else see(piece.file, piece.offset_bytes + piece.bytes);
        runs_.push_back({&piece, i});
      }
    std::sort(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) { return a.place() < b.place(); });
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ends[i] == 0) continue;
      PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(sources_.files[i]));
      if (ends[i] > file.file_bytes())
        return fail(ErrorCode::kBadCheckpoint,
                    fmt::format("the file has {} bytes, expected at least {}; it was changed after its header was read", file.file_bytes(),
                                ends[i]),
                    file.path());
    }
    return {};
  }

  Result<void> place(const PlaceWeight& where) {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      PLIMSOLL_ASSIGN(memory_[i], where(sources_.tensors[i]));
      if (memory_[i].size() != sources_.tensors[i].bytes)
        return inconsistent(sources_.tensors[i], fmt::format("{} bytes of memory for {}", memory_[i].size(), sources_.tensors[i].bytes));
    }
    return {};
  }

  Result<std::vector<std::span<std::byte>>> load() {
    std::optional<RegularFile> file;
    std::uint32_t number = 0;
    for (const Run& run : runs_) {
      const WeightPiece& piece = *run.piece;
      if (!file || number != piece.file) {
        PLIMSOLL_ASSIGN(file, RegularFile::open(sources_.files[piece.file]));
        number = piece.file;
      }
      const WeightTensor& tensor = sources_.tensors[run.tensor];
      const std::span<std::byte> to = memory_[run.tensor].subspan(piece.to_bytes);
      if (piece.quantized) PLIMSOLL_TRY(dequantize(piece, to));
      else if (!piece.block_type.empty()) PLIMSOLL_TRY(unpack(*file, piece, blocks_of(tensor, piece), to));
      else PLIMSOLL_TRY(piece.axes.empty() ? copy(*file, piece, to) : scatter(*file, piece, element_bytes_of(tensor), to));
    }
    if (progress_) PLIMSOLL_TRY(progress_(total_bytes_, total_bytes_));
    return std::move(memory_);
  }

private:
  struct Run {
    const WeightPiece* piece = nullptr;
    std::size_t tensor = 0;
    // Where it begins: its file, the tensor there, and what of that.
    std::tuple<std::uint32_t, std::uint64_t, std::uint64_t> place() const {
      if (piece->quantized) return {piece->file, piece->quantized->quants.offset_bytes, piece->offset_bytes};
      return {piece->file, piece->offset_bytes, 0};
    }
  };

  Result<void> copy(const RegularFile& file, const WeightPiece& piece, std::span<std::byte> to) {
    for (std::uint64_t at = 0; at < piece.bytes; at += kReadBytes) {
      const std::span<std::byte> block = to.subspan(at, std::min(kReadBytes, piece.bytes - at));
      PLIMSOLL_TRY(read(file, piece, at, block));
    }
    return {};
  }
  Result<void> scatter(const RegularFile& file, const WeightPiece& piece, std::uint64_t element_bytes, std::span<std::byte> to) {
    buffer_.resize(kReadBytes);
    ElementScatter elements(piece, element_bytes, to.data());
    for (std::uint64_t at = 0; at < piece.bytes; at += kReadBytes) {
      const std::span<std::byte> block = std::span(buffer_).first(std::min(kReadBytes, piece.bytes - at));
      PLIMSOLL_TRY(read(file, piece, at, block));
      elements.put(block);
    }
    return {};
  }
  // Blocks become float32, which then go where they belong.
  Result<void> unpack(const RegularFile& file, const WeightPiece& piece, const Blocks& blocks, std::span<std::byte> to) {
    const std::uint64_t most = kReadBytes / blocks.stored_bytes * blocks.stored_bytes;
    buffer_.resize(kReadBytes);
    std::optional<ElementScatter> elements;
    if (!piece.axes.empty()) elements.emplace(piece, sizeof(float), to.data());
    std::vector<float> floats;
    for (std::uint64_t at = 0; at < piece.bytes; at += most) {
      const std::span<std::byte> block = std::span(buffer_).first(std::min(most, piece.bytes - at));
      PLIMSOLL_TRY(read(file, piece, at, block));
      floats.resize(block.size() / blocks.stored_bytes * blocks.type->block_elements);
      const auto* from = reinterpret_cast<const unsigned char*>(block.data());
      for (std::size_t i = 0; i < floats.size(); i += blocks.type->block_elements, from += blocks.stored_bytes)
        blocks.type->unpack(from, floats.data() + i);
      const std::span<const std::byte> loaded = std::as_bytes(std::span(floats));
      if (elements) elements->put(loaded);
      else std::memcpy(to.data() + at / blocks.stored_bytes * blocks.loaded_bytes, loaded.data(), loaded.size());
    }
    return {};
  }
  // Rows of float32, out of whatever files have them.
  Result<void> dequantize(const WeightPiece& piece, std::span<std::byte> to) {
    std::optional<ElementScatter> elements;
    if (!piece.axes.empty()) elements.emplace(piece, sizeof(float), to.data());
    std::uint64_t at = 0;
    return reader_.read(*piece.quantized, piece.offset_bytes / sizeof(float), piece.bytes / sizeof(float),
                        [&](std::span<const float> row) -> Result<void> {
                          const std::span<const std::byte> loaded = std::as_bytes(row);
                          if (elements) elements->put(loaded);
                          else std::memcpy(to.data() + at, loaded.data(), loaded.size());
                          at += loaded.size();
                          return done(loaded.size());
                        });
  }
  Result<void> read(const RegularFile& file, const WeightPiece& piece, std::uint64_t at, std::span<std::byte> block) {
    PLIMSOLL_TRY(file.read(piece.offset_bytes + at, chars(block)));
    if (piece.minus_one) take_one_off(block);
    if (piece.logarithm)
      if (const std::optional<float> odd = take_logarithms(block))
        return fail(
            ErrorCode::kBadCheckpoint,
            fmt::format("elements from byte {} on are stored as -exp(x), and one is {}, expected below 0", piece.offset_bytes + at, *odd),
            file.path());
    return done(block.size());
  }
  Result<void> done(std::uint64_t bytes) {
    done_bytes_ += bytes;
    if (!progress_ || done_bytes_ - told_bytes_ < kProgressBytes || done_bytes_ == total_bytes_) return {};
    told_bytes_ = done_bytes_;
    return progress_(done_bytes_, total_bytes_);
  }

  const WeightSources& sources_;
  QuantizedReader reader_{sources_.files};
  const WeightsProgress& progress_;
  std::uint64_t total_bytes_, done_bytes_ = 0, told_bytes_ = 0;
  std::vector<std::span<std::byte>> memory_; // as sources_.tensors
  std::vector<Run> runs_;
  std::vector<std::byte> buffer_;
};

} // namespace

Result<std::vector<std::span<std::byte>>> load_weights(const WeightSources& sources, const PlaceWeight& place,
                                                       const WeightsProgress& progress) {
  WeightLoader loader(sources, progress);
  PLIMSOLL_TRY(loader.prepare());
  PLIMSOLL_TRY(loader.place(place));
  return loader.load();
}

} // namespace plimsoll
