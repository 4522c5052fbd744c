// Settings that exporters write, and the names under which people ask for them.
#include "storage/exporters.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "storage/gguf_mix.hpp"
#include "storage/quantization.hpp"

namespace plimsoll {
namespace {

// What each makes of a linear layer; of a head nothing, whoever writes it.
TEST(Exporters, WriteSettingsThatAreRead) {
  struct Row {
    const char *name, *format;
  };
  constexpr Row kRows[]{{"fp8", "fp8_ct_channel_wide"},
                        {"fp8_block", "fp8_block_128x128"},
                        {"fp8_static", "fp8_tensor_static"},
                        {"int8", "int8_bytes_channel_wide"},
                        {"w8a16", "int8_channel_wide"},
                        {"w4a16", "int4_g128_wide"},
                        {"awq", "awq_int4_g128"},
                        {"gptq_int4", "gptq_int4_g128"},
                        {"gptq_int8", "gptq_int8_g128"},
                        {"nvfp4", "nvfp4"},
                        {"nvfp4_mlp", "nvfp4"},
                        {"mxfp4", "mxfp4_linear"},
                        {"mxfp8", "mxfp8"},
                        {"bnb_nf4", "bnb_nf4_double"},
                        {"bnb_int8", "bnb_int8"},
                        {"mlx_4bit", "mlx_affine_int4_g64"},
                        {"mlx_8bit", "mlx_affine_int8_g64"},
                        {"hqq", "hqq_int4_g64"}};
  ASSERT_EQ(std::size(kRows), exporters().size());
  for (const Row& row : kRows) {
    const Exporter* const exporter = find_exporter(row.name);
    ASSERT_NE(exporter, nullptr) << row.name;
    nlohmann::ordered_json config;
    config["quantization_config"] = nlohmann::ordered_json::parse(exporter->settings);
    const auto read = Quantization::parse(config, nullptr, "config.json", {});
    ASSERT_TRUE(read) << row.name << ": " << read.error().message;
    EXPECT_EQ(read->storage_for("model.layers.3.mlp.up_proj").name(), row.format);
    EXPECT_EQ(read->storage_for("lm_head", true).is_plain(), !read->ends_too()) << row.name;
    EXPECT_TRUE(read->storage_for("model.layers.3.input_layernorm").is_plain()) << row.name;
  }
}

TEST(Exporters, GoByTheNamesThatPeopleType) {
  struct Row {
    const char *typed, *meant;
  };
  for (const Row& row : {Row{"FP8", "fp8"}, Row{"fp8-dynamic", "fp8"}, Row{"W8A8", "int8"}, Row{"gptq", "gptq_int4"},
                         Row{"GPTQ-Int4", "gptq_int4"}, Row{"nf4", "bnb_nf4"}, Row{"bnb-4bit", "bnb_nf4"}, Row{"int4", "w4a16"}}) {
    const Exporter* const found = find_exporter(row.typed);
    ASSERT_NE(found, nullptr) << row.typed;
    EXPECT_EQ(found->name, row.meant);
  }
  for (const char* other : {"", "fp", "fp8 ", "w8a8 w8a8_int8", "q4_k_m", "none"}) EXPECT_EQ(find_exporter(other), nullptr) << other;
  for (const Exporter& one : exporters()) EXPECT_EQ(find_gguf_mix(one.name), nullptr) << one.name << " means two things";
  EXPECT_NE(find_gguf_mix("Q4-K-M"), nullptr);
  EXPECT_EQ(find_gguf_mix("q4_k_x"), nullptr);
}

} // namespace
} // namespace plimsoll
