#include "model/stored_pieces.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>
#include <utility>

#include "base/checked.hpp"
#include "checkpoint/quoted_name.hpp"

namespace plimsoll {
namespace {

// The tensor in memory: [experts][rows][columns], or [experts][columns][rows] where a class has its inputs first.
struct TensorLayout {
  std::uint64_t experts = 1, rows = 1, columns = 1;
  bool inputs_first = false;
  std::vector<std::uint64_t> dims; // of one expert
  std::size_t row_dim = 0;

  std::uint64_t elements() const { return rows * columns; } // of one expert
  std::uint64_t row_stride() const { return inputs_first ? 1 : columns; }
  std::uint64_t column_stride() const { return inputs_first ? rows : 1; }
  // The shape of so many rows of one expert, or of all.
  std::vector<std::uint64_t> shape(std::uint64_t of_rows, bool packed) const {
    std::vector<std::uint64_t> out = dims;
    if (!out.empty()) out[row_dim] = of_rows;
    if (packed) out.insert(out.begin(), experts);
    return out;
  }
};

TensorLayout layout_of(const WeightClass& c) {
  TensorLayout out;
  out.experts = c.whole_experts();
  out.dims.assign(c.dims.begin(), c.dims.begin() + c.n_dims);
  out.inputs_first = inputs_first(c);
  out.row_dim = out.inputs_first ? 1 : 0;
  out.rows = rows_of(c);
  out.columns = c.elements_of_one().saturated() / out.rows;
  return out;
}

// Where the rows of one stored part go.
struct PartRows {
  std::uint64_t rows = 0;                 // of one expert
  std::uint64_t units = 1;                // blocks of rows that lie apart in the tensor
  std::uint64_t first = 0, unit_step = 0; // row of the tensor where the first block begins, and from one to the next
  std::uint64_t step = 1;                 // from a row to the next
  std::uint64_t heads = 0;                // that the rows are divided in; 0: not declared
};

tl::unexpected<Error> misfit(const StoredPiece& piece, const std::vector<std::uint64_t>& expected) {
  return fail(ErrorCode::kBadCheckpoint,
              fmt::format("tensor {} is {}, expected {}", quoted_name(piece.name), shape_text(piece.shape, piece.dtype),
                          shape_text(expected, piece.dtype)),
              quoted_name(piece.name));
}
tl::unexpected<Error> unknown_order(const StoredPiece& piece, std::string_view what) {
  return fail(ErrorCode::kUnsupportedArchitecture, fmt::format("tensor {}: {}", quoted_name(piece.name), what), quoted_name(piece.name));
}

// Rows of one expert in a stored part.
Result<std::uint64_t> part_rows(const TensorLayout& tensor, const StoredPiece& piece) {
  if (piece.joint_rows != 0) return tensor.rows;
  Checked elements = 1;
  for (const std::uint64_t dim : piece.shape) elements *= dim;
  const Checked of_row = Checked(tensor.columns) * (piece.packed ? tensor.experts : 1);
  if (elements.overflowed() || of_row.overflowed() || elements.value() == 0 || elements.value() % of_row.value() != 0)
    return misfit(piece, tensor.shape(tensor.rows, piece.packed));
  return elements.value() / of_row.value();
}

// Parts follow one another where the class declares as many; where it declares one, a unit of each follows one of the other: of
// kv_b_proj the key rows of a head and then its value rows. Takes the first piece of every part.
Result<std::vector<PartRows>> place_parts(const WeightClass& c, const TensorLayout& tensor, std::span<const StoredPiece* const> parts) {
  std::vector<PartRows> out(parts.size());
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    PLIMSOLL_ASSIGN(out[i].rows, part_rows(tensor, *parts[i]));
    if (out[i].rows > tensor.rows - sum) return misfit(*parts[i], tensor.shape(tensor.rows - sum, parts[i]->packed));
    sum += out[i].rows;
  }
  if (sum != tensor.rows)
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("tensor {} and what else is stored of it have {} rows, expected {}; a part is missing",
                            quoted_name(parts[0]->name), sum, tensor.rows),
                quoted_name(parts[0]->name));
  const bool by_rows = c.shard_dim == tensor.row_dim;
  const bool declared = by_rows && c.parts.size() == parts.size();
  const std::uint64_t units = by_rows && c.parts.size() == 1 ? c.parts[0].units : 0;
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    PartRows& part = out[i];
    if (declared) part.heads = c.parts[i].units;
    part.first = before;
    before += part.rows;
    if (parts[i]->order.alternating) {
      if (part.rows * parts.size() != tensor.rows) return misfit(*parts[i], tensor.shape(tensor.rows / parts.size(), parts[i]->packed));
      part.first = i;
      part.step = parts.size();
      continue;
    }
    if (parts.size() == 1) continue;
    if (declared && part.rows != c.parts[i].extent) return misfit(*parts[i], tensor.shape(c.parts[i].extent, parts[i]->packed));
    if (declared) continue;
    if (units == 0 || part.rows % units != 0)
      return unknown_order(*parts[i], fmt::format("it is stored in {} parts, and its planner does not say how they lie together; store "
                                                  "it whole",
                                                  parts.size()));
    part.units = units;
    part.unit_step = tensor.rows / units;
    part.first = part.first / units;
  }
  return out;
}

