#include "model/adapter_sources.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <tuple>
#include <utility>

#include "base/regular_file.hpp"
#include "checkpoint/quoted_name.hpp"
#include "checkpoint/safetensors.hpp"
#include "model/adapter_config.hpp"
#include "model/matcher.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::array<std::string_view, 2> kSuffixes{".lora_A.weight", ".lora_B.weight"};
constexpr std::array<std::string_view, 3> kReadTypes{"float32", "float16", "bfloat16"};
constexpr std::size_t kMostAdapterLayers = 1U << 20;

// A or B as it is stored.
struct AdapterMatrix {
  bool found = false;
  std::uint64_t offset_bytes = 0, rows = 0, columns = 0;
  Dtype dtype;
};
using AdapterLayers = std::map<std::string, std::array<AdapterMatrix, 2>>; // by the name of the layer

class AdapterTensors final : public TensorVisitor {
public:
  explicit AdapterTensors(const std::string& file) : file_(file) {}

  Result<void> tensor(const TensorEntry& entry) override {
    for (std::size_t which = 0; which < kSuffixes.size(); ++which) {
      if (!entry.name.starts_with(kPrefix) || !entry.name.ends_with(kSuffixes[which])) continue;
      if (entry.name.size() <= kPrefix.size() + kSuffixes[which].size()) break;
      const std::string_view module = entry.name.substr(kPrefix.size(), entry.name.size() - kPrefix.size() - kSuffixes[which].size());
      return take(layers[std::string(module)][which], entry);
    }
    return refused(entry, "is neither A nor B of a layer's plain LoRA; base_model.model.LAYER.lora_A.weight or lora_B.weight was expected");
  }

  AdapterLayers layers;

private:
  tl::unexpected<Error> refused(const TensorEntry& entry, std::string_view why) const {
    return fail(ErrorCode::kBadCheckpoint, fmt::format("tensor {} {}", quoted_name(entry.name), why), file_);
  }
  Result<void> take(AdapterMatrix& to, const TensorEntry& entry) const {
    if (entry.rank != 2 || entry.elements == 0) return refused(entry, "is no matrix");
    if (std::find(kReadTypes.begin(), kReadTypes.end(), entry.dtype.name) == kReadTypes.end())
      return refused(entry, fmt::format("is stored as {}; float32, float16 and bfloat16 are loaded", entry.dtype.name));
    if (layers.size() > kMostAdapterLayers) return refused(entry, "is one of more layers than any model has");
    to = {true, entry.offset_bytes, entry.dims[0], entry.dims[1], entry.dtype};
    return {};
  }

  const std::string& file_;
};

// Places layer after layer.
class AdapterPlacer {
public:
  AdapterPlacer(const Model::Data& model, const AdapterSlots& slots, const AdapterConfig& config, const std::string& file)
      : model_(model), slots_(slots), config_(config), matcher_(model.declared, fusions_of(*model.planners), false) {
    out_.file = file;
  }

  Result<AdapterSources> place(const AdapterLayers& layers) {
    for (const auto& [name, pair] : layers) PLIMSOLL_TRY(place_layer(name, pair[0], pair[1]));
    if (out_.pairs.empty()) return fail(ErrorCode::kBadCheckpoint, "there are no tensors of an adapter in it", out_.file);
    std::sort(out_.pairs.begin(), out_.pairs.end(), [](const AdapterPair& a, const AdapterPair& b) { return key(a) < key(b); });
    const auto twice = std::adjacent_find(out_.pairs.begin(), out_.pairs.end(),
                                          [](const AdapterPair& a, const AdapterPair& b) { return key(a) == key(b); });
    if (twice != out_.pairs.end())
      return bad(ErrorCode::kBadCheckpoint, twice->name, fmt::format("changes the same weight as {}", quoted_name((twice + 1)->name)));
    return std::move(out_);
  }

private:
  static std::tuple<std::uint32_t, std::uint32_t> key(const AdapterPair& pair) { return {pair.target, pair.part}; }

  tl::unexpected<Error> bad(ErrorCode code, const std::string& name, std::string_view why) const {
    return fail(code, fmt::format("layer {} {}", quoted_name(name), why), out_.file);
  }

