// plimsoll/plugin/rope.hpp - the frequencies of rotary embeddings, in double: plain, linear, llama3, yarn, longrope, partial; and how
// a configuration says which. For planners that describe a forward pass. Never include it by itself: plimsoll/plugin.hpp is the
// include of plugins. Threads: pure functions.
//
// Sources: the rotary utilities of the transformers library, as its rope types name them; Su et al. 2021 (RoFormer) for the plain
// ones, Peng et al. 2023 for yarn, Ding et al. 2024 for longrope.
#ifndef PLIMSOLL_PLUGIN_ROPE_HPP
#define PLIMSOLL_PLUGIN_ROPE_HPP

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/pipeline.h"
#include "plimsoll/plugin/reading.hpp"

namespace plimsoll {

// What a plimsoll_rope_table says. The angle of pair i at position p is p * inverse[i].
struct RopeFrequencies {
  std::vector<double> inverse;
  double attention_factor = 1; // of sine and cosine
  // Longrope: in their place where the plan's max_length is beyond so many tokens; empty: no difference.
  std::vector<double> long_inverse;
  double long_attention_factor = 1;
  std::uint64_t long_beyond_tokens = 0;

  // Columns of a head that turn.
  std::uint64_t columns() const { return 2 * inverse.size(); }
};

namespace rope {

inline constexpr double kPi = 3.14159265358979323846;

// theta^(-2i / columns). Theta 10000, 4 columns: 1, 0.01.
inline RopeFrequencies plain(double theta, std::uint64_t columns) {
  if (!(theta > 1) || columns == 0 || columns % 2 != 0 || columns / 2 > PLIMSOLL_MAX_FREQUENCIES)
    throw Error(PLIMSOLL_E_CONFIG, "", "a rotary embedding needs a base above 1 and an even number of columns, 2 to 8192");
  RopeFrequencies out;
  for (std::uint64_t i = 0; i < columns / 2; ++i)
    out.inverse.push_back(std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(columns)));
  return out;
}

// Positions closer together by a factor. Gemma 3: 8.
inline RopeFrequencies linear(RopeFrequencies from, double factor) {
  for (double& f : from.inverse) f /= factor;
  return from;
}

struct Llama3 {
  double factor = 8, low_frequency_factor = 1, high_frequency_factor = 4, original_tokens = 8192;
};
// Waves longer than original / low are stretched, those shorter than original / high are left, what is between goes over from one to
// the other. Llama 3.1, theta 500000: pair 32 of 64, f = 0.00141421 (a wave of 4443 tokens), t = (8192 / 4443 - 1) / 3 = 0.281:
// 0.719 f / 8 + 0.281 f = 0.000525.
inline RopeFrequencies llama3(RopeFrequencies from, const Llama3& by) {
  for (double& f : from.inverse) {
    const double wave = 2 * kPi / f;
    if (wave < by.original_tokens / by.high_frequency_factor) continue;
    const double t = (by.original_tokens / wave - by.low_frequency_factor) / (by.high_frequency_factor - by.low_frequency_factor);
    f = wave > by.original_tokens / by.low_frequency_factor ? f / by.factor : (1 - t) * f / by.factor + t * f;
  }
  return from;
}

// How much longer contexts sharpen attention: 0.1 m ln(factor) + 1. DeepSeek-V3, factor 40, m 1: 1.368888.
inline double yarn_magnitude(double factor, double m) { return factor > 1 ? 0.1 * m * std::log(factor) + 1 : 1; }

// Of all pairs of a head the first ones alone turn, at the frequencies that they have in the whole of it; the others have frequency 0.
// Gemma 4's full layers, theta 1000000, 512 columns, part 0.25: pairs 0 to 63, the last by 1000000^(-126 / 512) = 0.0334.
inline RopeFrequencies proportional(double theta, std::uint64_t columns, double part, double factor) {
  RopeFrequencies out = plain(theta, columns);
  const auto turning = static_cast<std::uint64_t>(part * static_cast<double>(columns) / 2);
  for (std::size_t i = 0; i < out.inverse.size(); ++i) out.inverse[i] = i < turning ? out.inverse[i] / factor : 0;
  return out;
}

struct Yarn {
  double factor = 1, original_tokens = 0, beta_fast = 32, beta_slow = 1;
  double attention_factor = 0;           // 0: from the magnitudes
  double mscale = 0, mscale_all_dim = 0; // 0: not given
  bool truncate = true;
};
// Pairs that turn more than beta_fast times in the original context keep their frequency, those below beta_slow turns are stretched.
// DeepSeek-V3, theta 10000, 64 columns, 4096 tokens: the bounds are floor(64 ln(4096 / (2 pi 32)) / (2 ln 10000)) = 10 and
// ceil(64 ln(4096 / (2 pi)) / (2 ln 10000)) = 23.
inline RopeFrequencies yarn(double theta, std::uint64_t columns, const Yarn& by) {
  RopeFrequencies out = plain(theta, columns);
  const double n = static_cast<double>(columns);
  const auto bound = [&](double turns) { return n * std::log(by.original_tokens / (turns * 2 * kPi)) / (2 * std::log(theta)); };
  double low = bound(by.beta_fast), high = bound(by.beta_slow);
  if (by.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, n - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < out.inverse.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0), f = out.inverse[i];
    out.inverse[i] = f / by.factor * ramp + f * (1 - ramp);
  }
  const bool both = by.mscale != 0 && by.mscale_all_dim != 0;
  out.attention_factor = by.attention_factor != 0 ? by.attention_factor
                         : both                   ? yarn_magnitude(by.factor, by.mscale) / yarn_magnitude(by.factor, by.mscale_all_dim)
                                                  : yarn_magnitude(by.factor, 1);
  return out;
}

