#include "engine/profile_schema.hpp"

#include <array>

namespace plimsoll {
namespace {

using P = EngineProfile;

constexpr std::uint64_t kTokens = 1ULL << 31, kPage = 1ULL << 20, kBytes = 1ULL << 50;

// The one place where a word of a profile and a value of the program meet.
template <class Value>
struct Word {
  std::string_view text;
  Value value;
};
constexpr Word<BudgetOf> kOf[]{{"free", BudgetOf::kFree}, {"total", BudgetOf::kTotal}};
constexpr Word<BudgetCovers> kCovers[]{
    {"all", BudgetCovers::kAll}, {"weights_and_kv", BudgetCovers::kWeightsAndKv}, {"kv", BudgetCovers::kKv}};
constexpr Word<MemoryInUse> kInUse[]{{"refused", MemoryInUse::kRefused}, {"subtracted", MemoryInUse::kSubtracted}};
constexpr Word<DefaultLength> kLength[]{{"refuse", DefaultLength::kRefuse}, {"clamp", DefaultLength::kClamp}};
constexpr Word<KvLayoutKind> kLayouts[]{{"grouped", KvLayoutKind::kGrouped},
                                        {"unified", KvLayoutKind::kUnified},
                                        {"split", KvLayoutKind::kSplit},
                                        {"cells", KvLayoutKind::kCells}};
constexpr Word<LatentCache> kLatent[]{
    {"latent", LatentCache::kLatent}, {"latent+v", LatentCache::kLatentAndValues}, {"heads", LatentCache::kHeads}};
constexpr Word<ReportedTokens> kReported[]{
    {"pages", ReportedTokens::kPages}, {"group_pages", ReportedTokens::kGroupPages}, {"requests", ReportedTokens::kRequests}};
constexpr Word<ActivationRule> kActivationRule[]{{"planners", ActivationRule::kPlanners}, {"pipeline", ActivationRule::kPipeline}};
constexpr Word<LogitRows> kLogitRows[]{{"last", LogitRows::kLast}, {"all", LogitRows::kAll}};
constexpr Word<VisionRule> kVisionRule[]{{"share", VisionRule::kShare}, {"tokens", VisionRule::kTokens}};
constexpr Word<VisionWeights> kVisionWeights[]{{"replicated", VisionWeights::kReplicated}, {"split", VisionWeights::kSplit}};

constexpr Word<LayerSplit> kLayerSplit[]{{"tensor", LayerSplit::kTensor}, {"layer", LayerSplit::kLayer}};
constexpr Word<EmbeddingPlace> kEmbeddingPlace[]{{"device", EmbeddingPlace::kDevice}, {"host", EmbeddingPlace::kHost}};

template <const auto& words, auto field>
constexpr WordKey word_key() {
  return {[](P& profile, std::string_view text) {
            for (const auto& word : words)
              if (word.text == text) {
                field(profile) = word.value;
                return true;
              }
            return false;
          },
          [] {
            std::string all;
            for (const auto& word : words) all.append(all.empty() ? "" : ", ").append(word.text);
            return all;
          }};
}

#define FIELD(path)                                                                                                                        \
  [](P & p) -> auto& { return p.path; }

constexpr std::array kKeys{
    ProfileKey{"/budget/of", word_key<kOf, FIELD(budget.of)>()},
    ProfileKey{"/budget/covers", word_key<kCovers, FIELD(budget.covers)>()},
    ProfileKey{"/budget/in_use", word_key<kInUse, FIELD(budget.in_use)>()},
    ProfileKey{"/budget/utilization", RealKey{FIELD(budget.utilization), 0, 1}},
    ProfileKey{"/budget/utilization_factor", RealKey{FIELD(budget.utilization_factor), 0, 1}},
    ProfileKey{"/budget/margin_bytes", NumberKey{FIELD(budget.margin_bytes), 0, kBytes}},
    ProfileKey{"/budget/reserve_at_least_bytes", NumberKey{FIELD(budget.reserve_at_least_bytes), 0, kBytes}},

    ProfileKey{"/start/mixed_vendors", FlagKey{FIELD(start.mixed_vendors)}},
    ProfileKey{"/start/requests_within_blocks", FlagKey{FIELD(start.requests_within_blocks)}},
    ProfileKey{"/start/block_within_batch", FlagKey{FIELD(start.block_within_batch)}},
    ProfileKey{"/start/chunks_for_state_prefixes", FlagKey{FIELD(start.chunks_for_state_prefixes)}},

    ProfileKey{"/batch/max_batch_input_tokens", NumberKey{FIELD(batch.max_batch_input_tokens), 1, kTokens}},
    ProfileKey{"/batch/default_max_batch_size", NumberKey{FIELD(batch.default_max_batch_size), 1, kTokens}},
    ProfileKey{"/batch/default_request_tokens", NumberKey{FIELD(batch.default_request_tokens), 1, kTokens}},
    ProfileKey{"/batch/graph_batch", NumberKey{FIELD(batch.graph_batch), 0, kTokens}},
    ProfileKey{"/batch/graph_rows", NumberKey{FIELD(batch.graph_rows), 0, kTokens}},
    ProfileKey{"/batch/expert_chunk_tokens", NumberKey{FIELD(batch.expert_chunk_tokens), 0, kTokens}},
    ProfileKey{"/batch/graphs_of_drafts", FlagKey{FIELD(batch.graphs_of_drafts)}},
    ProfileKey{"/batch/requests_per_context", NumberKey{FIELD(batch.requests_per_context), 0, kTokens}},
    ProfileKey{"/batch/least_requests", NumberKey{FIELD(batch.least_requests), 1, kTokens}},
    ProfileKey{"/batch/most_requests", NumberKey{FIELD(batch.most_requests), 0, kTokens}},
    ProfileKey{"/batch/chunked_prefill", FlagKey{FIELD(batch.chunked_prefill)}},
    ProfileKey{"/batch/whole_prompts", FlagKey{FIELD(batch.whole_prompts)}},
    ProfileKey{"/batch/pass_limits_length", FlagKey{FIELD(batch.pass_limits_length)}},
    ProfileKey{"/batch/default_length", word_key<kLength, FIELD(batch.default_length)>()},
    ProfileKey{"/batch/flash_attention", FlagKey{FIELD(batch.flash_attention)}},
    ProfileKey{"/batch/last_rows_only", FlagKey{FIELD(batch.last_rows_only)}},
    ProfileKey{"/batch/images", NumberKey{FIELD(batch.images), 0, kPage}},

    ProfileKey{"/kv/layout", word_key<kLayouts, FIELD(kv.layout)>()},
    ProfileKey{"/kv/dtype", TextKey{FIELD(kv.dtype)}},
    ProfileKey{"/kv/state_dtype", TextKey{FIELD(kv.state_dtype)}},
    ProfileKey{"/kv/conv_dtype", TextKey{FIELD(kv.conv_dtype)}},
    ProfileKey{"/kv/window_dtype", TextKey{FIELD(kv.window_dtype)}},
    ProfileKey{"/kv/page_tokens", NumberKey{FIELD(kv.page_tokens), 1, kPage}},
    ProfileKey{"/kv/page_multiple", NumberKey{FIELD(kv.page_multiple), 1, kPage}},
    ProfileKey{"/kv/types_apart", FlagKey{FIELD(kv.types_apart)}},
    ProfileKey{"/kv/null_pages", NumberKey{FIELD(kv.null_pages), 0, 1024}},
    ProfileKey{"/kv/prefix_caching", FlagKey{FIELD(kv.prefix_caching)}},
    ProfileKey{"/kv/state_rows", NumberKey{FIELD(kv.state_rows), 1, 1024}},
    ProfileKey{"/kv/state_rows_without_prefix_caching", NumberKey{FIELD(kv.state_rows_without_prefix_caching), 1, 1024}},
    ProfileKey{"/kv/state_rows_while_drafting", NumberKey{FIELD(kv.state_rows_while_drafting), 0, 1024}},
    ProfileKey{"/kv/state_rows_per_draft_token", NumberKey{FIELD(kv.state_rows_per_draft_token), 0, 1024}},
    ProfileKey{"/kv/demand_limited", FlagKey{FIELD(kv.demand_limited)}},
    ProfileKey{"/kv/windows", FlagKey{FIELD(kv.windows)}},
    ProfileKey{"/kv/mla_cache", word_key<kLatent, FIELD(kv.mla_cache)>()},
    ProfileKey{"/kv/even_value_rows", FlagKey{FIELD(kv.even_value_rows)}},
    ProfileKey{"/kv/mla_as_stored", FlagKey{FIELD(kv.mla_as_stored)}},
    ProfileKey{"/kv/bound", FlagKey{FIELD(kv.bound)}},
    ProfileKey{"/kv/packed_latent", FlagKey{FIELD(kv.packed_latent)}},
    ProfileKey{"/kv/decode_context_parallel", NumberKey{FIELD(kv.decode_context_parallel), 1, 65536}},
    ProfileKey{"/kv/reported_tokens", word_key<kReported, FIELD(kv.reported_tokens)>()},
    ProfileKey{"/kv/unified/alignment_tokens", NumberKey{FIELD(kv.unified.alignment_tokens), 1, kPage}},
    ProfileKey{"/kv/unified/merge_percent", NumberKey{FIELD(kv.unified.merge_percent), 100, 100000}},
    ProfileKey{"/kv/unified/in_flight_batches", NumberKey{FIELD(kv.unified.in_flight_batches), 0, 64}},
    ProfileKey{"/kv/unified/window_extra_pages", NumberKey{FIELD(kv.unified.window_extra_pages), 0, 64}},
    ProfileKey{"/kv/unified/slab_alignment_bytes", NumberKey{FIELD(kv.unified.slab_alignment_bytes), 0, kPage}},
    ProfileKey{"/kv/unified/state_per_block", FlagKey{FIELD(kv.unified.state_per_block)}},
    ProfileKey{"/kv/split/state_ratio", RealKey{FIELD(kv.split.state_ratio), -1, 1000}},
    ProfileKey{"/kv/split/window_ratio", RealKey{FIELD(kv.split.window_ratio), 0, 1}},
    ProfileKey{"/kv/split/spare_state_rows", NumberKey{FIELD(kv.split.spare_state_rows), 0, 1024}},
    ProfileKey{"/kv/split/request_rings", FlagKey{FIELD(kv.split.request_rings)}},
    ProfileKey{"/kv/split/draft_states", FlagKey{FIELD(kv.split.draft_states)}},
    ProfileKey{"/kv/split/ring_row_step", NumberKey{FIELD(kv.split.ring_row_step), 1, kPage}},
    ProfileKey{"/kv/cells/pad_cells", NumberKey{FIELD(kv.cells.pad_cells), 1, kPage}},
    ProfileKey{"/kv/cells/kv_unified", FlagKey{FIELD(kv.cells.kv_unified)}},
    ProfileKey{"/kv/cells/unified_by_default", FlagKey{FIELD(kv.cells.unified_by_default)}},
    ProfileKey{"/kv/cells/swa_full", FlagKey{FIELD(kv.cells.swa_full)}},

    ProfileKey{"/schedule/activations", word_key<kActivationRule, FIELD(schedule.activations)>()},
    ProfileKey{"/schedule/logits", word_key<kLogitRows, FIELD(schedule.logits)>()},

    ProfileKey{"/signal_buffers/signal_buffer_bytes", NumberKey{FIELD(signal_buffers.signal_buffer_bytes), 0, 1ULL << 40}},

    ProfileKey{"/vision_cache/rule", word_key<kVisionRule, FIELD(vision_cache.rule)>()},
    ProfileKey{"/vision_cache/vision_utilization", RealKey{FIELD(vision_cache.vision_utilization), -1, 1}},
    ProfileKey{"/vision_cache/vision_block_tokens", NumberKey{FIELD(vision_cache.vision_block_tokens), 1, kPage}},

    ProfileKey{"/placement/split", word_key<kLayerSplit, FIELD(placement.split)>()},
    ProfileKey{"/placement/input_embedding", word_key<kEmbeddingPlace, FIELD(placement.input_embedding)>()},
    ProfileKey{"/placement/pipeline_copies", NumberKey{FIELD(placement.pipeline_copies), 1, 64}},
    ProfileKey{"/placement/copies_host_weights", FlagKey{FIELD(placement.copies_host_weights)}},
    ProfileKey{"/placement/least_length_tokens", NumberKey{FIELD(placement.least_length_tokens), 1, kTokens}},

    ProfileKey{"/weights/vision", word_key<kVisionWeights, FIELD(weights.vision)>()},
    ProfileKey{"/weights/vocab_padding_rows", NumberKey{FIELD(weights.vocab_padding_rows), 1, kPage}},
    ProfileKey{"/weights/experts_split_over_dp", FlagKey{FIELD(weights.experts_split_over_dp)}},
    ProfileKey{"/weights/optional_towers", FlagKey{FIELD(weights.optional_towers)}},
    ProfileKey{"/weights/float32_as_16_bits", FlagKey{FIELD(weights.float32_as_16_bits)}},
    ProfileKey{"/weights/drops_pooled_head", FlagKey{FIELD(weights.drops_pooled_head)}},
    ProfileKey{"/weights/unpacked", FlagKey{FIELD(weights.unpacked)}},
    ProfileKey{"/weights/draft_ends_shared", FlagKey{FIELD(weights.draft_ends_shared)}},
    ProfileKey{"/weights/expert_width_multiple", NumberKey{FIELD(weights.expert_width_multiple), 1, kPage}},
    ProfileKey{"/weights/expert_hidden_multiple", NumberKey{FIELD(weights.expert_hidden_multiple), 1, kPage}},
    ProfileKey{"/weights/expert_growth", RealKey{FIELD(weights.expert_growth), 0, 16}},

    ProfileKey{"/lora/slots", FlagKey{FIELD(lora.slots)}},
    ProfileKey{"/lora/head_split", FlagKey{FIELD(lora.head_split)}},
    ProfileKey{"/lora/default_rank", NumberKey{FIELD(lora.default_rank), 1, kPage}},

    ProfileKey{"/layouts/any_expert_degree", FlagKey{FIELD(layouts.any_expert_degree)}},
    ProfileKey{"/layouts/context_parallel", FlagKey{FIELD(layouts.context_parallel)}},
};

#undef FIELD

} // namespace

std::span<const ProfileKey> profile_keys() { return kKeys; }

} // namespace plimsoll
