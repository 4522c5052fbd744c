// A request with every default filled in and every value checked: what the later steps of a plan read and none changes.
// Prices nothing. Threads: immutable once made.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/device.hpp"
#include "engine/profile.hpp"
#include "kv/pricing.hpp"
#include "model/loaded_model.hpp"
#include "placement/rank_layout.hpp"
#include "plan/findings.hpp"
#include "schedule/adapter_slots.hpp"

namespace plimsoll {

// A vision or sound encoder in a file of its own, which an engine loads beside the model.
struct Projector {
  std::string name; // of its file
  std::uint64_t weights_bytes = 0;
  std::uint64_t tokens = 0, elements = 0, heads = 0; // of its pass over one image, the widest of its rows; 0: the file does not say
};

struct PlanInput {
  const Model::Data* model = nullptr;
  const Model::Data* draft = nullptr;              // a draft model of its own; may be null
  const Projector* projector = nullptr;            // may be null
  std::shared_ptr<const HostTensors> host_tensors; // may be null
  const std::vector<Device>* devices = nullptr;
  const ProfileSource* engine = nullptr;
  const PlanRequest* request = nullptr;
  bool for_a_reader = false; // also what only one who reads the plan asks for, and no search: KvPlan::needed_bytes_per_device, reasons
};

// Where drafted tokens come from: nowhere, the checkpoint's own multi-token-prediction head, a second model.
enum class DraftSource : std::uint8_t { kNone, kOwnHead, kModel };

struct Settled {
  PlanInput input;
  std::shared_ptr<const EngineProfile> engine; // as it is for the first device
  RankLayout layout;
  RankLayout draft_layout; // where there is a draft model: all of it on the last stage
  SplitMode split_mode = SplitMode::kTensor;
  bool deals_layers = false; // one after the other, to devices by their shares
  DraftSource draft = DraftSource::kNone;
  KvTypes kv_types;
  std::optional<Dtype> cast;     // run-time type of unquantised weights
  std::optional<Dtype> unpacked; // of those that the checkpoint packs; absent: as stored
  double utilization = 0, vision_utilization = 0;
  std::uint64_t page_tokens = 0, max_length = 0, max_batch_input_tokens = 0;
  bool max_length_given = false;           // not to be shortened
  std::optional<std::uint64_t> batch;      // as it was asked for
  std::vector<std::uint64_t> memory_bytes; // per rank: what the engine's fraction is taken of
  std::vector<std::uint64_t> budget_bytes; // per rank: what each device gives to the plan
  std::vector<const MediaEntry*> entries;  // of the modalities that requests may bring, in the model's order
  std::vector<Warning> warnings;
  AdapterRoom adapters; // for LoRA; no slots where none were asked for

  const EngineProfile& profile() const { return *engine; }
  const PlanRequest& request() const { return *input.request; }
  const Model::Data& model() const { return *input.model; }
  const std::vector<Device>& devices() const { return *input.devices; }
  bool explains() const { return request().explain; }
  bool may_shorten() const {
    return !max_length_given && (request().max_length_auto || profile().batch.default_length == DefaultLength::kClamp);
  }
  // Whether a request runs in one pass, because nothing of it is kept for another.
  bool whole_requests() const { return model().declared.kv.empty() && request().accounting == Accounting::kPerDevice; }
  // Requests that a step decodes at most, for what is priced before the batch is known.
  std::uint64_t sequences(std::optional<std::uint64_t> planned) const { return planned.value_or(profile().batch.default_max_batch_size); }
  // The entry that takes most of an encoder; nullptr where requests bring text alone.
  const MediaEntry* largest_entry() const;
  // Entries of its modality that one request may bring.
  std::uint64_t media_limit(const MediaEntry& entry) const;
  // Whether encoders of images, film and sound are not loaded, because no request may bring any.
  bool leaves_out_towers() const { return entries.empty() && !model().declared.entries.empty() && profile().weights.optional_towers; }
  // Whether the KV memory is given, and not what the budget leaves.
  bool kv_given() const { return request().kv_cache_bytes || request().kv_blocks; }
  // "device 3 (H100)"; "host" for the number behind the last rank.
  std::string device_name(std::uint32_t rank) const;
  // The same for texts that speak of ranks: "rank 3 (H100)".
  std::string rank_name(std::uint32_t rank) const;
};

Result<Settled> settle(const PlanInput& input);

// Settles anew what follows from the length and the batch of the request; for a search that tries many of both.
Result<void> settle_sizes(Settled& settled);

// The parts of it that a weights report needs too.
struct SettledLayout {
  RankLayout layout;
  std::shared_ptr<const EngineProfile> engine;
  SplitMode split_mode = SplitMode::kTensor;
  bool deals_layers = false;
};
Result<SettledLayout> settle_layout(const Model::Data& model, const PlanRequest& request, const ProfileSource& engine,
                                    const std::vector<Device>& devices);
// Whether requests may bring entries of that modality.
bool takes_modality(const PlanRequest& request, Modality modality);
// --dtype; nothing where the request names none.
Result<std::optional<Dtype>> settle_cast(const PlanRequest& request);
// The profile's weights.unpacked.
std::optional<Dtype> settle_unpacked(const EngineProfile& profile);

} // namespace plimsoll
