#include "model/quantized_pieces.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <utility>

#include "base/quants.hpp"
#include "checkpoint/quoted_name.hpp"

namespace plimsoll {

// One matrix, or those of all experts of a layer.
class QuantizedPieces::Maker {
public:
  Maker(const QuantizedPieces& all, std::span<const Part> parts) : all_(all), parts_(parts), main_(main_of(parts)) {
    const StoredPlace& place = main_.place;
    class_ = &all.declared_.weights[place.classes.front()];
    const Storage& storage = *class_->variant_of(place.layer).storage;
    made_.format = storage.name();
    how_ = storage.unpacking();
    for (const std::uint32_t i : place.classes) {
      const Storage& other = *all.declared_.weights[i].variant_of(place.layer).storage;
      alike_ = alike_ && other.name() == storage.name() && other.unpacking() == storage.unpacking();
    }
  }

  Result<StoredPiece> make() {
    constexpr std::array<std::string_view, 3> kFloats{"float32", "float16", "bfloat16"};
    const bool is_float = std::find(kFloats.begin(), kFloats.end(), main_.piece.dtype.name) != kFloats.end();
    const bool is_alone = std::all_of(parts_.begin(), parts_.end(), [this](const Part& part) {
      return &part == &main_ || part.role == StoredRole::kInputScale; // of activations, which nothing here quantises
    });
    if (main_.place.main && is_float && is_alone) return main_.piece;
    if (!how_) return refused(main_, fmt::format("nothing here unpacks weights that are stored as {}", made_.format));
    if (!main_.place.main) return bad(main_, "is stored alone, without the quants of its weight");
    if (!alike_) return refused(main_, "it fuses weights of several quantisations");
    // An exporter may turn such a matrix round or not, and no shape of a square one would say so.
    if (inputs_first(*class_))
      return refused(main_, fmt::format("its inputs come first, and nothing here unpacks {} that way", made_.format));
    made_.how = *how_;
    for (const Part& part : parts_) PLIMSOLL_TRY(take(part));
    PLIMSOLL_TRY(size());
    PLIMSOLL_TRY(check());
    StoredPiece piece = main_.piece;
    piece.dtype = *find_dtype("float32");
    piece.offset_bytes = 0;
    piece.shape = {made_.rows, made_.columns};
    if (main_.place.packed) piece.shape.insert(piece.shape.begin(), made_.matrices);
    piece.quantized = std::make_shared<const QuantizedMatrices>(std::move(made_));
    return piece;
  }
  const StoredPlace& place() const { return main_.place; }

private:
  // The numbers; of a matrix without any, what there is.
  static const Part& main_of(std::span<const Part> parts) {
    const auto found = std::find_if(parts.begin(), parts.end(), [](const Part& part) { return part.place.main; });
    return found == parts.end() ? parts.front() : *found;
  }

  tl::unexpected<Error> refused(const Part& part, std::string_view why) const {
    return fail(ErrorCode::kUnsupportedArchitecture, fmt::format("tensor {} is not loaded: {}", quoted_name(part.piece.name), why),
                all_.files_[part.piece.file]);
  }
  tl::unexpected<Error> bad(const Part& part, std::string_view what) const {
    return fail(ErrorCode::kBadCheckpoint, fmt::format("tensor {} {}; the format is {}", quoted_name(part.piece.name), what, made_.format),
                all_.files_[part.piece.file]);
  }
  static std::string text_of(const StoredPiece& piece) { return shape_text(piece.shape, piece.dtype); }

  StoredArray* array_of(StoredRole role) {
    switch (role) {
    case StoredRole::kWeight: return &made_.quants;
    case StoredRole::kScale: return &made_.scales;
    case StoredRole::kSecond: return &made_.second;
    case StoredRole::kZeroPoint: return &made_.zeros;
    case StoredRole::kGroupIndex: return &made_.index;
    case StoredRole::kShape: return &made_.shape;
    default: return nullptr;
    }
  }
  // Puts a part where it belongs; what belongs to activations is left alone.
  Result<void> take(const Part& part) {
    if (part.role == StoredRole::kInputScale) return {};
    StoredArray* const array = array_of(part.role);
    if (array == nullptr) return refused(part, fmt::format("nothing here knows what it does to a weight in {}", made_.format));
    if (array->is_there()) return bad(part, fmt::format("is stored beside {}, which is the same thing", quoted_name(array->name)));
    array->name = part.piece.name;
    array->dtype = part.piece.dtype.name;
    array->file = part.piece.file;
    array->offset_bytes = part.piece.offset_bytes;
    return {};
  }

  bool words() const { return made_.quants.dtype == "int32"; }

