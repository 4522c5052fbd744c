// plimsoll/fit.hpp - which cards, how many of them and in which layout serve a model.
//
//   plimsoll::FitRequest asked;
//   asked.on = {"H100", "L40S"};
//   asked.demand = {{64, 8192}, {4, 131072}};
//   plimsoll::fit(context, model, asked).value().rows;
//
// Every answer is a plan that was made. Threads: a function of its arguments, which uses all cores of the machine meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

inline constexpr std::uint32_t kMaxFitDevices = 64; // of one kind
inline constexpr std::size_t kMaxFitCards = 256;    // in FitRequest::on
inline constexpr std::size_t kMaxFitDemands = 16;   // in FitRequest::demand
inline constexpr double kMaxPrice = 1e9;            // in FitRequest::prices

// So many requests at once of so many tokens each, prompt and answer.
struct FitDemand {
  std::uint64_t requests = 1, length_tokens = 0;
};

struct FitRequest {
  std::vector<std::string> on;   // cards of the catalogue, or sizes as "80GiB"; empty: every GPU of the catalogue
  std::uint32_t max_devices = 8; // of each card; at most kMaxFitDevices
  std::vector<FitDemand> demand; // what has to be held at once, of all replicas together; empty: what `request` says
  PlanRequest request; // max_batch_size requests of max_length, where it says so; one of the model's own length where it does not.
                       // Degrees of parallelism that it gives are kept; devices are found here. Of several quantize methods each has
                       // rows of its own, ranked with the others'
  std::map<std::string, double> prices; // of one card for an hour, by its name or alias or as `on` has it
  bool all = false;                     // also rows that another one makes needless
  // Called now and then with what is done of all there is to do, from any thread and never from two at once.
  std::function<void(std::uint64_t done, std::uint64_t of)> progress;
};

struct FitLayout {
  std::uint32_t tp = 1, pp = 1, dp = 1, ep = 1;
  std::uint32_t context_parallel = 1;      // ranks of tp that share the context of a request; with engines that can
  std::vector<std::uint32_t> stage_layers; // of each pipeline stage; empty: balanced, or as the engine deals them
};

struct FitRow {
  std::string devices; // as --devices takes it: "2xH100"
  std::uint32_t n_devices = 1;
  FitLayout layout;
  Verdict verdict = Verdict::kFits; // or kTight
  double capacity_requests = 0;     // requests of max_length at once, of one replica: the plan's figure
  std::uint64_t headroom_bytes = 0; // of its budget that the fullest device needs for nothing of what was asked for
  std::optional<double> price;      // of all devices for an hour
  std::string plan_command;         // the whole line that plans it, for a shell
  double total_requests = 0;        // capacity_requests of all replicas; of engines with a given number of slots, these
  std::uint64_t max_length = 0;     // tokens of one request; of engines whose slots share a context, that of the context
  std::string quantize;             // the method of PlanRequest::quantize that it was planned with; empty where none was asked for
};

struct FitFailure {
  std::string devices;
  FitLayout layout;
  Error error; // which limit broke
};

struct FitReport {
  // Of each card the fewest that serve the model, in the layout that serves it best: the one with the fewest stages, of these with the most
  // headroom; where nobody said how many requests, of those that hold nearly the most. Of cards with prices none for which another one
  // needs no more devices, costs no more, and has no fewer requests and no less headroom. With FitRequest::all every number of devices in
  // every layout. Fewest devices first, then the lower price, then more headroom.
  std::vector<FitRow> rows;
  // The nearest that does not: the next smaller number of the first row's card, or of the first that has one; where nothing serves what is
  // short by the least.
  std::optional<FitFailure> first_failure;
  std::uint64_t folded_rows =
      0;                   // that serve it too, and are not among the rows; those that FitRequest::all would have found are not counted
  std::uint64_t plans = 0; // that were made for this
};

// kBadRequest for a card that is none, a price of none, and for limits above; an error of the model's or a plugin's as planning has it;
// that of a single device where no layout can be planned at all.
Result<FitReport> PLIMSOLL_API fit(const Context& context, const Model& model, const FitRequest& request);

// The document `plimsoll.fit/1`; its price is null where none is known.
std::string PLIMSOLL_API fit_to_json(const FitReport& report, int indent = 2);

// "64x8K,4x128K": so many requests of so many tokens, as --max-length takes them (K is 1,024, k 1,000); "8K" is one request. kBadRequest
// names `where`.
Result<std::vector<FitDemand>> PLIMSOLL_API read_demand(std::string_view text, const std::string& where);
// A YAML file of prices, `H100: 2.49`, a card a line, in any currency. kBadRequest names file:line.
Result<std::map<std::string, double>> PLIMSOLL_API read_prices(const std::string& path);

} // namespace plimsoll
