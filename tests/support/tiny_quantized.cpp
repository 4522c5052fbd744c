#include "support/tiny_quantized.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "support/sparse_checkpoint.hpp"
#include "support/tiny_bytes.hpp"

namespace plimsoll::test {
namespace {

enum class Kind { kFloat8, kFloat4, kGptq, kAwq, kWords, kBytes };
enum class ScaleType { kF32, kBF16, kF16, kExponent, kFloat8 };

// One exporter's way. Groups of 0 are all of that dimension.
struct Scheme {
  const char* name;
  Kind kind;
  std::uint32_t bits;
  std::size_t group_out, group_in;
  ScaleType scale;
  const char *weight, *scales; // what is appended to a module's name
  const char* second;          // nullptr: none
  bool asymmetric = false, reordered = false, divides = false, less = false, flat_scale = false;
  const char* settings = ""; // of config.json
};

#define SKIPPED R"(["lm_head", "model.layers.1.self_attn.o_proj"])"
#define COMPRESSED(format, weights, inputs)                                                                                                \
  R"({"quant_method": "compressed-tensors", "version": "0.12.2", "format": ")" format                                                      \
  R"(", "config_groups": {"group_0": {"targets": ["Linear"], "weights": )" weights R"(, "input_activations": )" inputs                     \
  R"(}}, "ignore": )" SKIPPED "}"

constexpr Scheme kSchemes[]{
    {.name = "fp8_block",
     .kind = Kind::kFloat8,
     .bits = 8,
     .group_out = 24,
     .group_in = 40,
     .scale = ScaleType::kF32,
     .weight = ".weight",
     .scales = ".weight_scale_inv",
     .second = nullptr,
     .settings = R"({"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [24, 40],
       "modules_to_not_convert": )" SKIPPED "}"},
    {.name = "fp8_tensor",
     .kind = Kind::kFloat8,
     .bits = 8,
     .group_out = 0,
     .group_in = 0,
     .scale = ScaleType::kF32,
     .weight = ".weight",
     .scales = ".weight_scale",
     .second = nullptr,
     .flat_scale = true,
     .settings = R"({"quant_method": "fp8", "activation_scheme": "static", "ignored_layers": )" SKIPPED "}"},
    {.name = "fp8_channel",
     .kind = Kind::kFloat8,
     .bits = 8,
     .group_out = 1,
     .group_in = 0,
     .scale = ScaleType::kBF16,
     .weight = ".weight",
     .scales = ".weight_scale",
     .second = nullptr,
     .settings = COMPRESSED("float-quantized", R"({"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": true})",
                            R"({"num_bits": 8, "type": "float", "strategy": "token", "dynamic": true})")},
    {.name = "fp8_quark",
     .kind = Kind::kFloat8,
     .bits = 8,
     .group_out = 1,
     .group_in = 0,
     .scale = ScaleType::kF32,
     .weight = ".weight",
     .scales = ".weight_scale",
     .second = nullptr,
     .flat_scale = true,
     .settings = R"({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_channel"},
       "input_tensors": {"dtype": "fp8_e4m3", "qscheme": "per_channel", "is_dynamic": true}}, "exclude": )" SKIPPED "}"},
    {.name = "mxfp8",
     .kind = Kind::kFloat8,
     .bits = 8,
     .group_out = 1,
     .group_in = 32,
     .scale = ScaleType::kExponent,
     .weight = ".weight",
     .scales = ".weight_scale",
     .second = nullptr,
     .settings = R"({"quant_method": "modelopt", "quant_algo": "MXFP8", "ignore": )" SKIPPED "}"},
    {.name = "mxfp4",
     .kind = Kind::kFloat4,
     .bits = 4,
     .group_out = 1,
     .group_in = 32,
     .scale = ScaleType::kExponent,
     .weight = "_blocks",
     .scales = "_scales",
     .second = nullptr,
     .settings = R"({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
       "model.embed_tokens", "lm_head"]})"},
    {.name = "ct_mxfp4",
     .kind = Kind::kFloat4,
     .bits = 4,
     .group_out = 1,
     .group_in = 32,
     .scale = ScaleType::kExponent,
     .weight = ".weight_packed",
     .scales = ".weight_scale",
     .second = nullptr,
     .settings = COMPRESSED("mxfp4-pack-quantized", R"({"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32})", "null")},
    {.name = "ct_nvfp4",
     .kind = Kind::kFloat4,
     .bits = 4,
     .group_out = 1,
     .group_in = 16,
     .scale = ScaleType::kFloat8,
     .weight = ".weight_packed",
     .scales = ".weight_scale",
     .second = ".weight_global_scale",
     .divides = true,
     .settings = COMPRESSED("nvfp4-pack-quantized", R"({"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16})",
                            R"({"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16, "dynamic": "local"})")},
    {.name = "nvfp4",
     .kind = Kind::kFloat4,
     .bits = 4,
     .group_out = 1,
     .group_in = 16,
     .scale = ScaleType::kFloat8,
     .weight = ".weight",
     .scales = ".weight_scale",
     .second = ".weight_scale_2",
     .settings = R"({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16, "ignore": )" SKIPPED "}"},
    {.name = "gptq",
     .kind = Kind::kGptq,
     .bits = 4,
     .group_out = 1,
     .group_in = 32,
     .scale = ScaleType::kF16,
     .weight = ".qweight",
     .scales = ".scales",
     .second = nullptr,
     .less = true,
     .settings = R"({"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": true, "desc_act": false,
       "modules_to_not_convert": )" SKIPPED "}"},
    {.name = "gptq_act",
     .kind = Kind::kGptq,
     .bits = 4,
     .group_out = 1,
     .group_in = 16,
     .scale = ScaleType::kF16,
     .weight = ".qweight",
     .scales = ".scales",
     .second = nullptr,
     .asymmetric = true,
     .reordered = true,
     .less = true,
     .settings = R"({"quant_method": "gptq", "bits": 4, "group_size": 16, "sym": false, "desc_act": true, "checkpoint_format": "gptq",
       "modules_to_not_convert": )" SKIPPED "}"},
    {.name = "gptq_v2",
     .kind = Kind::kGptq,
     .bits = 4,
     .group_out = 1,
     .group_in = 32,
     .scale = ScaleType::kF16,
     .weight = ".qweight",
     .scales = ".scales",
     .second = nullptr,
     .asymmetric = true,
     .settings = R"({"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": false, "desc_act": false, "checkpoint_format": "gptq_v2",
       "modules_to_not_convert": )" SKIPPED "}"},
    {.name = "gptq_int8",
     .kind = Kind::kGptq,
     .bits = 8,
     .group_out = 1,
     .group_in = 0,
     .scale = ScaleType::kF16,
     .weight = ".qweight",
     .scales = ".scales",
     .second = nullptr,
     .asymmetric = true,
     .less = true,
     .settings = R"({"quant_method": "gptq", "bits": 8, "group_size": -1, "sym": false, "desc_act": false,
       "modules_to_not_convert": )" SKIPPED "}"},
    {.name = "awq",
     .kind = Kind::kAwq,
     .bits = 4,
     .group_out = 1,
     .group_in = 32,
     .scale = ScaleType::kF16,
     .weight = ".qweight",
     .scales = ".scales",
     .second = nullptr,
     .asymmetric = true,
     .settings = R"({"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": true, "version": "gemm",
       "modules_to_not_convert": )" SKIPPED "}"},
    {.name = "ct_int4",
     .kind = Kind::kWords,
     .bits = 4,
     .group_out = 1,
     .group_in = 32,
     .scale = ScaleType::kBF16,
     .weight = ".weight_packed",
     .scales = ".weight_scale",
     .second = nullptr,
     .settings = COMPRESSED("pack-quantized", R"({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": true})",
                            "null")},
    {.name = "ct_int4_act",
     .kind = Kind::kWords,
     .bits = 4,
     .group_out = 1,
     .group_in = 16,
     .scale = ScaleType::kBF16,
     .weight = ".weight_packed",
     .scales = ".weight_scale",
     .second = nullptr,
     .asymmetric = true,
     .reordered = true,
     .settings = COMPRESSED("pack-quantized", R"({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 16, "symmetric": false,
       "actorder": "group"})",
                            "null")},
    {.name = "ct_int8_words",
     .kind = Kind::kWords,
     .bits = 8,
     .group_out = 1,
     .group_in = 0,
     .scale = ScaleType::kBF16,
     .weight = ".weight_packed",
     .scales = ".weight_scale",
     .second = nullptr,
     .asymmetric = true,
     .settings = COMPRESSED("pack-quantized", R"({"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": false})", "null")},
    {.name = "ct_int8",
     .kind = Kind::kBytes,
     .bits = 8,
     .group_out = 1,
     .group_in = 0,
     .scale = ScaleType::kF32,
     .weight = ".weight",
     .scales = ".weight_scale",
     .second = nullptr,
     .settings = COMPRESSED("int-quantized", R"({"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": true})",
                            R"({"num_bits": 8, "type": "int", "strategy": "token", "dynamic": true})")},
    {.name = "ct_int8_zp",
     .kind = Kind::kBytes,
     .bits = 8,
     .group_out = 1,
     .group_in = 0,
     .scale = ScaleType::kF32,
     .weight = ".weight",
     .scales = ".weight_scale",
     .second = nullptr,
     .asymmetric = true,
     .settings = COMPRESSED("int-quantized", R"({"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": false})",
                            R"({"num_bits": 8, "type": "int", "strategy": "tensor", "dynamic": false})")},
};

