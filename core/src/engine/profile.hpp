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

// How layers come to devices where the request has no degrees: every layer cut over all of them, or whole layers dealt one after the other.
enum class LayerSplit : std::uint8_t { kTensor, kLayer };
// Where the input embedding lies.
enum class EmbeddingPlace : std::uint8_t { kDevice, kHost };

// One member struct for each section of the file, one field for each of its keys; core/catalogue/engines/README.md says
// what they mean.
struct EngineProfile {
  std::string name, version;
  bool newer_than_known = false;              // the release asked for is newer than all that the profile describes
  std::map<std::string, std::string> choices; // the profile's own words, settled: "runner" -> "v2"

  struct Budget {
    BudgetOf of = BudgetOf::kFree;
    BudgetCovers covers = BudgetCovers::kAll;
    MemoryInUse in_use = MemoryInUse::kRefused;
    double utilization = 0.9, utilization_factor = 1;
    std::uint64_t margin_bytes = 0; // of every device, outside the plan
    std::vector<Term> reserve;      // where there are terms, the utilization follows from them
    std::uint64_t reserve_at_least_bytes = 0;
  } budget;

  // What the engine refuses to start with.
  struct Start {
    std::vector<std::string> vendors;        // of devices that it runs on; empty: any
    std::vector<std::string> quantizations;  // methods whose files it loads, as their settings name them; empty: any
    std::vector<std::string> not_served;     // families, classes and model_types of which it has no model
    bool mixed_vendors = true;               // devices of several vendors side by side
    bool requests_within_blocks = false;     // models with recurrent state: no more requests than blocks
    bool block_within_batch = false;         // with prefix caching of such a state: a block is no longer than a forward pass
    bool chunks_for_state_prefixes = false;  // with prefix caching of such a state: prompts are prefilled in chunks
    std::vector<Term> outside;               // taken beside the fraction once the engine runs, from what is free
    std::map<std::string, std::string> says; // the engine's own sentence for each kind of refusal, with {names} of figures
  } start;

  struct Batch {
    std::uint64_t max_batch_input_tokens = 8192, default_max_batch_size = 512, default_request_tokens = 4096, graph_batch = 0;
    std::uint64_t graph_rows = 512;        // the largest batch captured as a graph, whatever the requests
    bool graphs_of_drafts = true;          // rows of drafted tokens count for it
    std::uint64_t expert_chunk_tokens = 0; // that enter the experts at once; 0: all
    std::uint64_t requests_per_context = 0, least_requests = 1, most_requests = 0; // 0: no such rule
    bool chunked_prefill = true, whole_prompts = false, pass_limits_length = false;
    DefaultLength default_length = DefaultLength::kClamp;
    std::uint64_t images = 1;                            // of one forward pass
    bool flash_attention = true, last_rows_only = false; // scores are kept in pieces; logits of the rows alone that sequences need
  } batch;

  struct Kv {
    KvLayoutKind layout = KvLayoutKind::kGrouped;
    std::string dtype = "auto", state_dtype = "auto", conv_dtype = "auto", window_dtype = "auto";
    LatentCache mla_cache = LatentCache::kLatent;
    bool even_value_rows = false; // without flash attention values are kept in rows as wide as those of the widest layer
    bool mla_as_stored = false;   // a GGUF file whose up-projection is whole (attn_kv_b) keeps keys and values of all heads
    ReportedTokens reported_tokens = ReportedTokens::kPages;
    std::uint64_t page_tokens = 128, null_pages = 1;
    std::uint64_t state_rows = 2, state_rows_without_prefix_caching = 1, state_rows_per_draft_token = 0;
    std::uint64_t state_rows_while_drafting = 0; // more, however many tokens are drafted
    std::uint64_t decode_context_parallel = 1;
    bool prefix_caching = true, demand_limited = true, windows = true, packed_latent = false;
    bool bound = false;                    // this release's rule is another one, that takes no more
    std::vector<std::string> takes;        // types that the engine offers beside the model's own; empty: any
    bool types_apart = true;               // K and V may differ
    std::vector<std::uint64_t> page_sizes; // tokens that a page may have; empty: any multiple of
    std::uint64_t page_multiple = 1;

