#include "plan/ledger.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "plugin/declaration_gate.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxSum = 0x7fffffffffffffffULL;

Basis basis_of(std::uint32_t basis) {
  return basis == PLIMSOLL_BASIS_EXACT ? Basis::kExact : basis == PLIMSOLL_BASIS_BOUND ? Basis::kBound : Basis::kHeuristic;
}

std::string text(plimsoll_str s) {
  return s.data == nullptr ? std::string() : std::string(s.data, static_cast<std::size_t>(std::min<std::uint64_t>(s.size, 1024)));
}

} // namespace

Result<void> Ledger::add(Category category, Item item) {
  item.category = category;
  if (item.memory == MemoryKind::kHost) {
    std::uint64_t& sum = host_sums_[static_cast<std::size_t>(category)];
    for (const std::uint64_t bytes : item.bytes)
      if (__builtin_add_overflow(sum, bytes, &sum) || host_bytes() > kMaxSum)
        return fail(ErrorCode::kBadConfig, "the bytes in host memory do not fit 63 bits; check the sizes in the configuration");
  } else if (item.counted) {
    for (std::uint32_t rank = 0; rank < n_ranks_; ++rank) {
      std::uint64_t& sum = sums_[static_cast<std::size_t>(category) * n_ranks_ + rank];
      if (__builtin_add_overflow(sum, item.bytes[rank], &sum) || sum > kMaxSum)
        return fail(ErrorCode::kBadConfig, fmt::format("the {} bytes on rank {} do not fit 63 bits; check the sizes in the configuration",
                                                       category_name(category), rank));
    }
  }
  items_.push_back(std::move(item));
  return {};
}

Result<void> Ledger::add_all(Category category, std::string label, Basis basis, std::string_view planner, std::string formula,
                             std::uint64_t bytes) {
  Item item;
  item.label = std::move(label);
  item.basis = basis;
  item.planner = planner;
  item.formula = std::move(formula);
  item.bytes.assign(n_ranks_, bytes);
  return add(category, std::move(item));
}

std::uint64_t Ledger::host_bytes() const {
  Checked total = 0;
  for (const std::uint64_t sum : host_sums_) total += sum;
  return total.saturated();
}

std::uint64_t Ledger::used(std::uint32_t rank) const {
  Checked total = 0;
  for (std::size_t c = 0; c < kCategories; ++c) total += sums_[c * n_ranks_ + rank];
  return std::min(total.saturated(), kMaxSum);
}

namespace {

std::optional<Category> category_of(std::uint32_t category) {
  switch (category) {
  case PLIMSOLL_BYTES_ACTIVATION: return Category::kActivation;
  case PLIMSOLL_BYTES_SIGNAL: return Category::kSignalBuffer;
  case PLIMSOLL_BYTES_WORKSPACE: return Category::kWorkspace;
  default: return std::nullopt;
  }
}

} // namespace

Result<void> ItemCollector::on_item(const PlannerNode& node, const plimsoll_item& raw) {
  PLIMSOLL_TRY(gate_.check(node, raw, n_ranks_));
  const bool per_request = raw.lifetime == PLIMSOLL_PER_REQUEST;
  const std::uint64_t bytes = per_request ? (Checked(raw.bytes) * batch_).saturated() : raw.bytes;
  if (bytes > PLIMSOLL_MAX_ITEM_BYTES)
    return broken_item(node, raw,
                       fmt::format("{} bytes on a rank{}{}; at most {} are possible", raw.bytes,
                                   per_request ? fmt::format(" for each of {} requests", batch_) : "",
                                   raw.bytes > kMaxSum ? ", a negative number or one that wrapped" : "", PLIMSOLL_MAX_ITEM_BYTES));
  if (bytes == 0) return {};
  const bool transient = raw.lifetime == PLIMSOLL_TRANSIENT;
  const bool named = transient && raw.phase.size != 0;
  Item item;
  item.label = text(raw.label);
  item.basis = basis_of(raw.basis);
  item.planner = node.id();
  item.memory = raw.memory == PLIMSOLL_MEMORY_HOST ? MemoryKind::kHost : MemoryKind::kDevice;
  item.formula = text(raw.formula);
  if (per_request && !item.formula.empty()) item.formula = fmt::format("{} requests x ({})", batch_, item.formula);
  item.bytes.assign(n_ranks_, raw.rank == PLIMSOLL_ALL_RANKS ? bytes : 0);
  if (raw.rank != PLIMSOLL_ALL_RANKS) item.bytes[raw.rank] = bytes;
  const std::optional<std::size_t> phase = !transient ? std::nullopt : std::optional(named ? named_phase(text(raw.phase)) : n_phases_++);
  taken_.push_back({*category_of(raw.category), phase.has_value(), phase.value_or(0), std::move(item)});
  return {};
}

std::size_t ItemCollector::named_phase(std::string_view name) {
  for (const auto& [known, index] : phases_)
    if (known == name) return index;
  phases_.emplace_back(name, n_phases_);
  return n_phases_++;
}

void ItemCollector::add(Category category, std::string_view phase, Item item) {
  if (std::all_of(item.bytes.begin(), item.bytes.end(), [](std::uint64_t bytes) { return bytes == 0; })) return;
  const bool transient = !phase.empty();
  taken_.push_back({category, transient, transient ? named_phase(phase) : 0, std::move(item)});
}

Result<void> ItemCollector::settle(Ledger& ledger) {
  // winner[rank]: the phase with the most bytes there; ties go to the one that was named first.
  std::vector<std::size_t> winner(n_ranks_, 0);
  if (n_phases_ > 1)
    for (std::uint32_t rank = 0; rank < n_ranks_; ++rank) {
      std::vector<Checked> sums(n_phases_);
      for (const Taken& t : taken_)
        if (t.transient) sums[t.phase] += t.item.bytes[rank];
      for (std::size_t p = 1; p < n_phases_; ++p)
        if (sums[p].saturated() > sums[winner[rank]].saturated()) winner[rank] = p;
    }
  for (Taken& t : taken_) {
    if (t.transient) {
      const bool wins = std::any_of(winner.begin(), winner.end(), [&](std::size_t w) { return w == t.phase; });
      t.item.counted = wins;
      for (std::uint32_t rank = 0; wins && rank < n_ranks_; ++rank)
        if (winner[rank] != t.phase) t.item.bytes[rank] = 0;
    }
    PLIMSOLL_TRY(ledger.add(t.category, std::move(t.item)));
  }
  return {};
}

} // namespace plimsoll
