// Context: plugins, catalogues and small caches behind the public interface. Reads files where a host asks for a
// model; planning itself reads none but the engine profile and the device catalogue, once each.
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "base/nearest.hpp"
#include "base/regular_file.hpp"
#include "checkpoint/locate.hpp"
#include "device/catalogue.hpp"
#include "device/query.hpp"
#include "engine/profile.hpp"
#include "model/loaded_model.hpp"
#include "plan/make_plan.hpp"
#include "plan/weights_report.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/limits.hpp"
#include "plugin/gguf_meaning.hpp"
#include "plugin/library.hpp"
#include "plugin/manifest.hpp"
#include "search/advice.hpp"
#include "search/frontier.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 64ULL << 20;
constexpr std::size_t kMaxCached = 256;
constexpr std::uint64_t kAllocationBytes = 2ULL << 20; // drivers hand out memory in pages of 2 MiB

// A small memory of what files said; forgets everything when it is full. Values are shared and immutable.
template <class T>
class Cache {
public:
  template <class Make>
  Result<std::shared_ptr<const T>> get(const std::string& key, Make&& make) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto it = map_.find(key); it != map_.end()) return it->second;
    }
    Result<T> made = make();
    if (!made) return tl::unexpected(std::move(made.error()));
    auto value = std::make_shared<const T>(std::move(*made));
    const std::unique_lock lock(mutex_);
    if (map_.size() >= kMaxCached) map_.clear();
    map_.emplace(key, value);
    return value;
  }

private:
  std::shared_mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const T>> map_;
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

struct ConfigFiles {
  Json config;
  std::optional<Json> hf_quant_config;
};

// A config.json, or an entry of the catalogue, which holds it under "config".
Result<ConfigFiles> read_config(const std::string& path, const std::optional<std::string>& hf_quant_path) {
  ConfigFiles files;
  PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMaxConfigBytes, ErrorCode::kBadConfig));
  PLIMSOLL_ASSIGN(files.config, parse_json(std::move(text), path, ErrorCode::kBadConfig));
  if (!files.config.is_object()) return fail(ErrorCode::kBadConfig, "an object was expected", path);
  if (files.config.value("schema", Json()) == "plimsoll.model/1") {
    if (files.config.contains("hf_quant_config")) files.hf_quant_config = files.config["hf_quant_config"];
    Json inner = files.config.value("config", Json::object());
    files.config = std::move(inner);
  }
  if (hf_quant_path) {
    PLIMSOLL_ASSIGN(std::string quant, read_text_file(*hf_quant_path, kMaxConfigBytes, ErrorCode::kBadConfig));
    PLIMSOLL_ASSIGN(files.hf_quant_config, parse_json(std::move(quant), *hf_quant_path, ErrorCode::kBadConfig));
  }
  return files;
}

} // namespace

struct Context::Data {
  explicit Data(const ContextOptions& options, std::string catalogue_path)
      : catalogue(std::move(catalogue_path)), registry(std::make_shared<Registry>(options.plugin_paths, options.trust, options.log)),
        cards(std::filesystem::path(catalogue) / "devices.yaml") {}

  std::string catalogue;
  std::shared_ptr<const Registry> registry;
  DeviceCatalogue cards;
  Cache<ProfileSource> engines;
  Cache<std::vector<Device>> device_lists;

  std::string gguf_words() const { return catalogue + "/gguf.json"; }
  Result<std::shared_ptr<const ProfileSource>> engine(const PlanRequest& request) {
    std::string key = request.engine;
    for (const auto& [name, value] : request.engine_overrides) key += fmt::format("\n{}={}", name, value);
    return engines.get(key, [&] { return ProfileSource::load(catalogue, request.engine, request.engine_overrides); });
  }
  Result<std::shared_ptr<const std::vector<Device>>> devices(const std::string& spec) {
    if (spec == "auto") { // what is free changes from moment to moment
      PLIMSOLL_ASSIGN(std::vector<Device> real, parse_devices(spec, cards));
      return std::make_shared<const std::vector<Device>>(std::move(real));
    }
    return device_lists.get(spec, [&] { return parse_devices(spec, cards); });
  }
};

const ModelInfo& Model::info() const { return data_->info; }

Result<Context> Context::create(ContextOptions options) {
  const bool shipped = options.catalogue_path.empty();
  std::string catalogue = shipped ? installation_prefix() + "/share/plimsoll" : options.catalogue_path;
  std::error_code failed;
  if (!std::filesystem::is_directory(catalogue, failed)) {
    if (shipped)
      return fail(ErrorCode::kInternal,
                  fmt::format("the catalogue that ships with the library, {}, is not there; give catalogue_path", catalogue), catalogue);
    return fail(ErrorCode::kBadRequest, fmt::format("catalogue_path: {} is no folder; give one, or leave it out", catalogue), catalogue);
  }
  return Context(std::make_shared<Data>(options, std::move(catalogue)));
}

