#include "placement/sharded_sources.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <span>
#include <string_view>
#include <tuple>

#include "base/block_types.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostRuns = 1U << 20; // of one rank

// A part of a dimension, and where it goes in the local one.
struct Window {
  std::uint64_t first = 0, n = 0, to = 0;
};

// One dimension of a tensor; of the experts the outermost.
struct Dimension {
  std::uint64_t extent = 1, stride = 1;             // of the whole tensor, in elements
  std::uint64_t local_extent = 1, local_stride = 1; // of the rank's
  std::vector<Window> windows;
};

// An axis of a piece that stays within one dimension.
struct DimensionAxis {
  std::size_t dimension = 0;
  std::uint64_t extent = 0, step = 0; // of the dimension's coordinate
};

// What of each axis is taken.
struct Taken {
  std::uint64_t first = 0, n = 0;
};
struct Box {
  std::vector<Taken> axes;
  std::uint64_t from = 0, to = 0; // coordinates of its first element: in the whole, in the rank's
};

// Boxes of the axes of one dimension whose coordinates lie in a window. Axes come with the widest steps first, so that nearly all is one
// box.
class WindowCutter {
public:
  WindowCutter(std::span<const DimensionAxis> axes, const Window& window) : axes_(axes), window_(window), box_(axes.size()) {}

  Result<std::vector<Box>> cut(std::uint64_t begin) {
    PLIMSOLL_TRY(cut_axis(0, begin));
    return std::move(boxes_);
  }

private:
  Result<void> cut_axis(std::size_t k, std::uint64_t begin) {
    std::uint64_t reach = 0; // of the axes behind
    for (std::size_t i = k + 1; i < axes_.size(); ++i) reach += (axes_[i].extent - 1) * axes_[i].step;
    const std::uint64_t end = window_.first + window_.n;
    if (k == axes_.size()) {
      if (begin >= window_.first && begin < end) PLIMSOLL_TRY(add(begin));
      return {};
    }
    const DimensionAxis& axis = axes_[k];
    const auto inside = [&](std::uint64_t i) { return begin + i * axis.step >= window_.first && begin + i * axis.step + reach < end; };
    std::uint64_t i = begin + reach >= window_.first ? 0 : ceil_div(window_.first - begin - reach, axis.step);
    for (; i < axis.extent && begin + i * axis.step < end; ++i) {
      box_[k] = {i, 1};
      if (!inside(i)) {
        PLIMSOLL_TRY(cut_axis(k + 1, begin + i * axis.step));
        continue;
      }
      // All further ones that are inside, as one.
      const std::uint64_t room = (end - 1 - reach - begin) / axis.step - i + 1;
      box_[k].n = std::min(axis.extent - i, room);
      for (std::size_t behind = k + 1; behind < axes_.size(); ++behind) box_[behind] = {0, axes_[behind].extent};
      PLIMSOLL_TRY(add(begin + i * axis.step));
      i += box_[k].n - 1;
    }
    return {};
  }
  Result<void> add(std::uint64_t from) {
    if (boxes_.size() == kMostRuns) return fail(ErrorCode::kUnsupportedArchitecture, "it would be read in too many runs", "--tp");
    boxes_.push_back({box_, from, from - window_.first + window_.to});
    return {};
  }

  std::span<const DimensionAxis> axes_;
  const Window& window_;
  std::vector<Taken> box_;
  std::vector<Box> boxes_;
};

tl::unexpected<Error> inconsistent(const WeightTensor& tensor, std::string_view what) {
  return fail(ErrorCode::kInternal, fmt::format("the pieces of weight '{}' are inconsistent: {}", tensor.label, what));
}

// One tensor on one rank.
class TensorCutter {
public:
  TensorCutter(const WeightTensor& whole, const WeightClass& c, const WeightShard& shard) : whole_(whole), c_(c), shard_(shard) {}

