// plimsoll/tensor.hpp: memory with a type and a shape.
#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plimsoll/tensor.hpp"

namespace plimsoll::tensor_test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Tensor, ZerosHaveMemoryOfTheirOwn) {
  const Tensor tensor = Tensor::zeros({1, 2, 3}, ElementType::kInt64).value();
  EXPECT_THAT(tensor.shape(), ElementsAre(1, 2, 3));
  EXPECT_EQ(tensor.elements(), 6U);
  EXPECT_EQ(tensor.bytes(), 48U);
  EXPECT_TRUE(tensor.on_host());
  EXPECT_THAT(tensor.values<std::int64_t>().value(), Each(0));
  EXPECT_EQ(tensor.description(), "int64 [1, 2, 3]");
  EXPECT_EQ(Tensor::zeros({}, ElementType::kFloat32).value().elements(), 1U) << "a scalar";
  const Tensor none = Tensor::zeros({0, 5}, ElementType::kFloat32).value();
  EXPECT_EQ(none.elements(), 0U);
  EXPECT_FALSE(none.empty()) << "no elements, but a tensor";
}

TEST(Tensor, CopiesNameTheSameMemory) {
  std::span<float> values;
  Tensor kept;
  {
    const Tensor tensor = Tensor::zeros({4}, ElementType::kFloat32).value();
    kept = tensor;
    EXPECT_EQ(kept, tensor);
    values = tensor.values<float>().value();
  }
  values[2] = 7;
  EXPECT_THAT(kept.values<float>().value(), ElementsAre(0, 0, 7, 0));
  EXPECT_FALSE(kept == Tensor::zeros({4}, ElementType::kFloat32).value()) << "alike, but elsewhere";
  EXPECT_FALSE(kept == kept.first({2}).value()) << "there, but unlike";
  EXPECT_EQ(Tensor(), Tensor());
}

TEST(Tensor, IsReadAsWhatItIs) {
  const Tensor tensor = Tensor::zeros({2}, ElementType::kUint32).value();
  const auto wrong = tensor.values<std::int32_t>();
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message, "expected int32, got uint32 [2]");
  EXPECT_FALSE(Tensor().values<std::uint8_t>());
  std::array<std::byte, 8> memory{};
  const std::array<std::uint64_t, 1> shape{8};
  const Tensor device = Tensor::view(memory, shape, ElementType::kUint8, nullptr, false).value();
  const auto unreadable = device.values<std::uint8_t>();
  ASSERT_FALSE(unreadable);
  EXPECT_THAT(unreadable.error().message, HasSubstr("lies on a device"));
}

TEST(Tensor, ViewsStayInsideTheirMemory) {
  alignas(8) std::array<std::byte, 16> memory{};
  const std::array<std::uint64_t, 2> fits{2, 2}, large{3, 2};
  EXPECT_TRUE(Tensor::view(memory, fits, ElementType::kUint32));
  EXPECT_THAT(Tensor::view(memory, large, ElementType::kUint32).error().message, HasSubstr("needs 24 B; there are 16"));
  EXPECT_THAT(Tensor::view(std::span(memory).subspan(2), fits, ElementType::kFloat16).value().shape(), ElementsAre(2, 2));
  EXPECT_THAT(Tensor::view(std::span(memory).subspan(2), std::array<std::uint64_t, 1>{2}, ElementType::kUint32).error().message,
              HasSubstr("aligned"));
  EXPECT_FALSE(Tensor::view({}, fits, ElementType::kUint32));
  const Tensor tensor = Tensor::zeros({4, 4}, ElementType::kUint32).value();
  EXPECT_EQ(tensor.first({3, 5}).value().data(), tensor.data());
  EXPECT_FALSE(tensor.first({17}));
}

TEST(Tensor, SizesThatCannotBeAreErrors) {
  const std::uint64_t most = UINT64_MAX;
  EXPECT_FALSE(Tensor::zeros({most}, ElementType::kFloat32));
  EXPECT_FALSE(Tensor::zeros({most, most}, ElementType::kUint8));
  EXPECT_FALSE(Tensor::zeros({1ULL << 62, 2}, ElementType::kUint8));
  EXPECT_FALSE(Tensor::zeros({1, 1, 1, 1, 1, 1, 1}, ElementType::kUint8));
}

TEST(Tensor, OfABufferGivesItBackWithTheLastCopy) {
  Plan plan;
  plan.devices.resize(1);
  Item item;
  item.label = "it";
  item.bytes = {64};
  plan.items.push_back(item);
  Arena arena = Arena::create(plan, 0).value();
  const std::array<std::uint64_t, 2> shape{4, 4};
  Tensor tensor = Tensor::of(arena.allocate(Category::kWeights, "it", ElementType::kFloat32, shape).value());
  Tensor part = tensor.first({4}).value();
  tensor = Tensor();
  EXPECT_EQ(arena.usage()[0].live_bytes, 64U);
  part = Tensor();
  EXPECT_EQ(arena.usage()[0].live_bytes, 0U);
  EXPECT_TRUE(Tensor::of(Buffer()).empty());
}

} // namespace
} // namespace plimsoll::tensor_test
