// Engine profiles: how an inference engine budgets, pages and reserves, as data. Read from the catalogue or from a
// user's YAML file; every key is checked. No engine is known to the code by name. A ProfileSource is a file with --set
// applied; settled for the facts of a plan it becomes an EngineProfile.
// Threads: an EngineProfile is immutable, a ProfileSource may settle on any number of threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.hpp"
#include "engine/profile_rules.hpp"

namespace plimsoll {

// What the fraction is taken of.
enum class BudgetOf : std::uint8_t { kFree, kTotal };
// What must find room in the budget's fraction. kAll: everything, the KV cache is the rest. kWeightsAndKv: weights and
// KV cache only; activations live in what the fraction leaves. kKv: the fraction is of what everything else leaves.
enum class BudgetCovers : std::uint8_t { kAll, kWeightsAndKv, kKv };
// Where the fraction is of the total: what memory that others hold means. kRefused: the engine does not start where less than
// the fraction is free. kSubtracted: it is taken from what the engine may use.
enum class MemoryInUse : std::uint8_t { kRefused, kSubtracted };
// A model's own length that the memory does not hold: an error, or planned shorter.
enum class DefaultLength : std::uint8_t { kRefuse, kClamp };
// How the KV memory becomes pages: see kv/layout.hpp.
enum class KvLayoutKind : std::uint8_t { kGrouped, kUnified, kSplit, kCells };
// How a latent (MLA) cache is kept: the latent alone, with the values beside it, or expanded to full heads.
enum class LatentCache : std::uint8_t { kLatent, kLatentAndValues, kHeads };
// The tokens that the engine's start-up line states: all pages, the pages of one group, or requests times their length.
enum class ReportedTokens : std::uint8_t { kPages, kGroupPages, kRequests };
// Who prices activations: the planners, as this engine takes them; or the schedule of the pipeline that they describe, which our own
// runtime executes.
enum class ActivationRule : std::uint8_t { kPlanners, kPipeline };
// Rows of a pass that want logits: the last of each sequence, or all.
enum class LogitRows : std::uint8_t { kLast, kAll };
// The vision cache: a share of the KV memory, or rows for the tokens of one forward pass.
enum class VisionRule : std::uint8_t { kShare, kTokens };
// Towers on every rank, or cut over tp.
enum class VisionWeights : std::uint8_t { kReplicated, kSplit };

// One member struct for each section of the file, one field for each of its keys; core/catalogue/engines/README.md says
// what they mean.
struct EngineProfile {
  std::string name, version;

  struct Budget {
    BudgetOf of = BudgetOf::kFree;
    BudgetCovers covers = BudgetCovers::kAll;
    MemoryInUse in_use = MemoryInUse::kRefused;
    double utilization = 0.9, utilization_factor = 1;
    std::uint64_t margin_bytes = 0; // of every device, outside the plan
    std::vector<Term> reserve;      // where there are terms, the utilization follows from them
    std::uint64_t reserve_at_least_bytes = 0;
  } budget;

  struct Batch {
    std::uint64_t max_batch_input_tokens = 8192, default_max_batch_size = 512, default_request_tokens = 4096, graph_batch = 0;
    std::uint64_t requests_per_context = 0, least_requests = 1, most_requests = 0; // 0: no such rule
    bool chunked_prefill = true, whole_prompts = false;
    DefaultLength default_length = DefaultLength::kClamp;
    std::uint64_t images = 1; // of one forward pass
  } batch;

  struct Kv {
    KvLayoutKind layout = KvLayoutKind::kGrouped;
    std::string dtype = "auto", state_dtype = "auto", conv_dtype = "auto", window_dtype = "auto";
    LatentCache mla_cache = LatentCache::kLatent;
    ReportedTokens reported_tokens = ReportedTokens::kPages;
    std::uint64_t page_tokens = 128, null_pages = 1;
    std::uint64_t state_rows = 2, state_rows_without_prefix_caching = 1, state_rows_per_draft_token = 0;
    std::uint64_t decode_context_parallel = 1;
    bool prefix_caching = true, demand_limited = true, windows = true, packed_latent = false;
    bool bound = false; // this release's rule is another one, that takes no more

    struct Unified {
      std::uint64_t alignment_tokens = 16, merge_percent = 150, in_flight_batches = 1, window_extra_pages = 1;
      std::uint64_t slab_alignment_bytes = 0; // 0: no slabs
    } unified;
    struct Split {
      double state_ratio = 0, window_ratio = 1;
      std::uint64_t spare_state_rows = 0, ring_row_step = 1;
      bool request_rings = false;
    } split;
    struct Cells {
      std::uint64_t pad_cells = 256;
      bool kv_unified = false, swa_full = false;
    } cells;

    // Rows of recurrent state that one sequence holds.
    std::uint64_t rows_per_sequence(std::uint64_t draft_tokens) const {
      return (prefix_caching ? state_rows : state_rows_without_prefix_caching) + state_rows_per_draft_token * draft_tokens;
    }
  } kv;

  struct Schedule {
    ActivationRule activations = ActivationRule::kPlanners;
    LogitRows logits = LogitRows::kLast;
  } schedule;

  struct SignalBuffers {
    std::uint64_t signal_buffer_bytes = 0; // of one site on one rank
  } signal_buffers;

  struct VisionCache {
    VisionRule rule = VisionRule::kShare;
    double vision_utilization = 0;
    std::uint64_t vision_block_tokens = 128;
  } vision_cache;

  struct Weights {
    VisionWeights vision = VisionWeights::kReplicated;
    std::uint64_t vocab_padding_rows = 1;
    bool experts_split_over_dp = false;
    bool unpacked = false; // elements of packed types are loaded as float32
  } weights;

  std::vector<ProfileItem> activations, overheads;
  Json planner = Json::object(); // values that planners' formulas use, as they find them under req->engine
};

class ProfileSource {
public:
  // `name` is NAME[@VERSION] of the catalogue folder, or the path of a YAML file. `overrides` are dotted keys
  // or their short names: "kv.page_tokens" or "page_tokens" -> "64". kBadRequest names the file and the key.
  static Result<ProfileSource> load(const std::string& catalogue, const std::string& name,
                                    const std::map<std::string, std::string>& overrides);

  // The profile under these facts. Cheap where it was asked before, and where nothing depends on facts.
  Result<std::shared_ptr<const EngineProfile>> settle(const ProfileFacts& facts) const;

private:
  struct Settled {
    std::shared_mutex mutex;
    std::unordered_map<std::string, std::shared_ptr<const EngineProfile>> by_facts;
  };
  Json root_;
  std::string file_, release_;
  std::shared_ptr<const EngineProfile> fixed_; // where nothing depends on facts
  std::shared_ptr<Settled> settled_ = std::make_shared<Settled>();
};

} // namespace plimsoll