  Result<WeightTensor> cut() {
    WeightTensor out = whole_;
    PLIMSOLL_TRY(localise(out));
    for (const WeightPiece& piece : whole_.pieces) PLIMSOLL_TRY(cut_piece(piece, out.pieces));
    return out;
  }

private:
  // Shape, parts and bytes; and what of each dimension is taken.
  Result<void> localise(WeightTensor& out) {
    out.pieces.clear();
    const LocalShape& shape = shard_.shape;
    const std::uint64_t elements = whole_elements();
    if (elements == 0 || whole_.bytes % elements != 0) return inconsistent(whole_, "bytes of another shape");
    element_bytes_ = whole_.bytes / elements;
    dimensions_.push_back(
        {std::max<std::uint64_t>(whole_.experts, 1), 1, shard_.experts.n, 1, {{shard_.experts.first, shard_.experts.n, 0}}});
    if (whole_.experts != 0) out.experts = shard_.experts.n;
    for (std::size_t d = 0; d < whole_.dims.size(); ++d) {
      out.dims[d] = shape.dims[d];
      Dimension& dimension = dimensions_.emplace_back();
      dimension.extent = whole_.dims[d];
      dimension.local_extent = shape.dims[d];
      if (d != c_.shard_dim || shape.ranges.empty()) {
        dimension.windows.push_back({0, dimension.extent, 0});
        continue;
      }
      std::uint64_t to = 0;
      for (const LocalRange& range : shape.ranges) {
        dimension.windows.push_back({range.first, range.n, to});
        to += range.n;
      }
    }
    for (std::size_t d = dimensions_.size() - 1; d-- > 0;) {
      dimensions_[d].stride = dimensions_[d + 1].stride * dimensions_[d + 1].extent;
      dimensions_[d].local_stride = dimensions_[d + 1].local_stride * dimensions_[d + 1].local_extent;
    }
    if (!whole_.parts.empty() && shape.ranges.size() == whole_.parts.size())
      for (std::size_t part = 0; part < out.parts.size(); ++part) out.parts[part] = shape.ranges[part].n;
    else if (!whole_.parts.empty() && shape.ranges.size() == 1) // they alternate
      for (std::uint64_t& part : out.parts) part = shape.ranges[0].n / out.parts.size();
    out.bytes = dimensions_[0].local_stride * dimensions_[0].local_extent * element_bytes_;
    if (out.bytes == 0)
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("a rank would have nothing of '{}', which is cut among {} ranks; give a smaller degree", whole_.label, shard_.degree),
          "--tp");
    return {};
  }
  std::uint64_t whole_elements() const {
    Checked elements = std::max<std::uint64_t>(whole_.experts, 1);
    for (const std::uint64_t extent : whole_.dims) elements *= extent;
    return elements.saturated();
  }

  // The axes of a piece, each within one dimension; its first element's coordinates.
  Result<std::vector<DimensionAxis>> axes_of(const WeightPiece& piece, std::vector<std::uint64_t>& begin) const {
    std::vector<WeightAxis> stored = piece.axes;
    if (stored.empty()) {
      const Stored as = stored_as(piece);
      stored.push_back({piece.bytes / as.block_bytes * as.block_elements, 1});
    }
    std::vector<DimensionAxis> axes;
    for (const WeightAxis& axis : stored) {
      const auto at = static_cast<std::ptrdiff_t>(axes.size());
      std::uint64_t left = axis.extent, stride = axis.to_stride_elements;
      while (left > 1) {
        std::size_t d = dimensions_.size() - 1;
        while (d > 0 && (dimensions_[d].extent == 1 || stride >= dimensions_[d].stride * dimensions_[d].extent)) --d;
        const Dimension& dimension = dimensions_[d];
        const std::uint64_t outer = dimension.stride * dimension.extent;
        if (stride == 0 || stride % dimension.stride != 0 || stride >= outer) return inconsistent(whole_, "an axis between dimensions");
        std::uint64_t n = left;
        if ((Checked(n - 1) * stride).saturated() >= outer) {
          if (outer % stride != 0 || left % (outer / stride) != 0) return inconsistent(whole_, "an axis across dimensions");
          n = outer / stride;
        }
        axes.insert(axes.begin() + at, {d, n, stride / dimension.stride});
        left /= n;
        stride = outer;
      }
    }
    std::uint64_t first = piece.to_bytes / element_bytes_;
    for (const Dimension& dimension : dimensions_) {
      begin.push_back(first / dimension.stride);
      first %= dimension.stride;
    }
    for (std::size_t d = 0; d < dimensions_.size(); ++d) {
      std::uint64_t last = begin[d];
      for (const DimensionAxis& axis : axes)
        if (axis.dimension == d) last += (axis.extent - 1) * axis.step;
      if (last >= dimensions_[d].extent) return inconsistent(whole_, "a run that goes over an edge");
    }
    return axes;
  }

  // What of a file belongs together.
  struct Stored {
    std::uint64_t block_elements = 1, block_bytes = 1;
  };
  Stored stored_as(const WeightPiece& piece) const {
    const BlockType* const type = piece.block_type.empty() ? nullptr : find_block_type(piece.block_type);
    if (type == nullptr) return {1, element_bytes_};
    return {type->block_elements, type->block_bytes};
  }

  Result<void> cut_piece(const WeightPiece& piece, std::vector<WeightPiece>& out) const {
    std::vector<std::uint64_t> begin;
    PLIMSOLL_ASSIGN(const std::vector<DimensionAxis> axes, axes_of(piece, begin));
    std::vector<std::vector<std::size_t>> axes_by_step(dimensions_.size());
    std::vector<std::vector<Box>> boxes(dimensions_.size());
    for (std::size_t d = 0; d < dimensions_.size(); ++d) {
      std::vector<std::size_t>& of = axes_by_step[d];
      for (std::size_t i = 0; i < axes.size(); ++i)
        if (axes[i].dimension == d) of.push_back(i);
      std::stable_sort(of.begin(), of.end(), [&](std::size_t a, std::size_t b) { return axes[a].step > axes[b].step; });
      std::vector<DimensionAxis> sorted;
      for (const std::size_t i : of) sorted.push_back(axes[i]);
      for (const Window& window : dimensions_[d].windows) {
        PLIMSOLL_ASSIGN(const std::vector<Box> found, WindowCutter(sorted, window).cut(begin[d]));
        boxes[d].insert(boxes[d].end(), found.begin(), found.end());
      }
      if (boxes[d].empty()) return {}; // nothing of the piece is the rank's
    }
    // One box of each dimension, in all combinations.
    std::vector<std::size_t> chosen(dimensions_.size(), 0);
    while (true) {
      if (out.size() == kMostRuns) return fail(ErrorCode::kUnsupportedArchitecture, "it would be read in too many runs", "--tp");
      std::vector<Taken> taken(axes.size());
      std::uint64_t to = 0;
      for (std::size_t d = 0; d < dimensions_.size(); ++d) {
        const Box& box = boxes[d][chosen[d]];
        to += box.to * dimensions_[d].local_stride;
        for (std::size_t k = 0; k < box.axes.size(); ++k) taken[axes_by_step[d][k]] = box.axes[k];
      }
      out.push_back(piece_of(piece, axes, taken, to));
      std::size_t d = 0;
      while (d < chosen.size() && ++chosen[d] == boxes[d].size()) chosen[d++] = 0;
      if (d == chosen.size()) return {};
    }
  }

  WeightPiece piece_of(const WeightPiece& piece, std::span<const DimensionAxis> axes, std::span<const Taken> taken,
                       std::uint64_t to) const {
    WeightPiece out = piece;
    out.to_bytes = to * element_bytes_;
    out.axes.clear();
    const Stored as = stored_as(piece);
    std::uint64_t run = 1; // elements of what is left of the axes
    for (const DimensionAxis& axis : axes) run *= axis.extent;
    bool outermost = true; // a part of the outermost axis is a shorter run, where it is whole blocks
    for (std::size_t i = 0; i < axes.size(); ++i) {
      run /= axes[i].extent;
      const std::uint64_t stride = axes[i].step * dimensions_[axes[i].dimension].local_stride;
      outermost = outermost && run % as.block_elements == 0;
      if (outermost) {
        const std::uint64_t run_bytes = run / as.block_elements * as.block_bytes;
        out.offset_bytes += taken[i].first * run_bytes;
        out.bytes = taken[i].n * run_bytes;
        outermost = taken[i].n == 1;
        if (!outermost) append(out.axes, {taken[i].n, stride});
      } else {
        append(out.axes, {axes[i].extent, stride, taken[i].first, taken[i].n == axes[i].extent ? 0 : taken[i].n});
      }
    }
    if (out.axes.size() == 1 && out.axes.front().takes_all() && out.axes.front().to_stride_elements == 1) out.axes.clear();
    return out;
  }
  // Axes that follow one another in the tensor as they do in the file are one.
  static void append(std::vector<WeightAxis>& axes, const WeightAxis& axis) {
    const bool joins = !axes.empty() && axis.takes_all() && axes.back().takes_all() &&
                       axes.back().to_stride_elements == axis.extent * axis.to_stride_elements;
    if (!joins) return axes.push_back(axis);
    axes.back() = {axes.back().extent * axis.extent, axis.to_stride_elements};
  }

  const WeightTensor& whole_;
  const WeightClass& c_;
  const WeightShard& shard_;
  std::uint64_t element_bytes_ = 1;
  std::vector<Dimension> dimensions_;
};

