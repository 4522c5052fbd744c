#include "model/what_if.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>
#include <utility>
#include <vector>

#include "base/nearest.hpp"
#include "model/gguf_class_names.hpp"
#include "plugin/gguf_meaning.hpp"
#include "plugin/stored_tensors.hpp"
#include "storage/exporters.hpp"
#include "storage/gguf_mix.hpp"
#include "worker/isolated_planners.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kOption = "--quantize";

std::vector<std::string_view> method_names() {
  std::vector<std::string_view> names;
  for (const Exporter& one : exporters()) names.push_back(one.name);
  const std::vector<std::string_view> mixes = gguf_mix_names();
  names.insert(names.end(), mixes.begin(), mixes.end());
  return names;
}

Error unknown_method(const std::string& method) {
  const std::vector<std::string> close = nearest(method_key(method.substr(0, 60)), method_names(), 1);
  return {ErrorCode::kBadRequest,
          close.empty()
              ? fmt::format("'{}' is no quantisation; known are none (the model as it is), {}", method.substr(0, 60), quantize_methods())
              : fmt::format("'{}' is no quantisation; did you mean {}?", method.substr(0, 60), close.front()),
          std::string(kOption)};
}

// Only what is not quantised can be, or what its maker quantised and every exporter unpacks first.
Result<void> check_source(const Model::Data& model) {
  if (model.info.weights_source == WeightsSource::kGguf)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} is a GGUF file, whose tensors have their types; give the model that it was made from", model.info.path),
                std::string(kOption));
  if (!model.saved_rank_bytes.empty())
    return fail(ErrorCode::kBadRequest, fmt::format("{} is cut for its ranks; give the model that it was made from", model.info.path),
                std::string(kOption));
  if (!model.quantization.quantized() && !model.quantization.unknown()) return {};
  const bool as_published = model.quantization.method() == "fp8" && model.quantization.main_storage().weight_bits() == 8;
  if (as_published) return {};
  return fail(ErrorCode::kBadRequest,
              fmt::format("{} is quantised already ({}{}); give the model that it was made from", model.info.path,
                          model.quantization.method().empty() ? "in a way that is not understood" : model.quantization.method(),
                          model.quantization.quantized() ? ", " + model.quantization.main_storage().name() : ""),
              std::string(kOption));
}

// The same model before its weights are declared.
std::shared_ptr<Model::Data> like(const Model::Data& model, std::string_view method) {
  auto out = std::make_shared<Model::Data>();
  out->where = model.where;
  out->registry = model.registry;
  out->config = model.config;
  out->planners = model.planners;
  out->dtype = model.dtype;
  out->dtype_assumed = model.dtype_assumed;
  out->given_as_text = model.given_as_text;
  out->projector_path = model.projector_path;
  out->adapter_path = model.adapter_path;
  out->info.path = model.info.path;
  out->quantize = method;
  return out;
}

// How each entry of a class's layers is stored.
std::vector<const Storage*> storage_by_layer(const WeightClass& c) {
  std::vector<const Storage*> out(c.layers.empty() ? 1 : c.layers.size());
  for (const WeightVariant& v : c.variants) {
    if (v.layers.empty()) out.front() = v.storage;
    std::size_t at = 0; // both lists ascend
    for (const std::uint32_t layer : v.layers) {
      while (c.layers[at] != layer) ++at;
      out[at] = v.storage;
    }
  }
  return out;
}

Checked layer_bytes(const WeightClass& c, const Storage& storage, const Dtype& base) {
  return c.bytes_of_one(storage, c.dims, base) * c.whole_experts();
}

void add_up(Model::Data& data) {
  for (const StoredClass& c : data.inventory->classes) data.stored.stored_bytes += c.bytes();
  data.stored.stored_bytes += data.inventory->unknown.bytes();
}

// What a checkpoint that is there would hold: of what the method changes its bytes, of everything else those that are stored.
Result<void> convert_inventory(const Model::Data& from, Model::Data& to) {
  Inventory inventory = *from.inventory;
  const auto same_class = [](const WeightClass& a, const WeightClass& b) { return a.pattern == b.pattern && a.layers == b.layers; };
  if (!std::equal(to.declared.weights.begin(), to.declared.weights.end(), from.declared.weights.begin(), from.declared.weights.end(),
                  same_class))
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} has other weights once it is unpacked; give the model that it was made from", from.info.path),
                std::string(kOption));
  for (std::size_t i = 0; i < to.declared.weights.size(); ++i) {
    const WeightClass& c = to.declared.weights[i];
    StoredClass& stored = inventory.classes[i];
    const std::vector<const Storage*> before = storage_by_layer(from.declared.weights[i]), after = storage_by_layer(c);
    for (std::size_t l = 0; l < stored.layer_bytes.size(); ++l) {
      if (stored.layer_bytes[l] == 0 || (before[l]->is_plain() && after[l]->is_plain())) continue;
      PLIMSOLL_ASSIGN(stored.layer_bytes[l], layer_bytes(c, *after[l], c.dtype).get("the bytes of " + c.label));
    }
  }
  to.inventory = std::move(inventory);
  add_up(to);
  return {};
}

