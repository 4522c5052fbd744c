#include "host/rope_factors.hpp"

#include <cmath>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_gguf.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

class RopeFactors : public ::testing::Test {
protected:
  static Result<Program> program(const std::string& path, std::uint64_t max_length) {
    PlanRequest request;
    request.engine = "reference";
    request.devices = "64MiB";
    request.max_length = max_length;
    PLIMSOLL_ASSIGN(const Model model, test::built_context().load(path));
    return test::built_context().program(model, request);
  }
  std::string gguf(const std::string& name) const {
    const std::string path = folder_ / (name + ".gguf");
    test::write_tiny_gguf(test::tiny_model(name), path);
    return path;
  }
  std::string safetensors(const std::string& name) const {
    const std::string folder = folder_ / name;
    std::filesystem::create_directories(folder);
    test::write_tiny_folder(test::tiny_model(name), folder);
    return folder;
  }
  // Sets the first value of a stored table.
  static void spoil(const std::string& path, std::string_view table, float value) {
    const GgufHeader header = read_gguf(RegularFile::open(path).value()).value();
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    for (const GgufTensor& tensor : header.tensors) {
      if (header.name(tensor) != table) continue;
      file.seekp(static_cast<std::streamoff>(tensor.offset_bytes));
      file.write(reinterpret_cast<const char*>(&value), sizeof value);
      return;
    }
    FAIL() << "no table " << table;
  }
  test::TemporaryDirectory folder_;
};

// What the config says in words and the file in a table are the same frequencies, to the float that the table holds.
TEST_F(RopeFactors, AreWhatTheConfigurationSays) {
  struct Row {
    const char* model;
    std::uint64_t max_length;
  };
  for (const Row& row : {Row{"llama3", 128}, Row{"phi3", 64}, Row{"phi3", 256}, Row{"phi4", 64}, Row{"phi4", 256}}) {
    const auto by_table = program(gguf(row.model), row.max_length), by_words = program(safetensors(row.model), row.max_length);
    ASSERT_TRUE(by_table) << by_table.error().message;
    ASSERT_TRUE(by_words) << by_words.error().message;
    ASSERT_EQ(by_table->ropes.size(), 1U);
    ASSERT_EQ(by_words->ropes.size(), 1U);
    const ProgramRope &is = by_table->ropes.front(), &expected = by_words->ropes.front();
    ASSERT_EQ(is.inverse_frequencies.size(), expected.inverse_frequencies.size());
    for (std::size_t i = 0; i < is.inverse_frequencies.size(); ++i)
      EXPECT_NEAR(is.inverse_frequencies[i] / expected.inverse_frequencies[i], 1, 1e-6) << row.model << ", pair " << i;
    EXPECT_NEAR(is.attention_factor, expected.attention_factor, 1e-6) << row.model;
  }
}

TEST_F(RopeFactors, ThatDivideNothingAreRefused) {
  for (const float value : {0.0F, -1.0F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    const std::string path = gguf("llama3");
    spoil(path, "rope_freqs.weight", value);
    const auto found = program(path, 128);
    ASSERT_FALSE(found) << value;
    EXPECT_EQ(found.error().code, ErrorCode::kBadCheckpoint);
    EXPECT_THAT(found.error().message, HasSubstr("tensor rope_freqs.weight divides a frequency by"));
    EXPECT_EQ(found.error().where, path);
  }
}

} // namespace
} // namespace plimsoll