// Classes by what tensors are called.
class ClassTable {
public:
  explicit ClassTable(const Declared& declared) : declared_(declared) {
    for (std::size_t i = 0; i < declared.weights.size(); ++i) {
      const WeightClass& c = declared.weights[i];
      if (c.role == PLIMSOLL_ROLE_MODEL || c.role == PLIMSOLL_ROLE_DRAFT) by_label_[c.label].push_back(i);
    }
  }
  // The class of a tensor; nothing of tables, which no class declares.
  std::optional<std::size_t> find(const WeightTensor& tensor) const {
    const auto found = by_label_.find(tensor.label);
    if (found == by_label_.end()) return std::nullopt;
    for (const std::size_t i : found->second) {
      const std::vector<std::uint32_t>& layers = declared_.weights[i].layers;
      if (tensor.layer == UINT32_MAX ? layers.empty() : std::binary_search(layers.begin(), layers.end(), tensor.layer)) return i;
    }
    return std::nullopt;
  }

private:
  const Declared& declared_;
  std::map<std::string_view, std::vector<std::size_t>> by_label_;
};

} // namespace

const WeightClass* tied_to(const WeightClass& tied, const Declared& declared) {
  for (const WeightClass& c : declared.weights)
    if (c.role == PLIMSOLL_ROLE_MODEL && c.aspect == PLIMSOLL_ASPECT_EMBED && c.layers.empty() && c.n_dims == tied.n_dims &&
        c.dims == tied.dims)
      return &c;
  return nullptr;
}

