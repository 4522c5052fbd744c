#include "capi/fit_request.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/fit.hpp"
#include "plimsoll/plan_task.hpp"

namespace plimsoll::capi {
namespace {

constexpr OptionInfo kOn{.name = "on", .kind = OptionKind::kTexts, .repeats = true};
constexpr OptionInfo kMaxDevices{.name = "max_devices", .kind = OptionKind::kNumber};
constexpr OptionInfo kFor{.name = "for", .kind = OptionKind::kText};
constexpr OptionInfo kPrices{.name = "prices", .kind = OptionKind::kDocument};
constexpr OptionInfo kAll{.name = "all", .kind = OptionKind::kSwitch};
// What is found and so not asked for.
constexpr std::array<std::string_view, 2> kFound{"devices", "layout"};

Result<std::uint32_t> device_count(const OptionValue& option) {
  std::uint32_t value = 0;
  const char* end = option.value.data() + option.value.size();
  const auto [stop, status] = std::from_chars(option.value.data(), end, value);
  if (status != std::errc() || stop != end || value < 1 || value > kMaxFitDevices)
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a whole number from 1 to {}", option.value.substr(0, 40), kMaxFitDevices),
                option.where);
  return value;
}

// {"H100": 2.49}.
Result<std::map<std::string, double>> prices_in_json(const OptionValue& option) {
  PLIMSOLL_ASSIGN(const Json prices, parse_json(option.value, option.where, ErrorCode::kBadRequest));
  std::map<std::string, double> out;
  for (const auto& [card, price] : prices.items()) {
    if (!price.is_number())
      return fail(ErrorCode::kBadRequest, "a price is a number, for an hour of one card", fmt::format("{}/{}", option.where, card));
    out[card] = price.get<double>();
  }
  return out;
}

} // namespace

Result<std::string> fit_document_of(const Context& context, const char* json) {
  const std::span<const OptionInfo> task_options = plan_task_options();
  std::vector<OptionInfo> also(task_options.begin(), task_options.end());
  also.push_back(kOn);
  for (const OptionInfo& info : {kMaxDevices, kFor, kPrices, kAll}) also.push_back(info);
  PLIMSOLL_ASSIGN(const std::vector<OptionValue> given, read_options_json(json, also));
  FitRequest asked;
  std::vector<OptionValue> options;
  for (const OptionValue& option : given) {
    if (std::find(kFound.begin(), kFound.end(), option.name) != kFound.end())
      return fail(ErrorCode::kBadRequest, fmt::format("fit finds {} itself; say with on and max_devices where it may look", option.name),
                  option.where);
    if (option.name == kOn.name) asked.on.push_back(option.value);
    else if (option.name == kMaxDevices.name) {
      PLIMSOLL_ASSIGN(asked.max_devices, device_count(option));
    } else if (option.name == kFor.name) {
      PLIMSOLL_ASSIGN(asked.demand, read_demand(option.value, option.where));
    } else if (option.name == kPrices.name) {
      PLIMSOLL_ASSIGN(asked.prices, prices_in_json(option));
    } else if (option.name == kAll.name) {
      asked.all = option.value == "true";
    } else options.push_back(option);
  }
  PLIMSOLL_ASSIGN(PlanTask task, make_plan_task(context, options));
  asked.request = std::move(task.request);
  PLIMSOLL_ASSIGN(const FitReport report, fit(context, task.model, asked));
  return fit_to_json(report);
}

} // namespace plimsoll::capi
