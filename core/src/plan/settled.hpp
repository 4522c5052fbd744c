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

struct PlanInput {
  const Model::Data* model = nullptr;
  const Model::Data* draft = nullptr; // a draft model of its own; may be null
  const std::vector<Device>* devices = nullptr;
  const ProfileSource* engine = nullptr;
  const PlanRequest* request = nullptr;
};

// Where drafted tokens come from: nowhere, the checkpoint's own multi-token-prediction head, a second model.
enum class DraftSource : std::uint8_t { kNone, kOwnHead, kModel };

struct Settled {
  PlanInput input;
  std::shared_ptr<const EngineProfile> engine; // as it is for the first device
  RankLayout layout;
  RankLayout draft_layout; // where there is a draft model: all of it on the last stage
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
  // Requests that a step decodes at most, for what is priced before the batch is known.
  std::uint64_t sequences(std::optional<std::uint64_t> planned) const { return planned.value_or(profile().batch.default_max_batch_size); }
  // "device 3 (H100)".
  std::string device_name(std::uint32_t rank) const;
};

Result<Settled> settle(const PlanInput& input);

// Settles anew what follows from the length and the batch of the request; for a search that tries many of both.
Result<void> settle_sizes(Settled& settled);

// The parts of it that a weights report needs too.
struct SettledLayout {
  RankLayout layout;
  std::shared_ptr<const EngineProfile> engine;
};
Result<SettledLayout> settle_layout(const Model::Data& model, const PlanRequest& request, const ProfileSource& engine,
                                    const std::vector<Device>& devices);
// --dtype; nothing where the request names none.
Result<std::optional<Dtype>> settle_cast(const PlanRequest& request);
// The profile's weights.unpacked.
std::optional<Dtype> settle_unpacked(const EngineProfile& profile);

} // namespace plimsoll
