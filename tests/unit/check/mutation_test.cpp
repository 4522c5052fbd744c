// Configurations that nobody meant: the same again from the same number, another from another, never another model.
#include <gtest/gtest.h>

#include "check/mutation.hpp"

namespace plimsoll::check {
namespace {

const Json& base() {
  static const Json config = Json::parse(R"({"architectures": ["A"], "model_type": "a", "hidden_size": 64, "deep": {"n": 3, "s": "x"}})");
  return config;
}

TEST(Mutation, IsTheSameFromTheSameNumber) {
  int changed = 0;
  for (std::uint64_t step = 0; step < 200; ++step) {
    const Json any = with_any_value(base(), 5, step), some = mutated(base(), 5, step);
    EXPECT_EQ(any, with_any_value(base(), 5, step));
    EXPECT_EQ(some, mutated(base(), 5, step));
    for (const Json& config : {any, some}) {
      EXPECT_EQ(config.at("architectures"), base().at("architectures"));
      EXPECT_EQ(config.at("model_type"), "a");
    }
    changed += any != base() ? 1 : 0;
  }
  EXPECT_GT(changed, 150);
  EXPECT_EQ(mutated(Json::object(), 1, 1), Json::object());
}

TEST(Mutation, OfARequestHasRanks) {
  for (std::uint64_t step = 0; step < 200; ++step) {
    const AnyRequest request = any_request(3, step);
    EXPECT_GE(request.tp, 1U);
    EXPECT_GE(request.pp, 1U);
    EXPECT_GE(request.dp, 1U);
    EXPECT_GE(request.ep, 1U);
    EXPECT_EQ(request.max_length, any_request(3, step).max_length);
  }
}

} // namespace
} // namespace plimsoll::check
