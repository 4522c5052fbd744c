// A plan as a deployment: which settings say it, and as which flags. What the engine would choose by itself is said too, where a plan of
// the request that says it is the same.
#include "plimsoll/emit.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <set>

#include "base/json.hpp"
#include "base/regular_file.hpp"
#include "base/words.hpp"
#include "base/yaml.hpp"
#include "emit/compose.hpp"
#include "emit/kubernetes.hpp"
#include "emit/ray.hpp"
#include "emit/shell_command.hpp"
#include "engine/engine_name.hpp"
#include "flags/flag_table.hpp"
#include "flags/write_flags.hpp"
#include "plimsoll/human.hpp"
#include "plimsoll/options.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostNamesBytes = 1U << 18;

struct TargetName {
  EmitTarget target;
  std::string_view name;
};
constexpr std::array<TargetName, 4> kTargets{
    {{EmitTarget::kCommand, "command"}, {EmitTarget::kKubernetes, "k8s"}, {EmitTarget::kRay, "ray"}, {EmitTarget::kCompose, "compose"}}};

// Options that a plan is made of, and an engine is not told: its devices, ranks (said apart), and what is only looked at.
constexpr std::array<std::string_view, 14> kNotSaid{"devices",   "engine",       "tp",    "pp",   "dp",       "ep",
                                                    "nodes",     "host",         "phase", "lora", "frontier", "frontier_kv_dtypes",
                                                    "max_loras", "max_lora_rank"};

// The longest word of the engine's methods of drafting that the draft's class has in its name.
std::optional<std::string> draft_method(const std::vector<FlagRow>& rows, const std::string& architecture) {
  std::optional<std::string> found;
  const auto take = [&](const std::string& word) {
    if (!word.empty() && architecture.find(word) != std::string::npos && (!found || word.size() > found->size())) found = word;
  };
  for (const FlagRow& row : rows) {
    if (row.setting == "draft_method")
      for (const auto& [written, word] : row.values) take(word);
    if (const auto inner = draft_method(row.keys, architecture)) take(*inner);
  }
  return found;
}

struct Reason {
  std::string_view setting, why;
};
constexpr std::array<Reason, 18> kReasons{{{"max_length", "tokens of one request"},
                                           {"max_batch_size", "requests at once"},
                                           {"max_batch_input_tokens", "tokens of one forward pass"},
                                           {"max_batch_total_tokens", "tokens of all requests of a batch"},
                                           {"device_memory_utilization", "share of a device's memory"},
                                           {"kv_dtype", "type of the KV cache"},
                                           {"page_tokens", "tokens of a KV page"},
                                           {"kv_cache_bytes", "bytes of the KV cache on a device"},
                                           {"num_gpu_blocks_override", "KV blocks on a device"},
                                           {"dtype", "type of weights that are not quantised"},
                                           {"gpu_layers", "layers on devices, the output as one of them"},
                                           {"n_cpu_moe", "first layers whose experts stay in host memory"},
                                           {"split_mode", "how layers come to devices"},
                                           {"tensor_split", "share of each device"},
                                           {"stage_layers", "layers of each pipeline stage"},
                                           {"num_draft_tokens", "tokens drafted in a step"},
                                           {"kv_offload_bytes", "second tier of the KV cache, in host memory"},
                                           {"redundant_experts", "further copies of experts"}}};

std::string reason_of(std::string_view setting, std::string_view from) {
  const auto* const row = std::find_if(kReasons.begin(), kReasons.end(), [&](const Reason& reason) { return reason.setting == setting; });
  const std::string what = row != kReasons.end()            ? std::string(row->why)
                           : setting.starts_with("engine.") ? "a value of the engine's profile"
                                                            : "";
  return what.empty() ? std::string(from) : from.empty() ? what : fmt::format("{}, {}", what, from);
}

