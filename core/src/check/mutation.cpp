#include "check/mutation.hpp"

#include <array>
#include <random>
#include <string>
#include <vector>

namespace plimsoll::check {
namespace {

class Chance {
public:
  Chance(std::uint64_t seed, std::uint64_t step) : random_(seed * 0x9e3779b97f4a7c15U + step) {}
  std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : random_() % n; } // the same on every library, unlike a distribution
  template <class T, std::size_t N>
  T one_of(const std::array<T, N>& values) {
    return values.at(below(N));
  }

private:
  std::mt19937_64 random_;
};

Json any_value(Chance& chance) {
  constexpr std::array<std::uint64_t, 16> kNumbers{
      0, 1, 2, 3, 7, 64, 4095, 65536, 1 << 20, 0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 33, 1ULL << 40, 1ULL << 62, UINT64_MAX};
  switch (chance.below(10)) {
  case 0: return nullptr;
  case 1: return chance.below(2) == 0;
  case 2: return -static_cast<std::int64_t>(chance.below(1ULL << 40U)) - 1;
  case 3: return 0.5 + static_cast<double>(chance.below(1000)) * 1e5;
  case 4: return std::string(chance.below(300), 'x');
  case 5: return Json::array();
  case 6: return Json::object();
  case 7: {
    Json list = Json::array();
    for (std::uint64_t i = chance.below(40); i > 0; --i) list.push_back(chance.below(4));
    return list;
  }
  default: return chance.one_of(kNumbers);
  }
}

// Every value of an object that is not the architecture's name, with the object that holds it.
void collect(Json& node, std::vector<std::pair<Json*, std::string>>& out) {
  if (!node.is_object()) return;
  for (auto& [key, value] : node.get_ref<Json::object_t&>()) {
    if (key != "architectures" && key != "model_type") out.emplace_back(&node, key);
    collect(value, out);
  }
}

void change_one(Json& config, Chance& chance, bool any) {
  std::vector<std::pair<Json*, std::string>> places;
  collect(config, places);
  if (places.empty()) return;
  const auto& [object, key] = places[chance.below(places.size())];
  Json& value = (*object)[key];
  switch (any ? 9 : chance.below(8)) {
  case 0: object->erase(key); return;
  case 1: {
    const auto& [other, its_key] = places[chance.below(places.size())];
    Json copy = (*other)[its_key]; // it may lie in the value that goes
    value = std::move(copy);
    return;
  }
  case 2:
  case 3:
  case 4:
    if (value.is_number_unsigned()) {
      const std::uint64_t number = value.get<std::uint64_t>();
      const std::array<std::uint64_t, 8> near{0, 1, number + 1, number - 1, number * 2, number / 2, number * 1000, number << 20U};
      value = chance.one_of(near);
      return;
    }
    value = any_value(chance);
    return;
  default: value = any_value(chance); return;
  }
}

} // namespace

Json with_any_value(const Json& config, std::uint64_t seed, std::uint64_t step) {
  Chance chance(seed, step);
  Json out = config;
  change_one(out, chance, true);
  return out;
}

Json mutated(const Json& config, std::uint64_t seed, std::uint64_t step) {
  Chance chance(seed, step);
  Json out = config;
  for (std::uint64_t n = 1 + chance.below(4); n > 0; --n) change_one(out, chance, false);
  return out;
}

AnyRequest any_request(std::uint64_t seed, std::uint64_t step) {
  Chance chance(seed, step);
  constexpr std::array<std::uint32_t, 9> kDegrees{1, 1, 1, 2, 3, 4, 7, 8, 64};
  constexpr std::array<std::uint64_t, 12> kSizes{0, 1, 2, 100, 2048, 8192, 131072, 1 << 20, 0xffffffff, 1ULL << 33, 1ULL << 40, 1ULL << 62};
  AnyRequest out{};
  out.tp = chance.one_of(kDegrees);
  out.pp = chance.one_of(kDegrees);
  out.dp = chance.below(2) == 0 ? 1 : chance.one_of(kDegrees);
  out.ep = chance.below(2) == 0 ? 1 : out.tp * out.dp;
  out.max_length = chance.one_of(kSizes);
  out.max_batch_size = chance.one_of(kSizes);
  out.max_batch_input_tokens = chance.one_of(kSizes);
  out.free_bytes = chance.one_of(kSizes);
  out.compute_bits = chance.one_of(std::array<std::uint32_t, 5>{1, 8, 16, 32, 64});
  out.kv_bits = chance.one_of(std::array<std::uint32_t, 5>{1, 4, 8, 16, 32});
  out.phase = static_cast<std::uint32_t>(chance.below(3));
  out.num_draft_tokens = static_cast<std::uint32_t>(chance.below(2) * chance.below(64));
  return out;
}

} // namespace plimsoll::check