Result<Model> Context::load(const std::string& path) const {
  LocateOptions options;
  options.catalogue_directory = data_->catalogue + "/models";
  PLIMSOLL_ASSIGN(const ModelFiles files, locate_model(path, options));
  std::optional<Checkpoint> checkpoint;
  if (files.format != CheckpointFormat::kNone) {
    const auto meaning_of = [this](const std::string& name, const GgufMetadata& metadata) {
      return gguf_meaning(*data_->registry, data_->gguf_words(), name, metadata);
    };
    PLIMSOLL_ASSIGN(checkpoint, open_checkpoint(files, meaning_of));
  }
  ConfigFiles config;
  if (files.config_path) {
    PLIMSOLL_ASSIGN(config, read_config(*files.config_path, files.hf_quant_config_path));
  } else if (checkpoint && checkpoint->config().is_object()) {
    config.config = checkpoint->config();
  } else {
    return fail(ErrorCode::kBadConfig, "there is no config.json", path);
  }
  PLIMSOLL_ASSIGN(std::shared_ptr<Model::Data> data,
                  load_model(data_->registry, std::move(config.config), config.hf_quant_config ? &*config.hf_quant_config : nullptr, path,
                             files.config_path.value_or(path)));
  if (checkpoint) PLIMSOLL_TRY(take_inventory(*data, *checkpoint));
  return Model(std::move(data));
}

Result<Model> Context::load_config(std::string_view config_json, const std::string& name) const {
  PLIMSOLL_ASSIGN(Json config, parse_json(std::string(config_json), name, ErrorCode::kBadConfig));
  PLIMSOLL_ASSIGN(std::shared_ptr<const Model::Data> data, load_model(data_->registry, std::move(config), nullptr, name, name));
  return Model(std::move(data));
}

// The curve of `alike`, a plan of that input, into `plan`.
static Result<void> add_frontier(const PlanInput& input, const Plan& alike, Plan& plan) {
  PLIMSOLL_ASSIGN(std::optional<FrontierCurve> curve, find_frontier(input, alike));
  if (curve) plan.frontier.push_back(std::move(*curve));
  return {};
}

Result<Plan> Context::plan(const Model& model, const PlanRequest& request) const {
  PLIMSOLL_ASSIGN(const std::shared_ptr<const ProfileSource> engine, data_->engine(request));
  PLIMSOLL_ASSIGN(const std::shared_ptr<const std::vector<Device>> devices, data_->devices(request.devices));
  PlanInput input;
  input.model = model.data_.get();
  input.draft = request.draft ? request.draft->data_.get() : nullptr;
  input.devices = devices.get();
  input.engine = engine.get();
  input.request = &request;
  PLIMSOLL_ASSIGN(Plan plan, make_plan(input));
  if (plan.error) plan.advice = find_advice(input, plan);
  if (request.frontier) PLIMSOLL_TRY(add_frontier(input, plan, plan));
  for (const std::string& type : request.frontier_kv_dtypes) {
    PlanRequest other = request;
    other.kv_dtype = type;
    input.request = &other;
    PLIMSOLL_ASSIGN(const Plan alike, make_plan(input));
    const bool known = std::any_of(plan.frontier.begin(), plan.frontier.end(),
                                   [&](const FrontierCurve& have) { return have.kv_dtype == alike.kv_cache.dtype; });
    if (!known) PLIMSOLL_TRY(add_frontier(input, alike, plan));
  }
  return plan;
}

Result<WeightsReport> Context::weights(const Model& model, const PlanRequest& request) const {
  PLIMSOLL_ASSIGN(const std::shared_ptr<const ProfileSource> engine, data_->engine(request));
  if (!request.devices.empty() && request.devices != "auto") {
    PLIMSOLL_ASSIGN(const std::shared_ptr<const std::vector<Device>> devices, data_->devices(request.devices));
    return make_weights_report(*model.data_, request, *engine, *devices);
  }
  const std::uint64_t ranks = static_cast<std::uint64_t>(request.tp.value_or(1)) * request.pp.value_or(1) * request.dp.value_or(1);
  if (ranks > kMaxRanks) return fail(ErrorCode::kBadRequest, fmt::format("{} ranks; at most {} are planned", ranks, kMaxRanks), "--tp");
  return make_weights_report(*model.data_, request, *engine, std::vector<Device>(ranks));
}

std::vector<PluginInfo> Context::plugins() const {
  std::vector<PluginInfo> out;
  for (const auto& plugin : data_->registry->plugins()) {
    const Manifest& m = plugin->manifest;
    PluginInfo info{m.id, m.version, m.vendor, m.directory, plugin->status, plugin->reason, {}, {}, {}};
    for (const FamilyManifest& family : m.families) {
      info.families.push_back(family.id);
      for (const auto& [name, policy] : family.architectures) info.architectures.push_back(name);
      info.model_types.insert(info.model_types.end(), family.model_types.begin(), family.model_types.end());
    }
    out.push_back(std::move(info));
  }
  return out;
}

