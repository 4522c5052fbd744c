// See option_groups.hpp.
#include "option_groups.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace plimsoll::cli {
namespace {

constexpr std::string_view kMost = "Options", kRanks = "Ranks", kMemory = "Memory", kMedia = "Images, film and sound",
                           kExtras = "Drafts and adapters", kLlama = "Placement by llama.cpp";

constexpr auto kGroups = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"devices", kMost},
    {"engine", kMost},
    {"tp", kMost},
    {"max_length", kMost},
    {"max_batch_size", kMost},
    {"kv_dtype", kMost},
    {"quantize", kMost},
    {"pp", kRanks},
    {"dp", kRanks},
    {"ep", kRanks},
    {"nodes", kRanks},
    {"layout", kRanks},
    {"stage_layers", kRanks},
    {"redundant_experts", kRanks},
    {"device_memory_utilization", kMemory},
    {"kv_cache_bytes", kMemory},
    {"page_tokens", kMemory},
    {"max_batch_input_tokens", kMemory},
    {"max_batch_total_tokens", kMemory},
    {"weights_bytes", kMemory},
    {"dtype", kMemory},
    {"accounting", kMemory},
    {"set", kMemory},
    {"enforce_eager", kMemory},
    {"num_gpu_blocks_override", kMemory},
    {"kv_offload_bytes", kMemory},
    {"vision_cache_utilization", kMedia},
    {"images_per_request", kMedia},
    {"limit_mm_per_prompt", kMedia},
    {"language_model_only", kMedia},
    {"num_draft_tokens", kExtras},
    {"draft", kExtras},
    {"max_loras", kExtras},
    {"max_lora_rank", kExtras},
    {"lora_dtype", kExtras},
    {"lora", kExtras},
    {"lora_targets", kExtras},
    {"lora_slots", kExtras},
    {"lora_rank", kExtras},
    {"split_mode", kLlama},
    {"tensor_split", kLlama},
    {"gpu_layers", kLlama},
    {"n_cpu_moe", kLlama},
    {"override_tensor", kLlama},
    {"mmproj", kLlama},
    {"host", kLlama},
    {"ubatch", kLlama},
    {"sequences", kLlama},
});

constexpr auto kWeights =
    std::to_array<std::string_view>({"devices", "engine", "tp", "pp", "dp", "ep", "nodes", "stage_layers", "redundant_experts", "dtype",
                                     "weights_bytes", "set", "num_draft_tokens", "language_model_only"});

} // namespace

std::string_view group_of(std::string_view option) {
  const auto found = std::find_if(kGroups.begin(), kGroups.end(), [&](const auto& row) { return row.first == option; });
  return found == kGroups.end() ? "More" : found->second;
}

std::span<const std::string_view> options_of_weights() { return kWeights; }

} // namespace plimsoll::cli
