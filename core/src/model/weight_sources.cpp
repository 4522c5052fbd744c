#include "model/weight_sources.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <tuple>
#include <utility>
#include <vector>

#include "base/block_types.hpp"
#include "checkpoint/quoted_name.hpp"
#include "model/matcher.hpp"
#include "model/quantized_pieces.hpp"
#include "model/stored_pieces.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostPieces = 1U << 20; // DeepSeek-V3 lies in 45,000
constexpr std::size_t kMostTables = 4096;     // one or two are usual; old files have one a layer
constexpr std::array<std::string_view, 3> kLoadedTypes{"float32", "float16", "bfloat16"};

// Sorts what a checkpoint stores by class and layer; what cannot be loaded is an error.
class PieceCollector final : public TensorVisitor {
public:
  PieceCollector(const Declared& declared, const Matcher& matcher, const Checkpoint& checkpoint, const LoadedClasses& loaded)
      : declared_(declared), matcher_(matcher), checkpoint_(checkpoint), loaded_(loaded), quantized_(declared, checkpoint.files().shards),
        layers_(declared.weights.size()) {
    tables_.label = "rotary_tables"; // as the plan's item
    for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i].resize(std::max<std::size_t>(1, declared.weights[i].layers.size()));
  }

  Result<void> tensor(const TensorEntry& entry) override {
    const StoredPlace place = matcher_.place_of(entry, keys_);
    switch (place.kind) {
    case StoredPlace::Kind::kBuffer: return {};
    case StoredPlace::Kind::kTable: return keep_table(entry);
    case StoredPlace::Kind::kKvScale: return refused(entry, "a scale of a quantised KV cache");
    case StoredPlace::Kind::kUnknown: return refused(entry, "no planner claims it, so the model would run without it");
    case StoredPlace::Kind::kClass: break;
    }
    const WeightClass& first = declared_.weights[place.classes.front()];
    if (!loaded_(first)) return {};
    const bool quantized = !first.variant_of(place.layer).storage->is_plain();
    if (!place.main && !quantized)
      return refused(entry, "it is part of a quantised weight, and the configuration says nothing of it that is known here");
    if (entry.dtype.block_elements > 1 && find_block_type(entry.dtype.name) == nullptr)
      return refused(entry, fmt::format("it is stored as {}, which nothing here unpacks", entry.dtype.name));
    if (entry.dtype.block_elements == 1 && !quantized) PLIMSOLL_TRY(check_type(entry));
    StoredPiece piece;
    piece.name = entry.stored_name;
    piece.file = entry.file_index;
    piece.offset_bytes = entry.offset_bytes;
    piece.dtype = entry.dtype;
    piece.shape.assign(entry.shape().begin(), entry.shape().end());
    piece.part = place.part;
    piece.packed = place.packed;
    piece.expert = place.expert;
    PLIMSOLL_ASSIGN(piece.order, checkpoint_.order_of(entry.stored_name));
    if (!quantized) return take(place, std::move(piece));
    quantized_.add(entry.name, std::move(piece), place);
    return {};
  }

  // When all tensors were seen.
  Result<void> finish() {
    return quantized_.each([this](const StoredPlace& place, StoredPiece piece) { return take(place, std::move(piece)); });
  }

  // Tables that no class declares, one after another: the plan counts them with the weights, so they are loaded with them.
  const WeightTensor& tables() const { return tables_; }

  std::span<const StoredPiece> pieces(std::size_t class_index, std::size_t layer) const { return layers_[class_index][layer]; }

