#include "storage/named_storage.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <initializer_list>

#include "storage/storage_formats.hpp"

namespace plimsoll {
namespace {

using namespace formats;

// Takes a name apart from its front.
class Scanner {
public:
  explicit Scanner(std::string_view rest) : rest_(rest) {}

  bool at_end() const { return rest_.empty(); }
  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  // A number of inputs or outputs per scale.
  bool take_extent(std::uint32_t& extent) {
    std::uint64_t number = 0;
    std::size_t digits = 0;
    for (; digits < rest_.size() && digits < 8 && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits)
      number = number * 10 + static_cast<std::uint64_t>(rest_[digits] - '0');
    if (digits == 0 || number == 0 || number > kMaxBlockExtent) return false;
    extent = static_cast<std::uint32_t>(number);
    rest_.remove_prefix(digits);
    return true;
  }
  // "128x128"
  bool take_block(std::uint32_t& out, std::uint32_t& in) { return take_extent(out) && take("x") && take_extent(in); }
  // "g128", or "channel" for one group.
  bool take_group(std::uint32_t& group) {
    group = 0;
    return take("channel") || (take("g") && take_extent(group));
  }
  bool take_bits(std::uint32_t& bits, std::initializer_list<std::uint32_t> allowed) {
    return take_extent(bits) && std::find(allowed.begin(), allowed.end(), bits) != allowed.end();
  }

private:
  std::string_view rest_;
};

// What stands behind the kind in the names of compressed-tensors' formats.
std::optional<Scheme> take_scheme(Scanner& name, std::uint32_t bits) {
  Scheme scheme;
  scheme.bits = bits;
  if (name.take("_tensor")) {
    scheme.strategy = Strategy::kTensor;
  } else if (name.take("_block_")) {
    scheme.strategy = Strategy::kBlock;
    if (!name.take_block(scheme.block_out, scheme.block_in)) return std::nullopt;
  } else if (name.take("_channel")) {
    scheme.strategy = bits == 8 ? Strategy::kChannel : Strategy::kGroup; // one group and one channel are the same
  } else if (name.take("_g")) {
    scheme.strategy = Strategy::kGroup;
    if (!name.take_extent(scheme.group)) return std::nullopt;
  } else {
    return std::nullopt;
  }
  scheme.symmetric = !name.take("_zp");
  scheme.group_index = name.take("_g_idx");
  scheme.static_input = name.take("_static");
  scheme.wide_shape = name.take("_wide");
  return scheme;
}

std::optional<Storage> compressed_tensors(Scanner name) {
  std::uint32_t bits = 8;
  if (name.take("fp8_ct")) {
    const auto scheme = take_scheme(name, bits);
    if (scheme && name.at_end()) return ct_float(*scheme);
  } else if (name.take("int8_bytes")) {
    const auto scheme = take_scheme(name, bits);
    if (scheme && name.at_end()) return ct_int(*scheme);
  } else if (name.take("int") && name.take_bits(bits, {2, 4, 8})) {
    const auto scheme = take_scheme(name, bits);
    if (scheme && name.at_end()) return ct_packed_int(*scheme);
  }
  return std::nullopt;
}

std::optional<Storage> blocks(Scanner name) {
  std::uint32_t out = 0;
  std::uint32_t in = 0;
  if (!name.take("fp8_block_")) return std::nullopt;
  const bool e8m0 = name.take("e8m0_");
  if (!name.take_block(out, in) || !name.at_end()) return std::nullopt;
  return e8m0 ? fp8_block_e8m0(out, in) : fp8_block(out, in);
}

std::optional<Storage> packed_integers(Scanner name) {
  std::uint32_t bits = 0;
  std::uint32_t group = 0;
  if (name.take("gptq_int")) {
    if (name.take_bits(bits, {2, 3, 4, 8}) && name.take("_") && name.take_group(group) && name.at_end()) return gptq(bits, group);
  } else if (name.take("awq_int")) {
    if (name.take_bits(bits, {4, 8}) && name.take("_") && name.take_group(group) && name.at_end()) return awq(bits, group);
  } else if (name.take("int4_modelopt")) {
    const bool input_scale = name.take("_w4a8");
    if (name.take("_") && name.take_group(group) && name.at_end()) return int4_modelopt(group, input_scale);
  }
  return std::nullopt;
}

std::optional<Storage> nvfp4_formats(Scanner name) {
  if (!name.take("nvfp4")) return std::nullopt;
  const bool packed = name.take("_packed");
  const bool input_scale = !name.take("_w4a16");
  const bool pre_quant_scale = !packed && name.take("_awq");
  std::uint32_t group = 16;
  if (!name.at_end() && !(name.take("_") && name.take_group(group) && name.at_end())) return std::nullopt;
  return packed ? ct_nvfp4(group, input_scale) : nvfp4(group, input_scale, pre_quant_scale);
}

std::optional<Storage> grouped_formats(Scanner name) {
  for (const std::string_view kind : grouped_kinds()) {
    Scanner rest = name;
    std::uint32_t group = 0;
    if (rest.take(kind) && rest.take("_") && rest.take_group(group) && rest.at_end()) return grouped(kind, group);
  }
  return std::nullopt;
}

std::optional<Storage> vector_formats(Scanner name) {
  std::uint32_t books = 0, bits = 0, in = 0, out = 0, hundredths = 0;
  if (name.take("exl3_"))
    return name.take_extent(hundredths) && name.at_end() && hundredths <= 1600 ? std::optional(exl3(hundredths)) : std::nullopt;
  if (!name.take("aqlm_") || !name.take_block(books, bits) || !name.take("_") || !name.take_block(out, in) || !name.at_end())
    return std::nullopt;
  if (books > 64 || bits > 16 || in > 1024 || out > 1024) return std::nullopt;
  return aqlm(books, bits, in, out);
}

std::optional<Storage> mlx_formats(Scanner name) {
  if (!name.take("mlx_")) return std::nullopt;
  for (const std::string_view mode : {"affine", "mxfp4", "mxfp8", "nvfp4"}) {
    std::uint32_t bits = 0, group = 0;
    if (!name.take(mode)) continue;
    if (name.take("_int") && name.take_bits(bits, {2, 3, 4, 5, 6, 8}) && name.take("_") && name.take_group(group) && name.at_end())
      return mlx(mode, bits, group);
    return std::nullopt;
  }
  return std::nullopt;
}

struct Fixed {
  std::string_view name;
  Storage (*make)();
};
constexpr std::array kFixed{
    Fixed{"plain", [] { return Storage(); }},
    Fixed{"fp8_tensor", [] { return fp8_tensor(false); }},
    Fixed{"fp8_tensor_static", [] { return fp8_tensor(true); }},
    Fixed{"fp8_row", fp8_row},
    Fixed{"fp8_fbgemm", fp8_fbgemm},
    Fixed{"fp8_modelopt_block", fp8_modelopt_block},
    Fixed{"mxfp4", mxfp4_blocks},
    Fixed{"mxfp4_linear", [] { return mxfp4(); }},
    Fixed{"mxfp4_scale", mxfp4_scale},
    Fixed{"mxfp4_packed", ct_mxfp4},
    Fixed{"mxfp8", [] { return mxfp8(); }},
    Fixed{"bitnet", bitnet},
    Fixed{"bnb_int8", bnb_int8},
    Fixed{"bnb_nf4", [] { return bnb_4bit(true, false); }},
    Fixed{"bnb_nf4_double", [] { return bnb_4bit(true, true); }},
    Fixed{"bnb_fp4", [] { return bnb_4bit(false, false); }},
    Fixed{"bnb_fp4_double", [] { return bnb_4bit(false, true); }},
};

constexpr std::array<std::string_view, 11> kPatterns{
    "fp8_block[_e8m0]_OUTxIN",
    "gptq_intBITS_gN",
    "awq_intBITS_gN",
    "int4_modelopt[_w4a8]_gN",
    "nvfp4[_packed][_w4a16][_awq][_gN]",
    "intBITS_SCALES[_zp][_g_idx][_wide]",
    "fp8_ct_SCALES[_static] and int8_bytes_SCALES[_static], SCALES being tensor, channel, gN or "
    "block_OUTxIN",
    "mlx_MODE_intBITS_gN",
    "aqlm_CODEBOOKSxBITS_OUTxIN",
    "exl3_HUNDREDTHS",
    "hqq_, quanto_, torchao_, quark_, eetq_ or experts_, then intBITS or fpBITS, then _gN or _channel"};

} // namespace

std::optional<Storage> find_storage(std::string_view format_name) {
  for (const Fixed& fixed : kFixed)
    if (fixed.name == format_name) return fixed.make();
  for (const auto read : {blocks, packed_integers, nvfp4_formats, compressed_tensors, grouped_formats, mlx_formats, vector_formats}) {
    std::optional<Storage> storage = read(Scanner(format_name));
    if (storage && storage->name() == format_name) return storage; // a number with a zero in front is no name
  }
  return std::nullopt;
}

std::string storage_name_patterns() {
  std::vector<std::string_view> names;
  for (const Fixed& fixed : kFixed) names.push_back(fixed.name);
  names.insert(names.end(), kPatterns.begin(), kPatterns.end());
  return fmt::format("{}", fmt::join(names, ", "));
}

} // namespace plimsoll