#undef COMPRESSED
#undef SKIPPED

const char* safetensors_type(ScaleType type) {
  switch (type) {
  case ScaleType::kF32: return "F32";
  case ScaleType::kBF16: return "BF16";
  case ScaleType::kF16: return "F16";
  case ScaleType::kExponent: return "U8";
  case ScaleType::kFloat8: return "F8_E4M3";
  }
  return "";
}

// The positive numbers of e4m3 and of e2m1, by their bits.
float eight(std::uint32_t bits) {
  const std::uint32_t exponent = bits >> 3, mantissa = bits & 7;
  return exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                       : std::ldexp(static_cast<float>(8 + mantissa), static_cast<int>(exponent) - 10);
}
constexpr std::array<float, 8> kFour{0, 0.5F, 1, 1.5F, 2, 3, 4, 6};

// The bits of the nearest one, with the sign in front.
template <class ValueOf>
std::uint32_t nearest(float x, std::uint32_t count, std::uint32_t sign, ValueOf value_of) {
  std::uint32_t best = 0;
  for (std::uint32_t bits = 1; bits < count; ++bits)
    if (std::abs(value_of(bits) - std::abs(x)) < std::abs(value_of(best) - std::abs(x))) best = bits;
  return x < 0 ? best | sign : best;
}
std::uint32_t nearest_eight(float x) { return nearest(x, 127, 128, eight); }

