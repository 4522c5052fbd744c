#include "plimsoll/fit.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "base/workers.hpp"
#include "device/catalogue.hpp"
#include "host/card_search.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

// One kind of device, not a list of them: "2xH100" would read as two nodes of something.
bool is_one_kind(const std::string& card) {
  const std::size_t digits = std::min(card.find_first_not_of("0123456789 \t"), card.size());
  const bool counted = digits > 0 && digits < card.size() && (card[digits] == 'x' || card[digits] == 'X');
  return !card.empty() && card != "auto" && !counted && card.find(',') == std::string::npos;
}

Result<void> check_request(const FitRequest& request) {
  if (request.max_devices < 1 || request.max_devices > kMaxFitDevices)
    return fail(ErrorCode::kBadRequest, fmt::format("{} devices; between 1 and {} are tried", request.max_devices, kMaxFitDevices),
                "--max-devices");
  if (request.on.size() > kMaxFitCards)
    return fail(ErrorCode::kBadRequest, fmt::format("{} cards; at most {} are tried", request.on.size(), kMaxFitCards), "--on");
  for (const std::string& card : request.on)
    if (!is_one_kind(card))
      return fail(ErrorCode::kBadRequest,
                  fmt::format("'{}' is no card and no size; name one kind each, as H100 or 80GiB", card.substr(0, 60)), "--on");
  if (request.request.nodes && (*request.request.nodes < 1 || *request.request.nodes > request.max_devices))
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} nodes have at least a device each, and at most {} are tried; give --max-devices", *request.request.nodes,
                            request.max_devices),
                "--nodes");
  if (request.demand.size() > kMaxFitDemands)
    return fail(ErrorCode::kBadRequest, fmt::format("{} kinds of requests; at most {} are taken", request.demand.size(), kMaxFitDemands),
                "--for");
  if (!request.demand.empty() && (request.request.max_length || request.request.max_length_auto || request.request.max_batch_size))
    return fail(ErrorCode::kBadRequest, "says how many requests of which lengths; leave out --length and --concurrency", "--for");
  std::uint64_t sum = 0;
  for (const FitDemand& part : request.demand) {
    if (part.requests < 1 || part.requests > kMaxSequences || part.length_tokens < 1 || part.length_tokens > kMaxTokens)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("{} requests of {} tokens; 1 to {} of 1 to {} were expected", part.requests, part.length_tokens,
                              kMaxSequences, kMaxTokens),
                  "--for");
    sum += part.requests;
  }
  if (sum > kMaxSequences)
    return fail(ErrorCode::kBadRequest, fmt::format("{} requests at once; at most {} are planned", sum, kMaxSequences), "--for");
  for (const auto& [name, price] : request.prices)
    if (!(price >= 0 && price <= kMaxPrice))
      return fail(ErrorCode::kBadRequest,
                  fmt::format("{} is no price of {}; 0 to {:.0f} were expected", price, name.substr(0, 60), kMaxPrice), "--prices");
  return {};
}

// Where nothing on a card serves.
using Nearest = std::optional<CardSearch::Miss>;
void keep_nearest(Nearest& nearest, Nearest other) {
  if (other && (!nearest || other->short_bytes < nearest->short_bytes)) nearest = std::move(other);
}

// Fewest devices first, then the lower price, then more headroom.
auto rank_of(const FitRow& row) {
  return std::tuple(row.n_devices, !row.price, row.price.value_or(0), std::numeric_limits<std::uint64_t>::max() - row.headroom_bytes);
}

// What became of one card.
struct CardRows {
  CardSearch::Found found;
  std::optional<Error> failed;
};

class Fitter {
public:
  Fitter(const FitRequest& asked, std::vector<CardSearch> cards) : asked_(asked), cards_(std::move(cards)), rows_(cards_.size()) {
    const std::uint32_t step = asked.request.nodes.value_or(1);
    for (std::uint32_t n = step; n <= asked.max_devices; n += step) counts_.push_back(n);
  }

