#include "engine/profile_schema.hpp"

#include <array>

namespace plimsoll {
namespace {

using P = EngineProfile;

constexpr std::uint64_t kTokens = 1ULL << 31, kPage = 1ULL << 20, kBytes = 1ULL << 50;

constexpr std::array<std::string_view, 2> kOf{"free", "total"}, kVisionRule{"share", "tokens"}, kVisionWeights{"replicated", "split"},
    kLength{"refuse", "clamp"};
constexpr std::array<std::string_view, 3> kCovers{"all", "weights_and_kv", "kv"}, kLatent{"latent", "latent+v", "heads"},
    kReported{"pages", "group_pages", "requests"};
constexpr std::array<std::string_view, 4> kLayouts{"grouped", "unified", "split", "cells"};

constexpr std::array kKeys{
    ProfileKey{"/budget/of", WordKey{kOf, [](P& p, std::size_t i) { p.budget_of_total = i == 1; }}},
    ProfileKey{"/budget/covers", WordKey{kCovers, [](P& p, std::size_t i) { p.covers = static_cast<BudgetCovers>(i); }}},
    ProfileKey{"/budget/utilization", RealKey{&P::utilization, 0, 1}},
    ProfileKey{"/budget/utilization_factor", RealKey{&P::utilization_factor, 0, 1}},
    ProfileKey{"/budget/margin_bytes", NumberKey{&P::margin_bytes, 0, kBytes}},
    ProfileKey{"/budget/reserve_at_least_bytes", NumberKey{&P::reserve_at_least_bytes, 0, kBytes}},

    ProfileKey{"/batch/max_batch_input_tokens", NumberKey{&P::max_batch_input_tokens, 1, kTokens}},
    ProfileKey{"/batch/default_max_batch_size", NumberKey{&P::default_max_batch_size, 1, kTokens}},
    ProfileKey{"/batch/default_request_tokens", NumberKey{&P::default_request_tokens, 1, kTokens}},
    ProfileKey{"/batch/graph_batch", NumberKey{&P::graph_batch, 0, kTokens}},
    ProfileKey{"/batch/requests_per_context", NumberKey{&P::requests_per_context, 0, kTokens}},
    ProfileKey{"/batch/least_requests", NumberKey{&P::least_requests, 1, kTokens}},
    ProfileKey{"/batch/most_requests", NumberKey{&P::most_requests, 0, kTokens}},
    ProfileKey{"/batch/chunked_prefill", FlagKey{&P::chunked_prefill}},
    ProfileKey{"/batch/whole_prompts", FlagKey{&P::whole_prompts}},
    ProfileKey{"/batch/default_length", WordKey{kLength, [](P& p, std::size_t i) { p.clamp_length = i == 1; }}},
    ProfileKey{"/batch/images", NumberKey{&P::images, 0, kPage}},

    ProfileKey{"/kv/layout", WordKey{kLayouts, [](P& p, std::size_t i) { p.kv_layout = static_cast<KvLayoutKind>(i); }}},
    ProfileKey{"/kv/dtype", TextKey{&P::kv_dtype}},
    ProfileKey{"/kv/state_dtype", TextKey{&P::state_dtype}},
    ProfileKey{"/kv/conv_dtype", TextKey{&P::conv_dtype}},
    ProfileKey{"/kv/window_dtype", TextKey{&P::window_dtype}},
    ProfileKey{"/kv/page_tokens", NumberKey{&P::page_tokens, 1, kPage}},
    ProfileKey{"/kv/null_pages", NumberKey{&P::null_pages, 0, 1024}},
    ProfileKey{"/kv/prefix_caching", FlagKey{&P::prefix_caching}},
    ProfileKey{"/kv/state_rows", NumberKey{&P::state_rows, 1, 1024}},
    ProfileKey{"/kv/state_rows_without_prefix_caching", NumberKey{&P::state_rows_without_prefix_caching, 1, 1024}},
    ProfileKey{"/kv/state_rows_per_draft_token", NumberKey{&P::state_rows_per_draft_token, 0, 1024}},
    ProfileKey{"/kv/demand_limited", FlagKey{&P::kv_demand_limited}},
    ProfileKey{"/kv/windows", FlagKey{&P::windows}},
    ProfileKey{"/kv/mla_cache", WordKey{kLatent, [](P& p, std::size_t i) { p.latent_cache = static_cast<LatentCache>(i); }}},
    ProfileKey{"/kv/bound", FlagKey{&P::kv_bound}},
    ProfileKey{"/kv/packed_latent", FlagKey{&P::packed_latent}},
    ProfileKey{"/kv/decode_context_parallel", NumberKey{&P::decode_context_parallel, 1, 65536}},
    ProfileKey{"/kv/reported_tokens", WordKey{kReported, [](P& p, std::size_t i) { p.reported_tokens = static_cast<ReportedTokens>(i); }}},
    ProfileKey{"/kv/unified/alignment_tokens", NumberKey{&P::alignment_tokens, 1, kPage}},
    ProfileKey{"/kv/unified/merge_percent", NumberKey{&P::merge_percent, 100, 100000}},
    ProfileKey{"/kv/unified/in_flight_batches", NumberKey{&P::in_flight_batches, 0, 64}},
    ProfileKey{"/kv/unified/window_extra_pages", NumberKey{&P::window_extra_pages, 0, 64}},
    ProfileKey{"/kv/unified/slab_alignment_bytes", NumberKey{&P::slab_alignment_bytes, 0, kPage}},
    ProfileKey{"/kv/split/state_ratio", RealKey{&P::state_ratio, -1, 1000}},
    ProfileKey{"/kv/split/window_ratio", RealKey{&P::window_ratio, 0, 1}},
    ProfileKey{"/kv/split/spare_state_rows", NumberKey{&P::spare_state_rows, 0, 1024}},
    ProfileKey{"/kv/split/request_rings", FlagKey{&P::request_rings}},
    ProfileKey{"/kv/split/ring_row_step", NumberKey{&P::ring_row_step, 1, kPage}},
    ProfileKey{"/kv/cells/pad_cells", NumberKey{&P::pad_cells, 1, kPage}},
    ProfileKey{"/kv/cells/kv_unified", FlagKey{&P::kv_unified}},
    ProfileKey{"/kv/cells/swa_full", FlagKey{&P::swa_full}},

    ProfileKey{"/signal_buffers/signal_buffer_bytes", NumberKey{&P::signal_buffer_bytes, 0, 1ULL << 40}},
    ProfileKey{"/vision_cache/rule", WordKey{kVisionRule, [](P& p, std::size_t i) { p.vision_by_tokens = i == 1; }}},
    ProfileKey{"/vision_cache/vision_utilization", RealKey{&P::vision_utilization, -1, 1}},
    ProfileKey{"/vision_cache/vision_block_tokens", NumberKey{&P::vision_block_tokens, 1, kPage}},
    ProfileKey{"/weights/vision", WordKey{kVisionWeights, [](P& p, std::size_t i) { p.vision_split = i == 1; }}},
    ProfileKey{"/weights/vocab_padding_rows", NumberKey{&P::vocab_padding_rows, 1, kPage}},
    ProfileKey{"/weights/experts_split_over_dp", FlagKey{&P::experts_split_over_dp}},
};

} // namespace

std::span<const ProfileKey> profile_keys() { return kKeys; }

} // namespace plimsoll
