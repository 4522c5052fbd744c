#include "plan/entry_caches.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "base/human.hpp"
#include "base/json.hpp"
#include "kv/vision_share.hpp"
#include "plan/gate.hpp"

namespace plimsoll {
namespace {

// Entries that share a cache, by their place in the model's list.
struct EntryCache {
  std::uint64_t row_bytes = 0, largest_rows = 0;
  std::vector<std::size_t> entries;
  std::string label = "vision_cache";
  bool has_images = false;
};

bool executes_pipelines(const Settled& s) { return s.profile().schedule.activations == ActivationRule::kPipeline; }

Result<std::vector<EntryCache>> caches_of(const Settled& s) {
  std::vector<EntryCache> out;
  for (std::size_t i = 0; i < s.entries.size(); ++i) {
    const MediaEntry& entry = *s.entries[i];
    if (executes_pipelines(s) && entry.modality != Modality::kImage) continue; // what nothing here runs
    PLIMSOLL_ASSIGN(const std::uint64_t row_bytes, row_bytes_of(s, entry));
    auto it = std::find_if(out.begin(), out.end(), [&](const EntryCache& cache) { return cache.row_bytes == row_bytes; });
    if (it == out.end()) it = out.insert(out.end(), {row_bytes, 0, {}, fmt::format("{}_cache", modality_name(entry.modality)), false});
    it->largest_rows = std::max(it->largest_rows, entry.rows);
    it->entries.push_back(i);
    if (entry.modality == Modality::kAudio) continue;
    it->has_images = true;
    it->label = "vision_cache";
  }
  return out;
}

// The key of a limit of images that a class default assumes, as nobody publishes it. The default `largest_image_is_a_bound` names the key;
// a configuration that states it is believed.
std::optional<std::string> assumed_limit(const Settled& s) {
  const plimsoll_view& root = s.model().planners->view();
  if (root.defaults == nullptr || !root.defaults->is_object()) return std::nullopt;
  const auto key = root.defaults->find("largest_image_is_a_bound");
  if (key == root.defaults->end() || !key->is_string()) return std::nullopt;
  const auto& pointer = key->get_ref<const std::string&>();
  if (find_pointer(*root.node, pointer) != nullptr) return std::nullopt;
  return pointer;
}

Basis basis_of(const Settled& s, const EntryCache& cache, Basis of_images, Findings& findings) {
  if (!cache.has_images) return of_images;
  const std::optional<std::string> key = assumed_limit(s);
  if (!key) return of_images;
  const Json* const value = find_pointer(*s.model().planners->view().defaults, *key);
  findings.warn(
      WarningCode::kEntryRuleIsABound,
      fmt::format("how large an image of this class may be is not published; {} = {} is assumed, the most that related models take. "
                  "A configuration that states it is believed",
                  *key, value == nullptr ? "?" : value->dump()));
  return Basis::kBound;
}

// So many rows hold as many of each of its entries.
void fill_entries(const EntryCache& cache, std::uint64_t rows, std::uint64_t block_rows, Plan& plan) {
  for (const std::size_t i : cache.entries) {
    EntryPlan& entry = plan.entries[i];
    entry.entries = rows / (ceil_div(entry.rows, block_rows) * block_rows);
  }
}

// A cache of as many rows as one forward pass has tokens, or one entry where that is more.
Result<void> cache_of_tokens(const Settled& s, const EntryCache& cache, Ledger& ledger, Findings& findings, Plan& plan) {
  const std::uint64_t rows = std::max(s.max_batch_input_tokens, cache.largest_rows);
  PLIMSOLL_ASSIGN(const std::uint64_t bytes, (Checked(rows) * cache.row_bytes).get("the cache of encoded media"));
  fill_entries(cache, rows, 1, plan);
  return ledger.add_all(Category::kVisionCache, cache.label, basis_of(s, cache, Basis::kExact, findings), s.profile().name,
                        s.explains() ? fmt::format("{} rows x {} B", rows, cache.row_bytes) : "", bytes);
}

// A cache of blocks, a share of what the poorest rank has: every rank keeps the rows of the same entries.
Result<void> cache_of_share(const Settled& s, const EntryCache& cache, double utilization, const RankRoom& poorest, Ledger& ledger,
                            Findings& findings, Plan& plan) {
  const std::uint64_t block_rows = s.profile().vision_cache.vision_block_tokens;
  PLIMSOLL_ASSIGN(const std::uint64_t block_bytes, (Checked(cache.row_bytes) * block_rows).get("a block of the cache of encoded media"));
  const std::uint64_t largest = ceil_div(cache.largest_rows, block_rows);
  const VisionShare share = share_for_vision(poorest.room, utilization, static_cast<Wide>(block_bytes), static_cast<Wide>(largest));
  const char* const what = cache.has_images ? "image" : "entry";
  const std::string entry_bytes = human_bytes((Checked(cache.largest_rows) * cache.row_bytes).saturated());
  if (share.raised())
    findings.warn(WarningCode::kVisionCacheRaised,
                  fmt::format("{:.4g} of the cache memory holds {} blocks; the largest {} needs {} ({}), so that much is reserved",
                              utilization, bounded_count(share.wanted_blocks), what, largest, entry_bytes));
  if (!cache.has_images)
    findings.warn(
        WarningCode::kEntryRuleIsABound,
        fmt::format("how {} caches what is no image is not known; '{}' is set aside as for images", s.profile().name, cache.label));
  const std::uint64_t blocks = bounded_count(share.blocks);
  PLIMSOLL_ASSIGN(const std::uint64_t bytes, (Checked(blocks) * block_bytes).get("the cache of encoded media"));
  if (static_cast<Wide>(bytes) > poorest.room)
    findings.does_not_fit(ErrorCode::kNoRoomForKv,
                          fmt::format("the vision cache needs {} for one {} of the largest size and rank {} has {} left", entry_bytes, what,
                                      poorest.rank, human_bytes(bounded_count(std::max<Wide>(0, poorest.room)))),
                          s.device_name(poorest.rank),
                          fmt::format("vision cache on rank {} ({})", poorest.rank, s.devices()[poorest.rank].name));
  fill_entries(cache, blocks * block_rows, block_rows, plan);
  Item item;
  item.label = cache.label;
  item.basis = basis_of(s, cache, cache.has_images ? Basis::kExact : Basis::kBound, findings);
  item.planner = s.model().planners->root().id();
  if (s.explains()) item.formula = fmt::format("{} blocks x {} tokens x {} B", blocks, block_rows, cache.row_bytes);
  // Our own runtime needs them where its embeddings are.
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank)
    item.bytes.push_back(executes_pipelines(s) && s.layout.stage_of_rank(rank) > 0 ? 0 : bytes);
  return ledger.add(Category::kVisionCache, std::move(item));
}

// The figures of the largest entry, which the plan shows by themselves.
void show_largest(const Settled& s, Plan& plan) {
  const MediaEntry* const largest = s.largest_entry();
  if (largest == nullptr) return;
  const auto at = std::find(s.entries.begin(), s.entries.end(), largest) - s.entries.begin();
  const EntryPlan& shown = plan.entries[static_cast<std::size_t>(at)];
  plan.vision_entry_bytes = shown.entry_bytes;
  plan.vision_entries = shown.entries;
}

} // namespace

