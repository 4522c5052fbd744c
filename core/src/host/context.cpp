// Context: plugins, catalogues and small caches behind plimsoll/host.hpp; what it answers is made elsewhere. Reads files where a
// host asks for a model; planning itself reads none but the engine profile and the device catalogue, once each.
// Threads: any number at once.
#include "plimsoll/host.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "checkpoint/locate.hpp"
#include "device/catalogue.hpp"
#include "engine/profile.hpp"
#include "host/config_files.hpp"
#include "host/file_cache.hpp"
#include "host/listings.hpp"
#include "host/program.hpp"
#include "host/rope_factors.hpp"
#include "host/verify.hpp"
#include "model/adapter_sources.hpp"
#include "model/loaded_model.hpp"
#include "model/weight_sources.hpp"
#include "plan/make_plan.hpp"
#include "plan/price_schedule.hpp"
#include "plan/weights_report.hpp"
#include "plimsoll/limits.hpp"
#include "plugin/gguf_meaning.hpp"
#include "plugin/trust.hpp"
#include "search/advice.hpp"
#include "search/frontier.hpp"

namespace plimsoll {
struct Context::Data {
  explicit Data(const ContextOptions& options, std::string catalogue_path)
      : catalogue(std::move(catalogue_path)),
        registry(std::make_shared<Registry>(options.plugin_paths, options.trust, options.log, options.prefer)), trust(options.trust),
        cards(std::filesystem::path(catalogue) / "devices.yaml") {}

  std::string catalogue;
  std::shared_ptr<const Registry> registry;
  Trust trust;
  DeviceCatalogue cards;
  FileCache<ProfileSource> engines;
  FileCache<std::vector<Device>> device_lists;

