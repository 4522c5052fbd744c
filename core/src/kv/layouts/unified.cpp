// The `unified` layout: every layer kind's page is brought to one size, layers are dealt into groups of equal size, and
// all groups draw blocks from one pool. Source and worked examples: core/catalogue/engines/README.md, "unified".
// Qwen3-Next-80B, tp 2, bf16, 47,878,721,024 bytes: state pages raise the block to 544 tokens (557,056 bytes a layer),
// 12 full and 36 recurrent layers make 1 + 3 groups of 12, so 7,162 blocks; a request of 262,144 tokens needs 482 + 3.
// Where the profile asks for slabs, pages of unlike sizes lie side by side in a block instead, see slabs().
#include "kv/layouts/unified.hpp"

#include <algorithm>
#include <map>

#include "base/checked.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxTokens = 1ULL << 48; // beyond every length that is searched for

// Layers that store alike, and how many groups they fill.
struct Kind {
  CacheKind kind = CacheKind::kFull;
  std::uint64_t layers = 0, layer_bytes = 0; // one layer: a slot, or all of a sequence's state
  std::uint64_t window_tokens = 0, fixed_tokens = 0, tokens_per_slot = 1;
  std::vector<std::uint64_t> row_bytes; // slabs only: of the caches that keep rows of a window, side by side
  std::uint64_t block_tokens = 0, groups = 0;

  bool same(const Kind& other) const {
    return kind == other.kind && layer_bytes == other.layer_bytes && window_tokens == other.window_tokens &&
           fixed_tokens == other.fixed_tokens && tokens_per_slot == other.tokens_per_slot && row_bytes == other.row_bytes;
  }
};

class Unified final : public KvLayout {
public:
  explicit Unified(const KvLayoutInput& input) : input_(input) {
    const bool in_slabs = input.rules->unified.slab_alignment_bytes > 0;
    for (const KvGroupPrice& price : *input.prices) {
      kind_of_price_.push_back(kinds_.size());
      if (price.layers == 0) continue;
      Kind kind;
      kind.kind = counted_kind(*price.group, *input.rules);
      if (kind.kind == CacheKind::kLatent) kind.kind = CacheKind::kFull;
      kind.layers = price.layers;
      kind.layer_bytes = kind.kind == CacheKind::kState ? price.layer_state_bytes : price.layer_slot_bytes;
      if (is_windowed(kind.kind)) kind.window_tokens = price.group->window_tokens;
      if (kind.kind == CacheKind::kCross) kind.fixed_tokens = price.group->fixed_tokens;
      kind.tokens_per_slot = price.group->tokens_per_slot;
      if (in_slabs && !price.row_bytes.empty()) {
        kind.kind = CacheKind::kWindow;
        kind.window_tokens = price.group->window_tokens;
        kind.row_bytes = price.row_bytes;
      } else if (in_slabs && is_windowed(kind.kind)) {
        kind.row_bytes = {price.layer_slot_bytes};
      }
      const auto it = std::find_if(kinds_.begin(), kinds_.end(), [&](const Kind& k) { return k.same(kind); });
      if (it == kinds_.end()) kinds_.push_back(kind);
      else {
        it->layers += kind.layers;
        kind_of_price_.back() = static_cast<std::size_t>(it - kinds_.begin());
      }
    }
    const bool growing = std::all_of(kinds_.begin(), kinds_.end(), [](const Kind& k) { return k.kind == CacheKind::kFull; });
    block_tokens_ = input.page_tokens;
    if (growing || kinds_.size() == 1) one_group();
    else if (in_slabs) slabs();
    else equal_groups();
  }

  std::uint64_t page_tokens() const override { return full_block_tokens_ > 0 ? full_block_tokens_ : block_tokens_; }
  std::vector<std::uint64_t> page_bytes() const override {
    std::vector<std::uint64_t> out;
    if (slab_pages_ > 0) {
      for (std::size_t i = 0; i < input_.prices->size(); ++i) {
        const std::uint64_t layers = (*input_.prices)[i].layers;
        const Wide page = layers == 0 ? 0 : slab_page(kinds_[kind_of_price_[i]]) * static_cast<Wide>(layers);
        out.push_back(bounded_count(page));
      }
      return out;
    }
    for (const KvGroupPrice& price : *input_.prices) {
      const bool state = price.group->kind == CacheKind::kState;
      const Wide layer = page_bytes_ > 0 ? page_bytes_ : static_cast<Wide>(price.layer_slot_bytes) * slots(*price.group);
      const Wide page = (state && page_bytes_ == 0 ? static_cast<Wide>(price.layer_state_bytes) : layer) * static_cast<Wide>(price.layers);
      out.push_back(bounded_count(page));
    }
    return out;
  }
  std::uint64_t group_tokens(std::uint64_t pages) const override {
    return (Checked(pages / groups_) * block_tokens_ * input_.rules->decode_context_parallel).saturated();
  }