float half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const float mantissa = static_cast<float>(bits & 1023);
  const float magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// A scale as it is stored, and the float that this is.
struct Stored {
  std::string bytes;
  float value = 0;
};
Stored stored_scale(ScaleType type, float scale) {
  Stored out;
  std::uint16_t half = 0;
  switch (type) {
  case ScaleType::kF32: return {tiny_bytes({&scale, 1}, TinyFormat::kF32), scale};
  case ScaleType::kF16:
    out.bytes = tiny_bytes({&scale, 1}, TinyFormat::kF16);
    std::memcpy(&half, out.bytes.data(), 2);
    out.value = half_value(half);
    return out;
  case ScaleType::kBF16: {
    out.bytes = tiny_bytes({&scale, 1}, TinyFormat::kBF16);
    const std::string wide = std::string(2, '\0') + out.bytes;
    std::memcpy(&out.value, wide.data(), 4);
    return out;
  }
  case ScaleType::kExponent: {
    const int exponent = std::ilogb(scale) + 1; // no smaller than it
    return {std::string(1, static_cast<char>(exponent + 127)), std::ldexp(1.0F, exponent)};
  }
  case ScaleType::kFloat8: {
    const std::uint32_t bits = std::max(1U, nearest_eight(scale));
    return {std::string(1, static_cast<char>(bits)), eight(bits)};
  }
  }
  return out;
}

// One matrix [out][in]: numbers of a few bits, where they stand in groups, and the floats that they are.
struct Rounded {
  std::size_t out = 0, in = 0, outs = 1, ins = 1; // outs and ins: groups
  std::vector<std::uint32_t> quants;
  std::vector<std::size_t> group;   // of each input
  std::vector<std::string> scales;  // [outs][ins]
  std::vector<std::uint32_t> zeros; // likewise
  float second = 1;
  std::vector<float> floats;
};

