// plimsoll/host.hpp - the planner as C++ values, for host runtimes and for the command line.
//
//   auto context = plimsoll::Context::create({}).value();
//   auto model = context.load("meta-llama/Llama-3.1-8B").value();
//   plimsoll::PlanRequest request;
//   request.devices = "2xH100";
//   auto plan = context.plan(model, request).value();
//
// A Context owns plugins and catalogues; several live side by side. A Model is loaded once and planned often.
// Everything returned is a value. Threads: a Context may load and plan on any number of threads at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/accounting.hpp"
#include "plimsoll/cache_kind.hpp"
#include "plimsoll/export.hpp"
#include "plimsoll/kv_geometry.hpp"
#include "plimsoll/memory_kind.hpp"
#include "plimsoll/modality.hpp"
#include "plimsoll/program.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/warning.hpp"

namespace plimsoll {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
using LogCallback = std::function<void(LogLevel, std::string_view)>;

// How much a plugin must prove before it counts. kChecked: all its files and every folder above them belong to
// root or to this user and nobody else may write them. kOpen: anything, for developers; refused in a process that has more rights than
// who started it.
enum class Trust { kOpen, kChecked };

// Whose code runs in a worker process instead of this one: that of plugins which do not come with the library, every plugin's, or none's.
// A plugin that crashes, hangs, prints or ends its process then costs a plan and not the host.
enum class Isolation { kStrangers, kAll, kOff };

// How long a worker may take for one answer, unless a host says otherwise.
inline constexpr std::chrono::milliseconds kPluginTimeout{10'000};
// Such a time as options have it, in seconds; nothing where it is not from 0.001 to 86400.
constexpr std::optional<std::chrono::milliseconds> plugin_timeout_of(double seconds) noexcept {
  if (!(seconds >= 0.001 && seconds <= 86400)) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

// How far the fetching of a model of a URL has come: files of those that are known to be needed so far, and bytes received.
struct FetchProgress {
  std::uint64_t files_done = 0, files = 0, received_bytes = 0;
  bool finished = false; // the last one of a model, whether it could be fetched or not
};
using FetchCallback = std::function<void(const FetchProgress&)>;

// How long the headers of one model may take to be fetched, unless a host says otherwise.
inline constexpr std::chrono::milliseconds kFetchTimeout{300'000};

struct ContextOptions {
  std::vector<std::string> plugin_paths; // searched before every other place; an error where one yields no plugin that can be used
  std::vector<std::string> prefer;       // ids of plugins that may replace built-in ones, as their manifests say
  std::string catalogue_path;            // empty: the one that ships with the library
  Trust trust = Trust::kChecked;
  Isolation isolation = Isolation::kStrangers;
  std::chrono::milliseconds plugin_timeout = kPluginTimeout; // at least 1 ms
  bool list_refused = false;                                 // refused plugins of plugin_paths are no error: for who asks why they are
  LogCallback log;                                           // may be empty; called on the thread that loads or plans
  // Models of URLs ("hf://ORG/NAME", "https://HOST/..."): true fetches their configs and headers, never tensor data, into a cache of this
  // user. False, the default: no socket is ever opened, and such a model is kBadRequest. Proxies, HF_ENDPOINT and HF_TOKEN are the
  // environment's.
  bool online = false;
  std::chrono::milliseconds fetch_timeout = kFetchTimeout; // of one model; at least 1 ms
  FetchCallback fetch_progress;                            // may be empty; called on the thread that loads
};

enum class Verdict { kFits, kTight, kDoesNotFit, kError };
constexpr std::string_view verdict_name(Verdict verdict) noexcept {
  switch (verdict) {
  case Verdict::kFits: return "fits";
  case Verdict::kTight: return "tight";
  case Verdict::kDoesNotFit: return "does_not_fit";
  case Verdict::kError: return "error";
  }
  return "fits";
}

class Context;
struct ModelInfo;

// A loaded model: its configuration, planners and declared classes. Immutable and cheap to copy.
class PLIMSOLL_API Model {
public:
  struct Data;
  const ModelInfo& info() const;

private:
  friend class Context;
  explicit Model(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
  std::shared_ptr<const Data> data_;
};

// Which part of a request a deployment computes.
enum class Phase { kBoth, kPrefill, kDecode };
constexpr std::string_view phase_name(Phase phase) noexcept {
  switch (phase) {
  case Phase::kBoth: return "both";
  case Phase::kPrefill: return "prefill";
  case Phase::kDecode: return "decode";
  }
  return "both";
}

// How the layers of a model are spread over devices, where an engine deals them one after the other. kLayer: whole layers, by shares. kRow:
// layers as well, and the matrices of all of them cut by rows over all devices. kNone: the first device alone. kTensor: every layer over
// all devices, as --tp does.
enum class SplitMode : std::uint8_t { kLayer, kRow, kNone, kTensor };
constexpr std::string_view split_mode_name(SplitMode mode) noexcept {
  switch (mode) {
  case SplitMode::kLayer: return "layer";
  case SplitMode::kRow: return "row";
  case SplitMode::kNone: return "none";
  case SplitMode::kTensor: return "tensor";
  }
  return "layer";
}

// How the model will be served. Numbers are at most what plimsoll/limits.hpp says. An absent value is the engine profile's, the planner's
// or the model's own.
struct PlanRequest {
  std::string devices = "auto";                        // as --devices: "8xH200", "2x8xH200", "80GiB,24GiB", a YAML file, "auto"
  std::string engine = "max";                          // NAME[@VERSION] or a YAML file
  std::map<std::string, std::string> engine_overrides; // "kv.page_tokens" -> "64"
  std::optional<std::uint32_t> tp, pp, dp, ep;         // default: tp = devices, others 1
  bool layout_auto = false;                            // the layout that serves best, of those with the degrees that are given
  std::optional<std::uint32_t> nodes;                  // machines that hold the ranks, the same number each; default: the list's, or 1
  std::vector<std::uint32_t> stage_layers;             // layers of each pipeline stage; empty: balanced
  // Of engines that deal layers to devices; errors for others.
  std::optional<SplitMode> split_mode;         // absent: the engine's
  std::vector<double> tensor_split;            // each device's share; empty: its free memory
  std::optional<std::uint32_t> gpu_layers;     // layers on devices, the output layer as one of them; the rest in host memory. Absent: all
  bool gpu_layers_auto = false;                // the most that fit
  std::optional<std::uint32_t> cpu_moe_layers; // the first layers, whose experts stay in host memory; absent: none
  bool cpu_moe_auto = false;                   // the fewest with which the plan fits
  std::vector<std::string> tensor_overrides;   // REGEX=CPU: tensors whose GGUF name it finds stay in host memory
  std::optional<std::string> projector;        // GGUF file of an encoder, loaded beside the model; "none": not even one in its folder
  std::optional<std::uint64_t> host_bytes;     // memory of the host; absent: what lies there is not checked
  std::uint32_t redundant_experts = 0;         // extra copies, in whole experts per layer
  Accounting accounting = Accounting::kPerDevice;
  std::optional<std::uint64_t> max_length; // tokens
  bool max_length_auto = false;            // the longest that fits, at most max_length where given
  std::optional<std::uint64_t> max_batch_size, max_batch_input_tokens, max_batch_total_tokens;
  std::optional<double> device_memory_utilization, vision_cache_utilization;
  std::optional<std::string> kv_dtype, dtype;
  std::vector<std::string> quantize; // weights as these methods would store them, "fp8"; of several the first that fits is planned
  std::optional<std::uint64_t> page_tokens;
  std::optional<std::uint64_t> weights_bytes;    // total of one replica
  std::optional<std::uint64_t> kv_cache_bytes;   // per device
  std::optional<std::uint64_t> kv_blocks;        // that many blocks, whatever the memory holds; engines with blocks of one size
  std::optional<std::uint64_t> kv_offload_bytes; // a second tier of the KV cache in host memory, of all ranks together
  std::optional<Model> draft;                    // a second model that shares the devices: its weights and its KV
  std::uint32_t num_draft_tokens = 0;            // with no draft model: the checkpoint's own MTP head
  std::optional<std::uint64_t> images_per_request, videos_per_request, audios_per_request; // 0: none is taken
  bool language_model_only = false;                                                        // no images, film or sound at all
  std::vector<std::string> loras;             // PEFT directories, each as DIR or NAME=DIR: room for them all, of their largest rank
  std::optional<std::uint64_t> max_loras;     // LoRA adapters on the device at once; absent: none
  std::optional<std::uint64_t> max_lora_rank; // of each of them; absent: kDefaultLoraRank
  std::optional<std::string> lora_dtype;      // of their elements there; absent: that of unquantised weights
  std::vector<std::string> lora_targets;      // names of the linear layers that they may change, as "q_proj"; empty: all but the head
  Phase phase = Phase::kBoth;
  bool explain = false;                        // fill Item::formula
  bool advise = true;                          // fill Plan::advice where the plan does not fit
  bool frontier = false;                       // fill Plan::frontier
  std::vector<std::string> frontier_kv_dtypes; // curves beside that of the plan's own KV type
};

struct PlannerInfo {
  std::string id, version;
  std::vector<std::string> aspects; // what it counted in this model: "embedding", "attention", ...
  std::string replaces;             // the built-in plugin in whose place it plans; empty: none
  std::string as;                   // the model_type in whose dialect it plans, where that is not the configuration's own
  std::string aliased_by;           // the plugin whose manifest says so; empty: a planner does
};

// What memory is for. Sums of items by category are the parts of a device.
enum class Category : std::uint8_t { kWeights, kActivation, kSignalBuffer, kWorkspace, kVisionCache, kOverhead, kKvCache };
inline constexpr std::size_t kCategories = 7;
constexpr std::string_view category_name(Category category) noexcept {
  switch (category) {
  case Category::kWeights: return "weights";
  case Category::kActivation: return "activation";
  case Category::kSignalBuffer: return "signal_buffer";
  case Category::kWorkspace: return "workspace";
  case Category::kVisionCache: return "vision_cache";
  case Category::kOverhead: return "overhead";
  case Category::kKvCache: return "kv_cache";
  }
  return "weights";
}

// How sure a figure is: it follows from rules that are known to the byte, is a safe upper bound, was measured at a start, or is an
// estimate.
enum class Basis : std::uint8_t { kExact, kBound, kMeasured, kHeuristic }; // the least sure one last
constexpr std::string_view basis_name(Basis basis) noexcept {
  switch (basis) {
  case Basis::kExact: return "exact";
  case Basis::kBound: return "bound";
  case Basis::kMeasured: return "measured";
  case Basis::kHeuristic: return "heuristic";
  }
  return "exact";
}

// One line of the ledger: bytes of one cause on every rank that has it.
struct Item {
  Category category = Category::kWeights;
  std::string label;
  Basis basis = Basis::kExact;
  std::string planner;
  std::string formula; // with values put in; only with PlanRequest::explain
  bool counted = true; // false: a transient that a larger phase covers
  MemoryKind memory = MemoryKind::kDevice;
  std::vector<std::uint64_t> bytes;            // per rank; in host memory: of the process of that rank
  std::vector<std::string> rank_formulas = {}; // where ranks differ, each one's in place of `formula`; else empty

  const std::string& formula_on(std::size_t rank) const { return rank < rank_formulas.size() ? rank_formulas[rank] : formula; }
};

// A limit that what stands on a device exceeds.
struct BrokenLimit {
  std::string limit;                               // "budget", "free_memory", "kv_cache", "free_to_start", "beside_fraction", "host_memory"
  std::uint64_t limit_bytes = 0, needed_bytes = 0; // needed is the larger one
  std::string message;                             // both in words, and what is short
};

struct DevicePlan {
  std::uint32_t rank = 0;
  std::string name;
  std::uint64_t total_bytes = 0, free_bytes = 0, budget_bytes = 0;
  std::uint64_t weights_bytes = 0, activation_bytes = 0, signal_buffer_bytes = 0, workspace_bytes = 0, vision_cache_bytes = 0;
  std::uint64_t overhead_bytes = 0, kv_cache_bytes = 0;
  std::int64_t unused_bytes = 0;    // negative: the shortfall
  std::vector<BrokenLimit> reasons; // of a plan that does not fit: every limit that this device breaks
};

// What lies where an engine deals layers to devices. Absent in other plans.
struct DealtPlan {
  SplitMode split_mode = SplitMode::kLayer;
  std::vector<std::uint32_t> stage_layers;    // of each device
  std::uint32_t gpu_layers = 0;               // on devices, the output layer as one of them
  std::uint32_t host_layers = 0;              // whole layers in host memory
  std::uint32_t cpu_moe_layers = 0;           // the first layers, whose experts are there
  std::optional<std::uint32_t> output_device; // that holds the output layer; none: the host
};

struct KvGroupPlan {
  std::string label;
  CacheKind kind = CacheKind::kFull;
  std::uint64_t layers = 0, page_bytes_per_device = 0;
  std::optional<std::uint64_t> window_tokens;
  std::uint64_t state_bytes_per_sequence = 0;
  Basis basis = Basis::kExact;
};

struct KvPlan {
  std::string dtype;
  std::uint64_t page_tokens = 0, pages = 0, capacity_tokens = 0;
  double capacity_requests = 0;
  std::uint64_t engine_reported_tokens = 0, bytes_per_token_per_device = 0;
  // Where there is recurrent state: its rows as the engine counts them, or the requests whose state the memory holds.
  std::optional<std::uint64_t> state_slots;
  // Where the length and the batch were both asked for: KV memory per device with which so many requests of that length stand at once.
  // --kv-cache-bytes takes no more than that.
  std::optional<std::uint64_t> needed_bytes_per_device;
  std::vector<KvGroupPlan> groups;
};

// One modality in the caches of encoded media: its largest entry, and how many of these the cache holds.
struct EntryPlan {
  std::string label;
  Modality modality = Modality::kImage;
  std::uint64_t rows = 0, entry_bytes = 0, entries = 0;
  std::uint32_t most_per_request = 0; // 0: no limit of the model's own
};

struct Limits {
  std::uint64_t max_length = 0, max_batch_size = 0;
  std::uint64_t max_supported_sequence_length = 0; // one request alone
  std::uint64_t max_batch_at_max_length = 0;       // requests of max_length at once
  std::string binding;                             // what binds: "weights on rank 3 (H100)", "KV pages ...", "state slots ..."
};

// The largest batch of requests of max_length tokens that a plan holds at once; planning that length and batch confirms it.
struct FrontierPoint {
  std::uint64_t max_length = 0, max_batch_size = 0;
};
struct FrontierCurve {
  std::string kv_dtype;
  std::vector<FrontierPoint> points; // by length, batches never grow
};

struct Warning {
  WarningCode code = WarningCode::kNearLimit;
  std::string message;
};
// An option as an advice has it, by its name in a request; without a value it goes back to its default.
struct AdvisedOption {
  std::string name;
  std::optional<std::string> value;
};
// A change to the request that was planned and fits.
struct Advice {
  std::string option; // the main one that changes, "--max-length"
  std::string value;
  std::string message;
  std::string command = {};                // the whole line that plans it, for a shell
  std::vector<AdvisedOption> options = {}; // all that change
};

// What one of several methods of PlanRequest::quantize comes to.
struct QuantizationRow {
  std::string quantize;
  std::uint64_t weights_bytes = 0; // of all devices
  std::uint64_t capacity_tokens = 0;
  Verdict verdict = Verdict::kFits;
};

struct EffectiveRequest { // what was planned with, after all defaults
  std::uint32_t tp = 1, pp = 1, dp = 1, ep = 1, nodes = 1;
  std::vector<std::uint32_t> stage_layers; // of each pipeline stage, where they were given or found; empty: balanced
  Accounting accounting = Accounting::kPerDevice;
  double device_memory_utilization = 0;
  std::uint64_t max_length = 0, max_batch_size = 0, max_batch_input_tokens = 0;
  std::optional<std::uint64_t> max_batch_total_tokens;
  std::string kv_dtype, dtype;
  std::string quantize; // empty: weights are as they are
  Phase phase = Phase::kBoth;
  std::uint64_t page_tokens = 0;
  double vision_cache_utilization = 0;
  std::uint32_t num_draft_tokens = 0, redundant_experts = 0;
  std::uint64_t max_loras = 0, max_lora_rank = 0; // 0: no adapters
  std::string lora_dtype;
  std::map<std::string, std::string> engine_overrides;
};

// What the figures of a model's weights follow from.
enum class WeightsSource : std::uint8_t { kConfig, kSafetensors, kGguf, kGiven };
constexpr std::string_view weights_source_name(WeightsSource source) noexcept {
  switch (source) {
  case WeightsSource::kConfig: return "config";
  case WeightsSource::kSafetensors: return "safetensors";
  case WeightsSource::kGguf: return "gguf";
  case WeightsSource::kGiven: return "given";
  }
  return "config";
}

struct ModelInfo {
  std::string path, architecture, model_type, family;
  std::vector<PlannerInfo> planners;
  std::uint64_t parameters = 0;
  WeightsSource weights_source = WeightsSource::kConfig;
};

struct EngineInfo {
  std::string name, version;
};

struct Plan {
  Verdict verdict = Verdict::kFits;
  ModelInfo model;
  EngineInfo engine;
  EffectiveRequest request;
  std::vector<DevicePlan> devices; // one for each rank
  std::optional<DevicePlan> host;  // memory of the host, where the request says how much there is; no rank
  std::optional<DealtPlan> dealt;
  KvPlan kv_cache;
  KvGeometry kv_geometry; // the same for whoever enacts it; empty under pooled accounting
  Limits limits;
  std::vector<FrontierCurve> frontier;                      // where it was asked for
  std::vector<QuantizationRow> quantizations;               // where several were asked for, in that order
  std::uint64_t vision_entry_bytes = 0, vision_entries = 0; // of the largest entry
  std::vector<EntryPlan> entries;                           // of every modality that the model takes
  std::uint64_t host_memory_bytes = 0;                      // what stays in host memory, of all ranks
  std::vector<Item> items;
  std::vector<Warning> warnings;
  std::vector<Advice> advice;
  std::optional<Error> error; // where the verdict is does_not_fit: which limit broke
};

// The plan document `plimsoll.plan/1`: fixed key order, exact numbers, identical bytes for identical plans.
// `indent` < 0: one line.
std::string PLIMSOLL_API plan_to_json(const Plan& plan, int indent = 2);
std::string PLIMSOLL_API plan_to_yaml(const Plan& plan);
// The document of a plan that could not be made: verdict "error".
std::string PLIMSOLL_API error_to_json(const Error& error, int indent = 2);

// One class of weight tensors as declared, and as stored where there is a checkpoint.
struct WeightClassInfo {
  std::string label, pattern, dtype, placement, role, planner;
  std::uint64_t count = 0;
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes = 0, parameters = 0;
  std::optional<std::uint64_t> stored_bytes; // with scales; empty from a configuration alone
};
struct TensorBytes {
  std::string name;
  std::uint64_t bytes = 0;
};
struct Mismatch {
  std::string name, declared, stored;
};
struct NotLoaded {
  std::string label;
  std::uint64_t bytes = 0;
  std::string reason;
};
// The document `plimsoll.weights/1`.
struct WeightsReport {
  WeightsSource source = WeightsSource::kConfig; // never kGiven
  std::uint64_t parameters = 0, declared_bytes = 0;
  std::optional<std::uint64_t> stored_bytes;
  std::vector<WeightClassInfo> classes;
  std::vector<TensorBytes> unclaimed;
  std::vector<std::string> missing;
  std::vector<Mismatch> mismatched;
  std::vector<NotLoaded> not_loaded;
  std::vector<std::uint64_t> rank_bytes;
  std::vector<std::string> notes;
};
std::string PLIMSOLL_API weights_to_json(const WeightsReport& report, int indent = 2);

// What became of a plugin folder that was found. kLoaded: its library was opened to look at it.
enum class PluginStatus : std::uint8_t { kAvailable, kLoaded, kShadowed, kRefused };
constexpr std::string_view plugin_status_name(PluginStatus status) noexcept {
  switch (status) {
  case PluginStatus::kAvailable: return "available";
  case PluginStatus::kLoaded: return "loaded";
  case PluginStatus::kShadowed: return "shadowed";
  case PluginStatus::kRefused: return "refused";
  }
  return "available";
}

// A name that a plugin offers and another keeps.
struct ShadowedClaim {
  std::string name, by, reason; // by: the plugin that keeps it
};

// The planner ABI that a plugin was made for, and the oldest minor of a host that it can live with.
struct PluginAbi {
  std::uint32_t major = 0, minor = 0, min_host_minor = 0;
};
// An element type of a plugin's own: so many elements in so many bytes.
struct PluginType {
  std::string name;
  std::uint64_t block_elements = 1, block_bytes = 0;
};
// A storage format of a plugin's own. `tensors`: what it stores in place of x.weight, each with its type, "weight_scale float16".
struct PluginFormat {
  std::string name;
  std::uint32_t bits_per_element = 0;
  std::vector<std::string> tensors;
};
// One family as the manifest describes it.
struct PluginFamily {
  std::string id;
  std::vector<std::string> aspects; // "embedding", "attention", ...
  std::string signal_policy;        // "never", "multi_rank", "always"
  std::uint32_t signal_sites = 1;
  std::uint64_t signal_bytes = 0; // per site; 0: the engine profile's
  std::vector<std::string> architectures, model_types;
  std::uint64_t class_defaults = 0; // model types that it has defaults for
  std::vector<std::string> never_quantized, draft_modules, draft_joins, fusions;
  std::string models_file, gguf_file; // beside the manifest; empty: none
};

struct PluginInfo {
  std::string id, version, vendor, directory;
  PluginStatus status = PluginStatus::kAvailable;
  std::string reason;                                            // why it is shadowed or refused
  std::vector<std::string> families, architectures, model_types; // as its manifest offers them; none where it is refused
  std::vector<ShadowedClaim> shadowed;                           // those of them that others keep
  PluginAbi abi;                                                 // zeros where the manifest cannot be read
  // Nothing of what follows where it is refused.
  std::string library;                        // empty: a plugin without code
  std::map<std::string, std::string> aliases; // a model_type or a class -> the model_type in whose dialect it is planned
  std::vector<std::string> replaces;
  std::vector<PluginType> types;
  std::vector<PluginFormat> formats;
  std::vector<PluginFamily> family_details; // of `families`, in that order
};

struct CatalogueModel {
  std::string name, architecture, family;
  std::uint64_t parameters = 0, weights_bytes = 0, kv_bytes_per_token = 0;
};

// A machine of a cloud: its name there, and how many of a card it has.
struct CloudMachine {
  std::string name;
  std::uint64_t count = 0;
};
struct DeviceCard {
  std::string name, vendor, kind, basis;
  std::vector<std::string> aliases;
  std::uint64_t total_bytes = 0;
  std::vector<CloudMachine> machines; // that have it
};

// A device of this machine as its driver describes it.
struct RealDevice {
  std::uint32_t index = 0;
  std::string name, card, kind, arch; // card: the catalogue's name for it; kind: gpu, unified
  std::uint32_t compute_capability = 0;
  std::uint64_t total_bytes = 0, free_bytes = 0;
  std::vector<std::uint32_t> peers; // indices that it reaches directly
};

// What one part of a plan really took on a device.
struct VerifiedPart {
  Category category = Category::kKvCache;
  std::uint64_t planned_bytes = 0, taken_bytes = 0;
};
// One allocation that was tried; a part is the sum of its category's.
struct VerifiedAllocation {
  Category category = Category::kKvCache;
  std::string label; // of the KV group, "blocks" where groups share them; empty for other parts
  std::uint64_t planned_bytes = 0, taken_bytes = 0;
};
struct VerifiedDevice {
  std::uint32_t rank = 0;
  std::string name;
  std::uint64_t free_before_bytes = 0, free_after_bytes = 0;
  std::vector<VerifiedPart> parts;
  std::vector<VerifiedAllocation> allocations; // in the order in which they were tried; not in the document
};
// The document `plimsoll.verify/1`. It holds where no allocation took more than `granularity_bytes` beyond the plan and
// everything was given back.
struct VerifyReport {
  std::string backend;
  Plan plan;
  std::uint64_t granularity_bytes = 0; // to which a driver rounds an allocation
  std::vector<VerifiedDevice> devices;
  bool holds = false;
  std::optional<Error> error; // an allocation that was refused
};

// Lists as documents: `plimsoll.plugins/1`, `plimsoll.models/1`, `plimsoll.devices/1` (`real`: the devices of this
// machine, or why there are none).
std::string PLIMSOLL_API plugins_to_json(const std::vector<PluginInfo>& plugins, int indent = 2);
std::string PLIMSOLL_API models_to_json(const std::vector<CatalogueModel>& models, int indent = 2);
std::string PLIMSOLL_API devices_to_json(const std::vector<DeviceCard>& cards, const Result<std::vector<RealDevice>>& real, int indent = 2);
std::string PLIMSOLL_API verify_to_json(const VerifyReport& report, int indent = 2);
// A document of another schema that could not be made: {"schema", "error": {"code", "message", "where"}}.
std::string PLIMSOLL_API failure_to_json(std::string_view schema, const Error& error, int indent = 2);
// Any JSON document of this library as YAML, in the same order; bad_request where `json` is no JSON.
Result<std::string> PLIMSOLL_API document_to_yaml(std::string_view json);

// The C header plimsoll_identity.h of a plugin, made from its manifest: `path` is the plugin's folder or the manifest itself. Builds
// include it, so that id, version, aspects and signal buffers are written once. kBadRequest where there is none, kPluginFailed with file
// and key where the manifest is wrong. Reads no other plugin and no catalogue.
Result<std::string> PLIMSOLL_API plugin_identity(const std::string& path);

class PLIMSOLL_API Context {
public:
  static Result<Context> create(ContextOptions options);

  // MODEL: a directory, a config.json, a .gguf file or org/name. Opens no socket and reads no tensor data.
  Result<Model> load(const std::string& path) const;
  // A model from its config.json text; `name` is used in messages.
  Result<Model> load_config(std::string_view config_json, const std::string& name) const;
  // An error where no plan could be made; a plan that does not fit is a plan.
  Result<Plan> plan(const Model& model, const PlanRequest& request) const;
  // What one rank executes for a forward pass of a plan of that request, which it must be: the ops that the planners describe, in the
  // slab that `--engine reference` plans, and where the weights lie. kUnsupportedArchitecture where a planner describes no pipeline or a
  // weight is stored as this library does not load; kBadRequest for several replicas, or where there are no weights to load. Ranks
  // of a tensor-parallel group have the parts that the plan counts, and ops that join what they compute; those of a pipeline stage its
  // layers, and ops that hand the residual stream on.
  Result<Program> program(const Model& model, const PlanRequest& request, std::uint32_t rank = 0) const;
  // The same of the draft model of the request (PlanRequest::draft), in its own slab; its KV groups stand behind the model's. kBadRequest
  // where there is none, it drafts nothing or speaks of other tokens; kUnsupportedArchitecture where either keeps states.
  Result<Program> draft_program(const Model& model, const PlanRequest& request, std::uint32_t rank = 0) const;
  // Where the matrices of a LoRA adapter lie, a directory as PEFT writes it, held against the slots of a program of this model.
  // Reads headers, never tensor data. kBadConfig, kBadCheckpoint or kBadRequest name the file and the key or tensor: an adapter of another
  // kind than plain LoRA, of a higher rank than the slots, for a weight without room or of another shape.
  Result<AdapterSources> adapter(const Model& model, const AdapterSlots& slots, const std::string& directory) const;
  // How `plimsoll plan` is called for the same: a whole line for a shell, with the options of this context. A model whose configuration was
  // given as text stands for as config.json.
  std::string plan_command(const Model& model, const PlanRequest& request) const;
  // Weight classes, and bytes per rank of the request's layout.
  Result<WeightsReport> weights(const Model& model, const PlanRequest& request) const;

  std::vector<PluginInfo> plugins() const;
  // The manifest and, where it loads, the descriptor of one plugin folder.
  Result<PluginInfo> inspect_plugin(const std::string& directory) const;
  Result<std::vector<CatalogueModel>> models(std::string_view pattern) const;
  Result<std::vector<DeviceCard>> device_catalogue() const;
  // The folder of the catalogue that this context reads.
  const std::string& catalogue_path() const;
  // The real devices of this machine; an error that says why where there are none.
  Result<std::vector<RealDevice>> real_devices() const;
  // Plans for this machine's devices, then allocates there the KV cache as the plan's geometry cuts it, signal buffers
  // and vision cache, watches the driver's free memory, and gives everything back. An error where there is no device to try.
  Result<VerifyReport> verify(const Model& model, const PlanRequest& request) const;

private:
  struct Data;
  explicit Context(std::shared_ptr<Data> data) : data_(std::move(data)) {}
  struct Asked;
  friend class CardSearch; // of plimsoll/fit.hpp
  Result<Asked> asked(const Model& model, const PlanRequest& request) const;
  Result<Program> program_of(const Model& model, const PlanRequest& request, std::uint32_t rank, bool of_draft) const;
  Result<Plan> first_that_fits(const Model& model, const PlanRequest& request) const;
  std::shared_ptr<Data> data_;
};

} // namespace plimsoll