struct Longrope {
  std::vector<double> short_factors, long_factors; // one for each pair
  double factor = 1;                               // of the length
  double attention_factor = 0;                     // 0: sqrt(1 + ln(factor) / ln(original))
  std::uint64_t original_tokens = 0;
};
// A factor for each pair; one list for plans up to the original length, the other beyond. Phi-3-mini-128k: 131072 / 4096 = 32, so
// both turn with sqrt(1 + ln 32 / ln 4096) = 1.190238.
inline RopeFrequencies longrope(double theta, std::uint64_t columns, const Longrope& by) {
  RopeFrequencies out = plain(theta, columns);
  if (by.short_factors.size() != out.inverse.size() || by.long_factors.size() != out.inverse.size())
    throw Error(PLIMSOLL_E_CONFIG, "", "the factors of a longrope are not one for each of the " + std::to_string(columns / 2) + " pairs");
  out.long_inverse = out.inverse;
  for (std::size_t i = 0; i < out.inverse.size(); ++i) {
    out.inverse[i] /= by.short_factors[i];
    out.long_inverse[i] /= by.long_factors[i];
  }
  const double original = static_cast<double>(by.original_tokens);
  const double usual = by.factor > 1 ? std::sqrt(1 + std::log(by.factor) / std::log(original)) : 1;
  out.attention_factor = out.long_attention_factor = by.attention_factor != 0 ? by.attention_factor : usual;
  out.long_beyond_tokens = by.original_tokens;
  return out;
}

} // namespace rope

// How a configuration says which frequencies a model has: `rope_parameters`, for each type of layer or for all, or `rope_theta`,
// `rope_scaling` and `partial_rotary_factor`. What it says and nobody here knows is E_UNSUPPORTED, never guessed.
class RopeKeys {
public:
  // `layer_type`: "full_attention", where the configuration may tell types of layers apart.
  explicit RopeKeys(const Config& config, std::string_view layer_type = {}) : config_(config), scaling_("/rope_scaling") {
    const std::string parameters = "/rope_parameters", of_type = parameters + "/" + std::string(layer_type);
    if (!layer_type.empty() && config.find_len(of_type)) scaling_ = of_type;
    else if (config.find_len(parameters)) scaling_ = parameters;
    if (scaling_ != "/rope_scaling" && config.has("/rope_scaling"))
      throw Error(PLIMSOLL_E_UNSUPPORTED, "/rope_scaling", "stands beside rope_parameters; one of the two was expected");
    type_ = config.str(at("rope_type"), config.str(at("type"), "default"));
    if (type_ == "su") type_ = "longrope";
    if (type_ == "mrope") type_ = "default"; // positions of text are the same in all three
  }