// Drops dimensions of one element, joins those that follow one another.
std::vector<WeightAxis> joined(const std::vector<WeightAxis>& axes) {
  std::vector<WeightAxis> out;
  for (const WeightAxis& axis : axes) {
    if (axis.extent == 1) continue;
    if (!out.empty() && out.back().to_stride_elements == axis.extent * axis.to_stride_elements) {
      out.back().extent *= axis.extent;
      out.back().to_stride_elements = axis.to_stride_elements;
    } else {
      out.push_back(axis);
    }
  }
  if (out.size() == 1 && out.front().to_stride_elements == 1) out.clear();
  return out;
}

class PieceMaker {
public:
  // `element_bytes`: of the tensor in memory.
  PieceMaker(const WeightClass& c, const TensorLayout& tensor, const StoredPiece& piece, const PartRows& part, std::uint64_t element_bytes)
      : class_(c), tensor_(tensor), piece_(piece), part_(part), element_bytes_(element_bytes) {}

  Result<void> make(WeightTensor& into) const {
    PLIMSOLL_TRY(check());
    if (piece_.order.hands > 1) return deal(into);
    PLIMSOLL_ASSIGN(std::vector<WeightAxis> axes, axes_of_expert());
    const bool apart = piece_.joint_rows != 0; // the rows of an expert do not follow those of the one before
    if (piece_.packed && !apart) axes.insert(axes.begin(), {tensor_.experts, tensor_.elements()});
    WeightPiece run = empty_run();
    PLIMSOLL_ASSIGN(run.bytes, stored_bytes(part_.rows * tensor_.columns * (piece_.packed && !apart ? tensor_.experts : 1)));
    run.axes = joined(axes);
    for (std::uint64_t e = 0; e < (piece_.packed && apart ? tensor_.experts : 1); ++e) {
      const std::uint64_t before = (e * piece_.joint_rows + piece_.joint_rows_before) * tensor_.columns;
      PLIMSOLL_ASSIGN(const std::uint64_t before_bytes, stored_bytes(before));
      run.offset_bytes = piece_.offset_bytes + before_bytes;
      run.to_bytes = ((piece_.packed ? e : piece_.expert) * tensor_.elements() + part_.first * tensor_.row_stride()) * element_bytes_;
      into.pieces.push_back(run);
    }
    return {};
  }

private:
  WeightPiece empty_run() const {
    WeightPiece run;
    run.file = piece_.file;
    run.minus_one = piece_.order.one_added;
    run.logarithm = piece_.order.minus_exponential;
    run.quantized = piece_.quantized;
    if (piece_.dtype.block_elements > 1 || piece_.dtype.block_bytes != element_bytes_) run.block_type = piece_.dtype.name;
    return run;
  }

  // A run for each part of the class, whose heads come hand by hand: stored are the first heads of all hands, then the second ones.
  Result<void> deal(WeightTensor& into) const {
    const bool by_columns = class_.in_dim == class_.shard_dim && tensor_.dims.size() == 2;
    if (piece_.packed || part_.units != 1 || part_.step != 1 || tensor_.inputs_first || transposed() || piece_.order.rope_pairs ||
        class_.parts.empty() || (by_columns && class_.parts.size() != 1) || (!by_columns && class_.shard_dim != tensor_.row_dim))
      return unknown_order(piece_, "its heads are dealt out in turn, and its planner does not say which of its elements are heads");
    std::uint64_t before = 0;
    for (const WeightPart& part : class_.parts) {
      const std::uint64_t hands = piece_.order.hands;
      if (part.units % hands != 0 || part.extent % part.units != 0)
        return unknown_order(piece_, fmt::format("{} heads of it cannot be dealt to {} hands", part.units, hands));
      const std::uint64_t width = part.extent / part.units, of_hand = part.units / hands;
      const std::uint64_t stride = by_columns ? tensor_.column_stride() : tensor_.row_stride();
      std::vector<WeightAxis> axes{{of_hand, width * stride}, {hands, of_hand * width * stride}, {width, stride}};
      if (by_columns) axes.insert(axes.begin(), {tensor_.rows, tensor_.row_stride()});
      else axes.push_back({tensor_.columns, tensor_.column_stride()});
      WeightPiece run = empty_run();
      PLIMSOLL_ASSIGN(const std::uint64_t before_bytes, stored_bytes(before * tensor_.columns));
      PLIMSOLL_ASSIGN(run.bytes, stored_bytes(by_columns ? tensor_.elements() : part.extent * tensor_.columns));
      run.axes = joined(axes);
      run.offset_bytes = piece_.offset_bytes + before_bytes;
      run.to_bytes = before * tensor_.row_stride() * element_bytes_;
      into.pieces.push_back(std::move(run));
      before += part.extent;
    }
    return {};
  }