    struct Unified {
      std::uint64_t alignment_tokens = 16, merge_percent = 150, in_flight_batches = 1, window_extra_pages = 1;
      std::uint64_t slab_alignment_bytes = 0; // 0: no slabs
      bool state_per_block = false;           // with prefix caching: a state for every block of a request
    } unified;
    struct Split {
      double state_ratio = 0, window_ratio = 1;
      std::uint64_t spare_state_rows = 0, ring_row_step = 1;
      bool request_rings = false;
      bool draft_states = false; // a state for each drafted token of every request, beside its rows
    } split;
    struct Cells {
      std::uint64_t pad_cells = 256;
      bool kv_unified = false, swa_full = false;
      bool unified_by_default = false; // where the request does not say how many share the context
    } cells;

    // Rows of recurrent state that one sequence holds.
    std::uint64_t rows_per_sequence(std::uint64_t draft_tokens) const {
      return (prefix_caching ? state_rows : state_rows_without_prefix_caching) + state_rows_per_draft_token * draft_tokens +
             (draft_tokens > 0 ? state_rows_while_drafting : 0);
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
    bool optional_towers = false;    // encoders are not loaded where requests bring nothing for them
    bool float32_as_16_bits = false; // weights whose common type is float32 are loaded in 16 bits
    bool drops_pooled_head = false;  // of an embedder whose class generates the head is not made
    bool unpacked = false;           // elements of packed types are loaded as float32
    // What kernels make of experts on a rank: widths rounded up, and a factor where only the sum is known.
    std::uint64_t expert_width_multiple = 1, expert_hidden_multiple = 1;
    double expert_growth = 1;
    bool draft_ends_shared = false; // multi-token prediction layers use the model's embedding and head, whatever copies are stored
  } weights;

  // Slots for LoRA adapters beside the weights.
  struct Lora {
    bool slots = false;      // the engine has them
    bool head_split = false; // the head's B over tp
    std::uint64_t default_rank = 16;
  } lora;

  struct Placement {
    LayerSplit split = LayerSplit::kTensor;
    EmbeddingPlace input_embedding = EmbeddingPlace::kDevice;
    std::uint64_t least_length_tokens = 1; // that a split chosen to fit leaves room for
    std::uint64_t pipeline_copies = 1;     // of a pass's inputs, where several devices hold everything
    bool copies_host_weights = false;      // matrices in host memory are copied to the device that multiplies with them
    bool deals_layers() const { return split == LayerSplit::kLayer; }
  } placement;

  // What searches over layouts may ask of the engine.
  struct Layouts {
    bool any_expert_degree = false; // experts over some of the ranks of a stage, and not just over none or all
    bool context_parallel = false;  // tensor-parallel ranks that would hold the same heads can share the context instead
  } layouts;

  std::vector<ProfileItem> activations, overheads;
  Json planner = Json::object(); // values that planners' formulas use, as they find them under req->engine
};

class ProfileSource {
public:
  // `name` is NAME[@VERSION] of the catalogue folder, or the path of a YAML file. `overrides` are dotted keys
  // or their short names: "kv.page_tokens" or "page_tokens" -> "64". kBadRequest names the file and the key.
  static Result<ProfileSource> load(const std::string& catalogue, const std::string& name,
                                    const std::map<std::string, std::string>& overrides);

  // Whether the file says anything of where layers go; else the rules are the usual ones.
  bool places_layers() const { return root_.contains("placement"); }
  // The profile under these facts. Cheap where it was asked before, and where nothing depends on facts.
  Result<std::shared_ptr<const EngineProfile>> settle(const ProfileFacts& facts) const;

private:
  struct Settled {
    std::shared_mutex mutex;
    std::unordered_map<std::string, std::shared_ptr<const EngineProfile>> by_facts;
  };
  Json root_;
  AskedFacts asked_{Json()}; // of root_
  std::string file_, release_;
  bool newer_than_known_ = false;
  std::shared_ptr<const EngineProfile> fixed_; // where nothing depends on facts
  std::shared_ptr<Settled> settled_ = std::make_shared<Settled>();
};

} // namespace plimsoll