Dtype row_type_of(const Settled& s, const MediaEntry& entry) {
  if (executes_pipelines(s)) return *find_dtype("float32"); // as it is computed
  return entry.type.value_or(s.kv_types.model);
}

Result<std::uint64_t> row_bytes_of(const Settled& s, const MediaEntry& entry) {
  return row_type_of(s, entry).bytes(entry.row_elements).get("a row of encoded media");
}

Result<void> describe_entries(const Settled& s, Plan& plan) {
  for (const MediaEntry* const declared : s.entries) {
    const MediaEntry& entry = *declared;
    EntryPlan out;
    out.label = entry.label;
    out.modality = entry.modality;
    out.rows = entry.rows;
    out.most_per_request = entry.most_per_request;
    PLIMSOLL_ASSIGN(const std::uint64_t row_bytes, row_bytes_of(s, entry));
    PLIMSOLL_ASSIGN(out.entry_bytes, (Checked(row_bytes) * entry.rows).get("an entry of encoded media"));
    plan.entries.push_back(std::move(out));
  }
  show_largest(s, plan);
  return {};
}

Result<void> plan_entry_caches(const Settled& s, Ledger& ledger, Findings& findings, Plan& plan) {
  PLIMSOLL_TRY(describe_entries(s, plan));
  PLIMSOLL_ASSIGN(const std::vector<EntryCache> caches, caches_of(s));
  const bool by_tokens = s.profile().vision_cache.rule == VisionRule::kTokens;
  if (!by_tokens && (s.vision_utilization == 0 || findings.error)) return {};
  const double share = s.vision_utilization / static_cast<double>(std::max<std::size_t>(1, caches.size()));
  for (const EntryCache& cache : caches) {
    if (findings.error && !by_tokens) break;
    PLIMSOLL_TRY(by_tokens ? cache_of_tokens(s, cache, ledger, findings, plan)
                           : cache_of_share(s, cache, share, poorest_rank(s, ledger), ledger, findings, plan));
  }
  show_largest(s, plan);
  return {};
}

} // namespace plimsoll
