#include "storage/stored_name.hpp"

#include <gtest/gtest.h>

#include "storage/named_storage.hpp"
#include "unit/storage/format_names.hpp"

namespace plimsoll {
namespace {

struct StoredCase {
  std::string_view stored, class_name;
  StoredRole role;
};

TEST(StoredName, LeadsBackToTheClass) {
  constexpr StoredCase kCases[]{
      {"model.layers.3.mlp.experts.7.up_proj.weight_scale_inv", "model.layers.3.mlp.experts.7.up_proj.weight", StoredRole::kScale},
      {"a.q_proj.qweight", "a.q_proj.weight", StoredRole::kWeight},
      {"a.q_proj.qzeros", "a.q_proj.weight", StoredRole::kZeroPoint},
      {"a.q_proj.scales", "a.q_proj.weight", StoredRole::kScale},
      {"a.q_proj.g_idx", "a.q_proj.weight", StoredRole::kGroupIndex},
      {"a.q_proj.weight_packed", "a.q_proj.weight", StoredRole::kWeight},
      {"a.q_proj.weight_shape", "a.q_proj.weight", StoredRole::kShape},
      {"a.q_proj.weight_scale_2", "a.q_proj.weight", StoredRole::kSecond},
      {"a.q_proj.input_scale", "a.q_proj.weight", StoredRole::kInputScale},
      {"a.k_proj.k_scale", "a.k_proj.weight", StoredRole::kKvScale},
      {"a.v_proj.v_scale", "a.v_proj.weight", StoredRole::kKvScale},
      {"a.q_proj.weight.absmax", "a.q_proj.weight", StoredRole::kState},
      {"a.q_proj.weight.quant_state.bitsandbytes__nf4", "a.q_proj.weight", StoredRole::kState},
      {"a.q_proj.SCB", "a.q_proj.weight", StoredRole::kScale},
      {"m.experts.gate_up_proj_blocks", "m.experts.gate_up_proj", StoredRole::kWeight},
      {"m.experts.gate_up_proj_scales", "m.experts.gate_up_proj", StoredRole::kScale},
      {"m.experts.gate_up_proj_scale_inv", "m.experts.gate_up_proj", StoredRole::kScale},
      {"m.experts.gate_up_proj_weight_scale_2", "m.experts.gate_up_proj", StoredRole::kSecond},
  };
  for (const StoredCase& c : kCases) {
    const auto found = parse_stored_name(c.stored);
    ASSERT_TRUE(found) << c.stored;
    EXPECT_EQ(found->class_name(), c.class_name) << c.stored;
    EXPECT_EQ(found->role, c.role) << c.stored;
  }
}

TEST(StoredName, LeavesClassNamesAlone) {
  for (const char* name : {"", ".", "weight", "a.weight", "a.bias", "m.experts.gate_up_proj", "m.experts.gate_up_proj_bias", "A_log", "a.D",
                           "a.e_score_correction_bias", "qweight", ".qweight", "_blocks", "a._blocks", "a.weight.other", "self_attn.sinks"})
    EXPECT_FALSE(parse_stored_name(name)) << name;
}

// Whatever a format writes leads back to the class that it was written for.
TEST(StoredName, IsTheInverseOfEveryFormat) {
  const Dtype base = *find_dtype("bfloat16");
  for (const std::string_view format : testing::kFormatNames) {
    const auto storage = find_storage(format);
    ASSERT_TRUE(storage) << format;
    for (const std::string_view class_name : {"model.layers.0.mlp.experts.up_proj", "model.layers.0.mlp.up_proj.weight"}) {
      const bool packed = !class_name.ends_with(".weight");
      bool never_packed = false;
      for (const char* kind : {"bnb", "mlx", "aqlm", "exl3", "hqq", "quanto"}) never_packed = never_packed || format.starts_with(kind);
      if (packed && never_packed) continue;
      if (packed && format.find("e8m0") != std::string_view::npos) continue;
      const LinearShape shape = packed ? LinearShape::packed(4, 256, 256, base) : LinearShape::matrix(256, 256, base);
      storage->tensors(class_name, shape, [&](std::string_view stored, const Dtype&, std::span<const std::uint64_t>) {
        if (stored == class_name || stored.ends_with(".scale")) return;
        const auto found = parse_stored_name(stored);
        ASSERT_TRUE(found) << format << ": " << stored;
        EXPECT_EQ(found->class_name(), class_name) << format << ": " << stored;
      });
    }
  }
}

} // namespace
} // namespace plimsoll