// Planners may name formats by the settings that they see: of a model that is unpacked first they are asked anew.
Result<void> ask_anew(Json config, Model::Data& out) {
  out.config = std::make_shared<const Json>(std::move(config));
  PLIMSOLL_ASSIGN(out.planners, make_planners(*out.registry, out.config, out.where, tensors_of(nullptr)));
  return {};
}

Result<void> as_exporter(const Model::Data& model, const Exporter& exporter, Model::Data& out) {
  PLIMSOLL_ASSIGN(Json settings, parse_json(std::string(exporter.settings), std::string(exporter.name), ErrorCode::kInternal));
  Json config = *model.config;
  config.erase("compression_config");
  config.erase("quantization");
  config["quantization_config"] = std::move(settings);
  PLIMSOLL_ASSIGN(out.quantization, quantization_of(*model.planners, config, nullptr, model.where));
  out.quantization.leave_all_but_layers();
  if (model.quantization.quantized() && out.quantization.main_storage().weight_bits() >= 8)
    return fail(ErrorCode::kBadRequest, fmt::format("{} is stored in 8 bits already; leave it out", model.info.path), std::string(kOption));
  if (model.quantization.quantized()) PLIMSOLL_TRY(ask_anew(std::move(config), out));
  PLIMSOLL_TRY(declare_model(out));
  if (model.inventory) PLIMSOLL_TRY(convert_inventory(model, out));
  for (const WeightClass& c : out.declared.weights)
    out.supposed.push_back(
        std::any_of(c.variants.begin(), c.variants.end(), [](const WeightVariant& v) { return !v.storage->is_plain(); }));
  return {};
}

// The types of a GGUF file, class by class.
class GgufTypes {
public:
  GgufTypes(const GgufMix& mix, const Declared& declared, const GgufArchitecture& words) : mix_(mix), names_(words) {
    const plimsoll_facts& facts = declared.facts;
    model_.layers = facts.n_layers + static_cast<std::uint32_t>(facts.draft_layers);
    model_.experts = facts.experts;
    model_.heads_per_kv = facts.kv_heads == 0 ? 0 : facts.query_heads / facts.kv_heads;
    model_.tied = true;
    for (const WeightClass& c : declared.weights) {
      const std::string name = name_of(c);
      if (name == "output.weight" && c.role != PLIMSOLL_ROLE_TIED) model_.tied = false;
      if (is_gguf_value(name) && c.n_dims >= 2) value_layers_.insert(c.layers.begin(), c.layers.end());
    }
    model_.value_tensors = static_cast<std::uint32_t>(value_layers_.size());
  }

  // Of entry `l` of the class's layers.
  Dtype of(const WeightClass& c, const std::string& name, std::size_t l) const {
    if (c.aspect == PLIMSOLL_ASPECT_VISION) return c.dtype; // in a file of its own, which is not quantised
    MixedTensor tensor;
    tensor.name = name;
    tensor.layer = c.layers.empty() ? 0 : c.layers[l];
    tensor.value_index = static_cast<std::uint32_t>(std::distance(value_layers_.begin(), value_layers_.lower_bound(tensor.layer)));
    const bool table = c.aspect == PLIMSOLL_ASPECT_EMBED || c.aspect == PLIMSOLL_ASPECT_HEAD;
    tensor.columns = c.n_dims < 2 ? 0 : c.dims[table ? c.n_dims - 1 : std::min(c.in_dim, c.n_dims - 1)];
    tensor.matrix = c.n_dims >= 2;
    tensor.stacked = c.experts > 0 || c.n_dims > 2;
    tensor.linear = c.quantizable || c.aspect == PLIMSOLL_ASPECT_EMBED || c.aspect == PLIMSOLL_ASPECT_HEAD;
    return gguf_type(mix_, model_, tensor);
  }
  std::string name_of(const WeightClass& c) const {
    if (c.aspect == PLIMSOLL_ASPECT_VISION) return {};
    std::vector<std::string> names = names_.of(c);
    if (names.empty()) return {};
    return names.front().starts_with("blk.0.") ? "blk." + names.front().substr(6) : std::move(names.front());
  }

private:
  const GgufMix& mix_;
  GgufClassNames names_;
  MixedModel model_;
  std::set<std::uint32_t> value_layers_;
};

