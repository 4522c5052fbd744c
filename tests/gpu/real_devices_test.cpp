// The real devices of this machine, through the public interface. Run by ctest under the label `gpu`; skips with the
// reason where there is no GPU. What is allocated is given back. Threads: one.
#include <gtest/gtest.h>

#include "plimsoll/host.hpp"

namespace plimsoll {
namespace {

class RealDevices : public testing::Test {
protected:
  void SetUp() override {
    auto context = Context::create({});
    ASSERT_TRUE(context) << context.error().message;
    context_.emplace(std::move(*context));
    auto devices = context_->real_devices();
    if (!devices) GTEST_SKIP() << "no GPU: " << devices.error().message;
    devices_ = std::move(*devices);
  }
  std::optional<Context> context_;
  std::vector<RealDevice> devices_;
};

TEST_F(RealDevices, HaveNamesAndSizesInOrder) {
  ASSERT_FALSE(devices_.empty());
  for (const RealDevice& device : devices_) {
    EXPECT_FALSE(device.name.empty());
    EXPECT_GT(device.total_bytes, std::uint64_t{1} << 30);
    EXPECT_LE(device.free_bytes, device.total_bytes);
    EXPECT_GT(device.free_bytes, 0U);
  }
}

TEST_F(RealDevices, PlanAutoUsesWhatTheDriverReports) {
  auto model = context_->load("HuggingFaceTB/SmolLM2-135M-Instruct");
  ASSERT_TRUE(model) << model.error().message;
  PlanRequest request;
  request.devices = "auto";
  request.tp = 1;
  request.dp = static_cast<std::uint32_t>(devices_.size());
  auto plan = context_->plan(*model, request);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->devices.size(), devices_.size());
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    EXPECT_EQ(plan->devices[i].name, devices_[i].name);
    EXPECT_EQ(plan->devices[i].total_bytes, devices_[i].total_bytes);
  }
}

TEST_F(RealDevices, APlanTakesWhatItSays) {
  auto model = context_->load("HuggingFaceTB/SmolLM2-135M-Instruct");
  ASSERT_TRUE(model) << model.error().message;
  PlanRequest request;
  request.tp = 1;
  request.dp = static_cast<std::uint32_t>(devices_.size());
  request.kv_cache_bytes = 1ULL << 30;
  const auto report = context_->verify(*model, request);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->holds) << verify_to_json(*report);
  ASSERT_EQ(report->devices.size(), devices_.size());
  for (const VerifiedDevice& device : report->devices) EXPECT_GE(device.parts.at(0).taken_bytes, device.parts.at(0).planned_bytes);
}

} // namespace
} // namespace plimsoll
