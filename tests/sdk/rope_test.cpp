// The frequencies of rotary embeddings against numbers worked out apart, and how configurations say which.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "plimsoll/plugin.hpp"

namespace rope_tests {
namespace {

using namespace plimsoll;
using ::testing::HasSubstr;

// A configuration whose values are numbers and texts by pointer; objects and lists are what their members' pointers say.
struct Facts {
  std::map<std::string, double> numbers;
  std::map<std::string, std::string> texts;
  std::map<std::string, bool> flags;

  std::vector<std::string> members(const std::string& pointer) const {
    std::vector<std::string> out;
    const auto note = [&](const std::string& key) {
      if (key.rfind(pointer + "/", 0) != 0) return;
      const std::string name = key.substr(pointer.size() + 1, key.find('/', pointer.size() + 1) - pointer.size() - 1);
      if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
    };
    for (const auto& [key, value] : numbers) note(key);
    for (const auto& [key, value] : texts) note(key);
    for (const auto& [key, value] : flags) note(key);
    return out;
  }
};
const Facts& of(const plimsoll_view* view) { return *reinterpret_cast<const Facts*>(view); }

template <class Map>
const typename Map::mapped_type* found(const Map& map, plimsoll_str pointer) {
  const auto it = map.find(std::string(to_view(pointer)));
  return it == map.end() ? nullptr : &it->second;
}
plimsoll_status absent(const Facts& facts, plimsoll_str pointer) {
  const bool other = found(facts.numbers, pointer) != nullptr || found(facts.texts, pointer) != nullptr ||
                     found(facts.flags, pointer) != nullptr || !facts.members(std::string(to_view(pointer))).empty();
  return other ? PLIMSOLL_E_TYPE : PLIMSOLL_E_NOT_FOUND;
}

const plimsoll_host& host() {
  static const plimsoll_host built = [] {
    plimsoll_host h{};
    h.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_host, planner_for);
    h.get_f64 = [](const plimsoll_view* v, plimsoll_str p, double* out) noexcept -> plimsoll_status {
      const double* number = found(of(v).numbers, p);
      if (number != nullptr) *out = *number;
      return number != nullptr ? PLIMSOLL_OK : absent(of(v), p);
    };
    h.get_u64 = [](const plimsoll_view* v, plimsoll_str p, std::uint64_t* out) noexcept -> plimsoll_status {
      const double* number = found(of(v).numbers, p);
      if (number != nullptr) *out = static_cast<std::uint64_t>(*number);
      return number != nullptr ? PLIMSOLL_OK : absent(of(v), p);
    };
    h.get_str = [](const plimsoll_view* v, plimsoll_str p, plimsoll_str* out) noexcept -> plimsoll_status {
      const std::string* text = found(of(v).texts, p);
      if (text != nullptr) *out = to_str(*text);
      return text != nullptr ? PLIMSOLL_OK : absent(of(v), p);
    };
    h.get_bool = [](const plimsoll_view* v, plimsoll_str p, std::uint32_t* out) noexcept -> plimsoll_status {
      const bool* flag = found(of(v).flags, p);
      if (flag != nullptr) *out = *flag ? 1 : 0;
      return flag != nullptr ? PLIMSOLL_OK : absent(of(v), p);
    };
    h.get_len = [](const plimsoll_view* v, plimsoll_str p, std::uint64_t* out) noexcept -> plimsoll_status {
      *out = of(v).members(std::string(to_view(p))).size();
      return *out != 0 ? PLIMSOLL_OK : PLIMSOLL_E_NOT_FOUND;
    };
    h.get_key = [](const plimsoll_view* v, plimsoll_str p, std::uint64_t index, plimsoll_str* out) noexcept -> plimsoll_status {
      static thread_local std::vector<std::string> keys;
      keys = of(v).members(std::string(to_view(p)));
      if (index >= keys.size()) return PLIMSOLL_E_NOT_FOUND;
      static thread_local std::map<std::string, std::string> kept; // texts live as long as the view
      *out = to_str(kept.emplace(keys[index], keys[index]).first->second);
      return PLIMSOLL_OK;
    };
    return h;
  }();
  return built;
}
Config config(const Facts& facts) { return {&host(), reinterpret_cast<const plimsoll_view*>(&facts)}; }

RopeFrequencies read(const Facts& facts, std::uint64_t head, std::string_view layer_type = {}) {
  const Config c = config(facts);
  const RopeKeys keys(c, layer_type);
  return keys.frequencies(keys.columns(head));
}
Error refusal(const Facts& facts, std::uint64_t head = 64) {
  try {
    read(facts, head);
  } catch (const Error& e) {
    return e;
  }
  return {PLIMSOLL_OK, "", ""};
}
Facts with(Facts facts, const std::map<std::string, double>& numbers, const std::map<std::string, std::string>& texts = {}) {
  for (const auto& [key, value] : numbers) facts.numbers[key] = value;
  for (const auto& [key, value] : texts) facts.texts[key] = value;
  return facts;
}

struct Pair {
  std::size_t pair;
  double frequency;
};
void expect_pairs(const RopeFrequencies& rope, std::initializer_list<Pair> pairs) {
  for (const Pair& p : pairs) EXPECT_NEAR(rope.inverse.at(p.pair), p.frequency, 1e-12 * std::abs(p.frequency)) << p.pair;
}

TEST(Rope, IsPlain) {
  expect_pairs(rope::plain(10000, 4), {{0, 1}, {1, 0.01}});
  expect_pairs(rope::plain(500000, 128), {{32, 0.0014142135623730950}});
  EXPECT_EQ(rope::plain(10000, 128).columns(), 128U);
  for (const std::uint64_t columns : {0U, 3U, 8194U}) EXPECT_THROW(rope::plain(10000, columns), Error) << columns;
  for (const double theta : {0.0, 1.0, -2.0, std::nan("")}) EXPECT_THROW(rope::plain(theta, 64), Error) << theta;
}

// Llama 3.1, theta 500000, heads of 128: the band between waves of 2048 and 8192 tokens is pairs 29 to 34.
TEST(Rope, GoesOverInLlama3) {
  const RopeFrequencies usual = rope::plain(500000, 128), scaled = rope::llama3(usual, {8, 1, 4, 8192});
  for (const std::size_t pair : {0U, 28U}) EXPECT_DOUBLE_EQ(scaled.inverse[pair], usual.inverse[pair]);
  expect_pairs(scaled, {{29, 0.002166570763503359}, {30, 0.0013718935677611381}, {32, 0.0005248461609929547}, {34, 0.0001785078127679964}});
  for (const std::size_t pair : {35U, 63U}) EXPECT_DOUBLE_EQ(scaled.inverse[pair], usual.inverse[pair] / 8);
  EXPECT_EQ(scaled.attention_factor, 1);
}

// Gemma 4's full layers: of 256 pairs the first 64 turn, as they do in a whole head.
TEST(Rope, TurnsTheFirstPairsInProportional) {
  const RopeFrequencies usual = rope::plain(1e6, 512), some = rope::proportional(1e6, 512, 0.25, 1);
  ASSERT_EQ(some.inverse.size(), 256U);
  EXPECT_EQ(some.inverse[0], 1);
  EXPECT_EQ(some.inverse[63], usual.inverse[63]);
  EXPECT_NEAR(some.inverse[63], 0.0334, 1e-4);
  EXPECT_EQ(some.inverse[64], 0);
  EXPECT_EQ(some.inverse[255], 0);
  EXPECT_EQ(rope::proportional(1e6, 512, 0.25, 8).inverse[1], usual.inverse[1] / 8);
  EXPECT_EQ(rope::proportional(1e6, 512, 1, 1).inverse, usual.inverse);
}

// DeepSeek-V3: the ramp lies between pairs 10 and 23, and both magnitudes are alike.
TEST(Rope, RampsInYarn) {
  const RopeFrequencies usual = rope::plain(10000, 64), v3 = rope::yarn(10000, 64, {40, 4096, 32, 1, 0, 1, 1, true});
  EXPECT_DOUBLE_EQ(v3.inverse[10], usual.inverse[10]);
  expect_pairs(v3, {{11, 0.03900692656714386}, {16, 0.0055}, {22, 0.0001778279410038922}});
  for (const std::size_t pair : {23U, 31U}) EXPECT_DOUBLE_EQ(v3.inverse[pair], usual.inverse[pair] / 40);
  EXPECT_EQ(v3.attention_factor, 1);
  EXPECT_NEAR(rope::yarn_magnitude(40, 1), 1.3688879454113936, 1e-15);
  EXPECT_NEAR(rope::yarn_magnitude(40, 0.707), 1.2608037774058554, 1e-15);
  EXPECT_EQ(rope::yarn_magnitude(1, 1), 1);
}

// gpt-oss leaves the ends of the ramp as they are: 8.0928 and 17.3980.
TEST(Rope, DoesNotRoundTheRampWhereItIsNotTo) {
  const RopeFrequencies oss = rope::yarn(150000, 64, {32, 4096, 32, 1, 0, 0, 0, false});
  expect_pairs(oss, {{8, 0.050813274815461475}, {9, 0.03170569618466377}, {12, 0.006794959489732219}, {17, 0.0001293187012450632}});
  EXPECT_NEAR(oss.attention_factor, 1.3465735902799727, 1e-15);
  EXPECT_EQ(rope::yarn(150000, 64, {32, 4096, 32, 1, 0.5, 0, 0, true}).attention_factor, 0.5);
  // A given pair of magnitudes: their quotient.
  EXPECT_NEAR(rope::yarn(10000, 64, {40, 4096, 32, 1, 0, 0.707, 1, true}).attention_factor, 1.2608037774058554 / 1.3688879454113936, 1e-15);
}

TEST(Rope, HasTwoListsInLongrope) {
  const RopeFrequencies phi = rope::longrope(10000, 4, {{1, 2}, {4, 8}, 32, 0, 4096});
  EXPECT_THAT(phi.inverse, ::testing::ElementsAre(1, 0.005));
  EXPECT_THAT(phi.long_inverse, ::testing::ElementsAre(0.25, 0.00125));
  EXPECT_NEAR(phi.attention_factor, 1.1902380714238083, 1e-15);
  EXPECT_EQ(phi.long_attention_factor, phi.attention_factor);
  EXPECT_EQ(phi.long_beyond_tokens, 4096U);
  EXPECT_EQ(rope::longrope(10000, 4, {{1, 2}, {4, 8}, 1, 0, 4096}).attention_factor, 1);
  EXPECT_THROW(rope::longrope(10000, 4, {{1}, {4, 8}, 32, 0, 4096}), Error);
}

const Facts kPlain{{{"/rope_theta", 10000}}, {}, {}};

TEST(RopeKeys, ReadOlderAndNewerConfigurations) {
  EXPECT_EQ(read(kPlain, 64).inverse, rope::plain(10000, 64).inverse);
  const Facts newer{{{"/rope_parameters/rope_theta", 500000}}, {{"/rope_parameters/rope_type", "default"}}, {}};
  EXPECT_EQ(read(newer, 64).inverse, rope::plain(500000, 64).inverse);
  // Older files say "type".
  const Facts linear = with(kPlain, {{"/rope_scaling/factor", 4}}, {{"/rope_scaling/type", "linear"}});
  EXPECT_EQ(read(linear, 64).inverse, rope::linear(rope::plain(10000, 64), 4).inverse);
  // An object for each type of layer.
  const Facts layered =
      with({},
           {{"/rope_parameters/full_attention/rope_theta", 1e6},
            {"/rope_parameters/full_attention/factor", 8},
            {"/rope_parameters/sliding_attention/rope_theta", 1e4}},
           {{"/rope_parameters/full_attention/rope_type", "linear"}, {"/rope_parameters/sliding_attention/rope_type", "default"}});
  EXPECT_EQ(read(layered, 64, "full_attention").inverse, rope::linear(rope::plain(1e6, 64), 8).inverse);
  EXPECT_EQ(read(layered, 64, "sliding_attention").inverse, rope::plain(1e4, 64).inverse);
}

TEST(RopeKeys, TurnPartOfAHead) {
  EXPECT_EQ(read(with(kPlain, {{"/partial_rotary_factor", 0.75}}), 128).columns(), 96U);
  const Facts newer = with({}, {{"/rope_parameters/rope_theta", 10000}, {"/rope_parameters/partial_rotary_factor", 0.5}});
  EXPECT_EQ(read(newer, 128).inverse, rope::plain(10000, 64).inverse);
  for (const double part : {0.0, -0.5, 1.5}) EXPECT_EQ(refusal(with(kPlain, {{"/partial_rotary_factor", part}})).code(), PLIMSOLL_E_CONFIG);
}

TEST(RopeKeys, ReadEachType) {
  const std::string at = "/rope_scaling/";
  const Facts llama3 =
      with(kPlain,
           {{at + "factor", 8}, {at + "low_freq_factor", 1}, {at + "high_freq_factor", 4}, {at + "original_max_position_embeddings", 8192}},
           {{at + "rope_type", "llama3"}});
  EXPECT_EQ(read(llama3, 64).inverse, rope::llama3(rope::plain(10000, 64), {8, 1, 4, 8192}).inverse);

  Facts yarn = with(kPlain,
                    {{at + "factor", 40},
                     {at + "original_max_position_embeddings", 4096},
                     {at + "mscale", 0.707},
                     {at + "mscale_all_dim", 1},
                     {at + "beta_fast", 16}},
                    {{at + "type", "yarn"}});
  EXPECT_EQ(read(yarn, 64).inverse, rope::yarn(10000, 64, {40, 4096, 16, 1, 0, 0.707, 1, true}).inverse);
  EXPECT_EQ(read(yarn, 64).attention_factor, rope::yarn(10000, 64, {40, 4096, 16, 1, 0, 0.707, 1, true}).attention_factor);
  yarn.flags[at + "truncate"] = false;
  EXPECT_EQ(read(yarn, 64).inverse, rope::yarn(10000, 64, {40, 4096, 16, 1, 0, 0, 0, false}).inverse);

  // Phi-3: the original length stands outside, the factor is what the length was extended by; "su" is the older name.
  const Facts phi = with(kPlain,
                         {{at + "short_factor/0", 1},
                          {at + "short_factor/1", 2},
                          {at + "long_factor/0", 4},
                          {at + "long_factor/1", 8},
                          {"/max_position_embeddings", 131072},
                          {"/original_max_position_embeddings", 4096}},
                         {{at + "type", "su"}});
  EXPECT_NEAR(read(phi, 4).attention_factor, 1.1902380714238083, 1e-15);
  EXPECT_EQ(read(phi, 4).long_beyond_tokens, 4096U);
  EXPECT_EQ(refusal(phi, 64).where(), "/rope_scaling/short_factor"); // 2 factors, 32 pairs

  // Text has one position where images have three.
  EXPECT_EQ(read(with(kPlain, {{at + "mrope_section/0", 16}}, {{at + "type", "mrope"}}), 64).inverse, rope::plain(10000, 64).inverse);
}

TEST(RopeKeys, RefuseWhatTheyDoNotKnow) {
  struct Row {
    Facts facts;
    plimsoll_status code;
    const char* where;
    const char* message;
  };
  const std::string at = "/rope_scaling/";
  const Row rows[] = {
      {with(kPlain, {{at + "factor", 2}}, {{at + "type", "dynamic"}}), PLIMSOLL_E_UNSUPPORTED, "/rope_scaling/rope_type",
       "\"dynamic\"; default, linear"},
      {with(kPlain, {{at + "factor", 2}, {at + "llama_4_scaling_beta", 0.1}}, {{at + "type", "linear"}}), PLIMSOLL_E_UNSUPPORTED,
       "/rope_scaling/llama_4_scaling_beta", "nothing that this rope type"},
      {with(kPlain, {{at + "beta_fast", 2}}), PLIMSOLL_E_UNSUPPORTED, "/rope_scaling/beta_fast", "nothing that this rope type"},
      {with(kPlain, {{at + "factor", 2}, {"/rope_parameters/rope_theta", 5}}, {{at + "type", "linear"}}), PLIMSOLL_E_UNSUPPORTED,
       "/rope_scaling", "beside rope_parameters"},
      {{}, PLIMSOLL_E_CONFIG, "/rope_scaling/rope_theta", "is missing"},
      {with(kPlain, {}, {{at + "type", "linear"}}), PLIMSOLL_E_CONFIG, "/rope_scaling/factor", "is missing"},
      {with(kPlain, {{at + "factor", -2}}, {{at + "type", "linear"}}), PLIMSOLL_E_CONFIG, "/rope_scaling/factor", "is not above 0"},
      {with(
           kPlain,
           {{at + "factor", 8}, {at + "low_freq_factor", 4}, {at + "high_freq_factor", 4}, {at + "original_max_position_embeddings", 8192}},
           {{at + "type", "llama3"}}),
       PLIMSOLL_E_CONFIG, "/rope_scaling/high_freq_factor", "not above low_freq_factor"},
  };
  for (const Row& row : rows) {
    const Error said = refusal(row.facts);
    EXPECT_EQ(said.code(), row.code) << row.message;
    EXPECT_EQ(said.where(), row.where);
    EXPECT_THAT(said.what(), HasSubstr(row.message));
  }
}

} // namespace
} // namespace rope_tests
