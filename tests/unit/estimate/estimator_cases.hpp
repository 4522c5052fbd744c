// Reads the estimator's example files for the table-driven tests of this room.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "plimsoll/estimate_json.hpp"

namespace plimsoll::cases {

using Json = nlohmann::ordered_json;

inline constexpr std::int64_t kGib = std::int64_t{1} << 30;

inline Json load(const std::string& name) {
  std::ifstream file(std::string(PLIMSOLL_TEST_DATA "/estimator/") + name + ".json");
  return Json::parse(file);
}

inline EstimateRequest request(const Json& json) {
  auto parsed = parse_estimate_request(json.dump());
  EXPECT_TRUE(parsed.has_value()) << parsed.error().where << ": " << parsed.error().message;
  return parsed.value_or(EstimateRequest{});
}

inline Json answer(const Json& json) { return Json::parse(estimate_line(json.dump())); }

} // namespace plimsoll::cases
