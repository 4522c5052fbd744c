#include "base/dtype.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace plimsoll {
namespace {

// ggml block sizes: ggml's common header, by type (elements per block, bytes per block).
constexpr std::array kTypes{
    Dtype{"float64", "F64", 1, 8},
    Dtype{"float32", "F32", 1, 4},
    Dtype{"float16", "F16", 1, 2},
    Dtype{"bfloat16", "BF16", 1, 2},
    Dtype{"float8_e4m3fn", "F8_E4M3", 1, 1},
    Dtype{"float8_e4m3fnuz", "F8_E4M3FNUZ", 1, 1},
    Dtype{"float8_e5m2", "F8_E5M2", 1, 1},
    Dtype{"float8_e5m2fnuz", "F8_E5M2FNUZ", 1, 1},
    Dtype{"float8_e8m0fnu", "F8_E8M0", 1, 1},
    Dtype{"float6_e3m2fn", "F6_E3M2", 4, 3},
    Dtype{"float6_e2m3fn", "F6_E2M3", 4, 3},
    Dtype{"float4_e2m1fn", "F4", 2, 1},
    Dtype{"int64", "I64", 1, 8},
    Dtype{"uint64", "U64", 1, 8},
    Dtype{"int32", "I32", 1, 4},
    Dtype{"uint32", "U32", 1, 4},
    Dtype{"int16", "I16", 1, 2},
    Dtype{"uint16", "U16", 1, 2},
    Dtype{"int8", "I8", 1, 1},
    Dtype{"uint8", "U8", 1, 1},
    Dtype{"bool", "BOOL", 1, 1},
    Dtype{"complex64", "C64", 1, 8},
    Dtype{"q4_0", "", 32, 18},
    Dtype{"q4_1", "", 32, 20},
    Dtype{"q5_0", "", 32, 22},
    Dtype{"q5_1", "", 32, 24},
    Dtype{"q8_0", "", 32, 34},
    Dtype{"q8_1", "", 32, 36},
    Dtype{"q2_k", "", 256, 84},
    Dtype{"q3_k", "", 256, 110},
    Dtype{"q4_k", "", 256, 144},
    Dtype{"q5_k", "", 256, 176},
    Dtype{"q6_k", "", 256, 210},
    Dtype{"q8_k", "", 256, 292},
    Dtype{"iq2_xxs", "", 256, 66},
    Dtype{"iq2_xs", "", 256, 74},
    Dtype{"iq3_xxs", "", 256, 98},
    Dtype{"iq1_s", "", 256, 50},
    Dtype{"iq4_nl", "", 32, 18},
    Dtype{"iq3_s", "", 256, 110},
    Dtype{"iq2_s", "", 256, 82},
    Dtype{"iq4_xs", "", 256, 136},
    Dtype{"iq1_m", "", 256, 56},
    Dtype{"tq1_0", "", 256, 54},
    Dtype{"tq2_0", "", 256, 66},
    Dtype{"mxfp4", "", 32, 17},
    Dtype{"nvfp4", "", 64, 36},
    Dtype{"q1_0", "", 128, 18},
    Dtype{"q2_0", "", 64, 18},
};

struct Alias {
  std::string_view alias, name;
};
constexpr std::array kAliases{
    Alias{"float", "float32"},
    Alias{"fp32", "float32"},
    Alias{"half", "float16"},
    Alias{"fp16", "float16"},
    Alias{"fp8", "float8_e4m3fn"},
    Alias{"fp8_e4m3", "float8_e4m3fn"},
    Alias{"float8_e4m3", "float8_e4m3fn"},
    Alias{"fp8_e5m2", "float8_e5m2"},
    Alias{"f8_e4m3fn", "float8_e4m3fn"},
    Alias{"float8_e8m0", "float8_e8m0fnu"},
    Alias{"double", "float64"},
    Alias{"long", "int64"},
    Alias{"int", "int32"},
    Alias{"float4_e2m1", "float4_e2m1fn"},
    Alias{"f4_e2m1", "float4_e2m1fn"},
    Alias{"fp4", "float4_e2m1fn"},
};

} // namespace

std::optional<Dtype> find_dtype(std::string_view given) {
  if (given.size() > 32) return std::nullopt;
  std::string name(given);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (name.starts_with("torch.")) name.erase(0, 6);
  for (const Alias& alias : kAliases)
    if (alias.alias == name) name = alias.name;
  const auto same = [&](std::string_view other) {
    return other.size() == name.size() && std::equal(other.begin(), other.end(), name.begin(), [](char a, char b) {
             return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
           });
  };
  for (const Dtype& type : kTypes)
    if (type.name == name || (!type.safetensors.empty() && same(type.safetensors))) return type;
  return std::nullopt;
}

} // namespace plimsoll