  Wide request_bytes(std::uint64_t length) const override { return (pages_of_request(length) + nulls()) * block_bytes_; }
  std::optional<std::uint64_t> longest_request_tokens(Wide budget, std::uint64_t) const override {
    if (kinds_.empty()) return UINT64_MAX;
    const Wide blocks = blocks_in(budget) - nulls();
    if (pages_of_request(1) > blocks) return std::nullopt;
    if (pages_of_request(kMaxTokens) <= blocks) return UINT64_MAX;
    return largest(kMaxTokens, [&](std::uint64_t length) { return pages_of_request(length) <= blocks; });
  }
  KvRequestCount requests_that_fit(Wide budget, std::uint64_t length) const override {
    KvRequestCount r;
    r.numerator = std::max<Wide>(0, blocks_in(budget) - nulls());
    r.denominator = pages_of_request(length);
    r.unlimited = kinds_.empty();
    if (r.unlimited) r.denominator = 1;
    return r;
  }

  Wide pages_of_request(std::uint64_t length) const override {
    Wide blocks = 0;
    const std::uint64_t flying = input_.rules->unified.in_flight_batches * input_.max_batch_input_tokens;
    for (const Kind& k : kinds_) {
      Wide own = 0;
      switch (k.kind) {
      case CacheKind::kWindow:
      case CacheKind::kChunk: {
        const bool chunk = k.kind == CacheKind::kChunk;
        const std::uint64_t seen = std::min(k.window_tokens - (chunk || k.window_tokens == 0 ? 0 : 1) + flying, length);
        own = static_cast<Wide>(ceil_div(seen, k.block_tokens)) + (chunk ? 0 : static_cast<Wide>(input_.rules->unified.window_extra_pages));
        break;
      }
      case CacheKind::kState: own = state_blocks(length); break;
      case CacheKind::kCross: own = static_cast<Wide>(ceil_div(k.fixed_tokens, k.block_tokens)); break;
      default: own = static_cast<Wide>(ceil_div(ceil_div(length, input_.rules->decode_context_parallel), k.block_tokens));
      }
      // One group that holds all kinds takes one block for all of them.
      blocks = groups_ == 1 ? std::max(blocks, own) : blocks + own * static_cast<Wide>(k.groups);
    }
    return blocks;
  }

  KvCut cut(Wide budget, const KvDemand& demand, Wide most_pages) const override {
    KvCut cut;
    Wide pages = std::min(blocks_in(budget), most_pages);
    if (input_.rules->demand_limited && demand.limited)
      pages = std::min(pages, pages_of_request(demand.length_tokens) * static_cast<Wide>(demand.sequences) + nulls());
    cut.fits = kinds_.empty() || pages >= pages_of_request(1) + nulls();
    cut.pages = pages > static_cast<Wide>(UINT64_MAX) ? UINT64_MAX : static_cast<std::uint64_t>(std::max<Wide>(0, pages));
    cut.used_bytes = static_cast<Wide>(cut.pages) * block_bytes_;
    if (std::any_of(kinds_.begin(), kinds_.end(), [](const Kind& k) { return k.kind != CacheKind::kState; })) {
      const Wide tokens = (std::max<Wide>(0, pages - nulls()) / static_cast<Wide>(groups_)) * static_cast<Wide>(page_tokens()) *
                          static_cast<Wide>(input_.rules->decode_context_parallel);
      cut.capacity_tokens = bounded_count(tokens);
    }
    return cut;
  }

