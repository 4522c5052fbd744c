// How exporters store the linear layers of a Llama: settings and tensors of each, as their documentation lays them out. Used by the tests
// of this folder. One thread.
#pragma once

#include "unit/weights/checkpoints.hpp"

namespace plimsoll::testing {

struct FormatCase {
  const char* name;
  Json quantization;
  const char* base;
  Linear linear;
  bool exact = true;
};

inline Json compressed(const char* format, Json weights) {
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"ignore", {"lm_head"}},
          {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", std::move(weights)}}}}}};
}

inline std::vector<FormatCase> format_cases() {
  std::vector<FormatCase> out;
  const auto add = [&](const char* name, Json quantization, const char* base, Linear linear, bool exact = true) {
    out.push_back({name, std::move(quantization), base, std::move(linear), exact});
  };
  add("fp8_blocks", {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}, {"activation_scheme", "dynamic"}}, "bfloat16",
      [](const std::string& n, std::uint64_t o, std::uint64_t i) {
        return Tensors{{n + ".weight", "F8_E4M3", {o, i}}, {n + ".weight_scale_inv", "F32", {o / 128, i / 128}}};
      });
  add("fp8_static", {{"quant_method", "fp8"}, {"activation_scheme", "static"}}, "bfloat16",
      [](const std::string& n, std::uint64_t o, std::uint64_t i) {
        return Tensors{{n + ".weight", "F8_E4M3", {o, i}}, {n + ".weight_scale", "F32", {}}, {n + ".input_scale", "F32", {}}};
      });
  add("ct_int4",
      compressed("pack-quantized", {{"num_bits", 4}, {"type", "int"}, {"symmetric", true}, {"strategy", "group"}, {"group_size", 128}}),
      "bfloat16", [](const std::string& n, std::uint64_t o, std::uint64_t i) {
        return Tensors{
            {n + ".weight_packed", "I32", {o, i / 8}}, {n + ".weight_scale", "BF16", {o, i / 128}}, {n + ".weight_shape", "I32", {2}}};
      });
  add("ct_fp8", compressed("float-quantized", {{"num_bits", 8}, {"type", "float"}, {"symmetric", true}, {"strategy", "channel"}}),
      "bfloat16", [](const std::string& n, std::uint64_t o, std::uint64_t i) {
        return Tensors{{n + ".weight", "F8_E4M3", {o, i}}, {n + ".weight_scale", "BF16", {o, 1}}};
      });
  add("nvfp4", {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"group_size", 16}, {"ignore", {"lm_head"}}}, "bfloat16",
      [](const std::string& n, std::uint64_t o, std::uint64_t i) {
        return Tensors{{n + ".weight", "U8", {o, i / 2}},
                       {n + ".weight_scale", "F8_E4M3", {o, i / 16}},
                       {n + ".weight_scale_2", "F32", {}},
                       {n + ".input_scale", "F32", {}}};
      });
  add("gptq", {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}, {"desc_act", false}, {"sym", true}}, "float16",
      [](const std::string& n, std::uint64_t o, std::uint64_t i) {
        return Tensors{{n + ".qweight", "I32", {i / 8, o}},
                       {n + ".qzeros", "I32", {i / 128, o / 8}},
                       {n + ".scales", "F16", {i / 128, o}},
                       {n + ".g_idx", "I32", {i}}};
      });
  add("awq", {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 128}, {"zero_point", true}, {"version", "gemm"}}, "float16",
      [](const std::string& n, std::uint64_t o, std::uint64_t i) {
        return Tensors{{n + ".qweight", "I32", {i, o / 8}}, {n + ".qzeros", "I32", {i / 128, o / 8}}, {n + ".scales", "F16", {i / 128, o}}};
      });
  add(
      "bitsandbytes",
      {{"quant_method", "bitsandbytes"},
       {"load_in_4bit", true},
       {"bnb_4bit_quant_type", "nf4"},
       {"bnb_4bit_use_double_quant", true},
       {"llm_int8_skip_modules", nullptr}},
      "bfloat16",
      [](const std::string& n, std::uint64_t o, std::uint64_t i) {
        const std::string w = n + ".weight";
        return Tensors{{w, "U8", {o * i / 2, 1}},
                       {w + ".absmax", "U8", {o * i / 64}},
                       {w + ".quant_map", "F32", {16}},
                       {w + ".nested_absmax", "F32", {(o * i / 64 + 255) / 256}},
                       {w + ".nested_quant_map", "F32", {256}},
                       {w + ".quant_state.bitsandbytes__nf4", "U8", {172}}};
      },
      false);
  return out;
}

} // namespace plimsoll::testing
