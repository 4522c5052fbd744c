// See settings.hpp.
#include "flags/settings.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

constexpr double kMostNumber = 9e15; // of those that a double counts one by one

// Settings that say_... turn into options.
constexpr std::array<std::string_view, 23> kRules{
    "model",           "hub_model",    "draft",         "draft_method", "draft_steps", "draft_topk", "num_draft_tokens",
    "expert_parallel", "attention_dp", "gpus",          "tp",           "pp",          "dp",         "ep",
    "lora_enabled",    "max_loras",    "max_lora_rank", "lora_dtype",   "kv_dtype_k",  "kv_dtype_v", "replicas_apart",
    "config",          "release"};

bool is_true(const FlagSetting* setting) {
  return setting != nullptr && !setting->value.empty() && setting->value != "false" && setting->value != "False" && setting->value != "0";
}

constexpr std::string_view kOwn = "'s own "; // in the place of a setting that an engine assumes

std::string shown(std::string_view text) { return std::string(text.substr(0, 60)); }

// "gpu" is one device, "gpu:0,1" are two, "2" too.
Result<std::uint64_t> devices_of(const FlagSetting& gpus) {
  constexpr std::string_view kGpu = "gpu";
  std::string_view text = gpus.value;
  if (text == kGpu) return std::uint64_t{1};
  if (text.starts_with("gpu:")) {
    text.remove_prefix(kGpu.size() + 1);
    const bool plain = !text.empty() && text.find_first_not_of("0123456789,") == std::string_view::npos;
    if (plain) return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), ',')) + 1;
  }
  std::uint64_t out = 0;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (stop == text.data() + text.size() && status == std::errc() && out >= 1 && out <= kMaxRanks) return out;
  return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no list of GPUs, such as gpu:0,1", shown(gpus.value)), gpus.where);
}

} // namespace

bool is_assumed(std::string_view where) { return where.find(kOwn) != std::string_view::npos; }

bool FlagSettings::set(const std::string& name, FlagSetting setting) {
  const auto [at, added] = settings_.try_emplace(name, setting);
  if (added) return false;
  const bool differs = at->second.value != setting.value;
  at->second = std::move(setting);
  return differs;
}

const FlagSetting* FlagSettings::find(const std::string& name) const {
  const auto at = settings_.find(name);
  return at == settings_.end() || at->second.value.empty() ? nullptr : &at->second;
}

std::string FlagSettings::value(const std::string& name, std::string otherwise) const {
  const FlagSetting* const setting = find(name);
  return setting == nullptr ? otherwise : setting->value;
}

void FlagSettings::assume(const Assumed& assumed, const std::string& engine) {
  for (const auto& [name, value] : assumed)
    if (find(name) == nullptr) settings_[name] = {value, fmt::format("{}{}{}", engine, kOwn, name)};
}

Result<std::uint64_t> FlagSettings::count(const std::string& name, std::uint64_t otherwise) const {
  const FlagSetting* const setting = find(name);
  if (setting == nullptr) return otherwise;
  std::uint64_t out = 0;
  const char* const end = setting->value.data() + setting->value.size();
  const auto [stop, status] = std::from_chars(setting->value.data(), end, out);
  if (stop != end || status != std::errc() || out < 1 || out > kMaxRanks)
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a whole number from 1 to {}", shown(setting->value), kMaxRanks),
                setting->where);
  return out;
}

Result<void> FlagSettings::say_ranks(std::vector<OptionValue>& out) const {
  PLIMSOLL_ASSIGN(std::uint64_t tp, count("tp", 0));
  PLIMSOLL_ASSIGN(const std::uint64_t pp, count("pp", 1));
  PLIMSOLL_ASSIGN(std::uint64_t dp, count("dp", 1));
  PLIMSOLL_ASSIGN(std::uint64_t ep, count("ep", 1));
  const FlagSetting *const gpus = find("gpus"), *const attention = find("attention_dp"), *const experts = find("expert_parallel");
  std::string where = find("tp") != nullptr ? find("tp")->where : "";
  if (tp == 0 && gpus != nullptr) {
    PLIMSOLL_ASSIGN(const std::uint64_t all, devices_of(*gpus));
    if (all % (pp * dp) != 0)
      return fail(ErrorCode::kBadRequest, fmt::format("{} devices are not shared evenly by {} replicas of {} stages", all, dp, pp),
                  gpus->where);
    tp = all / (pp * dp);
    where = gpus->where;
  }
  if (is_true(attention) && tp > 0) {
    if (find("dp") == nullptr) dp = tp;
    if (dp > 1) {
      if (tp % dp != 0)
        return fail(ErrorCode::kBadRequest, fmt::format("{} ranks are not shared evenly by {} replicas of the attention", tp, dp),
                    attention->where);
      tp /= dp;
    }
  }
  if (is_true(experts)) ep = std::max<std::uint64_t>(tp, 1) * dp;
  const auto say = [&](const char* name, std::uint64_t value, const std::string& place) {
    if (value > 1 || find(name) != nullptr) out.push_back({name, std::to_string(value), place.empty() ? "--" + std::string(name) : place});
  };
  if (tp > 0) out.push_back({"tp", std::to_string(tp), where.empty() ? "--tp" : where});
  say("pp", pp, find("pp") != nullptr ? find("pp")->where : "");
  say("dp", dp, find("dp") != nullptr ? find("dp")->where : attention != nullptr ? attention->where : "");
  say("ep", ep, find("ep") != nullptr ? find("ep")->where : experts != nullptr ? experts->where : "");
  // Replicas without attention of their own share nothing, not even experts.
  const bool apart = is_true(find("replicas_apart")) && !is_true(attention) && dp > 1 && ep <= 1;
  if (apart) out.push_back({"set", "engine.experts_split_over_dp=false", find("dp") != nullptr ? find("dp")->where : "--dp"});
  return {};
}