  Result<FitReport> run() {
    on_all_cores(cards_.size(), [&](std::size_t card) { search(card); });
    FitReport out;
    for (std::size_t card = 0; card < cards_.size(); ++card) {
      CardRows& here = rows_[card];
      if (here.failed) return tl::unexpected(std::move(*here.failed));
      out.folded_rows += here.found.folded;
      for (FitRow& row : here.found.rows) rows_of_cards_.emplace_back(std::move(row), card);
    }
    sort();
    if (!asked_.all) out.folded_rows += fold();
    Nearest nearest;
    PLIMSOLL_TRY(rows_of_cards_.empty() ? find_nearest(nearest) : find_next_smaller(nearest));
    for (auto& [row, card] : rows_of_cards_) out.rows.push_back(std::move(row));
    if (nearest) out.first_failure = std::move(nearest->failure);
    return out;
  }

private:
  // The fewest that serve, in their best layout; of all numbers where all are asked for.
  void search(std::size_t card) {
    CardRows& here = rows_[card];
    for (std::size_t at = 0; at < counts_.size(); ++at) {
      auto found = cards_[card].rows(counts_[at]);
      if (!found) {
        here.failed = std::move(found.error());
        return advance(counts_.size() - at);
      }
      here.found.folded += found->folded;
      std::move(found->rows.begin(), found->rows.end(), std::back_inserter(here.found.rows));
      if (!asked_.all && !here.found.rows.empty()) return advance(counts_.size() - at);
      advance(1);
    }
  }

  void advance(std::size_t steps) {
    if (!asked_.progress) return;
    const std::lock_guard lock(mutex_);
    done_ += steps;
    asked_.progress(done_, cards_.size() * counts_.size());
  }

  void sort() {
    std::stable_sort(rows_of_cards_.begin(), rows_of_cards_.end(),
                     [](const auto& a, const auto& b) { return rank_of(a.first) < rank_of(b.first); });
  }

  // Takes away what another card makes needless.
  std::uint64_t fold() {
    const auto needless = [&](const auto& row) {
      return std::any_of(rows_of_cards_.begin(), rows_of_cards_.end(), [&](const auto& other) {
        return other.second != row.second && beats(other.first, row.first) && (!beats(row.first, other.first) || other.second < row.second);
      });
    };
    std::vector<std::pair<FitRow, std::size_t>> kept;
    for (const auto& row : rows_of_cards_)
      if (!needless(row)) kept.push_back(row);
    const std::uint64_t folded = rows_of_cards_.size() - kept.size();
    rows_of_cards_ = std::move(kept);
    return folded;
  }
  static bool beats(const FitRow& a, const FitRow& b) {
    return a.price && b.price && a.n_devices <= b.n_devices && *a.price <= *b.price && a.total_requests >= b.total_requests &&
           a.headroom_bytes >= b.headroom_bytes;
  }

  // Of the first row that has one: of its card the next smaller number that can be laid out and does not serve.
  Result<void> find_next_smaller(Nearest& nearest) const {
    std::set<std::size_t> looked_at;
    std::optional<Error> ignored;
    for (const auto& [row, card] : rows_of_cards_) {
      if (!looked_at.insert(card).second) continue; // the fewest of a card come first
      for (auto n = counts_.rbegin(); n != counts_.rend() && !nearest; ++n) {
        if (*n >= row.n_devices) continue;
        PLIMSOLL_ASSIGN(nearest, cards_[card].miss(*n, ignored));
      }
      if (nearest) return {};
    }
    return {};
  }

  // Of every card the largest number that can be laid out, and of these what is short by the least.
  Result<void> find_nearest(Nearest& nearest) {
    std::vector<Nearest> of_cards(cards_.size());
    std::vector<std::optional<Error>> why_not(cards_.size());
    on_all_cores(cards_.size(), [&](std::size_t card) {
      for (auto n = counts_.rbegin(); n != counts_.rend() && !of_cards[card] && !rows_[card].failed; ++n) {
        auto miss = cards_[card].miss(*n, why_not[card]);
        if (miss) of_cards[card] = std::move(*miss);
        else rows_[card].failed = std::move(miss.error());
        if (cards_[card].refused()) break;
      }
    });
    for (std::size_t card = 0; card < cards_.size(); ++card) {
      if (rows_[card].failed) return tl::unexpected(std::move(*rows_[card].failed));
      keep_nearest(nearest, std::move(of_cards[card]));
    }
    for (std::optional<Error>& why : why_not)
      if (!nearest && why) return tl::unexpected(std::move(*why));
    if (!nearest)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("no number of up to {} devices has the degrees that are given; leave some of them out", asked_.max_devices),
                  "--max-devices");
    return {};
  }

  const FitRequest& asked_;
  const std::vector<CardSearch> cards_;
  std::vector<std::uint32_t> counts_;
  std::vector<CardRows> rows_;
  std::vector<std::pair<FitRow, std::size_t>> rows_of_cards_; // with the card
  std::mutex mutex_;
  std::uint64_t done_ = 0;
};

