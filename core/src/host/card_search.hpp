// One card, and how many of it in which layout serve a demand: tries every layout of a number of devices, but for those whose weights
// cannot fit. For fit(). Reads what a plan of that card reads, once. Threads: any number of cards and numbers at once.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/asked.hpp"
#include "plimsoll/fit.hpp"
#include "search/demand.hpp"
#include "search/layout_search.hpp"

namespace plimsoll {

class CardSearch {
public:
  // What all cards have in common; outlives them.
  struct Task {
    const Context& context;
    const Model& model;
    const FitRequest& asked;
    std::atomic<std::uint64_t> plans{0};
  };

  // An attempt that was planned and does not serve.
  struct Miss {
    FitFailure failure;
    std::uint64_t short_bytes = 0;
  };
  struct Found {
    std::vector<FitRow> rows; // of the best layout; with FitRequest::all every one that serves
    std::uint64_t folded = 0; // other layouts that serve
  };

  // An error for what is no card, and for what is wrong of the request on any.
  static Result<CardSearch> create(Task& task, std::string card, std::optional<double> price);

  const std::optional<double>& price() const { return price_; }
  // Why the engine takes no such cards, or no such request on them: then there is nothing to be asked.
  const std::optional<Error>& refused() const { return refused_; }

  // What so many serve. Nothing for layouts that cannot be planned; an error is the model's or a plugin's.
  Result<Found> rows(std::uint32_t n) const;
  // The layout of so many that is short by the least; nothing where none can be planned, `why_not` then says why.
  Result<std::optional<Miss>> miss(std::uint32_t n, std::optional<Error>& why_not) const;

private:
  CardSearch(Task& task, std::string card, std::optional<double> price) : task_(&task), card_(std::move(card)), price_(price) {}
  struct Tries;
  Result<void> settle_rules();
  std::vector<LayoutRequest> layouts(std::uint32_t n) const;
  Result<void> try_layout(const LayoutRequest& one, std::uint32_t n, bool sparing, Tries& tries) const;
  FitRow row_of(const Plan& plan, const Demand::Served& served, FitLayout layout, std::uint32_t n) const;
  std::string devices(std::uint32_t n) const;

  Task* task_;
  std::string card_;
  std::optional<double> price_;
  std::shared_ptr<const Context::Asked> asked_for_; // on one such card
  std::shared_ptr<const PlanRequest> open_;         // with no degrees
  std::shared_ptr<const std::vector<Device>> devices_of_open_;
  std::optional<Settled> settled_; // of these two
  std::optional<Error> refused_;
  std::optional<Demand> demand_;
  LayoutRules rules_;
  LeastWeights least_;
};

} // namespace plimsoll