// The plan without what is said about it.
std::string figures(Plan plan) {
  plan.warnings.clear();
  plan.advice.clear();
  plan.kv_cache.needed_bytes_per_device.reset(); // said where length and batch are given
  return plan_to_json(plan, -1);
}

class Emitter {
public:
  Emitter(const Context& context, const Model& model, const PlanRequest& request, const Plan& plan)
      : context_(context), model_(model), asked_(request), plan_(plan) {}

  Result<Deployment> deployment(const FlagTable& table) {
    Deployment out;
    out.table = &table;
    out.release = plan_.engine.version;
    std::vector<SaidSetting> settings;
    const RankDegrees degrees{plan_.request.tp, plan_.request.pp, plan_.request.dp, plan_.request.ep, shares_experts()};
    PLIMSOLL_ASSIGN(settings, rank_settings(table, out.release, degrees));
    PLIMSOLL_TRY(options(table, out.release, settings));
    out.written = write_flags(table, out.release, settings);
    // An engine without a file of settings has none to write.
    if (table.deploy.file_flag.empty()) out.written.file.clear();
    PLIMSOLL_TRY(model_words(out));
    PLIMSOLL_TRY(devices(out));
    out.replicas = plan_.request.dp;
    out.ranks_per_replica = std::max<std::uint64_t>(1, plan_.devices.size() / std::max(1U, plan_.request.dp));
    out.host_bytes = plan_.host_memory_bytes;
    summary(out);
    return out;
  }

private:
  // What was asked for, with what was found in place of "auto"; and as much of the rest as says the same.
  Result<void> options(const FlagTable& table, const std::string& release, std::vector<SaidSetting>& out) {
    PlanRequest request = settled();
    const std::string wanted = figures(plan_);
    std::set<std::string> explicit_ones;
    for (const auto& [name, value] : defaults(request)) {
      PlanRequest more = request;
      if (!has_setting(table, release, name) || !set_option(more, {name, value, "--emit"})) continue;
      more.advise = false;
      const auto same = context_.plan(model_, more);
      if (!same || figures(*same) != wanted) continue; // the engine's own choice is another one than that figure
      more.advise = request.advise;
      request = std::move(more);
      explicit_ones.insert(name);
    }
    for (const OptionValue& option : show_options(request)) {
      if (std::find(kNotSaid.begin(), kNotSaid.end(), option.name) != kNotSaid.end()) continue;
      if (option.name == "set") {
        const std::size_t equals = option.value.find('=');
        if (option.value == fmt::format("engine.{}=false", kExpertsOverReplicas)) continue;
        out.push_back({option.value.substr(0, equals), option.value.substr(equals + 1), reason_of("engine.", "as asked for")});
      } else {
        add(table, release, option, explicit_ones.contains(option.name) ? "the engine's own, made explicit" : found(option.name), out);
      }
    }
    drafts(table, release, out);
    adapters(out);
    return {};
  }

  // What data-parallel replicas do with the experts is said by how they are started.
  static constexpr const char* kExpertsOverReplicas = "experts_split_over_dp";
  bool shares_experts() const {
    const auto apart = asked_.engine_overrides.find(kExpertsOverReplicas);
    if (apart != asked_.engine_overrides.end() && apart->second == "false") return false;
    return std::any_of(plan_.items.begin(), plan_.items.end(), [](const Item& item) {
      return item.category == Category::kWeights && item.label.find("experts") != std::string::npos;
    });
  }

  std::string found(const std::string& name) const {
    if (name == "max_length" && asked_.max_length_auto) return "the longest that fits";
    if ((name == "gpu_layers" && asked_.gpu_layers_auto) || (name == "n_cpu_moe" && asked_.cpu_moe_auto)) return "as found to fit";
    return "as asked for";
  }