  std::string models() const { return catalogue + "/models"; }
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
  // The files of a model, opened.
  Result<Checkpoint> open(const ModelFiles& files) const {
    return open_checkpoint(files, [this](const std::string& name, const GgufMetadata& metadata) {
      return gguf_meaning(*registry, gguf_words(), name, metadata);
    });
  }
};

// What a plan is made of, and who keeps it while it is made.
struct Context::Asked {
  std::shared_ptr<const ProfileSource> engine;
  std::shared_ptr<const std::vector<Device>> devices;
  PlanInput input;
};

const ModelInfo& Model::info() const { return data_->info; }

Result<Context> Context::create(ContextOptions options) {
  PLIMSOLL_TRY(check_trust(options.trust, process_is_elevated()));
  const bool shipped = options.catalogue_path.empty();
  std::string catalogue = shipped ? installation_prefix() + "/share/plimsoll" : options.catalogue_path;
  std::error_code failed;
  if (!std::filesystem::is_directory(catalogue, failed)) {
    if (shipped)
      return fail(ErrorCode::kInternal,
                  fmt::format("the catalogue that ships with the library, {}, is not there; give catalogue_path", catalogue), catalogue);
    return fail(ErrorCode::kBadRequest, fmt::format("catalogue_path: {} is no folder; give one, or leave it out", catalogue), catalogue);
  }
  auto data = std::make_shared<Data>(options, std::move(catalogue));
  PLIMSOLL_TRY(data->registry->arguments());
  if (!options.list_refused) PLIMSOLL_TRY(data->registry->usable());
  return Context(std::move(data));
}

Result<Model> Context::load(const std::string& path) const {
  LocateOptions options;
  options.catalogue_directory = data_->models();
  PLIMSOLL_ASSIGN(const ModelFiles files, locate_model(path, options));
  std::optional<Checkpoint> checkpoint;
  if (files.format != CheckpointFormat::kNone) {
    PLIMSOLL_ASSIGN(checkpoint, data_->open(files));
  }
  ConfigFiles config;
  if (files.config_path) {
    PLIMSOLL_ASSIGN(config, read_config(*files.config_path, files.hf_quant_config_path));
  } else if (checkpoint && checkpoint->config().is_object()) {
    config.config = checkpoint->config();
  } else {
    return fail(ErrorCode::kBadConfig, "there is no config.json", path);
  }
  PLIMSOLL_ASSIGN(std::shared_ptr<Model::Data> data, load_model(data_->registry, std::move(config.config), config.quant(), path,
                                                                files.config_path.value_or(path), checkpoint ? &*checkpoint : nullptr));
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

Result<Context::Asked> Context::asked(const Model& model, const PlanRequest& request) const {
  Asked out;
  PLIMSOLL_ASSIGN(out.engine, data_->engine(request));
  PLIMSOLL_ASSIGN(out.devices, data_->devices(request.devices));
  out.input.model = model.data_.get();
  out.input.draft = request.draft ? request.draft->data_.get() : nullptr;
  out.input.devices = out.devices.get();
  out.input.engine = out.engine.get();
  out.input.request = &request;
  return out;
}

Result<Program> Context::program(const Model& model, const PlanRequest& request, std::uint32_t rank) const {
  PLIMSOLL_ASSIGN(const Asked asked_for, asked(model, request));
  PLIMSOLL_ASSIGN(const Settled settled, settle(asked_for.input));
  const RankLayout& layout = settled.layout;
  if (rank >= layout.ranks())
    return fail(ErrorCode::kBadRequest, fmt::format("rank {} of a plan of {}; ranks begin at 0", rank, layout.ranks()), "rank");
  if (layout.dp > 1)
    return fail(ErrorCode::kBadRequest, fmt::format("{} replicas; a program is one of one replica, plan each with dp 1", layout.dp),
                "--dp");
  if (layout.redundant_experts > 0)
    return fail(ErrorCode::kBadRequest, "experts that are there twice are planned and not executed", "--redundant-experts");
  PLIMSOLL_ASSIGN(Program program, scheduled_program(settled, rank));
  if (model.data_->files.format == CheckpointFormat::kNone)
    return fail(ErrorCode::kBadRequest, "there are no weights to load; give a directory with safetensors or a GGUF file",
                model.data_->info.path);
  PLIMSOLL_ASSIGN(const Checkpoint checkpoint, data_->open(model.data_->files));
  PLIMSOLL_ASSIGN(WeightSources sources, weight_sources(*model.data_, checkpoint));
  PLIMSOLL_TRY(check_cast(settled.cast, sources));
  PLIMSOLL_TRY(apply_rope_factors(checkpoint, program));
  if (layout.ranks() > 1) {
    PLIMSOLL_ASSIGN(sources, rank_sources(*model.data_, sources, layout, rank));
  }
  return bind_weights(std::move(program), model.data_->declared, std::move(sources));
}

Result<AdapterSources> Context::adapter(const Model& model, const AdapterSlots& slots, const std::string& directory) const {
  return adapter_sources(*model.data_, slots, directory);
}

Result<Plan> Context::plan(const Model& model, const PlanRequest& request) const {
  PLIMSOLL_ASSIGN(const Asked asked_for, asked(model, request));
  PlanInput input = asked_for.input;
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

std::vector<PluginInfo> Context::plugins() const { return list_plugins(*data_->registry); }

Result<PluginInfo> Context::inspect_plugin(const std::string& directory) const {
  return plimsoll::inspect_plugin(directory, data_->trust, data_->gguf_words());
}

Result<std::vector<CatalogueModel>> Context::models(std::string_view pattern) const {
  return list_models(data_->registry, data_->models(), pattern);
}

Result<std::vector<DeviceCard>> Context::device_catalogue() const { return list_cards(data_->cards); }

const std::string& Context::catalogue_path() const { return data_->catalogue; }

Result<std::vector<RealDevice>> Context::real_devices() const { return list_real_devices(data_->cards); }

Result<VerifyReport> Context::verify(const Model& model, const PlanRequest& request) const {
  PlanRequest here = request;
  here.devices = "auto";
  PLIMSOLL_ASSIGN(Plan planned, plan(model, here));
  return verify_plan(std::move(planned));
}

} // namespace plimsoll