// Prices by the cards that are tried: a name is a card as it was asked for, or one of the catalogue under any of its names.
Result<std::vector<std::optional<double>>> prices_of(const std::vector<std::string>& cards, const FitRequest& request,
                                                     const std::vector<DeviceCard>& catalogue) {
  std::map<std::string, std::string> card_of_name; // by key
  for (const DeviceCard& card : catalogue) {
    card_of_name[device_name_key(card.name)] = card.name;
    for (const std::string& alias : card.aliases) card_of_name.emplace(device_name_key(alias), card.name);
  }
  const auto own_name = [&](const std::string& name) {
    const auto found = card_of_name.find(device_name_key(name));
    return found == card_of_name.end() ? device_name_key(name) : found->second;
  };
  std::map<std::string, std::pair<std::string, double>> prices;
  for (const auto& [name, price] : request.prices) {
    const bool asked = std::find(cards.begin(), cards.end(), name) != cards.end();
    if (!asked && !card_of_name.contains(device_name_key(name)))
      return fail(ErrorCode::kBadRequest,
                  fmt::format("'{}' has a price and is no card of the catalogue, nor one that is asked for; plimsoll devices lists them",
                              name.substr(0, 60)),
                  "--prices");
    const auto [before, is_new] = prices.emplace(own_name(name), std::pair(name, price));
    if (!is_new && before->second.second != price)
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("'{}' and '{}' are one card, and have two prices; keep one", before->second.first.substr(0, 60), name.substr(0, 60)),
          "--prices");
  }
  std::vector<std::optional<double>> out;
  for (const std::string& card : cards) {
    const auto found = prices.find(own_name(card));
    out.push_back(found == prices.end() ? std::nullopt : std::optional(found->second.second));
  }
  return out;
}

} // namespace

namespace {

Result<FitReport> fit_as_one(const Context& context, const Model& model, const FitRequest& request) {
  PLIMSOLL_TRY(check_request(request));
  std::vector<std::string> names = request.on;
  std::vector<DeviceCard> catalogue;
  if (names.empty() || !request.prices.empty()) {
    PLIMSOLL_ASSIGN(catalogue, context.device_catalogue());
  }
  if (names.empty())
    for (const DeviceCard& card : catalogue)
      if (card.kind == "gpu") names.push_back(card.name);
  PLIMSOLL_ASSIGN(const std::vector<std::optional<double>> prices, prices_of(names, request, catalogue));
  CardSearch::Task task{context, model, request, {}};
  std::vector<CardSearch> cards;
  for (std::size_t at = 0; at < names.size(); ++at) {
    PLIMSOLL_ASSIGN(CardSearch card, CardSearch::create(task, names[at], prices[at]));
    cards.push_back(std::move(card));
  }
  PLIMSOLL_ASSIGN(FitReport out, Fitter(request, std::move(cards)).run());
  out.plans = task.plans;
  for (FitRow& row : out.rows)
    if (!request.request.quantize.empty()) row.quantize = request.request.quantize.front();
  return out;
}

} // namespace

Result<FitReport> fit(const Context& context, const Model& model, const FitRequest& request) {
  const std::vector<std::string>& methods = request.request.quantize;
  if (methods.size() < 2) return fit_as_one(context, model, request);
  FitReport out;
  FitRequest one = request;
  for (std::size_t at = 0; at < methods.size(); ++at) {
    one.request.quantize = {methods[at]};
    if (request.progress)
      one.progress = [&, at](std::uint64_t done, std::uint64_t of) { request.progress(at * of + done, methods.size() * of); };
    PLIMSOLL_ASSIGN(FitReport found, fit_as_one(context, model, one));
    std::move(found.rows.begin(), found.rows.end(), std::back_inserter(out.rows));
    if (!out.first_failure) out.first_failure = std::move(found.first_failure);
    out.folded_rows += found.folded_rows;
    out.plans += found.plans;
  }
  std::stable_sort(out.rows.begin(), out.rows.end(), [](const FitRow& a, const FitRow& b) { return rank_of(a) < rank_of(b); });
  return out;
}

} // namespace plimsoll