  static void add(const FlagTable& table, const std::string& release, const OptionValue& option, const std::string& from,
                  std::vector<SaidSetting>& out) {
    const std::string why = reason_of(option.name, from);
    if (option.name == "kv_dtype" && !has_setting(table, release, "kv_dtype")) { // K and V apart
      const std::size_t slash = option.value.find('/');
      out.push_back({"kv_dtype_k", option.value.substr(0, slash), why});
      out.push_back({"kv_dtype_v", slash == std::string::npos ? option.value : option.value.substr(slash + 1), why});
      return;
    }
    if (option.name == "images_per_request") {
      out.push_back({"limit_mm_per_prompt", fmt::format("{{\"image\": {}}}", option.value), "images of one request, as asked for"});
      return;
    }
    if (option.name == "limit_mm_per_prompt") { // image=2,video=0
      Json limits = Json::object();
      for (const SaidSetting& said : out)
        if (said.name == option.name) limits = Json::parse(said.value, nullptr, false);
      std::string_view rest = option.value;
      while (!rest.empty()) {
        const std::string_view part = rest.substr(0, rest.find(','));
        const std::size_t equals = part.find('=');
        limits[std::string(part.substr(0, equals))] = std::strtoull(std::string(part.substr(equals + 1)).c_str(), nullptr, 10);
        rest.remove_prefix(std::min(rest.size(), part.size() + 1));
      }
      out.erase(std::remove_if(out.begin(), out.end(), [&](const SaidSetting& said) { return said.name == option.name; }), out.end());
      out.push_back({option.name, limits.dump(), "images, films and sounds of one request, as asked for"});
      return;
    }
    if (option.name == "num_draft_tokens") return; // with the draft
    out.push_back({option.name, option.value, why});
  }

  PlanRequest settled() const {
    PlanRequest request = asked_;
    if (request.max_length_auto) {
      request.max_length_auto = false;
      request.max_length = plan_.request.max_length;
    }
    if (request.kv_dtype) request.kv_dtype = plan_.request.kv_dtype; // "fp8" by its whole name
    if (plan_.dealt && request.gpu_layers_auto) request.gpu_layers = plan_.dealt->gpu_layers;
    if (plan_.dealt && request.cpu_moe_auto) request.cpu_moe_layers = plan_.dealt->cpu_moe_layers;
    request.gpu_layers_auto = false;
    request.cpu_moe_auto = false;
    request.frontier = false;
    request.frontier_kv_dtypes.clear();
    return request;
  }

  std::vector<std::pair<std::string, std::string>> defaults(const PlanRequest& request) const {
    std::vector<std::pair<std::string, std::string>> out;
    const EffectiveRequest& used = plan_.request;
    if (!request.max_length) out.emplace_back("max_length", std::to_string(used.max_length));
    if (!request.max_batch_size) out.emplace_back("max_batch_size", std::to_string(used.max_batch_size));
    if (!request.max_batch_input_tokens) out.emplace_back("max_batch_input_tokens", std::to_string(used.max_batch_input_tokens));
    if (!request.device_memory_utilization)
      out.emplace_back("device_memory_utilization", fmt::format("{}", used.device_memory_utilization));
    return out;
  }

  void drafts(const FlagTable& table, const std::string& release, std::vector<SaidSetting>& out) const {
    const std::uint64_t tokens = plan_.request.num_draft_tokens;
    if (asked_.draft) {
      const ModelInfo& info = asked_.draft->info();
      const std::string kind = draft_method(table.flags, lower_case(info.architecture)).value_or("draft_model");
      if (has_setting(table, release, "draft_method")) out.push_back({"draft_method", kind, "how tokens are drafted"});
      out.push_back({"draft", info.path, "the draft beside the model"});
    } else if (tokens > 0 && has_setting(table, release, "draft_method")) {
      out.push_back({"draft_method", "mtp", "the model's own head drafts"});
    }
    if (tokens == 0) return;
    out.push_back({"num_draft_tokens", std::to_string(tokens), reason_of("num_draft_tokens", "as asked for")});
    if (!has_setting(table, release, "draft_steps")) return;
    out.push_back({"draft_steps", std::to_string(tokens > 1 ? tokens - 1 : 1), "steps of the draft for so many tokens"});
    out.push_back({"draft_topk", "1", "one branch"});
  }

