#include "runtime/adapter_loader.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <optional>
#include <vector>

#include "backend/elements.hpp"
#include "base/regular_file.hpp"
#include "kv_cache/page_keys.hpp"
#include "runtime/philox.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kBlockElements = 1U << 16; // read at a time
constexpr double kMostDrawn = 0.01;                // of a drawn element, either side of 0

// Where a matrix goes: these of its rows and columns, so far apart.
struct SlotRows {
  std::uint64_t first_element = 0, stride = 0;
  AdapterRange rows, columns;
};

class AdapterReader {
public:
  // `slot`: null where nothing is kept.
  AdapterReader(const AdapterSources& sources, const AdapterSlots& slots, Backend* backend, void* slot)
      : sources_(sources), slots_(slots), backend_(backend), slot_(static_cast<std::byte*>(slot)),
        type_(find_element_type(slots.dtype).value_or(ElementType::kFloat32)) {}

  Result<BlockKey> read() {
    std::optional<RegularFile> file;
    if (!sources_.file.empty()) {
      PLIMSOLL_ASSIGN(file, RegularFile::open(sources_.file));
    } else {
      draw_block();
    }
    for (const AdapterPair& pair : sources_.pairs) {
      const AdapterTarget& target = slots_.targets[pair.target];
      const std::array<std::uint64_t, 4> what{pair.target, pair.part, pair.rank, std::bit_cast<std::uint64_t>(pair.scale)};
      hash_ = hash_after(hash_, std::as_bytes(std::span(what)));
      const std::uint64_t rows_before =
          std::accumulate(target.parts.begin(), target.parts.begin() + static_cast<std::ptrdiff_t>(pair.part), std::uint64_t{0});
      const AdapterRange all{pair.rank, 0, pair.rank};
      const SlotRows a{target.a_offset_elements + pair.part * slots_.max_rank * target.in, target.in, all, target.columns};
      const SlotRows b{target.b_offset_elements + rows_before * slots_.max_rank, slots_.max_rank, target.rows[pair.part], all};
      const bool here = slot_ != nullptr && target.in > 0;
      PLIMSOLL_TRY(matrix(file, pair.a_dtype, pair.a_offset_bytes, a, here));
      PLIMSOLL_TRY(matrix(file, pair.b_dtype, pair.b_offset_bytes, b, here));
    }
    return hash_;
  }

private:
  // One block, of which every matrix has its beginning, over and over.
  void draw_block() {
    std::vector<float> drawn(kBlockElements);
    for (std::uint64_t i = 0; i < kBlockElements; ++i)
      drawn[i] = static_cast<float>((2 * uniform_draw(sources_.seed, 0, i) - 1) * kMostDrawn);
    stored_.resize(kBlockElements * sizeof(float));
    store_elements(drawn.data(), kBlockElements, stored_.data(), ElementType::kFloat32, 0);
  }

  // No file: of what was drawn.
  Result<void> matrix(const std::optional<RegularFile>& file, const std::string& dtype, std::uint64_t offset_bytes, const SlotRows& to,
                      bool here) {
    const std::uint64_t elements = to.rows.whole * to.columns.whole;
    const ElementType type = find_element_type(dtype).value_or(ElementType::kFloat32);
    for (std::uint64_t at = 0; at < elements; at += kBlockElements) {
      const std::uint64_t n = std::min(kBlockElements, elements - at), bytes = n * element_bytes(type);
      stored_.resize(kBlockElements * sizeof(float));
      if (file)
        PLIMSOLL_TRY(file->read(offset_bytes + at * element_bytes(type), std::span(reinterpret_cast<char*>(stored_.data()), bytes)));
      hash_ = hash_after(hash_, std::span(stored_).first(bytes));
      if (here) keep(type, n, at, to);
    }
    return {};
  }
  // Elements [at, at + n) of a matrix, row by row.
  void keep(ElementType type, std::uint64_t n, std::uint64_t at, const SlotRows& to) {
    floats_.resize(kBlockElements);
    converted_.resize(kBlockElements * sizeof(float));
    load_elements(stored_.data(), type, 0, n, floats_.data());
    store_elements(floats_.data(), n, converted_.data(), type_, 0);
    const std::uint64_t each = element_bytes(type_);
    for (std::uint64_t done = 0; done < n;) {
      const std::uint64_t row = (at + done) / to.columns.whole, column = (at + done) % to.columns.whole;
      const std::uint64_t run = std::min(n - done, to.columns.whole - column);
      const std::uint64_t first = std::max(column, to.columns.first), end = std::min(column + run, to.columns.first + to.columns.n);
      if (row >= to.rows.first && row - to.rows.first < to.rows.n && first < end)
        backend_->copy_in(slot_ + (to.first_element + (row - to.rows.first) * to.stride + first - to.columns.first) * each,
                          converted_.data() + (done + first - column) * each, (end - first) * each);
      done += run;
    }
  }

  const AdapterSources& sources_;
  const AdapterSlots& slots_;
  Backend* backend_;
  std::byte* slot_;
  ElementType type_;
  BlockKey hash_;
  std::vector<std::byte> stored_, converted_;
  std::vector<float> floats_;
};

} // namespace

AdapterSources drawn_adapter(const AdapterSlots& slots, std::uint64_t seed) {
  AdapterSources out;
  out.seed = seed;
  out.rank = slots.max_rank;
  for (std::uint32_t target = 0; target < slots.targets.size(); ++target)
    for (std::uint32_t part = 0; part < slots.targets[target].parts.size(); ++part) {
      AdapterPair& pair = out.pairs.emplace_back();
      pair.name = slots.targets[target].label;
      pair.target = target;
      pair.part = part;
      pair.rank = slots.max_rank;
      pair.a_dtype = "float32";
      pair.b_dtype = "float32";
    }
  return out;
}

Result<BlockKey> adapter_hash(const AdapterSources& sources, const AdapterSlots& slots) {
  return AdapterReader(sources, slots, nullptr, nullptr).read();
}

Result<BlockKey> read_adapter(const AdapterSources& sources, const AdapterSlots& slots, Backend& backend, void* slot) {
  return AdapterReader(sources, slots, &backend, slot).read();
}

} // namespace plimsoll