class Rounder {
public:
  Rounder(const Scheme& scheme, const float* from, std::size_t out, std::size_t in) : scheme_(scheme), from_(from) {
    r_.out = out;
    r_.in = in;
    const std::size_t group_in = scheme.group_in == 0 ? in : scheme.group_in;
    group_out_ = scheme.group_out == 0 ? out : scheme.group_out;
    r_.outs = (out + group_out_ - 1) / group_out_;
    r_.ins = (in + group_in - 1) / group_in;
    for (std::size_t i = 0; i < in; ++i) r_.group.push_back((scheme.reordered ? (i * 7 + 3) % in : i) / group_in);
  }

  Rounded round() {
    r_.quants.resize(r_.out * r_.in);
    r_.floats.resize(r_.out * r_.in);
    if (scheme_.second != nullptr) {
      float most = 0;
      for (std::size_t i = 0; i < r_.out * r_.in; ++i) most = std::max(most, std::abs(from_[i]));
      r_.second = scheme_.divides ? 448 * 6 / most : most / (448 * 6);
    }
    for (std::size_t o = 0; o < r_.outs; ++o)
      for (std::size_t i = 0; i < r_.ins; ++i) group(o, i);
    return std::move(r_);
  }

private:
  template <class See>
  void each(std::size_t out_group, std::size_t in_group, See see) const {
    for (std::size_t o = out_group * group_out_; o < std::min(r_.out, (out_group + 1) * group_out_); ++o)
      for (std::size_t i = 0; i < r_.in; ++i)
        if (r_.group[i] == in_group) see(o * r_.in + i);
  }
  void group(std::size_t out_group, std::size_t in_group) {
    float least = 0, most = 0;
    each(out_group, in_group, [&](std::size_t at) {
      least = std::min(least, from_[at]);
      most = std::max(most, from_[at]);
    });
    const float reach = std::max(-least, most);
    const bool floats = scheme_.kind == Kind::kFloat8 || scheme_.kind == Kind::kFloat4;
    const float levels = static_cast<float>((1U << scheme_.bits) - 1), middle = static_cast<float>(1U << (scheme_.bits - 1));
    float wanted = scheme_.asymmetric ? (most - least) / levels : reach / (middle - 1);
    if (floats) wanted = reach / (scheme_.kind == Kind::kFloat8 ? 448.0F : 6.0F);
    if (scheme_.second != nullptr) wanted = scheme_.divides ? wanted * r_.second : wanted / r_.second;
    const Stored scale = stored_scale(scheme_.scale, wanted);
    r_.scales.push_back(scale.bytes);
    const float whole = scheme_.second == nullptr ? scale.value : scheme_.divides ? scale.value / r_.second : scale.value * r_.second;
    float zero = middle;
    if (scheme_.asymmetric) zero = std::clamp(std::round(-least / whole), 0.0F, levels);
    r_.zeros.push_back(static_cast<std::uint32_t>(zero));
    each(out_group, in_group, [&](std::size_t at) {
      const float x = from_[at] / whole;
      if (scheme_.kind == Kind::kFloat8) {
        r_.quants[at] = nearest_eight(x);
        r_.floats[at] = (r_.quants[at] >= 128 ? -1.0F : 1.0F) * eight(r_.quants[at] & 127) * whole;
      } else if (scheme_.kind == Kind::kFloat4) {
        r_.quants[at] = nearest(x, 8, 8, [](std::uint32_t bits) { return kFour[bits]; });
        r_.floats[at] = (r_.quants[at] >= 8 ? -1.0F : 1.0F) * kFour[r_.quants[at] & 7] * whole;
      } else {
        const float quant = std::clamp(std::round(x) + zero, 0.0F, levels);
        r_.quants[at] = static_cast<std::uint32_t>(quant);
        r_.floats[at] = (quant - zero) * whole;
      }
    });
  }

  const Scheme& scheme_;
  const float* from_;
  std::size_t group_out_ = 1;
  Rounded r_;
};

void put_word(std::string& to, std::uint32_t word) {
  for (int shift = 0; shift < 32; shift += 8) to += static_cast<char>(word >> shift & 255);
}