  std::string_view type() const { return type_; }
  double theta() const { return positive({at("rope_theta"), "/rope_theta"}); }
  // 0 where the key is not there.
  double number(std::string_view key) const { return config_.find_f64(at(key)).value_or(0); }
  // Of `head_elements` those that turn.
  std::uint64_t columns(std::uint64_t head_elements) const {
    return static_cast<std::uint64_t>(static_cast<double>(head_elements) * part());
  }
  // The share of a head that turns, above 0 and up to 1.
  double part() const {
    const auto own = config_.find_f64(at("partial_rotary_factor"));
    const double part = own ? *own : config_.find_f64("/partial_rotary_factor").value_or(1);
    if (!(part > 0 && part <= 1))
      throw Error(PLIMSOLL_E_CONFIG, "/partial_rotary_factor", "is no part; a number above 0 and up to 1 was expected");
    return part;
  }
  // Those of a whole head where the type is "proportional".
  RopeFrequencies proportional(std::uint64_t head_elements) const {
    return rope::proportional(known({"factor"}).theta(), head_elements, part(), given("factor", 1));
  }
  // The frequencies of so many columns of a head.
  RopeFrequencies frequencies(std::uint64_t columns) const {
    if (type_ == "default") return known({"mrope_section", "mrope_interleaved"}).plain(columns);
    if (type_ == "linear") return rope::linear(known({"factor"}).plain(columns), factor());
    if (type_ == "llama3") return llama3(columns);
    if (type_ == "yarn") return yarn(columns);
    if (type_ == "longrope") return longrope(columns);
    throw Error(PLIMSOLL_E_UNSUPPORTED, at("rope_type"),
                "is \"" + std::string(type_.substr(0, 40)) + "\"; default, linear, llama3, yarn and longrope are described");
  }

private:
  std::string at(std::string_view key) const { return scaling_ + "/" + std::string(key); }
  double positive(std::initializer_list<std::string> pointers) const {
    for (const std::string& pointer : pointers)
      if (const auto value = config_.find_f64(pointer)) {
        if (*value > 0) return *value;
        throw Error(PLIMSOLL_E_CONFIG, pointer, "is not above 0");
      }
    throw Error(PLIMSOLL_E_CONFIG, *pointers.begin(), "is missing; the rotary embedding needs it");
  }
  double factor() const { return positive({at("factor")}); }
  double original() const {
    return positive({at("original_max_position_embeddings"), "/original_max_position_embeddings", "/max_position_embeddings"});
  }
  double given(std::string_view key, double otherwise) const {
    const double value = number(key);
    return value > 0 ? value : otherwise;
  }
  RopeFrequencies plain(std::uint64_t columns) const { return rope::plain(theta(), columns); }

  RopeFrequencies llama3(std::uint64_t columns) const {
    known({"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"});
    const rope::Llama3 by{factor(), positive({at("low_freq_factor")}), positive({at("high_freq_factor")}), original()};
    if (by.high_frequency_factor <= by.low_frequency_factor)
      throw Error(PLIMSOLL_E_CONFIG, at("high_freq_factor"), "is not above low_freq_factor");
    return rope::llama3(plain(columns), by);
  }
  RopeFrequencies yarn(std::uint64_t columns) const {
    known({"factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor", "mscale", "mscale_all_dim",
           "truncate"});
    return rope::yarn(theta(), columns,
                      {factor(), original(), given("beta_fast", 32), given("beta_slow", 1), given("attention_factor", 0), number("mscale"),
                       number("mscale_all_dim"), config_.boolean(at("truncate"), true)});
  }
  // Phi-3 states the original length outside the scaling.
  RopeFrequencies longrope(std::uint64_t columns) const {
    known({"factor", "original_max_position_embeddings", "attention_factor", "short_factor", "long_factor"});
    rope::Longrope by{list("short_factor", columns / 2), list("long_factor", columns / 2), 1, given("attention_factor", 0), 0};
    const double original_tokens = original();
    if (!(original_tokens > 1 && original_tokens <= static_cast<double>(PLIMSOLL_MAX_EXTENT)))
      throw Error(PLIMSOLL_E_CONFIG, "/original_max_position_embeddings", "is no number of tokens");
    by.original_tokens = static_cast<std::uint64_t>(original_tokens);
    const bool outside = config_.has("/original_max_position_embeddings") || !config_.has(at("factor"));
    by.factor = outside ? positive({"/max_position_embeddings"}) / original_tokens : factor();
    return rope::longrope(theta(), columns, by);
  }
  std::vector<double> list(std::string_view key, std::uint64_t n) const {
    const std::string pointer = at(key);
    if (n > PLIMSOLL_MAX_FREQUENCIES || config_.find_len(pointer) != n)
      throw Error(PLIMSOLL_E_CONFIG, pointer, "a list of " + std::to_string(n) + " numbers was expected");
    std::vector<double> out;
    for (std::uint64_t i = 0; i < n; ++i) out.push_back(positive({pointer + "/" + std::to_string(i)}));
    return out;
  }

  // Refuses what stands beside the keys of this type and would mean something.
  const RopeKeys& known(std::initializer_list<std::string_view> keys) const {
    for (const std::string_view key : config_.keys(scaling_)) {
      const bool usual = key == "rope_type" || key == "type" || key == "rope_theta" || key == "partial_rotary_factor" ||
                         key == "original_max_position_embeddings"; // of no account where a type does not ask for it
      if (usual || std::find(keys.begin(), keys.end(), key) != keys.end() || !config_.has(at(key))) continue;
      throw Error(PLIMSOLL_E_UNSUPPORTED, at(key), "is nothing that this rope type is known to have; no pipeline is described with it");
    }
    return *this;
  }

  const Config& config_;
  std::string scaling_; // of the object with the type
  std::string_view type_;
};

} // namespace plimsoll

#endif
