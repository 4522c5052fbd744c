// The `cells` layout: one context of a given length, allocated at start as cells for every layer; what a context needs,
// not what a budget leaves. Source and worked examples: core/catalogue/engines/README.md, "cells".
// gpt-oss-20b, a context of 16,384 over 8 slots, 12 full layers: 8 streams of 2,048 cells x 2,048 B x 12 = 384 MiB.
#include "kv/layouts/cells.hpp"

#include <algorithm>

#include "base/checked.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxCells = 1ULL << 48;

class Cells final : public KvLayout {
public:
  explicit Cells(const KvLayoutInput& input) : input_(input) {
    for (const KvGroupPrice& price : *input_.prices) apart_ = apart_ || price.group->tokens_per_slot > 1;
  }

  std::uint64_t page_tokens() const override { return 1; }
  std::vector<std::uint64_t> page_bytes() const override {
    std::vector<std::uint64_t> out;
    for (const KvGroupPrice& price : *input_.prices) out.push_back(cell_bytes(price).saturated());
    return out;
  }
  std::uint64_t group_page_tokens(std::size_t group) const override { return (*input_.prices)[group].group->tokens_per_slot; }
  Wide request_bytes(std::uint64_t length) const override { return context_bytes(length, input_.sequences); }
  std::optional<std::uint64_t> longest_request_tokens(Wide budget, std::uint64_t) const override {
    if (context_bytes(1, input_.sequences) > budget) return std::nullopt;
    if (context_bytes(kMaxCells, input_.sequences) <= budget) return UINT64_MAX;
    return largest(kMaxCells, [&](std::uint64_t length) { return context_bytes(length, input_.sequences) <= budget; });
  }
  KvRequestCount requests_that_fit(Wide budget, std::uint64_t length) const override {
    // Slots of that length each: a context of their sum.
    KvRequestCount r;
    r.denominator = 1;
    r.unlimited = context_bytes(length, 1) == 0;
    if (!r.unlimited)
      r.numerator = static_cast<Wide>(
          largest(1ULL << 24, [&](std::uint64_t n) { return context_bytes((Checked(length) * n).saturated(), n) <= budget; }));
    return r;
  }
  Wide pages_of_request(std::uint64_t length) const override {
    return static_cast<Wide>(stream_cells(length, input_.sequences)) * static_cast<Wide>(parts(input_.sequences));
  }

  KvCut cut(Wide budget, const KvDemand& demand, Wide) const override {
    KvCut cut;
    cut.used_bytes = context_bytes(demand.length_tokens, demand.sequences);
    cut.fits = cut.used_bytes <= budget;
    const Checked cells = Checked(stream_cells(demand.length_tokens, demand.sequences)) * streams(demand.sequences);
    cut.pages = cells.saturated();
    bool grows = false;
    for (const KvGroupPrice& price : *input_.prices) grows = grows || price.group->kind != CacheKind::kState;
    if (grows) cut.capacity_tokens = cells.saturated();
    return cut;
  }

  std::vector<KvGroupShare> shares(const KvCut&, const KvDemand& demand) const override {
    std::vector<KvGroupShare> out;
    out.reserve(input_.prices->size());
    for (const KvGroupPrice& price : *input_.prices) {
      KvGroupShare share;
      share.bytes = bytes_of(price, demand.length_tokens, demand.sequences);
      if (price.group->kind == CacheKind::kState)
        share.state_rows = input_.rules->rows_per_sequence(input_.draft_tokens) * demand.sequences;
      else if (const std::uint64_t cell = cell_bytes(price).saturated(); cell > 0)
        share.pages = bounded_count(share.bytes / static_cast<Wide>(cell));
      out.push_back(share);
    }
    return out;
  }
  // The context is shared by all slots.
  KvRequestCount requests_held(const KvCut& cut, const KvDemand&, std::uint64_t length) const override {
    return {context_bytes(length, 1) == 0, static_cast<Wide>(cut.pages), std::max<Wide>(1, pages_of_request(length))};
  }

private:
  // Of all layers; one cell holds a run of tokens where these are compressed.
  static Checked cell_bytes(const KvGroupPrice& price) { return Checked(price.layer_slot_bytes) * price.layers; }
  // Into which the context is divided.
  std::uint64_t parts(std::uint64_t sequences) const { return input_.rules->cells.kv_unified ? 1 : sequences; }
  // Sequences whose tokens are compressed in runs never share a stream: with an undivided context each has all of it.
  std::uint64_t streams(std::uint64_t sequences) const { return apart_ ? sequences : parts(sequences); }
  std::uint64_t padded(std::uint64_t cells) const {
    const std::uint64_t step = input_.rules->cells.pad_cells;
    return (Checked(ceil_div(cells, step)) * step).saturated();
  }
  // A slot has at least one step of cells, however many share the context.
  std::uint64_t stream_cells(std::uint64_t length, std::uint64_t sequences) const {
    return padded(std::max<std::uint64_t>(1, padded(length) / parts(sequences)));
  }

  Wide bytes_of(const KvGroupPrice& price, std::uint64_t length, std::uint64_t sequences) const {
    const auto n = static_cast<Wide>(sequences);
    if (price.group->kind == CacheKind::kState)
      return static_cast<Wide>(price.state_bytes) * static_cast<Wide>(input_.rules->rows_per_sequence(input_.draft_tokens)) * n;
    const auto cell = static_cast<Wide>(cell_bytes(price).saturated());
    if (price.group->kind == CacheKind::kCross) return cell * static_cast<Wide>(price.group->fixed_tokens) * n;
    std::uint64_t cells = stream_cells(length, sequences);
    if (price.group->tokens_per_slot > 1) cells = padded(ceil_div(cells, price.group->tokens_per_slot));
    if (is_windowed(counted_kind(*price.group, *input_.rules)) && !input_.rules->cells.swa_full) {
      // A window for each sequence of the stream, and the tokens of one forward pass.
      const Checked seen = Checked(price.group->window_tokens) * (streams(sequences) == 1 ? sequences : 1) + input_.max_batch_input_tokens;
      cells = padded(std::min(cells, seen.saturated()));
    }
    const CheckedWide bytes = CheckedWide(cell) * static_cast<Wide>(cells) * static_cast<Wide>(streams(sequences));
    return std::min(bytes.saturated(), static_cast<Wide>(1) << 100);
  }

  Wide context_bytes(std::uint64_t length, std::uint64_t sequences) const {
    Wide sum = 0;
    for (const KvGroupPrice& price : *input_.prices) sum += bytes_of(price, length, sequences);
    return sum;
  }

  KvLayoutInput input_;
  bool apart_ = false;
};

} // namespace

std::unique_ptr<KvLayout> make_cells_layout(const KvLayoutInput& input) { return std::make_unique<Cells>(input); }

} // namespace plimsoll
