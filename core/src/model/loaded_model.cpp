#include "model/loaded_model.hpp"

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <set>
#include <vector>

#include "base/human.hpp"
#include "model/declare.hpp"
#include "model/matcher.hpp"
#include "model/text_head.hpp"
#include "plugin/manifest.hpp"
#include "plugin/stored_tensors.hpp"
#include "storage/quantization_builder.hpp"
#include "worker/isolated_planners.hpp"

namespace plimsoll {
namespace {

// The checkpoint's common type: torch_dtype or dtype, in the config or in a part that is planned as a model of its own.
Result<std::optional<Dtype>> common_dtype(const Planners& planners, const std::string& where) {
  std::vector<std::string> parts = planners.delegated_parts();
  parts.insert(parts.begin(), "");
  std::vector<std::string> pointers;
  for (const std::string& part : parts)
    for (const char* key : {"/torch_dtype", "/dtype"}) pointers.push_back(part + key);
  for (const std::string& pointer : pointers) {
    const Json* value = planners.view().find(pointer);
    if (value == nullptr || value->is_null()) continue;
    if (!value->is_string()) return fail(ErrorCode::kBadConfig, "a type such as \"bfloat16\" was expected", where + ": " + pointer);
    if (value->get_ref<const std::string&>() == "auto") continue;
    const auto type = find_dtype(value->get_ref<const std::string&>());
    if (!type)
      return fail(ErrorCode::kBadConfig, fmt::format("'{}' is not a known type", value->get<std::string>().substr(0, 64)),
                  where + ": " + pointer);
    return type;
  }
  return std::nullopt;
}

// The family of this id that plans here.
FamilyRef node_of(const Planners& planners, std::string_view id) {
  for (const auto& node : planners.nodes())
    if (node->id() == id) return node->family;
  return {};
}

// The dialect in which that family plans, where it is not the configuration's own.
std::string planned_as(const Planners& planners, std::string_view id) {
  for (const auto& node : planners.nodes())
    if (node->id() == id && node->view->as) return node->view->as->get<std::string>();
  return {};
}

// Which planner counted which aspects, in the order in which they first spoke.
std::vector<PlannerInfo> planners_of(const Planners& planners, const Declared& declared) {
  std::vector<std::pair<std::string_view, std::uint32_t>> seen{{planners.root().id(), 0}};
  for (const WeightClass& c : declared.weights) {
    auto it = std::find_if(seen.begin(), seen.end(), [&](const auto& s) { return s.first == c.planner; });
    if (it == seen.end()) it = seen.insert(seen.end(), {c.planner, 0});
    it->second |= c.aspect;
  }
  std::vector<PlannerInfo> out;
  for (const auto& [id, aspects] : seen) {
    const FamilyRef family = node_of(planners, id);
    PlannerInfo info;
    info.id = id;
    info.aspects = aspect_names(aspects);
    if (family) info.version = family.plugin->manifest.version;
    if (family.replaced != nullptr) info.replaces = family.replaced->manifest.id;
    info.as = planned_as(planners, id);
    if (family.aliased_by != nullptr) info.aliased_by = family.aliased_by->manifest.id;
    out.push_back(std::move(info));
  }
  return out;
}

// Classes that no manifest names are planned by their model_type, and never silently.
Result<void> settle_assumed_classes(Model::Data& data) {
  for (const AssumedClass& assumed : data.planners->assumed_classes()) {
    const TextHead head = assumed.where.empty() ? text_head_of(assumed.architecture) : TextHead::kLanguageModel;
    data.load_warnings.push_back(
        {WarningCode::kArchitectureAssumed,
         fmt::format("no planner names the class '{}'{}{}; it is planned by its model_type '{}', as family {} does{}", assumed.architecture,
                     assumed.where.empty() ? "" : " at ", assumed.where, assumed.model_type, assumed.family,
                     head == TextHead::kLanguageModel ? "" : ", without a language-model head")});
    PLIMSOLL_TRY(replace_head(head, *data.config, data.dtype, data.planners->root().id(), data.declared));
  }
  return {};
}

// An embedder whose configuration names a generative class: by `runner`, as the files beside it or the catalogue say. What it has no head
// for is kept apart: some engines make the whole class all the same.
Result<void> settle_embedder(Model::Data& data) {
  const Json* const runner = find_pointer(*data.config, "/runner");
  if (runner == nullptr || *runner != "pooling" || data.declared.facts.vocab_tokens == 0) return {};
  for (const WeightClass& c : data.declared.weights)
    if (c.aspect == PLIMSOLL_ASPECT_HEAD && c.placement == PLIMSOLL_PLACE_VOCAB && c.role == PLIMSOLL_ROLE_MODEL)
      data.pooled_heads.push_back(c);
  data.load_warnings.push_back(
      {WarningCode::kArchitectureAssumed,
       fmt::format(
           "'{}' is a class that generates, and what lies beside the configuration, or the catalogue, says that an embedder is made of "
           "it: no language-model head is stored, and one counts only with engines that are not known to leave it out",
           data.planners->architecture().substr(0, 100))});
  return replace_head(TextHead::kNone, *data.config, data.dtype, data.planners->root().id(), data.declared);
}

// Who plans in place of what is built in: asked for, and still never silent.
void warn_of_replacements(Model::Data& data) {
  std::set<std::string> said;
  for (const auto& node : data.planners->nodes()) {
    if (node->family.replaced == nullptr) continue;
    const Plugin& speaker = node->family.aliased_by != nullptr ? *node->family.aliased_by : *node->family.plugin;
    const Manifest& plugin = speaker.manifest;
    const Manifest& built_in = node->family.replaced->manifest;
    std::string message = fmt::format("{} {} in {} plans in place of the built-in {} {}", plugin.id, plugin.version, plugin.directory,
                                      built_in.id, built_in.version);
    if (said.insert(message).second) data.load_warnings.push_back({WarningCode::kPluginReplaces, std::move(message)});
  }
}

// Of settings that cannot be read: nothing is known of how weights are stored.
Quantization unread(const Json& config, Error why) {
  Quantization out;
  QuantizationBuilder(config, out).set_unknown(std::move(why));
  return out;
}

} // namespace

Fusions fusions_of(const Planners& planners) {
  Fusions out;
  for (const FamilyManifest* family : planners.families())
    for (const auto& [fused, parts] : family->names().fusions) {
      std::vector<std::string>& all = out[fused];
      for (const std::string& part : parts)
        if (std::find(all.begin(), all.end(), part) == all.end()) all.push_back(part);
    }
  return out;
}

Result<Quantization> quantization_of(const Planners& planners, const Json& config, const Json* hf_quant_config, const std::string& where) {
  QuantizationHints hints;
  for (const FamilyManifest* family : planners.families()) hints.names.add(family->names().modules);
  hints.formats = planners.vendor_formats();
  hints.text_parts = planners.delegated_parts();
  return Quantization::parse(config, hf_quant_config, where, hints);
}

Result<std::shared_ptr<Model::Data>> load_model(std::shared_ptr<const Registry> registry, Json config, const Json* hf_quant_config,
                                                const std::string& path, const std::string& where, const Checkpoint* checkpoint) {
  auto data = std::make_shared<Model::Data>();
  data->where = where;
  data->registry = std::move(registry);
  data->config = std::make_shared<const Json>(std::move(config));
  PLIMSOLL_ASSIGN(data->planners, make_planners(*data->registry, data->config, where, tensors_of(checkpoint)));
  Result<Quantization> quantization = quantization_of(*data->planners, *data->config, hf_quant_config, where);
  // Settings that cannot be read are no obstacle where the tensors are there: these say what they take.
  if (!quantization && checkpoint != nullptr) quantization = unread(*data->config, std::move(quantization.error()));
  PLIMSOLL_ASSIGN(data->quantization, std::move(quantization));
  PLIMSOLL_ASSIGN(const std::optional<Dtype> dtype, common_dtype(*data->planners, where));
  data->dtype = dtype ? *dtype : *find_dtype("bfloat16");
  data->dtype_assumed = !dtype;
  data->info.path = path;
  PLIMSOLL_TRY(declare_model(*data));
  if (const std::optional<Error>& unknown = data->quantization.unknown()) {
    const std::string& method = data->quantization.method();
    data->load_warnings.push_back(
        {WarningCode::kQuantizationUnknown,
         fmt::format("{}; weights are what the checkpoint stores, or what is given, and activations those of unquantised weights",
                     method.empty()
                         ? fmt::format("the settings of the quantisation are not understood ({}: {})", unknown->where, unknown->message)
                         : fmt::format("nobody here knows the quantisation '{}'", method.substr(0, 64)))});
  }
  return data;
}

Result<void> declare_model(Model::Data& data) {
  PLIMSOLL_ASSIGN(data.declared, declare(*data.planners, data.quantization, data.dtype));
  PLIMSOLL_TRY(settle_assumed_classes(data));
  PLIMSOLL_TRY(settle_embedder(data));
  warn_of_replacements(data);
  Checked parameters = 0, bytes = 0;
  for (const WeightClass& c : data.declared.weights) {
    parameters += c.parameters();
    bytes += c.declared_bytes();
  }
  PLIMSOLL_ASSIGN(data.parameters, parameters.get("the number of parameters"));
  PLIMSOLL_ASSIGN(data.declared_bytes, bytes.get("the model's weights"));

  ModelInfo& info = data.info;
  info.architecture = data.planners->architecture();
  if (const Json* type = find_pointer(*data.config, "/model_type"); type != nullptr && type->is_string())
    info.model_type = type->get<std::string>();
  info.family = data.planners->root().id();
  info.planners = planners_of(*data.planners, data.declared);
  info.parameters = data.parameters;
  info.weights_source = WeightsSource::kConfig;
  return {};
}

Result<void> take_inventory(Model::Data& model, const Checkpoint& checkpoint) {
  const bool gguf = checkpoint.format() == CheckpointFormat::kGguf;
  const Matcher matcher(model.declared, fusions_of(*model.planners), !gguf);
  std::deque<InventoryVisitor> workers; // stay where they are while others are added
  PLIMSOLL_ASSIGN(model.stored, checkpoint.scan([&](unsigned) -> TensorVisitor& { return workers.emplace_back(matcher); }));
  if (!model.stored.absent.empty()) model.load_warnings.push_back({WarningCode::kMissingTensors, model.stored.absent});
  Inventory inventory = std::move(workers.front().inventory);
  for (std::size_t i = 1; i < workers.size(); ++i) inventory.add(workers[i].inventory);
  inventory.finish(model.declared, matcher.sites(), gguf);
  if (const std::uint64_t lacking = checkpoint.lacking_bytes(); lacking != 0)
    model.load_warnings.push_back(
        {WarningCode::kMissingTensors,
         fmt::format("the files end {} ({} bytes) before their tensors do, as a header does that was fetched alone; what the headers say "
                     "counts, and no engine loads them before the rest is there",
                     human_bytes(lacking), lacking)});
  model.inventory = std::move(inventory);
  model.files = checkpoint.files();
  model.info.weights_source = gguf ? WeightsSource::kGguf : WeightsSource::kSafetensors;
  return {};
}

} // namespace plimsoll