  std::vector<KvGroupShare> shares(const KvCut& cut, const KvDemand&) const override {
    std::vector<KvGroupShare> out(input_.prices->size(), KvGroupShare{0, cut.pages, input_.rules->null_pages, 0});
    if (!out.empty()) out.front().bytes = cut.used_bytes;
    return out;
  }
  std::uint64_t block_bytes() const override { return bounded_count(block_bytes_); }
  std::uint64_t group_page_tokens(std::size_t group) const override {
    const std::size_t kind = kind_of_price_[group];
    return kind < kinds_.size() ? kinds_[kind].block_tokens : block_tokens_;
  }
  KvRequestCount requests_held(const KvCut& cut, const KvDemand&, std::uint64_t length) const override {
    KvRequestCount held;
    held.numerator = std::max<Wide>(0, static_cast<Wide>(cut.pages) - nulls());
    held.denominator = pages_of_request(length);
    held.unlimited = held.denominator == 0;
    if (held.unlimited) held.denominator = 1;
    return held;
  }

private:
  // Blocks of one state group that a request takes: its rows, or one for every block of its tokens and of its drafts.
  Wide state_blocks(std::uint64_t length) const {
    const EngineProfile::Kv& rules = *input_.rules;
    if (!rules.prefix_caching || !rules.unified.state_per_block) return static_cast<Wide>(rules.rows_per_sequence(input_.draft_tokens));
    return static_cast<Wide>(ceil_div(length, block_tokens_) + rules.state_rows_per_draft_token * input_.draft_tokens);
  }
  Wide nulls() const { return static_cast<Wide>(input_.rules->null_pages); }
  Wide blocks_in(Wide budget) const { return block_bytes_ == 0 ? 0 : std::max<Wide>(0, budget) / block_bytes_; }
  Wide slots(const KvGroup& g) const { return static_cast<Wide>(ceil_div(block_tokens_, g.tokens_per_slot)); }

  // A block holds the same tokens of every layer: its bytes are the sum.
  void one_group() {
    groups_ = 1;
    for (Kind& k : kinds_) {
      k.groups = 1;
      k.block_tokens = block_tokens_;
      const Wide slots = k.kind == CacheKind::kState ? 1 : static_cast<Wide>(ceil_div(block_tokens_, k.tokens_per_slot));
      block_bytes_ += static_cast<Wide>(k.layer_bytes) * slots * static_cast<Wide>(k.layers);
    }
  }

  void equal_groups() {
    align_to_states();
    // The largest page of a layer is everybody's; smaller ones take more tokens where that divides, else they are padded.
    for (const Kind& k : kinds_)
      page_bytes_ = std::max(page_bytes_, k.kind == CacheKind::kState ? static_cast<Wide>(k.layer_bytes) : attention_page(k));
    std::uint64_t fewest = UINT64_MAX, most = 0;
    for (Kind& k : kinds_) {
      const Wide own = k.kind == CacheKind::kState ? page_bytes_ : attention_page(k);
      const Wide times = own > 0 && page_bytes_ % own == 0 ? page_bytes_ / own : 1;
      k.block_tokens = block_tokens_ * static_cast<std::uint64_t>(times);
      fewest = std::min(fewest, k.layers);
      most = std::max(most, k.layers);
    }
    const std::uint64_t group_layers =
        Wide{100} * static_cast<Wide>(most) < static_cast<Wide>(input_.rules->unified.merge_percent) * static_cast<Wide>(fewest) ? most
                                                                                                                                 : fewest;
    groups_ = 0;
    for (Kind& k : kinds_) {
      k.groups = ceil_div(k.layers, group_layers);
      groups_ += k.groups;
      if (k.kind == CacheKind::kFull) full_block_tokens_ = std::max(full_block_tokens_, k.block_tokens);
    }
    block_bytes_ = page_bytes_ * static_cast<Wide>(group_layers);
  }

