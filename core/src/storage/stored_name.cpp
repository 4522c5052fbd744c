// The table of suffixes that quantisation formats append, and its lookup. Threads: pure functions.
#include "storage/stored_name.hpp"

#include <algorithm>
#include <array>

namespace plimsoll {
namespace {

struct Suffix {
  std::string_view text;
  bool has_weight; // stands for ".weight"; otherwise follows a packed class's name
  StoredRole role;
};

// Last segments after a dot, "x.qweight".
constexpr std::array kSegmentTable{
    Suffix{"weight_scale_inv", true, StoredRole::kScale},
    Suffix{"weight_scale", true, StoredRole::kScale},
    Suffix{"weight_scale_2", true, StoredRole::kSecond},
    Suffix{"input_scale", true, StoredRole::kInputScale},
    Suffix{"weight_packed", true, StoredRole::kWeight},
    Suffix{"weight_shape", true, StoredRole::kShape},
    Suffix{"qweight", true, StoredRole::kWeight},
    Suffix{"qzeros", true, StoredRole::kZeroPoint},
    Suffix{"scales", true, StoredRole::kScale},
    Suffix{"g_idx", true, StoredRole::kGroupIndex},
    Suffix{"k_scale", true, StoredRole::kKvScale},
    Suffix{"v_scale", true, StoredRole::kKvScale},
    Suffix{"q_scale", true, StoredRole::kKvScale},
    Suffix{"prob_scale", true, StoredRole::kKvScale},
    Suffix{"kv_scale", true, StoredRole::kKvScale},
    Suffix{"weight_zero_point", true, StoredRole::kZeroPoint},
    Suffix{"weight_g_idx", true, StoredRole::kGroupIndex},
    Suffix{"weight_global_scale", true, StoredRole::kSecond},
    Suffix{"input_global_scale", true, StoredRole::kInputScale},
    Suffix{"input_zero_point", true, StoredRole::kInputScale},
    Suffix{"input_scale_ub", true, StoredRole::kInputScale},
    Suffix{"output_scale", true, StoredRole::kInputScale},
    Suffix{"activation_scale", true, StoredRole::kInputScale},
    Suffix{"activation_scale_inv", true, StoredRole::kInputScale},
    Suffix{"pre_quant_scale", true, StoredRole::kInputFactor},
    Suffix{"weight_blocks", true, StoredRole::kWeight},
    Suffix{"weight_scales", true, StoredRole::kScale},
    Suffix{"SCB", true, StoredRole::kScale},
    Suffix{"weight_format", true, StoredRole::kState},
    Suffix{"biases", true, StoredRole::kZeroPoint},
    Suffix{"W_q", true, StoredRole::kWeight},
    Suffix{"zero", true, StoredRole::kZeroPoint},
    Suffix{"codes", true, StoredRole::kWeight},
    Suffix{"codebooks", true, StoredRole::kScale},
    Suffix{"trellis", true, StoredRole::kWeight},
    Suffix{"suh", true, StoredRole::kScale},
    Suffix{"svh", true, StoredRole::kScale},
    Suffix{"mcg", true, StoredRole::kState},
    Suffix{"mul1", true, StoredRole::kState},
};

// The same by length, and where each length starts: a look-up compares a handful.
constexpr std::size_t kMaxSegmentBytes = 24;
constexpr auto kSegments = [] {
  auto sorted = kSegmentTable;
  std::sort(sorted.begin(), sorted.end(), [](const Suffix& a, const Suffix& b) { return a.text.size() < b.text.size(); });
  return sorted;
}();
constexpr auto kLengthStart = [] {
  std::array<std::uint8_t, kMaxSegmentBytes + 2> starts{};
  for (std::size_t length = 0; length < starts.size(); ++length)
    for (const Suffix& suffix : kSegments)
      if (suffix.text.size() < length) ++starts[length];
  return starts;
}();
static_assert(kSegments.back().text.size() <= kMaxSegmentBytes);

// Ends of a packed class's last segment, "experts.up_proj_blocks". Longer ones first.
constexpr std::array kEnds{
    Suffix{"_weight_zero_point", false, StoredRole::kZeroPoint},
    Suffix{"_weight_scale_inv", false, StoredRole::kScale},
    Suffix{"_weight_scale_2", false, StoredRole::kSecond},
    Suffix{"_weight_scale", false, StoredRole::kScale},
    Suffix{"_input_global_scale", false, StoredRole::kInputScale},
    Suffix{"_global_scale", false, StoredRole::kSecond},
    Suffix{"_pre_quant_scale", false, StoredRole::kInputFactor},
    Suffix{"_input_scale_ub", false, StoredRole::kInputScale},
    Suffix{"_input_scale", false, StoredRole::kInputScale},
    Suffix{"_scale_inv", false, StoredRole::kScale},
    Suffix{"_blocks", false, StoredRole::kWeight},
    Suffix{"_scales", false, StoredRole::kScale},
    Suffix{"_packed", false, StoredRole::kWeight},
    Suffix{"_qweight", false, StoredRole::kWeight},
    Suffix{"_qzeros", false, StoredRole::kZeroPoint},
    Suffix{"_g_idx", false, StoredRole::kGroupIndex},
    Suffix{"_scale", false, StoredRole::kScale},
    Suffix{"_zero_point", false, StoredRole::kZeroPoint},
    Suffix{"_shape", false, StoredRole::kShape},
};

// The last words of kEnds, after the last underscore.
constexpr std::array<std::string_view, 12> kLastWords{"scale", "scales", "blocks", "packed", "inv",    "2",
                                                      "ub",    "idx",    "shape",  "point",  "qzeros", "qweight"};

// What may follow "x.weight." in bitsandbytes' files, by its last segment.
constexpr std::array<std::string_view, 7> kStates{".weight.absmax",
                                                  ".weight.quant_map",
                                                  ".weight.nested_absmax",
                                                  ".weight.nested_quant_map",
                                                  ".weight.quant_state",
                                                  ".weight.quant_state.bitsandbytes__nf4",
                                                  ".weight.quant_state.bitsandbytes__fp4"};

// quanto's, behind "x.weight".
constexpr std::array kBehindWeight{Suffix{"._data", true, StoredRole::kWeight}, Suffix{"._scale", true, StoredRole::kScale},
                                   Suffix{"._shift", true, StoredRole::kZeroPoint}};

std::optional<StoredName> exporters_name(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
  if (last == "weight" || last == "bias" || last.size() < 3) return std::nullopt;
  if (dot != std::string_view::npos && dot > 0 && last.size() <= kMaxSegmentBytes) {
    for (std::size_t i = kLengthStart[last.size()]; i < kLengthStart[last.size() + 1]; ++i)
      if (kSegments[i].text == last) return StoredName{name.substr(0, dot), true, kSegments[i].role};
  }
  if (last.front() == '_' && dot != std::string_view::npos && name.substr(0, dot).ends_with(".weight")) {
    for (const Suffix& suffix : kBehindWeight)
      if (suffix.text.substr(1) == last && dot > 7) return StoredName{name.substr(0, dot - 7), true, suffix.role};
  }
  // A word that no suffix ends in is the usual case; "m.e_score_correction_bias".
  const std::string_view word = last.substr(last.rfind('_') + 1);
  if (std::find(kLastWords.begin(), kLastWords.end(), word) != kLastWords.end()) {
    for (const Suffix& suffix : kEnds)
      if (last.size() > suffix.text.size() && last.ends_with(suffix.text))
        return StoredName{name.substr(0, name.size() - suffix.text.size()), false, suffix.role};
  }
  if (word == "absmax" || word == "map" || word == "state" || word == "nf4" || word == "fp4") {
    for (const std::string_view state : kStates)
      if (name.size() > state.size() && name.ends_with(state))
        return StoredName{name.substr(0, name.size() - state.size()), true, StoredRole::kState};
  }
  return std::nullopt;
}

} // namespace

std::optional<StoredName> parse_stored_name(std::string_view name, std::span<const std::string_view> scales) {
  std::optional<StoredName> found = exporters_name(name);
  std::size_t shortest = found ? found->stem.size() : name.size();
  for (const std::string_view scale : scales) {
    if (name.size() < scale.size() + 2 || !name.ends_with(scale)) continue;
    const std::string_view stem = name.substr(0, name.size() - scale.size() - 1);
    const char before = name[stem.size()];
    // Of two suffixes the longer one counts: "x.acme_scale" is of "x", not of "x.acme".
    if ((before != '.' && before != '_') || stem.size() >= shortest) continue;
    shortest = stem.size();
    found = StoredName{stem, before == '.', StoredRole::kScale};
  }
  return found;
}

} // namespace plimsoll
