// What `explain` says of weights multiplies out: the formula of every exact weight item of every catalogue model, read as a person reads
// it and evaluated, is the bytes of its rank, over layouts that cut tensors, layers and experts.
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <regex>

#include "golden/model_files.hpp"
#include "support/built_context.hpp"

namespace plimsoll::testing {
namespace {

std::uint64_t number(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 10); }

// "256" or "256 / 8", the words after the numbers left out.
std::optional<std::uint64_t> factor(const std::string& text) {
  static const std::regex grammar(R"((\d+)(?: [a-z]+)?(?: / (\d+) ranks)?)");
  std::smatch found;
  if (!std::regex_match(text, found, grammar)) return std::nullopt;
  const std::uint64_t parts = found[2].matched ? number(found[2]) : 1;
  if (parts == 0 || number(found[1]) % parts != 0) return std::nullopt;
  return number(found[1]) / parts;
}

std::optional<std::uint64_t> product(std::string text) {
  std::uint64_t out = 1;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(" x "), text.size());
    const auto value = factor(text.substr(0, end));
    if (!value) return std::nullopt;
    out *= *value;
    text.erase(0, end + 3);
  }
  return out;
}

struct Value {
  std::uint64_t bytes = 0;
  bool sound = true; // a plain tensor has its elements times their size
};

// "58 layers x 256 experts / 8 ranks x [2048 x 7168] fp8_block_128x128 of 14683648 B", and sums of such.
std::optional<Value> evaluated(const std::string& formula) {
  static const std::regex term(R"(((?:[^\[\]]* x )?)\[([^\]]*)\] (\S+) of (\d+) B)");
  static const std::map<std::string, std::uint64_t> sizes{{"bfloat16", 2}, {"float16", 2}, {"float32", 4}, {"float8_e4m3fn", 1}};
  Value out;
  std::string rest = formula.substr(0, std::min(formula.find(", on "), formula.find(", in host")));
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(" + "), rest.size());
    const std::string one = rest.substr(0, end);
    rest.erase(0, end + 3);
    std::smatch found;
    if (!std::regex_match(one, found, term)) return std::nullopt;
    std::string before = found[1];
    if (!before.empty()) before.resize(before.size() - 3);
    const auto factors = product(before), elements = product(found[2]);
    if (!factors || !elements) return std::nullopt;
    out.bytes += *factors * number(found[4]);
    if (const auto size = sizes.find(found[3]); size != sizes.end()) out.sound = out.sound && *elements * size->second == number(found[4]);
  }
  return out;
}

struct Layout {
  const char* engine;
  const char* devices;
  std::uint32_t tp, pp, dp, ep;
};
constexpr std::array<Layout, 6> kLayouts{{{"max", "1xB200", 1, 1, 1, 1},
                                          {"vllm", "2xB200", 2, 1, 1, 1},
                                          {"vllm", "8xB200", 8, 1, 1, 8},
                                          {"sglang", "6xB200", 2, 3, 1, 1},
                                          {"max", "8xB200", 1, 1, 8, 8},
                                          {"llama.cpp", "3xB200", 1, 3, 1, 1}}};

class Formula : public ::testing::TestWithParam<std::string> {};

TEST_P(Formula, MultipliesOutToTheBytesOfARank) {
  std::string name = GetParam();
  if (const std::size_t at = name.find("__"); at != std::string::npos) name.replace(at, 2, "/");
  const auto model = test::built_context().load(name);
  ASSERT_TRUE(model) << model.error().message;
  std::size_t seen = 0;
  for (const Layout& layout : kLayouts) {
    PlanRequest request;
    request.engine = layout.engine;
    request.devices = layout.devices;
    request.tp = layout.tp;
    request.pp = layout.pp;
    request.dp = layout.dp;
    request.ep = layout.ep;
    request.explain = true;
    request.advise = false;
    const auto plan = test::built_context().plan(*model, request);
    if (!plan) continue; // a layout that the model cannot take
    for (const Item& item : plan->items) {
      if (item.category != Category::kWeights || item.basis != Basis::kExact) continue;
      for (std::size_t rank = 0; rank < item.bytes.size(); ++rank) {
        if (item.bytes[rank] == 0) continue;
        const std::string& formula = item.formula_on(rank);
        const auto value = evaluated(formula);
        ASSERT_TRUE(value) << layout.engine << ' ' << layout.devices << ' ' << item.label << ": " << formula;
        EXPECT_EQ(value->bytes, item.bytes[rank]) << layout.engine << ' ' << layout.devices << ' ' << item.label << ": " << formula;
        EXPECT_TRUE(value->sound) << item.label << ": " << formula;
        ++seen;
      }
    }
  }
  EXPECT_GT(seen, 0U) << "no layout of these was planned";
}

// Every third: families and storage formats lie close together in the catalogue.
std::vector<std::string> every_third() {
  std::vector<std::string> out;
  const std::vector<std::string> all = catalogue_names();
  for (std::size_t i = 0; i < all.size(); i += 3) out.push_back(all[i]);
  return out;
}
INSTANTIATE_TEST_SUITE_P(Catalogue, Formula, ::testing::ValuesIn(every_third()), test_name);

TEST(FormulaReader, ReadsWhatPeopleRead) {
  EXPECT_EQ(evaluated("58 layers x 256 experts / 8 ranks x [2048 x 7168] fp8_block_128x128 of 14683648 B")->bytes, 27252850688U);
  EXPECT_EQ(evaluated("[129280 / 8 ranks x 7168] bfloat16 of 231669760 B")->bytes, 231669760U);
  EXPECT_EQ(evaluated("3 layers x [7] bfloat16 of 14 B + [9] x_4 of 5 B, on every rank")->bytes, 47U);
  EXPECT_FALSE(evaluated("[7 x 9] bfloat16 of 14 B")->sound);
  for (const char* wrong : {"", "58 [7] bfloat16 of 14 B", "[7] bfloat16", "256 experts / 7 ranks x [7] bfloat16 of 14 B"})
    EXPECT_EQ(evaluated(wrong).value_or(Value{}).bytes, 0U) << wrong;
}

} // namespace
} // namespace plimsoll::testing