// `n` numbers, `at(i)` each, in words; the last is filled up with 0. `place`: where in a word the i-th of it goes.
template <class At>
std::string words_of(std::size_t n, std::uint32_t bits, At at, const std::array<std::size_t, 8>* place = nullptr) {
  std::string out;
  const std::size_t in_word = 32 / bits;
  for (std::size_t start = 0; start < n; start += in_word) {
    std::uint32_t word = 0;
    for (std::size_t i = start; i < std::min(n, start + in_word); ++i) {
      const std::size_t to = place == nullptr ? i - start : (*place)[i - start];
      word |= static_cast<std::uint32_t>(at(i)) << (to * bits);
    }
    put_word(out, word);
  }
  return out;
}

// Row after column: [rows][columns] of elements of so many bytes, turned.
std::string turned(const std::string& bytes, std::size_t rows, std::size_t columns, std::size_t element) {
  std::string out;
  for (std::size_t c = 0; c < columns; ++c)
    for (std::size_t r = 0; r < rows; ++r) out += bytes.substr((r * columns + c) * element, element);
  return out;
}

// AutoAWQ: output 0 of eight in the lowest bits, then 2, 4, 6, 1, 3, 5, 7.
constexpr std::array<std::size_t, 8> kAwqPlace{0, 4, 1, 5, 2, 6, 3, 7};

class Packer {
public:
  Packer(const Scheme& scheme, std::string module) : s_(scheme), module_(std::move(module)) {}

  // The tensors of one matrix.
  std::vector<StoredTensor> pack(const Rounded& r) {
    std::string quants, scales, zeros;
    const std::size_t in_word = 32 / s_.bits, out_words = (r.out + in_word - 1) / in_word, in_words = (r.in + in_word - 1) / in_word;
    for (const std::string& scale : r.scales) scales += scale;
    const std::size_t scale_bytes = r.scales.front().size();
    std::vector<std::uint64_t> scale_shape{r.outs, r.ins};
    if (s_.flat_scale) scale_shape = r.outs == 1 ? std::vector<std::uint64_t>{} : std::vector<std::uint64_t>{r.outs};
    switch (s_.kind) {
    case Kind::kFloat8:
    case Kind::kBytes:
      for (const std::uint32_t q : r.quants) quants += static_cast<char>(s_.kind == Kind::kBytes ? q - 128 : q);
      add(s_.weight, s_.kind == Kind::kBytes ? "I8" : "F8_E4M3", {r.out, r.in}, quants);
      break;
    case Kind::kFloat4:
      for (std::size_t i = 0; i < r.quants.size(); i += 2) quants += static_cast<char>(r.quants[i] | r.quants[i + 1] << 4);
      add(s_.weight, "U8", {r.out, r.in / 2}, quants);
      break;
    case Kind::kWords:
      for (std::size_t o = 0; o < r.out; ++o) quants += words_of(r.in, s_.bits, [&](std::size_t i) { return r.quants[o * r.in + i]; });
      add(s_.weight, "I32", {r.out, in_words}, quants);
      break;
    case Kind::kGptq:
      for (std::size_t o = 0; o < r.out; ++o) quants += words_of(r.in, s_.bits, [&](std::size_t i) { return r.quants[o * r.in + i]; });
      add(s_.weight, "I32", {in_words, r.out}, turned(quants, r.out, in_words, 4));
      break;
    case Kind::kAwq:
      for (std::size_t i = 0; i < r.in; ++i)
        quants += words_of(
            r.out, s_.bits, [&](std::size_t o) { return r.quants[o * r.in + i]; }, &kAwqPlace);
      add(s_.weight, "I32", {r.in, out_words}, quants);
      break;
    }
    const bool by_input = s_.kind == Kind::kGptq || s_.kind == Kind::kAwq;
    if (by_input) add(s_.scales, safetensors_type(s_.scale), {r.ins, r.outs}, turned(scales, r.outs, r.ins, scale_bytes));
    else add(s_.scales, safetensors_type(s_.scale), scale_shape, scales);
    if (s_.second != nullptr) {
      const std::vector<std::uint64_t> one = s_.divides ? std::vector<std::uint64_t>{1} : std::vector<std::uint64_t>{};
      add(s_.second, "F32", one, tiny_bytes({&r.second, 1}, TinyFormat::kF32));
    }
    if (by_input) {
      const auto zero = [&](std::size_t o, std::size_t g) { return (r.zeros[o * r.ins + g] - (s_.less ? 1 : 0)) & ((1U << s_.bits) - 1); };
      for (std::size_t g = 0; g < r.ins; ++g)
        zeros += words_of(
            r.out, s_.bits, [&](std::size_t o) { return zero(o, g); }, s_.kind == Kind::kAwq ? &kAwqPlace : nullptr);
      add(".qzeros", "I32", {r.ins, out_words}, zeros);
    } else if (s_.asymmetric && s_.kind == Kind::kWords) {
      for (std::size_t g = 0; g < r.ins; ++g) zeros += words_of(r.out, s_.bits, [&](std::size_t o) { return r.zeros[o * r.ins + g]; });
      add(".weight_zero_point", "I32", {out_words, r.ins}, turned(zeros, r.ins, out_words, 4));
    } else if (s_.asymmetric) {
      for (const std::uint32_t zero : r.zeros) zeros += static_cast<char>(zero - 128);
      add(".weight_zero_point", "I8", {r.outs, r.ins}, zeros);
    }
    if (s_.kind == Kind::kGptq || s_.reordered) {
      std::string index;
      for (const std::size_t group : r.group) put_word(index, static_cast<std::uint32_t>(group));
      add(s_.kind == Kind::kGptq ? ".g_idx" : ".weight_g_idx", "I32", {r.in}, index);
    }
    if (s_.kind == Kind::kWords) {
      std::string shape;
      for (const std::size_t extent : {r.out, r.in}) {
        put_word(shape, static_cast<std::uint32_t>(extent));
        put_word(shape, 0);
      }
      add(".weight_shape", "I64", {2}, shape);
    }
    if (std::string_view(s_.name) == "fp8_tensor") add(".input_scale", "F32", {}, std::string(4, '\1'));
    return std::move(tensors_);
  }

private:
  void add(std::string_view suffix, const char* type, std::vector<std::uint64_t> shape, std::string bytes) {
    tensors_.push_back({module_ + std::string(suffix), type, std::move(shape), std::move(bytes)});
  }

