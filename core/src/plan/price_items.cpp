#include "plan/price_items.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "plan/price_schedule.hpp"
#include "plan/profile_items.hpp"
#include "plugin/manifest.hpp"

namespace plimsoll {
namespace {

// A request as planners see it, with what it points at.
struct AbiRequest {
  std::vector<std::uint64_t> free_bytes, used_bytes; // per rank
  std::vector<std::uint32_t> stage_of_layer;
  plimsoll_view engine;
  plimsoll_request raw{};

  // `batch` 0: not known yet.
  AbiRequest(const Settled& s, std::uint64_t batch, const Ledger& ledger) {
    for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
      free_bytes.push_back(s.devices()[rank].free_bytes);
      used_bytes.push_back(ledger.used(rank));
    }
    engine.node = &s.profile().planner;
    for (std::uint32_t layer = 0; layer < s.model().declared.facts.n_layers; ++layer)
      stage_of_layer.push_back(std::min(s.layout.stage_of_layer(layer), s.layout.pp - 1)); // the host has no number there
    raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine);
    raw.aspects = PLIMSOLL_ASPECT_ALL;
    fill_layout(s);
    fill_sizes(s, batch);
    raw.free_bytes = free_bytes.data();
    raw.used_bytes = used_bytes.data();
    raw.stage_of_layer = stage_of_layer.data();
    raw.n_layers = stage_of_layer.size();
    raw.engine = &engine;
  }
  AbiRequest(const AbiRequest&) = delete;
  AbiRequest& operator=(const AbiRequest&) = delete;

private:
  void fill_layout(const Settled& s) {
    raw.n_ranks = s.layout.ranks();
    raw.tp = s.layout.tp;
    raw.pp = s.layout.pp;
    raw.dp = s.layout.dp;
    raw.ep = s.layout.ep;
    raw.n_nodes = s.layout.nodes;
    switch (s.request().phase) {
    case Phase::kPrefill: raw.phase = PLIMSOLL_PHASE_PREFILL; break;
    case Phase::kDecode: raw.phase = PLIMSOLL_PHASE_DECODE; break;
    case Phase::kBoth: raw.phase = PLIMSOLL_PHASE_BOTH; break;
    }
    raw.explain = s.explains() ? 1 : 0;
    raw.chunked_prefill = s.profile().batch.chunked_prefill ? 1 : 0;
  }
  void fill_sizes(const Settled& s, std::uint64_t batch) {
    const auto bits = [](const Dtype& t) { return t.block_bytes * 8 / t.block_elements; };
    const Model::Data& m = s.model();
    raw.num_draft_tokens = s.request().num_draft_tokens;
    raw.compute_bits = bits(s.kv_types.model);
    raw.kv_bits = bits(s.kv_types.k);
    raw.weight_bits = m.quantization.weight_type_bytes(m.dtype) * 8;
    raw.weight_is_fp4 = m.quantization.is_fp4() ? 1 : 0;
    raw.max_length = s.max_length;
    raw.max_batch_size = batch;
    raw.max_batch_input_tokens = s.max_batch_input_tokens;
    raw.max_batch_total_tokens = s.request().max_batch_total_tokens.value_or(0);
    raw.images_per_request = s.request().images_per_request.value_or(0);
  }
};

// The buffers of the family's sites on each device where its policy asks for them and its planner does not price them itself. An
// engine without signal buffers has none, whatever the family says.
Result<void> add_signal_buffers(const Settled& s, Ledger& ledger) {
  const Planners& planners = *s.model().planners;
  const std::uint64_t usual = s.profile().signal_buffers.signal_buffer_bytes;
  const std::uint32_t policy = planners.root().family.signal_policy;
  const bool due = policy == PLIMSOLL_SIGNAL_ALWAYS || (policy == PLIMSOLL_SIGNAL_MULTI_RANK && s.layout.ranks() > 1);
  if (planners.root().has_signal_buffers || !due || usual == 0) return {};
  const FamilyManifest& family = *planners.root().family.family; // the library says the same
  const std::uint64_t sites = std::max<std::uint32_t>(family.signal_sites, 1);
  const std::uint64_t bytes = family.signal_bytes == 0 ? usual : family.signal_bytes;
  const auto formula = [&] {
    const std::string count = sites == 1 ? "one" : std::to_string(sites);
    return fmt::format("{} of {} B per device, policy {}", count, bytes, signal_policy_name(policy));
  };
  return ledger.add_all(Category::kSignalBuffer, "signal_buffers", Basis::kExact, planners.root().id(), s.explains() ? formula() : "",
                        (Checked(bytes) * sites).saturated());
}

} // namespace

Result<std::optional<std::uint64_t>> planned_batch(const Settled& s, const Ledger& ledger) {
  if (s.batch) return s.batch;
  if (s.profile().schedule.activations == ActivationRule::kPipeline) return std::optional(pass_shape(s).sequences);
  const AbiRequest request(s, 0, ledger);
  PLIMSOLL_ASSIGN(const std::uint64_t batch, s.model().planners->max_batch(request.raw));
  if (batch == 0) return std::optional<std::uint64_t>();
  return std::optional(std::min(batch, s.max_batch_input_tokens));
}

Result<void> emit_items(const Settled& s, std::uint64_t requests, const Ledger& ledger, Collector& collector) {
  const AbiRequest request(s, requests, ledger);
  const Planners& planners = *s.model().planners;
  if (s.profile().schedule.activations == ActivationRule::kPlanners) PLIMSOLL_TRY(planners.activations(request.raw, collector));
  if (planners.root().has_signal_buffers) PLIMSOLL_TRY(planners.signal_buffers(request.raw, collector));
  return {};
}

Result<void> price_items(const Settled& s, std::optional<std::uint64_t> planned, std::uint64_t requests, Ledger& ledger) {
  ItemCollector collector(s.layout.ranks(), requests);
  PLIMSOLL_TRY(emit_items(s, requests, ledger, collector));
  PLIMSOLL_TRY(price_profile_items(s, planned, collector));
  if (s.profile().schedule.activations == ActivationRule::kPipeline) PLIMSOLL_TRY(price_schedule(s, collector));
  PLIMSOLL_TRY(collector.settle(ledger));
  return add_signal_buffers(s, ledger);
}

} // namespace plimsoll