  // A block is a slab of equally many slots of each page size that growing layers have; those layers are one group. A
  // window's rows fill, in a power of two of tokens, the largest page they fit; its layers are dealt into groups of as many as
  // there are slots. Their number is the one that pads least, the larger of equals. DeepSeek-V4-Flash, blocks of 256
  // tokens: pages of 37,440 B (21 layers), 8,640 (21) and 1,728 (20); 43 windows of 64 tokens a block make two groups of at
  // most 22, the states of 21 and 20 layers, 4 and 8 tokens a block, one each: 22 x 47,808 B = 1,051,776 B.
  void slabs() {
    std::map<Wide, std::uint64_t> layers_of_page;
    for (Kind& k : kinds_)
      if (k.kind == CacheKind::kFull) {
        k.block_tokens = block_tokens_;
        layers_of_page[slab_page(k)] += k.layers;
      }
    const Wide largest = layers_of_page.empty() ? 0 : layers_of_page.rbegin()->first;
    std::uint64_t least = 1;
    for (const auto& [page, layers] : layers_of_page) least = std::max(least, layers);
    std::uint64_t most = least;
    for (Kind& k : kinds_) {
      if (k.kind == CacheKind::kFull) continue;
      k.block_tokens = 1;
      while (!k.row_bytes.empty() && k.block_tokens < block_tokens_ && fits_page(k, 2 * k.block_tokens, largest)) k.block_tokens *= 2;
      if (k.kind == CacheKind::kCross) k.block_tokens = block_tokens_;
      most = std::max(most, k.layers);
      if (k.row_bytes.empty() ? slab_page(k) > largest : !fits_page(k, 1, largest)) layers_of_page[slab_page(k)] = k.layers;
    }
    std::uint64_t slots = least, padding = UINT64_MAX;
    for (std::uint64_t tried = least; tried <= most; ++tried) {
      std::uint64_t sum = ceil_div(least, tried) * tried - least;
      for (const Kind& k : kinds_)
        if (k.kind != CacheKind::kFull) sum += ceil_div(k.layers, tried) * tried - k.layers;
      if (sum <= padding) {
        padding = sum;
        slots = tried;
      }
    }
    groups_ = 0;
    slab_pages_ = least;
    for (Kind& k : kinds_) {
      // One group holds all layers that grow; the first of them stands for all.
      k.groups = k.kind == CacheKind::kFull ? (full_block_tokens_ == 0 ? 1U : 0U) : ceil_div(k.layers, slots);
      if (k.kind == CacheKind::kFull) full_block_tokens_ = block_tokens_;
      else slab_pages_ = std::max(slab_pages_, ceil_div(k.layers, k.groups));
      groups_ += k.groups;
    }
    for (const auto& [page, layers] : layers_of_page) block_bytes_ += page * static_cast<Wide>(slab_pages_);
  }

  Wide aligned(Wide bytes) const {
    const auto step = static_cast<Wide>(input_.rules->unified.slab_alignment_bytes);
    return wide_ceil_div(bytes, step) * step;
  }
  bool fits_page(const Kind& k, std::uint64_t tokens, Wide page) const {
    return std::all_of(k.row_bytes.begin(), k.row_bytes.end(),
                       [&](std::uint64_t row) { return aligned(static_cast<Wide>(row) * static_cast<Wide>(tokens)) <= page; });
  }
  // What a block of one layer takes of a slab.
  Wide slab_page(const Kind& k) const {
    if (k.kind == CacheKind::kState) return aligned(static_cast<Wide>(k.layer_bytes));
    if (k.row_bytes.empty())
      return aligned(static_cast<Wide>(k.layer_bytes) * static_cast<Wide>(ceil_div(k.block_tokens, k.tokens_per_slot)));
    Wide sum = 0;
    for (const std::uint64_t row : k.row_bytes) sum += aligned(static_cast<Wide>(row) * static_cast<Wide>(k.block_tokens));
    return sum;
  }

  Wide attention_page(const Kind& k) const {
    return static_cast<Wide>(k.layer_bytes) * static_cast<Wide>(ceil_div(block_tokens_, k.tokens_per_slot));
  }

  // Blocks grow until one attention page holds the state of one layer, in steps of the kernels' alignment.
  void align_to_states() {
    std::uint64_t state = 0, token = 0;
    for (const Kind& k : kinds_)
      if (k.kind == CacheKind::kState) state = std::max(state, k.layer_bytes);
      else token = std::max(token, k.layer_bytes / k.tokens_per_slot);
    if (state == 0 || token == 0) return;
    const std::uint64_t step = input_.rules->unified.alignment_tokens, unit = (Checked(step) * token).saturated();
    block_tokens_ = std::max(block_tokens_, (Checked(step) * ceil_div(state, unit)).saturated());
  }

  KvLayoutInput input_;
  std::vector<Kind> kinds_;
  std::vector<std::size_t> kind_of_price_;
  std::uint64_t block_tokens_ = 0, full_block_tokens_ = 0, groups_ = 1;
  std::uint64_t slab_pages_ = 0; // of each size in a slab; 0: no slabs
  Wide page_bytes_ = 0;          // of one layer; 0 where pages differ in size
  Wide block_bytes_ = 0;         // of a group of layers
};

} // namespace

std::unique_ptr<KvLayout> make_unified_layout(const KvLayoutInput& input) { return std::make_unique<Unified>(input); }

} // namespace plimsoll