Result<void> FlagSettings::say_draft(std::vector<OptionValue>& out) const {
  const FlagSetting *const tokens = find("num_draft_tokens"), *const method = find("draft_method"), *const draft = find("draft");
  if (method != nullptr && method->value == "none") return {};
  const bool is_drafted = method != nullptr || draft != nullptr;
  if (tokens != nullptr && (is_drafted || !is_assumed(tokens->where))) {
    out.push_back({"num_draft_tokens", tokens->value, tokens->where});
    return {};
  }
  if (find("draft_steps") != nullptr) {
    PLIMSOLL_ASSIGN(const std::uint64_t steps, count("draft_steps", 1));
    PLIMSOLL_ASSIGN(const std::uint64_t topk, count("draft_topk", 1));
    out.push_back({"num_draft_tokens", std::to_string(steps * topk + 1), find("draft_steps")->where});
    return {};
  }
  if (!is_drafted) return {};
  return fail(ErrorCode::kBadRequest, "how many tokens are drafted in a step is not said; give their number",
              method != nullptr ? method->where : draft->where);
}

void FlagSettings::say_adapters(std::vector<OptionValue>& out) const {
  if (!is_true(find("lora_enabled"))) return;
  const std::string where = find("lora_enabled")->where;
  const FlagSetting* const most = find("max_loras");
  out.push_back({"max_loras", most == nullptr ? "1" : most->value, most == nullptr ? where : most->where});
  for (const char* const name : {"max_lora_rank", "lora_dtype"})
    if (const FlagSetting* const setting = find(name)) out.push_back({name, setting->value, setting->where});
}

void FlagSettings::say_kv_types(std::vector<OptionValue>& out) const {
  const FlagSetting *const k = find("kv_dtype_k"), *const v = find("kv_dtype_v");
  if (k == nullptr && v == nullptr) return;
  constexpr const char* kUsual = "float16"; // of the engine that has both
  const std::string first = k == nullptr ? kUsual : k->value, second = v == nullptr ? kUsual : v->value;
  out.push_back({"kv_dtype", first == second ? first : first + "/" + second, (k != nullptr ? k : v)->where});
}

Result<std::vector<OptionValue>> FlagSettings::options() const {
  std::vector<OptionValue> out;
  PLIMSOLL_TRY(say_ranks(out));
  PLIMSOLL_TRY(say_draft(out));
  say_adapters(out);
  say_kv_types(out);
  for (const auto& [name, setting] : settings_) {
    if (setting.value.empty() || std::find(kRules.begin(), kRules.end(), name) != kRules.end()) continue;
    const bool engine_key = name.starts_with("engine.");
    out.push_back({engine_key ? "set" : name, engine_key ? name + "=" + setting.value : setting.value, setting.where});
  }
  return out;
}

Result<std::string> in_units(std::string_view text, FlagUnit unit, const std::string& where) {
  if (unit == FlagUnit::kAsIs) return std::string(text);
  std::string_view digits = text;
  double scale = 1;
  const auto wrong = [&] { return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no number", shown(text)), where); };
  if (unit == FlagUnit::kHuman && !digits.empty()) {
    constexpr std::string_view kDecimal = "kmgt", kBinary = "KMGT";
    const std::size_t small = kDecimal.find(digits.back()), large = kBinary.find(digits.back());
    if (small != std::string_view::npos) scale = std::pow(1000.0, static_cast<double>(small + 1));
    if (large != std::string_view::npos) scale = std::pow(1024.0, static_cast<double>(large + 1));
    if (scale > 1) digits.remove_suffix(1);
    if (large != std::string_view::npos && digits.find('.') != std::string_view::npos)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("'{}': a binary suffix takes no decimals; write a whole number, or a small letter", shown(text)), where);
  }
  if (unit == FlagUnit::kHuman && scale == 1 && digits.find('.') != std::string_view::npos) return wrong();
  if (unit == FlagUnit::kGib) scale = 1073741824;
  if (unit == FlagUnit::kMib) scale = 1048576;
  double number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, status] = std::from_chars(digits.data(), end, number, std::chars_format::fixed);
  if (digits.empty() || stop != end || status != std::errc() || !(number >= 0)) return wrong();
  const double scaled = std::floor(number * scale);
  if (!(scaled <= kMostNumber)) return wrong();
  return fmt::format("{}", static_cast<std::uint64_t>(scaled));
}

} // namespace plimsoll