  Result<void> place_layer(const std::string& name, const AdapterMatrix& a, const AdapterMatrix& b) {
    if (!a.found || !b.found) return bad(ErrorCode::kBadCheckpoint, name, fmt::format("has no lora_{}.weight", a.found ? 'B' : 'A'));
    if (!config_.is_target(name)) return bad(ErrorCode::kBadConfig, name, "is none of the target_modules that adapter_config.json has");
    const std::uint64_t rank = config_.rank_of(name);
    if (a.rows != rank || b.columns != rank)
      return bad(ErrorCode::kBadCheckpoint, name,
                 fmt::format("has A [{}, {}] and B [{}, {}], but adapter_config.json says that its rank is {}", a.rows, a.columns, b.rows,
                             b.columns, rank));
    if (rank > slots_.max_rank)
      return bad(ErrorCode::kBadRequest, name,
                 fmt::format("has rank {}, and the plan has room for rank {}; plan with --max-lora-rank {}", rank, slots_.max_rank, rank));
    const std::string weight = name + ".weight";
    TensorEntry entry;
    entry.name = weight;
    entry.stored_name = weight;
    const StoredPlace found = matcher_.place_of(entry, keys_);
    if (found.kind != StoredPlace::Kind::kClass || !found.main) return bad(ErrorCode::kBadCheckpoint, name, "is no layer of this model");
    AdapterPair pair;
    pair.name = name;
    pair.rank = rank;
    pair.scale = config_.scale_of(name);
    if (!std::isfinite(pair.scale)) return bad(ErrorCode::kBadConfig, name, "has a scale that is no number");
    pair.a_offset_bytes = a.offset_bytes;
    pair.b_offset_bytes = b.offset_bytes;
    pair.a_dtype = a.dtype.name;
    pair.b_dtype = b.dtype.name;
    out_.rank = std::max(out_.rank, rank);
    return place_parts(found, a, b, std::move(pair));
  }

  // Every part that the layer's rows reach over, of one class or of several that it fuses.
  Result<void> place_parts(const StoredPlace& found, const AdapterMatrix& a, const AdapterMatrix& b, AdapterPair pair) {
    std::uint64_t rows = 0;
    for (const std::uint32_t index : found.classes) {
      PLIMSOLL_ASSIGN(pair.target, target_of(model_.declared.weights[index], found.layer, pair.name));
      const AdapterTarget& target = slots_.targets[pair.target];
      if (target.columns.whole != a.columns)
        return bad(ErrorCode::kBadCheckpoint, pair.name,
                   fmt::format("has A of {} columns; the layer reads {}", a.columns, target.columns.whole));
      const bool whole = found.part == StoredPlace::kWhole;
      const auto first = whole ? std::size_t{0} : static_cast<std::size_t>(found.part), end = whole ? target.parts.size() : first + 1;
      if (end > target.parts.size() || (!whole && target.parts.size() == 1))
        return bad(ErrorCode::kBadCheckpoint, pair.name, "is part of a layer whose planner does not say how its parts lie together");
      for (std::size_t part = first; part < end; ++part) {
        if (target.rows[part].whole > b.rows - rows) return wrong_rows(b, pair.name);
        pair.part = static_cast<std::uint32_t>(part);
        out_.pairs.push_back(pair);
        rows += target.rows[part].whole;
        pair.b_offset_bytes += target.rows[part].whole * b.columns * b.dtype.block_bytes;
      }
    }
    return rows == b.rows ? Result<void>() : wrong_rows(b, pair.name);
  }
  Result<void> wrong_rows(const AdapterMatrix& b, const std::string& name) const {
    return bad(ErrorCode::kBadCheckpoint, name, fmt::format("has B of {} rows, which is not what the layer gives", b.rows));
  }

  Result<std::uint32_t> target_of(const WeightClass& c, std::uint32_t layer_at, const std::string& name) const {
    const std::uint32_t layer = c.layers.empty() ? UINT32_MAX : c.layers[layer_at];
    const auto wanted = std::tie(c.label, layer);
    const auto at =
        std::lower_bound(slots_.targets.begin(), slots_.targets.end(), wanted,
                         [](const AdapterTarget& target, const auto& sought) { return std::tie(target.label, target.layer) < sought; });
    if (at != slots_.targets.end() && std::tie(at->label, at->layer) == wanted)
      return static_cast<std::uint32_t>(at - slots_.targets.begin());
    if (c.experts != 0) return bad(ErrorCode::kBadRequest, name, "is of experts, whose weights take no adapters here");
    return bad(ErrorCode::kBadRequest, name,
               "has no room in the plan: it is not among its --lora-targets, or no linear layer of the forward pass");
  }

  const Model::Data& model_;
  const AdapterSlots& slots_;
  const AdapterConfig& config_;
  Matcher matcher_;
  NameKeys keys_;
  AdapterSources out_;
};

} // namespace

Result<AdapterSources> adapter_sources(const Model::Data& model, const AdapterSlots& slots, const std::string& directory) {
  if (slots.slots == 0) return fail(ErrorCode::kBadRequest, "the plan has no room for adapters; give --max-loras", directory);
  PLIMSOLL_ASSIGN(const AdapterConfig config, AdapterConfig::read(directory + "/adapter_config.json"));
  PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(directory + "/adapter_model.safetensors"));
  AdapterTensors tensors(file.path());
  PLIMSOLL_TRY(SafetensorsReader().read(file, 0, tensors));
  return AdapterPlacer(model, slots, config, file.path()).place(tensors.layers);
}

} // namespace plimsoll