  const Scheme& s_;
  std::string module_;
  std::vector<StoredTensor> tensors_;
};

const Scheme& scheme_of(std::string_view name) {
  for (const Scheme& scheme : kSchemes)
    if (name == scheme.name) return scheme;
  throw std::runtime_error("no tiny model is quantised as " + std::string(name));
}

StoredTensor as_it_is(const TinyTensor& tensor) { return {tensor.name, "F32", tensor.shape, tiny_bytes(tensor.values, TinyFormat::kF32)}; }

bool is_converted(const TinyTensor& tensor) {
  const std::string& name = tensor.name;
  if (tensor.shape.size() != 2 || name.find(".layers.") == std::string::npos || name == "model.layers.1.self_attn.o_proj.weight")
    return false;
  return name.ends_with("_proj.weight") || name.ends_with("_proj_with_mqa.weight") || name.find(".experts.") != std::string::npos;
}

bool is_stacked(const TinyTensor& tensor) { return tensor.shape.size() == 3 && tensor.name.find(".experts.") != std::string::npos; }

// All experts of a layer. Of gpt-oss [experts][in][out] as floats and [experts][out][in / 32][16] in blocks; [experts][out][in] otherwise.
void quantize_experts(const Scheme& scheme, const TinyTensor& tensor, QuantizedModel& out) {
  const bool blocks = scheme.kind == Kind::kFloat4;
  const std::size_t experts = tensor.shape[0], rows = tensor.shape[1], columns = tensor.shape[2];
  const std::size_t width = blocks ? columns : rows, in = blocks ? rows : columns;
  const auto place = [&](std::size_t e, std::size_t o, std::size_t i) {
    return (e * rows + (blocks ? i : o)) * columns + (blocks ? o : i);
  };
  TinyTensor floats = tensor;
  std::string quants, scales;
  std::vector<std::uint64_t> scale_shape;
  for (std::size_t e = 0; e < experts; ++e) {
    std::vector<float> matrix(in * width);
    for (std::size_t o = 0; o < width; ++o)
      for (std::size_t i = 0; i < in; ++i) matrix[o * in + i] = tensor.values[place(e, o, i)];
    const Rounded rounded = Rounder(scheme, matrix.data(), width, in).round();
    for (std::size_t o = 0; o < width; ++o)
      for (std::size_t i = 0; i < in; ++i) floats.values[place(e, o, i)] = rounded.floats[o * in + i];
    const std::vector<StoredTensor> parts = Packer(scheme, "").pack(rounded);
    quants += parts[0].bytes;
    scales += parts[1].bytes;
    scale_shape = parts[1].shape;
  }
  scale_shape.insert(scale_shape.begin(), experts);
  out.floats.tensors.push_back(std::move(floats));
  if (blocks) out.tensors.push_back({tensor.name + "_blocks", "U8", {experts, width, in / 32, 16}, quants});
  else out.tensors.push_back({tensor.name, "F8_E4M3", tensor.shape, quants});
  out.tensors.push_back({tensor.name + (blocks ? "_scales" : "_scale_inv"), safetensors_type(scheme.scale), scale_shape, scales});
}

} // namespace

