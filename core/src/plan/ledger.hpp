// The ledger of one plan: every item on every rank, and their sums by category; a total cannot
// disagree with its parts. Never drops an item: transients that a larger phase covers stay, marked as not counted. What is in host
// memory is summed by itself and is no part of a device.
// Threads: one plan, one thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/host.hpp"
#include "plugin/declaration_gate.hpp"
#include "plugin/sinks.hpp"

namespace plimsoll {

class Ledger {
public:
  explicit Ledger(std::uint32_t n_ranks) : n_ranks_(n_ranks), sums_(kCategories * static_cast<std::size_t>(n_ranks), 0) {
    items_.reserve(64);
  }

  std::uint32_t n_ranks() const { return n_ranks_; }
  // The same sums without the items that made them.
  Ledger sums() const {
    Ledger out(n_ranks_);
    out.sums_ = sums_;
    out.host_sums_ = host_sums_;
    return out;
  }
  // Adds the item to its category's sums; an error where a sum does not fit 63 bits.
  Result<void> add(Category category, Item item);
  // One figure for every rank.
  Result<void> add_all(Category category, std::string label, Basis basis, std::string_view planner, std::string formula,
                       std::uint64_t bytes);

  std::uint64_t sum(Category category, std::uint32_t rank) const { return sums_[static_cast<std::size_t>(category) * n_ranks_ + rank]; }
  // What stays in host memory, of all ranks.
  std::uint64_t host_sum(Category category) const { return host_sums_[static_cast<std::size_t>(category)]; }
  std::uint64_t host_bytes() const;
  // Sum over all categories on a rank.
  std::uint64_t used(std::uint32_t rank) const;
  std::vector<Item>& items() { return items_; }
  const std::vector<Item>& items() const { return items_; }

private:
  std::uint32_t n_ranks_;
  std::vector<std::uint64_t> sums_; // category-major
  std::array<std::uint64_t, kCategories> host_sums_{};
  std::vector<Item> items_;
};

// Takes what planners emit for a request and settles which phase of a forward pass counts on each rank.
class ItemCollector : public Collector {
public:
  // `batch`: requests that what is of each request counts for.
  ItemCollector(std::uint32_t n_ranks, std::uint64_t batch) : n_ranks_(n_ranks), batch_(batch) {}
  Result<void> on_item(const PlannerNode& node, const plimsoll_item& item) override;
  // Bytes on every rank; those of a phase are transient. Items without bytes are dropped.
  void add(Category category, std::string_view phase, Item item);
  // Moves everything into the ledger: residents as they are, of the transients on each rank the largest phase.
  Result<void> settle(Ledger& ledger);

private:
  struct Taken {
    Category category;
    bool transient;
    std::size_t phase; // of n_phases_
    Item item;
  };
  std::uint32_t n_ranks_;
  std::uint64_t batch_;
  std::vector<Taken> taken_;
  std::size_t named_phase(std::string_view name);
  DeclarationGate gate_;
  std::size_t n_phases_ = 0;                                // those without a name too
  std::vector<std::pair<std::string, std::size_t>> phases_; // with names; few, so that a search is short
};

} // namespace plimsoll
