// Properties of plans over the catalogue's models, engines, cards and options, through the C API. Deterministic:
//   PLIMSOLL_PROPERTY_SEED=7 PLIMSOLL_PROPERTY_REQUESTS=100000 property_tests     other requests, more of them
//   PLIMSOLL_PROPERTY_REQUEST='{"model": ..., ...}' property_tests                 that one alone, every property
// A property that fails prints, for each engine and kind of failure, how often and the smallest request found, as a command and as JSON.
#include <algorithm>
#include <cstdlib>
#include <gtest/gtest.h>
#include <map>

#include "property/properties.hpp"
#include "property/shrink.hpp"

namespace plimsoll::property {
namespace {

#ifndef PLIMSOLL_PROPERTY_DEFAULT
#define PLIMSOLL_PROPERTY_DEFAULT 10'000
#endif

std::uint64_t environment_number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

struct Failures {
  std::size_t times = 0;
  Request smallest;
  std::string violation;
};
struct Found {
  std::map<std::string, std::map<std::string, Failures>> failures; // by property, then by engine and kind
  std::uint64_t requests = 0, planned = 0, holding = 0;
};

void try_all(const Request& request, std::uint64_t number, Found& found) {
  const Answer answer = plan(request.json());
  ++found.requests;
  if (answer.planned()) ++found.planned;
  if (answer.holds()) ++found.holding;
  for (const Property& property : properties()) {
    if (number % property.once_in != 0) continue;
    std::string violation = property.violation(request, answer);
    if (violation.empty()) continue;
    Failures& failures = found.failures[property.name][engine_of(request) + ", " + kind_of(violation)];
    const bool smaller = failures.times == 0 || size_of(request) < size_of(failures.smallest);
    ++failures.times;
    if (!smaller) continue;
    failures.smallest = request;
    failures.violation = std::move(violation);
  }
}

// All requests, once a program.
const Found& found() {
  static const Found kFound = [] {
    Found out;
    if (const char* one = std::getenv("PLIMSOLL_PROPERTY_REQUEST")) {
      try_all(request_of_json(one), 0, out);
      return out;
    }
    Generator generator(environment_number("PLIMSOLL_PROPERTY_SEED", 1));
    const std::uint64_t requests = environment_number("PLIMSOLL_PROPERTY_REQUESTS", PLIMSOLL_PROPERTY_DEFAULT);
    for (std::uint64_t number = 0; number < requests; ++number) try_all(generator.next(), number, out);
    return out;
  }();
  return kFound;
}

class PlanProperty : public testing::TestWithParam<std::string> {};

TEST_P(PlanProperty, Holds) {
  const auto broken = found().failures.find(GetParam());
  if (broken == found().failures.end()) return;
  const auto property = std::find_if(properties().begin(), properties().end(), [](const Property& p) { return p.name == GetParam(); });
  for (const auto& [kind, failures] : broken->second) {
    const Request small = shrunk(failures.smallest, *property);
    ADD_FAILURE() << failures.times << " requests, " << kind << "\n  " << property->violation(small, plan(small.json())) << "\n  "
                  << small.command() << "\n  " << small.json();
  }
}

// Properties of plans say nothing where hardly a request is planned.
TEST(PlanProperties, ManyRequestsArePlannedAndManyOfThemHold) {
  if (std::getenv("PLIMSOLL_PROPERTY_REQUEST") != nullptr) GTEST_SKIP() << "one request alone";
  EXPECT_GT(found().planned, found().requests * 4 / 10);
  EXPECT_GT(found().holding, found().requests * 15 / 100);
}

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const Property& property : properties()) out.push_back(property.name);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Catalogue, PlanProperty, testing::ValuesIn(names()),
                         [](const testing::TestParamInfo<std::string>& info) { return info.param; });

} // namespace
} // namespace plimsoll::property