  // Of so many elements that begin with a block.
  Result<std::uint64_t> stored_bytes(std::uint64_t elements) const {
    if (elements % piece_.dtype.block_elements != 0)
      return unknown_order(piece_, fmt::format("{} elements of it are no whole blocks of {}", elements, piece_.dtype.name));
    return elements / piece_.dtype.block_elements * piece_.dtype.block_bytes;
  }
  // The last two dimensions change places; of a vector, those of a list of experts do not.
  std::vector<std::uint64_t> shape_in_memory() const {
    std::vector<std::uint64_t> shape = piece_.shape;
    if (transposed()) std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
    return shape;
  }
  bool transposed() const { return piece_.order.transposed && piece_.shape.size() >= 2 && tensor_.dims.size() >= 2; }

  Result<void> check() const {
    const StoredOrder& order = piece_.order;
    if (order.one_added && piece_.dtype.name != "float32")
      return unknown_order(piece_, fmt::format("1 is added to its elements in {}, expected float32", piece_.dtype.name));
    if (order.minus_exponential && piece_.dtype.name != "float32")
      return unknown_order(piece_, fmt::format("-exp of its elements is stored in {}, expected float32", piece_.dtype.name));
    if (piece_.joint_rows != 0 && (tensor_.inputs_first || order != StoredOrder{}))
      return unknown_order(piece_, "it holds several tensors whose rows do not follow one another; store them apart");
    const std::vector<std::uint64_t> expected = tensor_.shape(piece_.joint_rows != 0 ? piece_.joint_rows : part_.rows, piece_.packed);
    if (!same_dims(shape_in_memory(), expected)) return misfit(piece_, expected);
    return {};
  }

  // Rows as they are stored, and where each goes.
  Result<std::vector<WeightAxis>> row_axes() const {
    const std::uint64_t stride = tensor_.row_stride();
    std::uint64_t heads = part_.units, head_step = part_.unit_step;
    if (piece_.order.rope_pairs && heads == 1) {
      heads = part_.heads;
      if (heads != 0) head_step = part_.rows / heads * part_.step;
    }
    if (piece_.order.rope_pairs && (heads == 0 || part_.rows % heads != 0 || part_.rows / heads % 2 != 0))
      return unknown_order(piece_, "the halves of its heads alternate, and its planner declares no heads that its rows divide into");
    const std::uint64_t rows = part_.rows / heads, step = part_.step * stride;
    if (!piece_.order.rope_pairs) return std::vector<WeightAxis>{{heads, head_step * stride}, {rows, step}};
    return std::vector<WeightAxis>{{heads, head_step * stride}, {rows / 2, step}, {2, rows / 2 * step}};
  }

  // All elements of one expert in the order in which they are stored.
  Result<std::vector<WeightAxis>> axes_of_expert() const {
    PLIMSOLL_ASSIGN(std::vector<WeightAxis> axes, row_axes());
    const WeightAxis columns{tensor_.columns, tensor_.column_stride()};
    if (tensor_.inputs_first != transposed()) { // columns before rows
      if (!tensor_.inputs_first) return columns_first(columns);
      axes.insert(axes.begin(), columns);
    } else {
      axes.push_back(columns);
    }
    return axes;
  }

  // Stored [blocks, columns, rows] for rows of `blocks` heads; [columns, rows] for one block.
  Result<std::vector<WeightAxis>> columns_first(const WeightAxis& columns) const {
    const std::size_t rank = piece_.shape.size();
    if (piece_.packed || piece_.order.rope_pairs || rank > 3)
      return unknown_order(piece_, "it is stored with rows and columns exchanged in a way that is not known");
    const std::uint64_t blocks = rank == 3 ? piece_.shape[0] : 1, rows = part_.rows / blocks;
    if (part_.units != 1 && part_.units != blocks)
      return unknown_order(piece_, fmt::format("it is stored in {} blocks, expected {}", blocks, part_.units));
    const std::uint64_t step = part_.step * tensor_.row_stride();
    const std::uint64_t block_step = part_.units == 1 ? rows * step : part_.unit_step * tensor_.row_stride();
    return std::vector<WeightAxis>{{blocks, block_step}, columns, {rows, step}};
  }

