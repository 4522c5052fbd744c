// Every published total of a name of the catalogue that is more than parameters: elements of stored tensors, as the hub counts them.
#include <fstream>

#include "golden/model_files.hpp"

namespace plimsoll::testing {
namespace {

LinearShape shape_of(const WeightClass& c) {
  LinearShape shape = LinearShape::of(std::span(c.dims.data(), c.n_dims), c.dtype);
  shape.in_dim = static_cast<std::uint8_t>(c.in_dim);
  shape.out_dim = static_cast<std::uint8_t>(c.in_dim + 1 == c.n_dims ? c.n_dims - 2 : c.n_dims - 1);
  return shape;
}

// Of all stored tensors; without scales and zero points where those are not counted.
Checked stored_elements(const Declared& declared, bool with_scales) {
  Checked total = 0;
  for (const WeightClass& c : declared.weights) {
    if (c.role == PLIMSOLL_ROLE_TIED) continue;
    for (const WeightVariant& v : c.variants) {
      Checked of_one = 0;
      if (v.storage->is_plain()) of_one = c.elements_of_one();
      else
        v.storage->tensors(c.pattern, shape_of(c),
                           [&, first = true](std::string_view, const Dtype&, std::span<const std::uint64_t> dims) mutable {
                             Checked elements = 1;
                             for (const std::uint64_t dim : dims) elements *= dim;
                             if (std::exchange(first, false) || with_scales) of_one += elements;
                           });
      total += of_one * (v.layers.empty() ? 1 : v.layers.size()) * c.whole_experts();
    }
  }
  return total;
}

TEST(Totals, AreWhatNamesOfTheCatalogueDeclare) {
  std::ifstream in(PLIMSOLL_TEST_DATA "/name_totals.json");
  const Json file = Json::parse(in, nullptr, false);
  ASSERT_TRUE(file.is_object());
  const auto& rows = file["totals"];
  ASSERT_GE(rows.size(), 100U);
  for (const Json& row : rows) {
    const std::string name = row.value("name", "");
    const auto model = declare_model(read_named_config(name));
    ASSERT_TRUE(model) << name << ": " << model.error().where << ": " << model.error().message;
    Checked parameters = 0;
    for (const WeightClass& c : model->declared.weights) parameters += c.parameters();
    // What the publisher stores beside what this name declares: a head that is tied, buffers.
    const std::int64_t beside = row.value("beside", std::int64_t{0});
    EXPECT_EQ(beside != 0, row.contains("why")) << name;
    const auto expect = [&](const char* key, Checked found) {
      if (row.contains(key)) {
        EXPECT_EQ(static_cast<std::int64_t>(found.value()) + beside, row[key].get<std::int64_t>()) << name << " " << key;
      }
    };
    expect("parameters", parameters);
    expect("elements", stored_elements(model->declared, true));
    expect("elements_without_scales", stored_elements(model->declared, false));
  }
}

} // namespace
} // namespace plimsoll::testing
