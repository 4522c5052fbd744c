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

    ProfileKey{"/batch/max_batch_input_tokens", NumberKey{FIELD(batch.max_batch_input_tokens), 1, kTokens}},
    ProfileKey{"/batch/default_max_batch_size", NumberKey{FIELD(batch.default_max_batch_size), 1, kTokens}},
    ProfileKey{"/batch/default_request_tokens", NumberKey{FIELD(batch.default_request_tokens), 1, kTokens}},
    ProfileKey{"/batch/graph_batch", NumberKey{FIELD(batch.graph_batch), 0, kTokens}},
    ProfileKey{"/batch/requests_per_context", NumberKey{FIELD(batch.requests_per_context), 0, kTokens}},
    ProfileKey{"/batch/least_requests", NumberKey{FIELD(batch.least_requests), 1, kTokens}},
    ProfileKey{"/batch/most_requests", NumberKey{FIELD(batch.most_requests), 0, kTokens}},
    ProfileKey{"/batch/chunked_prefill", FlagKey{FIELD(batch.chunked_prefill)}},
    ProfileKey{"/batch/whole_prompts", FlagKey{FIELD(batch.whole_prompts)}},
    ProfileKey{"/batch/default_length", word_key<kLength, FIELD(batch.default_length)>()},
    ProfileKey{"/batch/images", NumberKey{FIELD(batch.images), 0, kPage}},

    ProfileKey{"/kv/layout", word_key<kLayouts, FIELD(kv.layout)>()},
    ProfileKey{"/kv/dtype", TextKey{FIELD(kv.dtype)}},
    ProfileKey{"/kv/state_dtype", TextKey{FIELD(kv.state_dtype)}},
    ProfileKey{"/kv/conv_dtype", TextKey{FIELD(kv.conv_dtype)}},
    ProfileKey{"/kv/window_dtype", TextKey{FIELD(kv.window_dtype)}},
    ProfileKey{"/kv/page_tokens", NumberKey{FIELD(kv.page_tokens), 1, kPage}},
    ProfileKey{"/kv/null_pages", NumberKey{FIELD(kv.null_pages), 0, 1024}},
    ProfileKey{"/kv/prefix_caching", FlagKey{FIELD(kv.prefix_caching)}},
    ProfileKey{"/kv/state_rows", NumberKey{FIELD(kv.state_rows), 1, 1024}},
    ProfileKey{"/kv/state_rows_without_prefix_caching", NumberKey{FIELD(kv.state_rows_without_prefix_caching), 1, 1024}},
    ProfileKey{"/kv/state_rows_per_draft_token", NumberKey{FIELD(kv.state_rows_per_draft_token), 0, 1024}},
    ProfileKey{"/kv/demand_limited", FlagKey{FIELD(kv.demand_limited)}},
    ProfileKey{"/kv/windows", FlagKey{FIELD(kv.windows)}},
    ProfileKey{"/kv/mla_cache", word_key<kLatent, FIELD(kv.mla_cache)>()},
    ProfileKey{"/kv/bound", FlagKey{FIELD(kv.bound)}},
    ProfileKey{"/kv/packed_latent", FlagKey{FIELD(kv.packed_latent)}},
    ProfileKey{"/kv/decode_context_parallel", NumberKey{FIELD(kv.decode_context_parallel), 1, 65536}},
    ProfileKey{"/kv/reported_tokens", word_key<kReported, FIELD(kv.reported_tokens)>()},
    ProfileKey{"/kv/unified/alignment_tokens", NumberKey{FIELD(kv.unified.alignment_tokens), 1, kPage}},
    ProfileKey{"/kv/unified/merge_percent", NumberKey{FIELD(kv.unified.merge_percent), 100, 100000}},
    ProfileKey{"/kv/unified/in_flight_batches", NumberKey{FIELD(kv.unified.in_flight_batches), 0, 64}},
    ProfileKey{"/kv/unified/window_extra_pages", NumberKey{FIELD(kv.unified.window_extra_pages), 0, 64}},
    ProfileKey{"/kv/unified/slab_alignment_bytes", NumberKey{FIELD(kv.unified.slab_alignment_bytes), 0, kPage}},
    ProfileKey{"/kv/split/state_ratio", RealKey{FIELD(kv.split.state_ratio), -1, 1000}},
    ProfileKey{"/kv/split/window_ratio", RealKey{FIELD(kv.split.window_ratio), 0, 1}},
    ProfileKey{"/kv/split/spare_state_rows", NumberKey{FIELD(kv.split.spare_state_rows), 0, 1024}},
    ProfileKey{"/kv/split/request_rings", FlagKey{FIELD(kv.split.request_rings)}},
    ProfileKey{"/kv/split/ring_row_step", NumberKey{FIELD(kv.split.ring_row_step), 1, kPage}},
    ProfileKey{"/kv/cells/pad_cells", NumberKey{FIELD(kv.cells.pad_cells), 1, kPage}},
    ProfileKey{"/kv/cells/kv_unified", FlagKey{FIELD(kv.cells.kv_unified)}},
    ProfileKey{"/kv/cells/swa_full", FlagKey{FIELD(kv.cells.swa_full)}},

    ProfileKey{"/schedule/activations", word_key<kActivationRule, FIELD(schedule.activations)>()},
    ProfileKey{"/schedule/logits", word_key<kLogitRows, FIELD(schedule.logits)>()},

    ProfileKey{"/signal_buffers/signal_buffer_bytes", NumberKey{FIELD(signal_buffers.signal_buffer_bytes), 0, 1ULL << 40}},

    ProfileKey{"/vision_cache/rule", word_key<kVisionRule, FIELD(vision_cache.rule)>()},
    ProfileKey{"/vision_cache/vision_utilization", RealKey{FIELD(vision_cache.vision_utilization), -1, 1}},
    ProfileKey{"/vision_cache/vision_block_tokens", NumberKey{FIELD(vision_cache.vision_block_tokens), 1, kPage}},

    ProfileKey{"/weights/vision", word_key<kVisionWeights, FIELD(weights.vision)>()},
    ProfileKey{"/weights/vocab_padding_rows", NumberKey{FIELD(weights.vocab_padding_rows), 1, kPage}},
    ProfileKey{"/weights/experts_split_over_dp", FlagKey{FIELD(weights.experts_split_over_dp)}},
    ProfileKey{"/weights/unpacked", FlagKey{FIELD(weights.unpacked)}},
};

#undef FIELD

} // namespace

std::span<const ProfileKey> profile_keys() { return kKeys; }

} // namespace plimsoll
