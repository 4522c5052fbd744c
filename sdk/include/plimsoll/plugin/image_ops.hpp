// plimsoll/plugin/image_ops.hpp - the ops of models that see: op::Patches, op::MergeRows of an encoder, op::ImageRows of the text, and
// op::RopeSections of both. Never include it by itself: plimsoll/plugin.hpp is the include of plugins. Threads: values.
#ifndef PLIMSOLL_PLUGIN_IMAGE_OPS_HPP
#define PLIMSOLL_PLUGIN_IMAGE_OPS_HPP

#include <array>
#include <cstdint>

#include "plimsoll/plugin/ops.hpp"

namespace plimsoll {

// Patches of `side` x `side` pixels, each of an image `frames` times; merge x merge neighbours, a block, become one row of the text. Blocks
// come in windows of so many a side; 0: none.
struct PatchSizes {
  std::uint64_t channels, frames, side, merge;
  std::uint64_t window = 0;
};

// How pairs are dealt to three positions: the first ones to the first position, or in turn.
enum class SectionOrder : std::uint64_t { kOneAfterAnother = 0, kInTurn = 1 };

namespace op {

// The patches of an image, a row each: what an encoder begins with.
class Patches : public Op {
public:
  static constexpr bool kAdds = false;
  explicit Patches(const PatchSizes& sizes) : Op(PLIMSOLL_OP_PATCHES, {}) {
    positive("a size of patches", sizes.channels, sizes.frames, sizes.side, sizes.merge);
    op_.i[0] = sizes.channels;
    op_.i[1] = sizes.frames;
    op_.i[2] = sizes.side;
    op_.i[3] = sizes.merge;
    op_.i[4] = sizes.window;
  }
};

// As Rope, with three positions a row: the numbers of pairs that turn by each, which are all pairs of the table.
class RopeSections : public Op {
public:
  static constexpr bool kAdds = false;
  RopeSections(Value x, RopeTable table, const std::array<std::uint64_t, 3>& pairs, SectionOrder order = SectionOrder::kOneAfterAnother)
      : Op(PLIMSOLL_OP_ROPE_SECTIONS, {x}) {
    op_.i[4] = static_cast<std::uint64_t>(order);
    op_.i[5] = table.index;
    op_.i[6] = pairs[0];
    op_.i[7] = pairs[1];
  }
  RopeSections& columns(std::uint64_t heads, std::uint64_t stride, std::uint64_t first, std::uint64_t columns) {
    head_columns(heads, stride, first, columns);
    return *this;
  }
};

// Merged rows, of patches in windows, in the order of the text.
class RowsInOrder : public Op {
public:
  static constexpr bool kAdds = false;
  explicit RowsInOrder(Value x) : Op(PLIMSOLL_OP_ROWS_IN_ORDER, {x}) {}
};

// `n` rows of patches side by side.
class MergeRows : public Op {
public:
  static constexpr bool kAdds = false;
  MergeRows(Value x, std::uint64_t n) : Op(PLIMSOLL_OP_MERGE_ROWS, {x}) {
    positive("a number of rows", n);
    op_.i[0] = n;
  }
};

// Rows of the tokens `token` become those of images, in place.
class ImageRows : public Op {
public:
  static constexpr bool kAdds = false;
  ImageRows(Value x, std::uint64_t token) : Op(PLIMSOLL_OP_IMAGE_ROWS, {x}) { op_.i[0] = token; }
};

} // namespace op
} // namespace plimsoll

#endif
