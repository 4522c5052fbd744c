#include "host/program.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>

#include "placement/sharded_sources.hpp"
#include "schedule/schedule.hpp"

namespace plimsoll {

Result<Program> bind_weights(Program program, const Declared& declared, WeightSources sources) {
  const auto position = [&](const std::string& label, std::uint32_t layer) -> std::uint32_t {
    const auto at =
        std::lower_bound(sources.tensors.begin(), sources.tensors.end(), std::tie(label, layer),
                         [](const WeightTensor& tensor, const auto& key) { return std::tie(tensor.label, tensor.layer) < key; });
    if (at == sources.tensors.end() || at->label != label || at->layer != layer) return kNoIndex;
    return static_cast<std::uint32_t>(at - sources.tensors.begin());
  };
  const auto bind = [&](ProgramOp& op) -> Result<void> {
    for (std::uint32_t& weight : op.weights) {
      if (weight == kNoIndex) continue;
      const WeightClass& c = declared.weights[weight];
      const std::uint32_t layer = c.role == PLIMSOLL_ROLE_DRAFT && !c.layers.empty() ? c.layers.front() : op.layer; // a head has one layer
      weight = position(c.label, c.layers.empty() ? kNoIndex : layer);
      for (const WeightClass& copy : declared.weights) // of an embedding that lies on another stage
        if (weight == kNoIndex && copy.role == PLIMSOLL_ROLE_TIED && tied_to(copy, declared) == &c) weight = position(copy.label, kNoIndex);
      if (weight == kNoIndex)
        return fail(ErrorCode::kBadCheckpoint, fmt::format("the forward pass needs '{}'{}, which the checkpoint does not have", c.label,
                                                           op.layer == kNoIndex ? "" : fmt::format(" of layer {}", op.layer)));
    }
    return {};
  };
  for (ProgramOp& op : program.ops) PLIMSOLL_TRY(bind(op));
  for (std::shared_ptr<const Program>* const part : {&program.encoder, &program.head}) {
    if (!*part) continue;
    Program bound = **part;
    for (ProgramOp& op : bound.ops) PLIMSOLL_TRY(bind(op));
    bound.weights = sources;
    *part = std::make_shared<const Program>(std::move(bound));
  }
  program.weights = std::move(sources);
  return program;
}

Result<WeightSources> rank_sources(const Model::Data& model, const WeightSources& whole, const RankLayout& layout, std::uint32_t rank) {
  const Result<Described>& described = model.described();
  if (!described) return tl::unexpected(described.error());
  return shard_sources(whole, model.declared, layout, rank, alternating_classes(*described, model.declared));
}

Result<void> check_cast(const std::optional<Dtype>& cast, const WeightSources& sources) {
  if (!cast) return {};
  for (const WeightTensor& tensor : sources.tensors)
    if (tensor.dtype != cast->name)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("the plan casts weights to {}, but '{}' is stored as {} and weights are loaded as they are stored",
                              cast->name, tensor.label, tensor.dtype),
                  "--dtype");
  return {};
}

} // namespace plimsoll
