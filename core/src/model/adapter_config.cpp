#include "model/adapter_config.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "base/json.hpp"
#include "base/regular_file.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostConfigBytes = 1U << 20;
constexpr std::size_t kMostPatterns = 65'536;

// What says how an adapter was trained, where it comes from, or what its tensors say themselves.
constexpr std::array<std::string_view, 20> kNoMatter{
    "auto_mapping",   "base_model_name_or_path", "revision",       "task_type",           "inference_mode",
    "lora_dropout",   "fan_in_fan_out",          "layers_pattern", "layers_to_transform", "exclude_modules",
    "peft_version",   "megatron_core",           "loftq_config",   "eva_config",          "corda_config",
    "runtime_config", "ensure_weight_tying",     "lora_ga_config", "qalora_group_size",   "megatron_config"};
// Ways to begin that leave the base model's weights alone.
constexpr std::array<std::string_view, 3> kPlainStarts{"gaussian", "eva", "orthogonal"};

template <std::size_t n>
bool is_one_of(const std::array<std::string_view, n>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool is_off(const Json& value) {
  return value.is_null() || value == Json(false) || ((value.is_array() || value.is_object() || value.is_string()) && value.empty());
}

// A name of layers, where PEFT would also take an expression.
bool is_plain_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  });
}

} // namespace

bool is_called(std::string_view module, std::string_view name) {
  return module == name || (module.ends_with(name) && module[module.size() - name.size() - 1] == '.');
}

class AdapterConfigReader {
public:
  explicit AdapterConfigReader(const std::string& path) : path_(path) {}

  Result<AdapterConfig> read(const Json& json) {
    if (!json.is_object()) return fail(ErrorCode::kBadConfig, "an object was expected", path_);
    if (!json.contains("peft_type")) PLIMSOLL_TRY(wrong("peft_type", "is missing; \"LORA\" was expected"));
    for (const auto& [key, value] : json.items()) PLIMSOLL_TRY(take(key, value));
    return std::move(out_);
  }

private:
  Result<void> take(const std::string& key, const Json& value) {
    if (key == "peft_type") return value == Json("LORA") ? Result<void>() : wrong(key, "is no \"LORA\", the one kind that is loaded");
    if (key == "r") return rank(key, value, out_.rank_);
    if (key == "lora_alpha") return alpha(key, value, out_.alpha_);
    if (key == "use_rslora") return flag(key, value, out_.root_scale_);
    if (key == "rank_pattern")
      return pattern(key, value, out_.rank_pattern_, [this](const auto& k, const auto& v, auto& to) { return rank(k, v, to); });
    if (key == "alpha_pattern")
      return pattern(key, value, out_.alpha_pattern_, [this](const auto& k, const auto& v, auto& to) { return alpha(k, v, to); });
    if (key == "target_modules") return targets(key, value);
    if (key == "bias")
      return value == Json("none") || is_off(value) ? Result<void>()
                                                    : wrong(key, "adapters with biases are not loaded; \"none\" was expected");
    if (key == "use_dora")
      return is_off(value) ? Result<void>() : wrong(key, "DoRA also scales the columns of weights; plain LoRA is loaded");
    if (key == "modules_to_save") return is_off(value) ? Result<void>() : wrong(key, "whole layers beside the adapter are not loaded");
    if (key == "init_lora_weights") return start(key, value);
    if (is_one_of(kNoMatter, key) || is_off(value)) return {};
    return wrong(key, "is not known here and may change what an adapter computes; null or false was expected");
  }

  Result<void> wrong(const std::string& key, std::string what) const {
    return fail(ErrorCode::kBadConfig, std::move(what), fmt::format("{}: /{}", path_, key.substr(0, 100)));
  }
  Result<void> rank(const std::string& key, const Json& value, std::uint64_t& to) const {
    const std::optional<std::uint64_t> number = value.is_number() ? as_u64(value) : std::nullopt;
    if (!number || *number == 0 || *number > kMaxLoraRank) return wrong(key, fmt::format("a rank from 1 to {} was expected", kMaxLoraRank));
    to = *number;
    return {};
  }
  Result<void> alpha(const std::string& key, const Json& value, double& to) const {
    if (!value.is_number() || !std::isfinite(value.get<double>())) return wrong(key, "a number was expected");
    to = value.get<double>();
    return {};
  }
  Result<void> flag(const std::string& key, const Json& value, bool& to) const {
    if (!value.is_boolean() && !value.is_null()) return wrong(key, "true or false was expected");
    to = value == Json(true);
    return {};
  }
  template <class Value, class Read>
  Result<void> pattern(const std::string& key, const Json& value, std::vector<std::pair<std::string, Value>>& to, const Read& read) const {
    if (value.is_null()) return {};
    if (!value.is_object() || value.size() > kMostPatterns) return wrong(key, "an object of names of layers was expected");
    for (const auto& [name, one] : value.items()) {
      if (!is_plain_name(name)) return wrong(key + "/" + name, "is an expression; a name of layers was expected");
      PLIMSOLL_TRY(read(key + "/" + name, one, to.emplace_back(name, Value{}).second));
    }
    return {};
  }
  Result<void> targets(const std::string& key, const Json& value) {
    if (value.is_null() || value.is_string()) return {}; // an expression: the tensors say which they are
    if (!value.is_array() || value.size() > kMostPatterns) return wrong(key, "a list of names of layers was expected");
    out_.targets_.emplace();
    for (const Json& one : value) {
      if (!one.is_string()) return wrong(key, "a list of names of layers was expected");
      out_.targets_->push_back(one.get<std::string>());
    }
    return {};
  }
  // PiSSA, OLoRA and others begin with other base weights than the checkpoint has.
  Result<void> start(const std::string& key, const Json& value) const {
    if (value.is_boolean() || value.is_null() || (value.is_string() && is_one_of(kPlainStarts, value.get_ref<const std::string&>())))
      return {};
    return wrong(key, "begins with other weights of the base model than it has; save the adapter converted to plain LoRA");
  }

  const std::string& path_;
  AdapterConfig out_;
};

Result<AdapterConfig> AdapterConfig::read(const std::string& path) {
  PLIMSOLL_ASSIGN(std::string text, read_text_file(path, kMostConfigBytes, ErrorCode::kBadConfig));
  PLIMSOLL_ASSIGN(const Json json, parse_json(std::move(text), path, ErrorCode::kBadConfig));
  return AdapterConfigReader(path).read(json);
}

std::uint64_t AdapterConfig::rank_of(std::string_view module) const {
  for (const auto& [name, rank] : rank_pattern_)
    if (is_called(module, name)) return rank;
  return rank_;
}

double AdapterConfig::scale_of(std::string_view module) const {
  double alpha = alpha_;
  for (const auto& [name, value] : alpha_pattern_)
    if (is_called(module, name)) {
      alpha = value;
      break;
    }
  const auto rank = static_cast<double>(rank_of(module));
  return alpha / (root_scale_ ? std::sqrt(rank) : rank);
}

std::uint64_t AdapterConfig::most_rank() const {
  std::uint64_t most = rank_;
  for (const auto& [name, rank] : rank_pattern_) most = std::max(most, rank);
  return most;
}

bool AdapterConfig::is_target(std::string_view module) const {
  return !targets_ || std::any_of(targets_->begin(), targets_->end(), [&](const std::string& name) { return is_called(module, name); });
}

} // namespace plimsoll
