// Context: plugins, catalogues and small caches behind plimsoll/host.hpp; what it answers is made elsewhere. Reads files where a
// host asks for a model; planning itself reads none but the engine profile and the device catalogue, once each.
// Threads: any number at once.
#include "plimsoll/host.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "checkpoint/left_out.hpp"
#include "checkpoint/saved_ranks.hpp"
#include "device/catalogue.hpp"
#include "engine/profile.hpp"
#include "host/asked.hpp"
#include "host/config_files.hpp"
#include "host/file_cache.hpp"
#include "host/listings.hpp"
#include "host/located_model.hpp"
#include "host/override_tensors.hpp"
#include "host/plan_command_line.hpp"
#include "host/program.hpp"
#include "host/projector_file.hpp"
#include "host/rope_factors.hpp"
#include "host/verify.hpp"
#include "model/adapter_config.hpp"
#include "model/adapter_sources.hpp"
#include "model/loaded_model.hpp"
#include "model/weight_sources.hpp"
#include "model/what_if.hpp"
#include "plan/make_plan.hpp"
#include "plan/place_weights.hpp"
#include "plan/price_schedule.hpp"
#include "plan/weights_report.hpp"
#include "plimsoll/limits.hpp"
#include "plugin/gguf_meaning.hpp"
#include "plugin/trust.hpp"
#include "search/advice.hpp"
#include "search/auto_layout.hpp"
#include "search/frontier.hpp"

namespace plimsoll {
struct Context::Data {
  explicit Data(const ContextOptions& options, std::string catalogue_path)
      : catalogue(std::move(catalogue_path)),
        registry(std::make_shared<Registry>(
            RegistryOptions{options.plugin_paths, options.trust, options.prefer, options.isolation, options.plugin_timeout}, options.log)),
        cards(std::filesystem::path(catalogue) / "devices.yaml"), remote{options.online, options.fetch_timeout, options.fetch_progress} {}