Result<PluginInfo> Context::inspect_plugin(const std::string& directory) const {
  // A registry of its own, so that the plugin is judged as if it came first.
  const Registry registry({directory}, Trust::kChecked, {});
  for (const auto& plugin : registry.plugins()) {
    if (std::filesystem::path(plugin->manifest.directory) != std::filesystem::path(directory)) continue;
    if (plugin->status == "refused") return fail(ErrorCode::kPluginFailed, plugin->reason, directory);
    PluginInfo info{
        plugin->manifest.id, plugin->manifest.version, plugin->manifest.vendor, plugin->manifest.directory, "loaded", "", {}, {}, {}};
    PLIMSOLL_TRY(check_gguf_words(plugin->manifest, data_->gguf_words()));
    for (const FamilyManifest& family : plugin->manifest.families) {
      PLIMSOLL_TRY(registry.load({plugin.get(), &family, family.signal_policy}));
      info.families.push_back(family.id);
      for (const auto& [name, policy] : family.architectures) info.architectures.push_back(name);
      info.model_types.insert(info.model_types.end(), family.model_types.begin(), family.model_types.end());
    }
    return info;
  }
  return fail(ErrorCode::kPluginFailed, "holds no plugin.yaml", directory);
}

Result<std::vector<CatalogueModel>> Context::models(std::string_view pattern) const {
  std::error_code failed;
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator it(data_->catalogue + "/models", failed), end; !failed && it != end; it.increment(failed))
    if (it->path().extension() == ".json") files.push_back(it->path());
  std::sort(files.begin(), files.end());
  const std::string wanted = lower(pattern);
  std::vector<CatalogueModel> out;
  for (const std::filesystem::path& file : files) {
    std::string name = file.stem().string();
    if (const std::size_t at = name.find("__"); at != std::string::npos) name.replace(at, 2, 1, '/');
    if (lower(name).find(wanted) == std::string::npos) continue;
    PLIMSOLL_ASSIGN(ConfigFiles config, read_config(file.string(), std::nullopt));
    PLIMSOLL_ASSIGN(const std::shared_ptr<const Model::Data> model,
                    load_model(data_->registry, std::move(config.config), config.hf_quant_config ? &*config.hf_quant_config : nullptr, name,
                               file.string()));
    CatalogueModel entry;
    entry.name = name;
    entry.architecture = model->info.architecture;
    entry.family = model->info.family;
    entry.parameters = model->parameters;
    entry.weights_bytes = model->declared_bytes;
    entry.kv_bytes_per_token = kv_bytes_per_token(*model);
    out.push_back(std::move(entry));
  }
  return out;
}

Result<std::vector<DeviceCard>> Context::device_catalogue() const {
  PLIMSOLL_ASSIGN(const std::vector<Card> cards, data_->cards.cards());
  std::vector<DeviceCard> out;
  for (const Card& card : cards)
    out.push_back({card.device.name, card.device.vendor, std::string(device_kind_name(card.device.kind)),
                   card.reported ? "reported" : "nominal", card.aliases, card.device.total_bytes});
  return out;
}

const std::string& Context::catalogue_path() const { return data_->catalogue; }

Result<std::vector<RealDevice>> Context::real_devices() const {
  PLIMSOLL_ASSIGN(const std::vector<Device> real, parse_devices("auto", data_->cards));
  std::vector<RealDevice> out;
  for (const Device& device : real)
    out.push_back({static_cast<std::uint32_t>(out.size()), device.name, device.card, std::string(device_kind_name(device.kind)),
                   device.arch, device.compute_capability, device.total_bytes, device.free_bytes, device.peers});
  return out;
}

Result<VerifyReport> Context::verify(const Model& model, const PlanRequest& request) const {
  VerifyReport report;
  report.backend = query_backend();
  report.granularity_bytes = kAllocationBytes;
  PlanRequest here = request;
  here.devices = "auto";
  PLIMSOLL_ASSIGN(report.plan, plan(model, here));
  report.holds = true;
  for (const DevicePlan& device : report.plan.devices) {
    VerifiedDevice verified;
    verified.rank = device.rank, verified.name = device.name;
    verified.parts = {{"kv_cache", device.kv_cache_bytes, 0},
                      {"signal_buffer", device.signal_buffer_bytes, 0},
                      {"vision_cache", device.vision_cache_bytes, 0}};
    std::vector<std::uint64_t> sizes;
    for (const VerifiedPart& part : verified.parts) sizes.push_back(part.planned_bytes);
    const auto trial = try_allocations(device.rank, sizes);
    if (!trial && trial.error().code != ErrorCode::kOutOfMemory) return tl::unexpected(trial.error());
    if (!trial) {
      report.error = trial.error();
      report.holds = false;
    } else {
      verified.free_before_bytes = trial->free_before_bytes, verified.free_after_bytes = trial->free_after_bytes;
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        verified.parts[i].taken_bytes = trial->taken_bytes[i];
        report.holds = report.holds && trial->taken_bytes[i] <= sizes[i] + kAllocationBytes;
      }
      report.holds = report.holds && verified.free_after_bytes + kAllocationBytes >= verified.free_before_bytes;
    }
    report.devices.push_back(std::move(verified));
  }
  return report;
}

} // namespace plimsoll