  const WeightClass& class_;
  const TensorLayout& tensor_;
  const StoredPiece& piece_;
  const PartRows& part_;
  std::uint64_t element_bytes_;
};

tl::unexpected<Error> stored_twice(const StoredPiece& a, const StoredPiece& b) {
  return fail(ErrorCode::kBadCheckpoint,
              fmt::format("tensors {} and {} are both stored for one thing; remove one", quoted_name(a.name), quoted_name(b.name)),
              quoted_name(b.name));
}

// A piece for every part and expert, each once. Takes the pieces of one part, by expert.
Result<void> check_experts(const WeightClass& c, std::uint32_t layer, std::span<const StoredPiece* const> pieces) {
  if (pieces.front()->packed) {
    if (pieces.size() > 1) return stored_twice(*pieces[0], *pieces[1]);
    return {};
  }
  for (std::size_t e = 0; e <= pieces.size(); ++e) {
    if (e < pieces.size() && (pieces[e]->packed || pieces[e]->expert < e)) return stored_twice(*pieces[e - 1], *pieces[e]);
    if (e == c.whole_experts() || (e < pieces.size() && pieces[e]->expert == e)) continue;
    const std::string name = quoted_name(tensor_name(c.pattern, layer, e));
    return fail(ErrorCode::kBadCheckpoint, fmt::format("the checkpoint lacks expert {} of tensor {}", e, name), name);
  }
  return {};
}

} // namespace

bool inputs_first(const WeightClass& c) { return c.n_dims == 2 && c.in_dim == 0; }

std::uint64_t rows_of(const WeightClass& c) {
  if (c.n_dims == 0) return 1;
  return c.dims[inputs_first(c) ? 1 : 0];
}

Result<WeightTensor> tensor_of_pieces(const WeightClass& c, std::size_t layer, std::span<const StoredPiece> stored, std::size_t most_pieces,
                                      bool unpacked) {
  const std::uint32_t layer_number = c.layers.empty() ? 0 : c.layers[layer];
  const std::string wanted = quoted_name(tensor_name(c.pattern, layer_number, 0));
  if (stored.empty()) return fail(ErrorCode::kBadCheckpoint, fmt::format("the checkpoint lacks tensor {}", wanted), wanted);
  std::vector<const StoredPiece*> sorted;
  for (const StoredPiece& piece : stored) sorted.push_back(&piece);
  std::stable_sort(sorted.begin(), sorted.end(), [](const StoredPiece* a, const StoredPiece* b) {
    return std::tuple(a->part, !a->packed, a->expert) < std::tuple(b->part, !b->packed, b->expert);
  });
  std::vector<const StoredPiece*> parts; // the first piece of each
  const Dtype type = unpacked ? *find_dtype("float32") : sorted.front()->dtype;
  for (std::size_t at = 0, end = 0; at < sorted.size(); at = end) {
    parts.push_back(sorted[at]);
    if (parts.front()->part == StoredPlace::kWhole && parts.size() > 1) return stored_twice(*parts[0], *parts[1]);
    while (end < sorted.size() && sorted[end]->part == sorted[at]->part) {
      if (!unpacked && sorted[end]->dtype != type)
        return unknown_order(*sorted[end], fmt::format("it is {}, what else is stored of {} is {}; store both alike",
                                                       sorted[end]->dtype.name, wanted, type.name));
      ++end;
    }
    PLIMSOLL_TRY(check_experts(c, layer_number, std::span(sorted).subspan(at, end - at)));
  }
  const TensorLayout layout = layout_of(c);
  const bool split = parts.front()->packed && parts.front()->joint_rows != 0;
  if (std::max<std::uint64_t>(sorted.size(), split ? layout.experts : 1) > most_pieces)
    return unknown_order(*parts.front(), "it lies in too many runs; store its experts whole");

  WeightTensor tensor;
  tensor.label = c.label;
  if (!c.layers.empty()) tensor.layer = layer_number;
  tensor.dtype = type.name;
  tensor.experts = c.experts;
  tensor.dims = layout.dims;
  tensor.in_dim = c.in_dim;
  if (c.parts.size() > 1 && c.shard_dim == layout.row_dim)
    for (const WeightPart& part : c.parts) tensor.parts.push_back(part.extent);
  PLIMSOLL_ASSIGN(tensor.bytes, (type.bytes(c.elements_of_one()) * layout.experts).get(fmt::format("tensor {}", wanted)));
  PLIMSOLL_ASSIGN(const std::vector<PartRows> rows, place_parts(c, layout, parts));
  std::size_t part = 0;
  for (const StoredPiece* piece : sorted) {
    if (piece->part != parts[part]->part) ++part;
    PLIMSOLL_TRY(PieceMaker(c, layout, *piece, rows[part], type.block_bytes).make(tensor));
  }
  return tensor;
}

} // namespace plimsoll