  void adapters(std::vector<SaidSetting>& out) const {
    if (plan_.request.max_loras == 0) return;
    out.push_back({"lora_enabled", "true", "slots for adapters"});
    out.push_back({"max_loras", std::to_string(plan_.request.max_loras), "adapters on the device at once"});
    out.push_back({"max_lora_rank", std::to_string(plan_.request.max_lora_rank), "their largest rank"});
  }

  // A model is a name or a path; llama.cpp and the like load one file.
  Result<void> model_words(Deployment& out) const {
    namespace fs = std::filesystem;
    const ModelInfo& info = model_.info();
    std::error_code failed;
    out.model = info.path;
    const bool is_here = fs::exists(info.path, failed);
    if (out.table->find_flag("--gpu-layers") != nullptr) {
      if (info.weights_source != WeightsSource::kGguf || !is_here)
        return fail(ErrorCode::kBadRequest,
                    fmt::format("{} loads a GGUF file, and the plan is of a configuration; plan the .gguf file", out.table->engine),
                    "MODEL");
      if (fs::is_directory(info.path, failed)) out.model = gguf_in(info.path);
    } else if (is_here && fs::path(info.path).filename() == "config.json") {
      out.model = fs::path(info.path).parent_path().string();
    }
    if (is_here && out.model.empty()) out.model = ".";
    if (out.model.starts_with('-')) out.model = "./" + out.model;
    if (!is_here) return {};
    const fs::path whole = fs::absolute(out.model, failed).lexically_normal();
    out.model_folder = (fs::is_directory(whole, failed) ? whole : whole.parent_path()).string();
    return {};
  }

  static std::string gguf_in(const std::string& folder) {
    std::vector<std::string> files;
    std::error_code failed;
    for (std::filesystem::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
      if (it->path().extension() == ".gguf" && it->path().filename().string().find("mmproj") == std::string::npos)
        files.push_back(it->path().string());
    std::sort(files.begin(), files.end());
    return files.empty() ? folder : files.front();
  }

  Result<void> devices(Deployment& out) {
    out.nodes = std::max(1U, plan_.request.nodes);
    out.devices_per_node = static_cast<std::uint32_t>(std::max<std::size_t>(1, plan_.devices.size() / out.nodes));
    std::set<std::string> names;
    for (const DevicePlan& device : plan_.devices) names.insert(device.name);
    PLIMSOLL_ASSIGN(const std::vector<DeviceCard> cards, context_.device_catalogue());
    std::set<std::string> vendors;
    for (const DeviceCard& card : cards)
      if (names.contains(card.name)) vendors.insert(card.vendor);
    if (vendors.size() > 1) return fail(ErrorCode::kBadRequest, "devices of several makers are not started together", "--devices");
    vendor_known_ = !vendors.empty();
    out.vendor = vendor_known_ ? *vendors.begin() : "nvidia";
    if (names.size() != 1) return {};
    const std::string file = context_.catalogue_path() + "/deploy_names.yaml";
    PLIMSOLL_ASSIGN(const std::string text, read_text_file(file, kMostNamesBytes, ErrorCode::kInternal));
    PLIMSOLL_ASSIGN(const Json known, parse_yaml(text, file, ErrorCode::kInternal));
    const auto card = known.find("cards");
    if (card == known.end() || !card->is_object()) return fail(ErrorCode::kInternal, "cards is missing", file);
    if (const auto names_of = card->find(*names.begin()); names_of != card->end() && names_of->is_object()) {
      out.kubernetes_card = names_of->value("kubernetes", "");
      out.ray_accelerator = names_of->value("ray", "");
    }
    return {};
  }

  void summary(Deployment& out) const {
    std::string cards;
    for (std::size_t at = 0; at < plan_.devices.size();) {
      std::size_t end = at;
      while (end < plan_.devices.size() && plan_.devices[end].name == plan_.devices[at].name) ++end;
      cards += fmt::format("{}{} {}", cards.empty() ? "" : ", ", end - at, plan_.devices[at].name);
      at = end;
    }
    out.summary.push_back(
        fmt::format("{} by {} {} on {}: {}", out.model, plan_.engine.name, plan_.engine.version, cards, verdict_name(plan_.verdict)));
    out.summary.push_back(fmt::format("weights {}, KV cache {} for {} tokens on the first device",
                                      human_bytes(plan_.devices.front().weights_bytes), human_bytes(plan_.devices.front().kv_cache_bytes),
                                      plan_.kv_cache.capacity_tokens));
    if (out.nodes > 1) out.summary.push_back(fmt::format("{} nodes with {} devices each", out.nodes, out.devices_per_node));
    for (const SaidSetting& said : out.written.unsaid)
      out.summary.push_back(fmt::format("planned with {} {}, for which {} has no flag", said.name, said.value, plan_.engine.name));
    if (!vendor_known_) out.summary.push_back("whose devices they are is not known: those of NVIDIA are taken");
  }

  const Context& context_;
  const Model& model_;
  const PlanRequest& asked_;
  const Plan& plan_;
  bool vendor_known_ = true;
};

// A flag and its words, of which all but the first stand for themselves.
void carry(const std::vector<std::string>& flag, std::vector<WrittenFlag>& out) {
  for (std::size_t at = 0; at < flag.size(); ++at) {
    const bool has_value = at == 0 && flag.size() == 2;
    out.push_back(
        {flag[at], has_value ? std::optional<std::string>(flag[1]) : std::nullopt, at == 0 ? "as given; no part of the plan" : ""});
    if (has_value) return;
  }
}

} // namespace