  // Outputs are as many as the quants are, inputs as many as the class has.
  Result<void> size() {
    const Unpacking& how = made_.how;
    if (!is_quant_type(how, made_.quants.dtype)) return bad(main_, fmt::format("is {}", text_of(main_.piece)));
    made_.matrices = main_.place.packed ? class_->whole_experts() : 1;
    made_.columns = class_->elements_of_one().saturated() / rows_of(*class_);
    if (made_.columns == 0 || made_.columns > kMostQuantizedColumns)
      return refused(main_, fmt::format("it has {} inputs, at most {} are unpacked", made_.columns, kMostQuantizedColumns));
    Checked elements = 1;
    for (const std::uint64_t dim : main_.piece.shape) elements *= dim;
    const std::uint64_t all = elements.saturated();
    made_.rows = all % made_.matrices == 0 ? rows_of_quants(how, words(), all / made_.matrices, made_.columns) : 0;
    // Of eight outputs in AWQ's last words some may be too many.
    const std::uint64_t rows = rows_of(*class_);
    if (how.order == Unpacking::Order::kByInputOutputs && made_.rows > rows && made_.rows - rows < 8) made_.rows = rows;
    const Checked bytes = Checked(made_.rows) * made_.columns * made_.matrices * sizeof(float);
    if (made_.rows == 0 || elements.overflowed() || bytes.overflowed())
      return bad(main_, fmt::format("is {}, of which no outputs of {} inputs can be made", text_of(main_.piece), made_.columns));
    return {};
  }

  const Part& stored(const StoredArray& array) const {
    return *std::find_if(parts_.begin(), parts_.end(), [&](const Part& part) { return part.piece.name == array.name; });
  }
  Result<void> expect(StoredArray& array, const ArrayShape& shape, bool type_fits) const {
    const Part& part = stored(array);
    array.rows = shape.rows;
    array.columns = shape.columns;
    std::vector<std::uint64_t> dims{shape.rows, shape.columns};
    if (main_.place.packed) dims.insert(dims.begin(), made_.matrices);
    if (!type_fits) return bad(part, fmt::format("is {}, a type that it cannot have", text_of(part.piece)));
    if (same_dims(part.piece.shape, dims)) return {};
    return bad(part, fmt::format("is {}, expected {} for a weight of {} outputs and {} inputs", text_of(part.piece),
                                 shape_text(dims, part.piece.dtype), made_.rows, made_.columns));
  }
  // One that is there exactly where the format has it.
  Result<void> expect_where(bool wanted, StoredArray& array, std::string_view what, const ArrayShape& shape, bool type_fits) const {
    if (wanted && !array.is_there()) return bad(main_, fmt::format("has no {} beside it", what));
    if (!wanted && array.is_there()) return bad(stored(array), "is not expected beside its weight");
    return wanted ? expect(array, shape, type_fits) : Result<void>();
  }

  // Every array that is needed is there, in its type and shape, and none that says something else.
  Result<void> check() {
    QuantizedMatrices& m = made_;
    const Unpacking& how = m.how;
    const bool index = how.index == Unpacking::Index::kMust || (how.index == Unpacking::Index::kMayBe && m.index.is_there());
    PLIMSOLL_TRY(expect(m.quants, quants_shape(how, words(), m.rows, m.columns), true));
    PLIMSOLL_TRY(expect_where(true, m.scales, "scales", scales_shape(how, m.rows, m.columns), is_scale_type(how, m.scales.dtype)));
    PLIMSOLL_TRY(expect_where(how.zero != Unpacking::Zero::kNone, m.zeros, "zero points", zeros_shape(how, words(), m.rows, m.columns),
                              m.zeros.dtype == m.quants.dtype));
    PLIMSOLL_TRY(
        expect_where(how.second != Unpacking::Second::kNone, m.second, "scale of its scales", {1, 1}, m.second.dtype == "float32"));
    PLIMSOLL_TRY(expect_where(index, m.index, "index of its inputs' groups", {1, m.columns}, m.index.dtype == "int32"));
    const bool integers = m.shape.dtype == "int32" || m.shape.dtype == "int64";
    return expect_where(m.shape.is_there(), m.shape, "shape", {1, 2}, integers);
  }

  const QuantizedPieces& all_;
  std::span<const Part> parts_;
  const Part& main_;
  const WeightClass* class_ = nullptr;
  std::optional<Unpacking> how_;
  bool alike_ = true;
  QuantizedMatrices made_;
};

void QuantizedPieces::add(std::string_view name, StoredPiece piece, const StoredPlace& place) {
  std::optional<StoredName> stored;
  if (!name.ends_with(".weight")) stored = parse_stored_name(name, declared_.scale_names);
  // A class's own name may look like one with something appended: "experts.down_scale" of a model that has such a weight.
  if (stored && place.main && stored->role != StoredRole::kWeight) stored.reset();
  matrices_[stored ? stored->class_name() : std::string(name)].push_back(
      {std::move(piece), place, stored ? stored->role : StoredRole::kWeight});
}

Result<void> QuantizedPieces::each(const Keep& keep) const {
  for (const auto& [name, parts] : matrices_) {
    Maker maker(*this, parts);
    PLIMSOLL_ASSIGN(StoredPiece piece, maker.make());
    PLIMSOLL_TRY(keep(maker.place(), std::move(piece)));
  }
  return {};
}

} // namespace plimsoll