LocalShape alternating_shape(const WeightClass& c, LocalShape shape) {
  if (shape.ranges.size() < 2) return shape;
  LocalRange all{shape.ranges.front().first * c.parts.size(), 0};
  for (const LocalRange& range : shape.ranges) all.n += range.n;
  shape.ranges = {all};
  return shape;
}

Result<WeightSources> shard_sources(const WeightSources& whole, const Declared& declared, const RankLayout& layout, std::uint32_t rank,
                                    const std::vector<bool>& alternating) {
  const ClassTable classes(declared);
  const std::uint32_t stage = layout.stage_of_rank(rank);
  WeightSources out;
  out.files = whole.files;
  std::size_t runs = 0;
  for (const WeightClass& c : declared.weights) {
    if (c.role != PLIMSOLL_ROLE_TIED || layout.pp == 1 || !on_stage(c, layout, 0, stage)) continue;
    const WeightClass* const embedding = tied_to(c, declared);
    for (const WeightTensor& tensor : whole.tensors) {
      if (embedding == nullptr || tensor.label != embedding->label || tensor.layer != UINT32_MAX) continue;
      PLIMSOLL_ASSIGN(const WeightShard shard, weight_shard(c, layout, rank));
      PLIMSOLL_ASSIGN(WeightTensor copy, TensorCutter(tensor, c, shard).cut());
      copy.label = c.label;
      out.tensors.push_back(std::move(copy));
    }
  }
  for (const WeightTensor& tensor : whole.tensors) {
    const std::optional<std::size_t> at = classes.find(tensor);
    if (!at) {
      out.tensors.push_back(tensor);
      continue;
    }
    const WeightClass& c = declared.weights[*at];
    PLIMSOLL_ASSIGN(WeightShard shard, weight_shard(c, layout, rank));
    if (!shard.held || !on_stage(c, layout, tensor.layer, stage)) continue;
    if (alternating[*at]) shard.shape = alternating_shape(c, std::move(shard.shape));
    PLIMSOLL_ASSIGN(WeightTensor local, TensorCutter(tensor, c, shard).cut());
    runs += local.pieces.size();
    if (runs > kMostRuns)
      return fail(ErrorCode::kUnsupportedArchitecture, fmt::format("'{}' would be read in too many runs", tensor.label), "--tp");
    out.tensors.push_back(std::move(local));
  }
  std::sort(out.tensors.begin(), out.tensors.end(),
            [](const WeightTensor& a, const WeightTensor& b) { return std::tie(a.label, a.layer) < std::tie(b.label, b.layer); });
  return out;
}

} // namespace plimsoll