std::string_view emit_target_name(EmitTarget target) noexcept {
  for (const TargetName& known : kTargets)
    if (known.target == target) return known.name;
  return "command";
}

std::optional<EmitTarget> emit_target_of(std::string_view name) noexcept {
  for (const TargetName& known : kTargets)
    if (known.name == name) return known.target;
  return std::nullopt;
}

Result<Emitted> emit(const Context& context, const Model& model, const PlanRequest& request, const Plan& plan, EmitTarget target,
                     const std::vector<std::vector<std::string>>& carried) {
  if (plan.error) return tl::unexpected(*plan.error);
  if (plan.devices.empty()) return fail(ErrorCode::kBadRequest, "the plan has no devices", "plan");
  if (request.accounting == Accounting::kPooled)
    return fail(ErrorCode::kBadRequest, "a pooled plan says nothing of single devices; leave --accounting out", "--accounting");
  PLIMSOLL_ASSIGN(const FlagTable table, read_flag_table(context.catalogue_path(), plan.engine.name));
  PLIMSOLL_ASSIGN(Deployment deployment, Emitter(context, model, request, plan).deployment(table));
  for (const std::vector<std::string>& flag : carried) carry(flag, deployment.written.flags);
  Emitted out;
  for (const SaidSetting& said : deployment.written.unsaid)
    out.unsaid.push_back(fmt::format("{} has no flag for {} {}, with which this was planned", plan.engine.name, said.name, said.value));
  switch (target) {
  case EmitTarget::kCommand: out.text = write_shell_command(deployment); break;
  case EmitTarget::kKubernetes: {
    PLIMSOLL_ASSIGN(out.text, write_kubernetes(deployment));
    break;
  }
  case EmitTarget::kRay: {
    PLIMSOLL_ASSIGN(out.text, write_ray(deployment));
    break;
  }
  case EmitTarget::kCompose: {
    PLIMSOLL_ASSIGN(out.text, write_compose(deployment));
    break;
  }
  }
  return out;
}

} // namespace plimsoll
