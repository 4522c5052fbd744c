// Declared parameters, bytes and tensors of every real model in tests/data against what its publisher counts: to the unit,
// or by exactly what exceptions.yaml explains.
#include "golden/model_files.hpp"

namespace plimsoll::testing {
namespace {

class RealModel : public ::testing::TestWithParam<std::string> {};

std::uint64_t sum(const Declared& declared, Checked (WeightClass::*of)() const) {
  Checked total = 0;
  for (const WeightClass& weight : declared.weights) total += (weight.*of)();
  return total.value();
}

std::uint64_t tensors(const Declared& declared) {
  std::uint64_t total = 0;
  for (const WeightClass& weight : declared.weights)
    if (weight.role != PLIMSOLL_ROLE_TIED)
      total += weight.expert_storage == PLIMSOLL_EXPERTS_SEPARATE ? weight.count() : weight.layers.size();
  return total;
}

TEST_P(RealModel, DeclaresWhatIsPublished) {
  const Json file = read_model_file(GetParam());
  ASSERT_TRUE(file.contains("config"));
  const auto model = declare_model(file);
  ASSERT_TRUE(model) << model.error().where << ": " << model.error().message;

  if (file.contains("parameters")) {
    const auto row = exceptions().find(GetParam());
    const std::int64_t expected = row == exceptions().end() ? 0 : row->second.parameters;
    const auto declared = static_cast<std::int64_t>(sum(model->declared, &WeightClass::parameters));
    EXPECT_EQ(declared - file["parameters"].get<std::int64_t>(), expected);
  }
  if (file.contains("weights_bytes")) {
    EXPECT_EQ(sum(model->declared, &WeightClass::declared_bytes), file["weights_bytes"].get<std::uint64_t>());
  }
  if (file.contains("tensors")) {
    EXPECT_EQ(tensors(model->declared), file["tensors"].get<std::uint64_t>());
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, RealModel, ::testing::ValuesIn(models_that_state({"parameters", "weights_bytes", "tensors"})), test_name);

TEST(Exceptions, NameModelsThatExistAndSayWhy) {
  const auto names = model_names();
  for (const auto& [name, row] : exceptions()) {
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
    EXPECT_NE(row.parameters, 0) << name;
    EXPECT_FALSE(row.reason.empty()) << name;
  }
}

} // namespace
} // namespace plimsoll::testing