std::vector<std::pair<std::string, std::string>> quantized_models() {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Scheme& scheme : kSchemes) out.emplace_back(scheme.name, std::string_view(scheme.name) == "mxfp4" ? "gpt_oss" : "llama");
  for (const char* const scheme : {"fp8_block", "gptq_act", "awq", "ct_int4_act"})
    for (const char* const model : {"phi3", "qwen3_moe"}) out.emplace_back(scheme, model);
  for (const char* const scheme : {"fp8_block", "ct_int4"}) out.emplace_back(scheme, "deepseek_v3");
  out.emplace_back("fp8_block", "qwen3_5_moe");
  return out;
}

TinyModel quantizable_tiny(std::string_view name) {
  TinyModel model = tiny_model(name);
  if (name != "gpt_oss") return model;
  auto config = nlohmann::ordered_json::parse(model.config);
  config["intermediate_size"] = 64; // blocks of 32
  return tiny_model_of(config.dump(2), 5);
}

QuantizedModel quantize_tiny(const TinyModel& model, std::string_view name) {
  const Scheme& scheme = scheme_of(name);
  auto config = nlohmann::ordered_json::parse(model.config);
  config["torch_dtype"] = "float32";
  QuantizedModel out;
  out.floats.config = config.dump(2);
  config["quantization_config"] = nlohmann::ordered_json::parse(scheme.settings);
  out.config = config.dump(2) + "\n";
  const bool stacked = std::any_of(model.tensors.begin(), model.tensors.end(), is_stacked); // then they alone are converted
  for (const TinyTensor& tensor : model.tensors) {
    if (is_stacked(tensor)) {
      quantize_experts(scheme, tensor, out);
    } else if (!stacked && is_converted(tensor)) {
      const Rounded rounded = Rounder(scheme, tensor.values.data(), tensor.shape[0], tensor.shape[1]).round();
      for (StoredTensor& part : Packer(scheme, tensor.name.substr(0, tensor.name.size() - 7)).pack(rounded))
        out.tensors.push_back(std::move(part));
      out.floats.tensors.push_back({tensor.name, tensor.shape, rounded.floats});
    } else {
      out.tensors.push_back(as_it_is(tensor));
      out.floats.tensors.push_back(tensor);
    }
  }
  return out;
}

void write_quantized_folder(const QuantizedModel& model, const std::string& folder) {
  std::vector<SparseTensor> entries;
  std::string data;
  for (const StoredTensor& tensor : model.tensors) {
    entries.push_back({tensor.name, tensor.dtype, tensor.shape});
    data += tensor.bytes;
  }
  std::uint64_t file_bytes = 0;
  write_text(folder + "/config.json", model.config);
  write_text(folder + "/model.safetensors", safetensors_start(entries, file_bytes) + data);
}

namespace {

class Fnv {
public:
  void add(std::string_view bytes) {
    for (const char byte : bytes) hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  std::string text() const {
    char out[17];
    std::snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(hash_));
    return out;
  }

private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

} // namespace

std::string hash_of_tensors(const std::vector<StoredTensor>& tensors) {
  std::vector<const StoredTensor*> sorted;
  for (const StoredTensor& tensor : tensors) sorted.push_back(&tensor);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  Fnv hash;
  for (const StoredTensor* const tensor : sorted) {
    hash.add(tensor->name + std::string(1, '\0'));
    hash.add(tensor->bytes);
  }
  return hash.text();
}

std::string hash_of_tensors(const std::vector<TinyTensor>& tensors) {
  std::vector<StoredTensor> stored;
  for (const TinyTensor& tensor : tensors) stored.push_back(as_it_is(tensor));
  return hash_of_tensors(stored);
}

} // namespace plimsoll::test