// Rotary factors, which files of these models hold as float32.
std::uint64_t rope_table_bytes(const Model::Data& model) {
  for (const char* key :
       {"/rope_scaling/rope_type", "/rope_scaling/type", "/rope_parameters/rope_type", "/text_config/rope_scaling/rope_type"}) {
    const Json* type = find_pointer(*model.config, key);
    if (type == nullptr || !type->is_string() || model.declared.kv.empty()) continue;
    const std::uint64_t width = model.declared.kv.front().k_elements;
    if (*type == "llama3") return width / 2 * 4;
    if (*type == "longrope" || *type == "su") return width * 4; // of short and of long texts
  }
  return 0;
}

Result<void> as_gguf(const Model::Data& model, const GgufMix& mix, const std::string& gguf_words, Model::Data& out) {
  Json config = *model.config;
  config["quantization_config"] = Json{{"quant_method", "gguf"}};
  PLIMSOLL_ASSIGN(out.quantization, quantization_of(*model.planners, config, nullptr, model.where));
  if (model.quantization.quantized()) PLIMSOLL_TRY(ask_anew(std::move(config), out));
  PLIMSOLL_TRY(declare_model(out));
  PLIMSOLL_ASSIGN(const GgufArchitecture words, gguf_meaning_of_class(*model.registry, gguf_words, model.info.architecture));
  const GgufTypes types(mix, out.declared, words);
  static const Storage kPlain;
  Inventory inventory;
  if (model.inventory) inventory = *model.inventory;
  inventory.classes.resize(out.declared.weights.size());
  for (std::size_t i = 0; i < out.declared.weights.size(); ++i) {
    const WeightClass& c = out.declared.weights[i];
    StoredClass& stored = inventory.classes[i];
    const std::string name = types.name_of(c);
    const std::vector<std::uint64_t> before = std::exchange(stored.layer_bytes, {});
    stored.packed_type = false;
    for (std::size_t l = 0; l < std::max<std::size_t>(1, c.layers.size()); ++l) {
      const bool there = c.role != PLIMSOLL_ROLE_TIED && (before.empty() || before[l] != 0);
      const Dtype type = types.of(c, name, l);
      std::uint64_t bytes = 0;
      if (there) {
        PLIMSOLL_ASSIGN(bytes, layer_bytes(c, kPlain, type).get("the bytes of " + c.label));
      }
      stored.layer_bytes.push_back(bytes);
      stored.packed_type = stored.packed_type || type.block_elements > 1;
    }
  }
  inventory.table_bytes = rope_table_bytes(out);
  out.inventory = std::move(inventory);
  out.supposed.assign(out.declared.weights.size(), true);
  add_up(out);
  return {};
}

} // namespace

bool changes_storage(std::string_view method) { return method_key(method) != "none"; }

std::string quantize_methods() { return fmt::format("{}", fmt::join(method_names(), ", ")); }

Result<std::shared_ptr<const Model::Data>> what_if(const Model::Data& model, const std::string& method, const std::string& gguf_words) {
  const Exporter* const exporter = find_exporter(method);
  const GgufMix* const mix = find_gguf_mix(method);
  if (exporter == nullptr && mix == nullptr) return tl::unexpected(unknown_method(method));
  PLIMSOLL_TRY(check_source(model));
  const std::string key = exporter != nullptr ? std::string(exporter->name) : method_key(method);
  const std::scoped_lock lock(model.what_ifs.mutex);
  std::shared_ptr<const Model::Data>& kept = model.what_ifs.by_method[key];
  if (kept) return kept;
  const std::shared_ptr<Model::Data> out = like(model, key);
  if (exporter != nullptr) PLIMSOLL_TRY(as_exporter(model, *exporter, *out));
  else PLIMSOLL_TRY(as_gguf(model, *mix, gguf_words, *out));
  out->load_warnings.push_back(
      {WarningCode::kQuantizationAssumed,
       fmt::format("weights as {} would write them as {}, from the shapes that the configuration declares; files differ where a recipe "
                   "leaves other layers alone",
                   exporter != nullptr ? exporter->program : std::string_view("llama-quantize"), key)});
  kept = out;
  return kept;
}

} // namespace plimsoll