private:
  Result<void> check_type(const TensorEntry& entry) const {
    if (std::find(kLoadedTypes.begin(), kLoadedTypes.end(), entry.dtype.name) != kLoadedTypes.end()) return {};
    return refused(entry, fmt::format("it is stored as {}; float32, float16 and bfloat16 are loaded", entry.dtype.name));
  }
  Result<void> keep_table(const TensorEntry& entry) {
    PLIMSOLL_TRY(check_type(entry));
    if (tables_.pieces.size() == kMostTables) return refused(entry, fmt::format("it is one of more than {} tables", kMostTables));
    if (!tables_.pieces.empty() && tables_.dtype != entry.dtype.name)
      return refused(entry, fmt::format("it is stored as {}, another table as {}", entry.dtype.name, tables_.dtype));
    if (entry.stored_bytes == 0) return {};
    tables_.dtype = entry.dtype.name;
    WeightPiece& piece = tables_.pieces.emplace_back();
    piece.file = entry.file_index;
    piece.offset_bytes = entry.offset_bytes;
    piece.bytes = entry.stored_bytes;
    piece.to_bytes = tables_.bytes;
    tables_.bytes += entry.stored_bytes;
    tables_.dims = {tables_.bytes / entry.dtype.block_bytes};
    return {};
  }
  tl::unexpected<Error> refused(const TensorEntry& entry, std::string_view why) const {
    return fail(ErrorCode::kUnsupportedArchitecture, fmt::format("tensor {} is not loaded: {}", quoted_name(entry.stored_name), why),
                checkpoint_.files().shards[entry.file_index]);
  }
  Result<void> take(const StoredPlace& place, StoredPiece piece) {
    return place.classes.size() == 1 ? keep(place.classes.front(), place.layer, std::move(piece)) : share(place, piece);
  }
  Result<void> keep(std::uint32_t class_index, std::uint32_t layer, StoredPiece piece) {
    // GGUF matrices have their inputs last, whatever the config's own checkpoint has.
    if (checkpoint_.files().format == CheckpointFormat::kGguf && inputs_first(declared_.weights[class_index]))
      piece.order.transposed = !piece.order.transposed;
    layers_[class_index][layer].push_back(std::move(piece));
    return {};
  }
  // Each class of a tensor that fuses several gets its rows of it.
  Result<void> share(const StoredPlace& place, StoredPiece& piece) {
    Checked rows = 0;
    for (const std::uint32_t i : place.classes) rows += rows_of(declared_.weights[i]);
    piece.joint_rows = rows.saturated();
    for (const std::uint32_t i : place.classes) {
      PLIMSOLL_TRY(keep(i, place.layer, piece));
      piece.joint_rows_before += rows_of(declared_.weights[i]);
    }
    return {};
  }

  const Declared& declared_;
  const Matcher& matcher_;
  const Checkpoint& checkpoint_;
  const LoadedClasses& loaded_;
  NameKeys keys_;
  QuantizedPieces quantized_;
  WeightTensor tables_;
  std::vector<std::vector<std::vector<StoredPiece>>> layers_; // by class and layer
};

Error in_file(Error error, std::span<const StoredPiece> pieces, const ModelFiles& files) {
  const std::string& file = pieces.empty() ? files.shards.front() : files.shards[pieces.front().file];
  error.where = error.where.empty() ? file : fmt::format("{}: {}", file, error.where);
  return error;
}

} // namespace

Result<WeightSources> weight_sources(const Model::Data& model, const Checkpoint& checkpoint, const LoadedClasses& loaded) {
  const std::vector<WeightClass>& classes = model.declared.weights;
  const Matcher matcher(model.declared, fusions_of(*model.planners), false);
  PieceCollector collector(model.declared, matcher, checkpoint, loaded);
  PLIMSOLL_TRY(checkpoint.scan(collector));
  PLIMSOLL_TRY(collector.finish());

  WeightSources out;
  out.files = checkpoint.files().shards;
  if (!collector.tables().pieces.empty()) out.tensors.push_back(collector.tables());
  std::size_t pieces = collector.tables().pieces.size();
  Checked bytes = collector.tables().bytes;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (!loaded(classes[i])) continue;
    const StoredClass* const found = model.stored_class(i);
    for (std::size_t layer = 0; layer < std::max<std::size_t>(1, classes[i].layers.size()); ++layer) {
      const std::span<const StoredPiece> stored = collector.pieces(i, layer);
      const bool unpacked = is_unpacked(classes[i], classes[i].variant_of(layer), found); // float32, as plans count it (weights.unpacked)
      auto tensor = tensor_of_pieces(classes[i], layer, stored, kMostPieces - pieces, unpacked);
      if (!tensor) return tl::unexpected(in_file(std::move(tensor.error()), stored, checkpoint.files()));
      pieces += tensor->pieces.size();
      bytes += tensor->bytes;
      out.tensors.push_back(std::move(*tensor));
    }
  }
  if (bytes.overflowed())
    return fail(ErrorCode::kBadCheckpoint, "the weights do not fit 64 bits; check the sizes in the configuration", model.where);
  const auto name = [](const WeightTensor& tensor) { return std::tie(tensor.label, tensor.layer); };
  std::sort(out.tensors.begin(), out.tensors.end(), [&](const auto& a, const auto& b) { return name(a) < name(b); });
  const auto twice =
      std::adjacent_find(out.tensors.begin(), out.tensors.end(), [&](const auto& a, const auto& b) { return name(a) == name(b); });
  if (twice != out.tensors.end())
    return fail(ErrorCode::kUnsupportedArchitecture,
                fmt::format("two weight classes are called '{}'{}, so nothing can name one of them", twice->label,
                            twice->layer == UINT32_MAX ? "" : fmt::format(" in layer {}", twice->layer)),
                model.where);
  return out;
}

} // namespace plimsoll