  std::string catalogue;
  std::shared_ptr<const Registry> registry;
  DeviceCatalogue cards;
  FileCache<ProfileSource> engines;
  FileCache<std::vector<Device>> device_lists;
  FileCache<Projector> projectors;
  RemoteAccess remote;

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
  // What the request names; else, for engines that deal layers, what lies beside the model. Nothing for others: place_layers() refuses.
  Result<std::shared_ptr<const Projector>> projector(const Model::Data& model, const PlanRequest& request, const ProfileSource& source) {
    const std::string path = request.projector.value_or(model.projector_path);
    if (path.empty() || path == "none" || !source.places_layers()) return std::shared_ptr<const Projector>();
    return projectors.get(path, [&] { return read_projector(path); });
  }
  // The model as the request has it quantised.
  Result<std::shared_ptr<const Model::Data>> quantized(std::shared_ptr<const Model::Data> model, const PlanRequest& request) const {
    if (request.quantize.size() > 1)
      return fail(ErrorCode::kBadRequest, fmt::format("is a list of {}; only a plan compares several, give one", request.quantize.size()),
                  "--quantize");
    if (request.quantize.empty() || !changes_storage(request.quantize.front())) return model;
    return what_if(*model, request.quantize.front(), gguf_words());
  }
  Result<std::shared_ptr<Model::Data>> load(const std::string& model) const; // wherever it is
  // The files of a model, opened.
  Result<Checkpoint> open(const ModelFiles& files) const {
    return open_checkpoint(files, [this, &files](const std::string& name, const GgufMetadata& metadata) -> Result<GgufArchitecture> {
      if (is_projector(metadata))
        return fail(ErrorCode::kUnsupportedArchitecture,
                    "this is the projector of a model that sees or hears, and no model; give the model, and this file as --mmproj with "
                    "--engine llama.cpp",
                    files.shards.front());
      return gguf_meaning(*registry, gguf_words(), name, metadata);
    });
  }
  // Who plans it, what it declares, and what is stored of it.
  Result<std::shared_ptr<Model::Data>> load(const std::string& path, const ModelFiles& files) const {
    std::optional<Checkpoint> checkpoint;
    if (files.format != CheckpointFormat::kNone) {
      PLIMSOLL_ASSIGN(checkpoint, open(files));
    }
    ConfigFiles config;
    if (files.config_path) {
      PLIMSOLL_ASSIGN(config, read_config(*files.config_path, files.hf_quant_config_path, catalogue, checkpoint.has_value()));
    } else if (checkpoint && checkpoint->config().is_object()) {
      config.config = checkpoint->config();
    } else {
      return fail(ErrorCode::kBadConfig, "there is no config.json", path);
    }
    config.change(files.changes);
    LocateOptions known_here;
    known_here.catalogue_directory = models();
    PLIMSOLL_TRY(read_named_parts(config.config, known_here, catalogue, files.config_path.value_or(path)));
    auto loaded = load_model(registry, std::move(config.config), config.quant(), path, files.config_path.value_or(path),
                             checkpoint ? &*checkpoint : nullptr);
    if (!loaded) return tl::unexpected(checkpoint ? checkpoint->with_metadata(std::move(loaded.error())) : std::move(loaded.error()));
    std::shared_ptr<Model::Data> data = std::move(*loaded);
    if (checkpoint) PLIMSOLL_TRY(take_inventory(*data, *checkpoint));
    if (!files.rank_parts.empty()) {
      PLIMSOLL_ASSIGN(data->saved_rank_bytes, saved_rank_bytes(files.rank_parts));
      data->info.weights_source = WeightsSource::kSafetensors;
    }
    if (const std::optional<std::string> unread = left_out(files))
      data->load_warnings.push_back({WarningCode::kMissingTensors, *unread + "; weights are counted as the configuration declares them"});
    if (!files.assumed.empty()) data->load_warnings.push_back({WarningCode::kQuantizationAssumed, files.assumed});
    data->projector_path = projector_beside(files).value_or("");
    return data;
  }
};

const ModelInfo& Model::info() const { return data_->info; }

Result<Context> Context::create(ContextOptions options) {
  PLIMSOLL_TRY(check_trust(options.trust, process_is_elevated()));
  if (options.plugin_timeout.count() < 1) return fail(ErrorCode::kBadRequest, "a time of at least 1 ms was expected", "plugin_timeout");
  if (options.fetch_timeout.count() < 1) return fail(ErrorCode::kBadRequest, "a time of at least 1 ms was expected", "fetch_timeout");
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

// A folder, a file, a name or a URL.
Result<std::shared_ptr<Model::Data>> Context::Data::load(const std::string& model) const {
  LocateOptions options;
  options.catalogue_directory = models();
  PLIMSOLL_ASSIGN(const LocatedModel located, locate_anywhere(model, options, remote));
  Result<std::shared_ptr<Model::Data>> data = load(located.files.name.empty() ? model : located.files.name, located.files);
  if (!data) return tl::unexpected(located.with_urls(std::move(data.error())));
  return data;
}

namespace {

// The folder that the name of a model in the cache means, or the name.
std::string adapter_folder(const std::string& model) {
  std::error_code failed;
  if (std::filesystem::exists(model, failed)) return model;
  return cached_folder(model).value_or(model);
}

} // namespace

Result<Model> Context::load(const std::string& model) const {
  const std::string folder = adapter_folder(model);
  PLIMSOLL_ASSIGN(const std::optional<std::string> base, adapted_model(folder));
  if (!base) {
    PLIMSOLL_ASSIGN(std::shared_ptr<Model::Data> data, data_->load(model));
    return Model(std::move(data));
  }
  Result<std::shared_ptr<Model::Data>> adapted = data_->load(*base);
  if (!adapted)
    return fail(adapted.error().code,
                fmt::format("this is a LoRA adapter of {}: {}; plan that model with --lora {}", *base, adapted.error().message, model),
                adapted.error().where);
  (*adapted)->info.path = model;
  (*adapted)->adapter_path = folder;
  return Model(std::move(*adapted));
}

Result<Model> Context::load_config(std::string_view config_json, const std::string& name) const {
  PLIMSOLL_ASSIGN(Json config, parse_json(std::string(config_json), name, ErrorCode::kBadConfig));
  PLIMSOLL_ASSIGN(std::shared_ptr<Model::Data> data, load_model(data_->registry, std::move(config), nullptr, name, name));
  data->given_as_text = true;
  return Model(std::move(data));
}

// The curve of `alike`, a plan of that input, into `plan`.
static Result<void> add_frontier(PlanInput input, const Plan& alike, Plan& plan) {
  PlanRequest request = *input.request; // with the split that the plan has found
  if (alike.dealt && request.gpu_layers_auto) request.gpu_layers = alike.dealt->gpu_layers;
  if (alike.dealt && request.cpu_moe_auto) request.cpu_moe_layers = alike.dealt->cpu_moe_layers;
  request.gpu_layers_auto = request.cpu_moe_auto = false;
  input.request = &request;
  PLIMSOLL_ASSIGN(std::optional<FrontierCurve> curve, find_frontier(input, alike));
  if (curve) plan.frontier.push_back(std::move(*curve));
  return {};
}

namespace {

// The request with room for the adapters that it names, of the largest rank of any.
Result<PlanRequest> with_adapters(const PlanRequest& asked) {
  PlanRequest request = asked;
  std::uint64_t most_rank = 0;
  for (const std::string& adapter : asked.loras) {
    const std::string directory = adapter.substr(adapter.find('=') + 1); // npos + 1: all of it
    std::error_code failed;
    if (!std::filesystem::is_directory(directory, failed))
      return fail(ErrorCode::kBadConfig, "is no directory; that of an adapter was expected", directory);
    PLIMSOLL_ASSIGN(const AdapterConfig config, AdapterConfig::read(directory + "/adapter_config.json"));
    most_rank = std::max(most_rank, config.most_rank());
  }
  if (!request.max_loras) request.max_loras = asked.loras.size();
  if (*request.max_loras < asked.loras.size())
    return fail(ErrorCode::kBadRequest, fmt::format("is {}, for {} adapters", *request.max_loras, asked.loras.size()), "--max-loras");
  if (!request.max_lora_rank) request.max_lora_rank = most_rank;
  if (*request.max_lora_rank < most_rank)
    return fail(ErrorCode::kBadRequest, fmt::format("is {}, but an adapter has rank {}", *request.max_lora_rank, most_rank),
                "--max-lora-rank");
  return request;
}

} // namespace

Result<Context::Asked> Context::asked(const Model& model, const PlanRequest& request) const {
  Asked out;
  PLIMSOLL_ASSIGN(out.engine, data_->engine(request));
  PLIMSOLL_ASSIGN(out.devices, data_->devices(request.devices));
  PLIMSOLL_ASSIGN(out.model, data_->quantized(model.data_, request));
  out.input.model = out.model.get();
  out.input.draft = request.draft ? request.draft->data_.get() : nullptr;
  out.input.devices = out.devices.get();
  out.input.engine = out.engine.get();
  out.input.request = &request;
  if (!request.tensor_overrides.empty()) {
    PLIMSOLL_ASSIGN(const GgufArchitecture words, gguf_meaning_of_class(*data_->registry, data_->gguf_words(), model.info().architecture));
    PLIMSOLL_ASSIGN(out.input.host_tensors, host_tensors(out.model->declared, words, request.tensor_overrides));
  }
  if (const std::string& own = model.data_->adapter_path; !request.loras.empty() || !own.empty()) {
    PlanRequest all = request;
    if (!own.empty() && std::find(all.loras.begin(), all.loras.end(), own) == all.loras.end()) all.loras.push_back(own);
    PLIMSOLL_ASSIGN(PlanRequest made, with_adapters(all));
    out.request = std::make_shared<const PlanRequest>(std::move(made));
    out.input.request = out.request.get();
  }
  PLIMSOLL_ASSIGN(out.projector, data_->projector(*out.model, request, *out.engine));
  out.input.projector = out.projector.get();
  if (!out.input.request->layout_auto) return out;
  PLIMSOLL_ASSIGN(PlanRequest found, find_layout(out.input, [this](const PlanRequest& other) { return data_->engine(other); }));
  out.request = std::make_shared<const PlanRequest>(std::move(found));
  out.input.request = out.request.get();
  PLIMSOLL_ASSIGN(out.engine, data_->engine(*out.request));
  out.input.engine = out.engine.get();
  return out;
}

Result<Program> Context::program(const Model& model, const PlanRequest& request, std::uint32_t rank) const {
  return program_of(model, request, rank, false);
}

Result<Program> Context::draft_program(const Model& model, const PlanRequest& request, std::uint32_t rank) const {
  if (!request.draft) return fail(ErrorCode::kBadRequest, "the request names no draft model", "--draft");
  return program_of(model, request, rank, true);
}

Result<Program> Context::program_of(const Model& model, const PlanRequest& request, std::uint32_t rank, bool of_draft) const {
  if (!request.quantize.empty())
    return fail(ErrorCode::kBadRequest, "is a what-if; there are no such weights to load. Leave it out", "--quantize");
  PLIMSOLL_ASSIGN(const Asked asked_for, asked(model, request));
  PLIMSOLL_ASSIGN(const Settled settled, settle(asked_for.input));
  const RankLayout& layout = settled.layout;
  if (rank >= layout.ranks())
    return fail(ErrorCode::kBadRequest, fmt::format("rank {} of a plan of {}; ranks begin at 0", rank, layout.ranks()), "rank");
  if (layout.uses_host())
    return fail(ErrorCode::kBadRequest,
                fmt::format("engine {} keeps weights in host memory; a program has all of them on its device", settled.profile().name),
                "--engine");
  if (layout.redundant_experts > 0)
    return fail(ErrorCode::kBadRequest, "experts that are there twice are planned and not executed", "--redundant-experts");
  PLIMSOLL_ASSIGN(Program program, of_draft ? scheduled_draft(settled, rank) : scheduled_program(settled, rank));
  const Model::Data& data = of_draft ? *request.draft->data_ : *model.data_;
  if (data.files.format == CheckpointFormat::kNone)
    return fail(ErrorCode::kBadRequest, "there are no weights to load; give a directory with safetensors or a GGUF file", data.info.path);
  if (data.files.headers_only)
    return fail(ErrorCode::kBadRequest, "only the headers of the model were fetched; download it whole, and give its directory",
                data.info.path);
  PLIMSOLL_ASSIGN(const Checkpoint checkpoint, data_->open(data.files));
  PLIMSOLL_ASSIGN(WeightSources sources, weight_sources(data, checkpoint, [&](const WeightClass& c) {
                    return of_draft ? is_of_model(c) : is_loaded(settled, c);
                  }));
  PLIMSOLL_TRY(check_cast(settled.cast, sources));
  PLIMSOLL_TRY(apply_rope_factors(checkpoint, program));
  if (layout.ranks() > 1) {
    PLIMSOLL_ASSIGN(sources, rank_sources(data, sources, of_draft ? settled.draft_layout : layout, rank));
  }
  return bind_weights(std::move(program), data.declared, std::move(sources));
}

Result<AdapterSources> Context::adapter(const Model& model, const AdapterSlots& slots, const std::string& directory) const {
  return adapter_sources(*model.data_, slots, directory);
}

// Every method is planned; what is found of all of them stands beside the plan of the first that fits, or else of the first.
Result<Plan> Context::first_that_fits(const Model& model, const PlanRequest& request) const {
  std::vector<QuantizationRow> rows;
  std::optional<std::size_t> first;
  PlanRequest one = request;
  for (const std::string& method : request.quantize) {
    one.quantize = {method};
    one.explain = one.advise = one.frontier = false;
    one.frontier_kv_dtypes.clear();
    PLIMSOLL_ASSIGN(const Plan plan, this->plan(model, one));
    QuantizationRow row{plan.request.quantize.empty() ? "none" : plan.request.quantize, 0, plan.kv_cache.capacity_tokens, plan.verdict};
    for (const DevicePlan& device : plan.devices) row.weights_bytes = (Checked(row.weights_bytes) + device.weights_bytes).saturated();
    if (!first && !plan.error) first = rows.size();
    rows.push_back(std::move(row));
  }
  one = request;
  one.quantize = {request.quantize[first.value_or(0)]};
  PLIMSOLL_ASSIGN(Plan out, plan(model, one));
  out.quantizations = std::move(rows);
  return out;
}

Result<Plan> Context::plan(const Model& model, const PlanRequest& request) const {
  if (request.quantize.size() > 1) return first_that_fits(model, request);
  PLIMSOLL_ASSIGN(const Asked asked_for, asked(model, request));
  PlanInput input = asked_for.input;
  input.for_a_reader = true;
  PLIMSOLL_ASSIGN(Plan plan, make_plan(input));
  input.for_a_reader = false;
  if (plan.error && request.advise && plan.error->where != "--quantize")
    plan.advice = find_advice(input, plan,
                              {.devices = [this](const std::string& spec) { return parse_devices(spec, data_->cards); },
                               .command = [&](const PlanRequest& changed) { return plan_command(model, changed); }});
  if (request.frontier) PLIMSOLL_TRY(add_frontier(input, plan, plan));
  for (const std::string& type : request.frontier_kv_dtypes) {
    PlanRequest other = *asked_for.input.request;
    other.kv_dtype = type;
    input.request = &other;
    Result<Plan> alike = make_plan(input);
    if (!alike && alike.error().where == "--kv-dtype") alike.error().where = "--frontier-kv-dtypes";
    if (!alike) return tl::unexpected(std::move(alike.error()));
    const bool known = std::any_of(plan.frontier.begin(), plan.frontier.end(),
                                   [&](const FrontierCurve& have) { return have.kv_dtype == alike->kv_cache.dtype; });
    if (!known) PLIMSOLL_TRY(add_frontier(input, *alike, plan));
  }
  return plan;
}

std::string Context::plan_command(const Model& model, const PlanRequest& request) const {
  return plan_command_line(data_->registry->options(), *model.data_, request, request.draft ? request.draft->data_.get() : nullptr,
                           data_->remote.online);
}

Result<WeightsReport> Context::weights(const Model& model, const PlanRequest& request) const {
  if (request.layout_auto)
    return fail(ErrorCode::kBadRequest, "weights are shown in the layout that is given; give the degrees that plan --layout auto finds",
                "--layout");
  PLIMSOLL_ASSIGN(const std::shared_ptr<const ProfileSource> engine, data_->engine(request));
  PLIMSOLL_ASSIGN(const std::shared_ptr<const Model::Data> data, data_->quantized(model.data_, request));
  if (!request.devices.empty() && request.devices != "auto") {
    PLIMSOLL_ASSIGN(const std::shared_ptr<const std::vector<Device>> devices, data_->devices(request.devices));
    return make_weights_report(*data, request, *engine, *devices);
  }
  const std::uint64_t ranks = static_cast<std::uint64_t>(request.tp.value_or(1)) * request.pp.value_or(1) * request.dp.value_or(1);
  if (ranks > kMaxRanks) return fail(ErrorCode::kBadRequest, fmt::format("{} ranks; at most {} are planned", ranks, kMaxRanks), "--tp");
  return make_weights_report(*data, request, *engine, std::vector<Device>(ranks));
}

std::vector<PluginInfo> Context::plugins() const { return list_plugins(*data_->registry); }

Result<PluginInfo> Context::inspect_plugin(const std::string& directory) const {
  return plimsoll::inspect_plugin(directory, data_->registry->options(), data_->gguf_words());
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
