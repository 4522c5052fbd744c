// See start_record.hpp.
#include "compare/start_record.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/json.hpp"
#include "compare/log_reader.hpp"

namespace plimsoll {
namespace {

constexpr double kMiB = 1048576, kGiB = 1073741824;
constexpr int kPrintedDecimals = 2; // engines print sizes and ratios with two; JSON drops trailing zeros

struct Field {
  const char* key;
  const char* name; // of the setting
};
constexpr std::array<Field, 19> kSettings{{{"tp", "tp"},
                                           {"gpu_layers", "gpu_layers"},
                                           {"n_cpu_moe", "n_cpu_moe"},
                                           {"pp", "pp"},
                                           {"dp", "dp"},
                                           {"dcp", "engine.decode_context_parallel"},
                                           {"max_model_len", "max_length"},
                                           {"max_num_batched_tokens", "max_batch_input_tokens"},
                                           {"n_ubatch", "max_batch_input_tokens"},
                                           {"max_num_seqs", "max_batch_size"},
                                           {"sequences", "max_batch_size"},
                                           {"memory_fraction", "device_memory_utilization"},
                                           {"block_size", "page_tokens"},
                                           {"spec_tokens", "num_draft_tokens"},
                                           {"stage_layers", "stage_layers"},
                                           {"weights_bytes", "weights_bytes"},
                                           {"max_loras", "max_loras"},
                                           {"max_lora_rank", "max_lora_rank"},
                                           {"device", "device"}}};
constexpr std::array<Field, 5> kEngineSettings{{{"prefix_caching", "engine.prefix_caching"},
                                                {"flash_attn", "engine.flash_attention"},
                                                {"state_dtype", "engine.state_dtype"},
                                                {"kv_unified", "engine.kv_unified"},
                                                {"mla_mode", "engine.mla_cache"}}};

struct Measured {
  const char* key;
  const char* name;
  double scale;
  bool exact = false; // a count, or bytes to the byte
};
// Where two keys name one figure the first that is there counts.
constexpr std::array<Measured, 15> kMeasured{{{"weights_gib_precise", "weights_bytes", kGiB},
                                              {"weights_gib", "weights_bytes", kGiB},
                                              {"peak_activation_gib", "activation_bytes", kGiB},
                                              {"non_torch_gib", "non_torch_bytes", kGiB},
                                              {"cudagraph_gib", "graph_bytes", kGiB},
                                              {"kv_bytes_exact", "available_kv_bytes", 1, true},
                                              {"available_kv_gib", "available_kv_bytes", kGiB},
                                              {"block_tokens", "block_tokens", 1, true},
                                              {"kv_blocks", "kv_blocks", 1, true},
                                              {"kv_tokens", "kv_tokens", 1, true},
                                              {"max_concurrency", "max_concurrency", 1},
                                              {"needed_kv_gib", "needed_kv_bytes", kGiB},
                                              {"estimated_max_len", "estimated_max_length", 1, true},
                                              {"kv_gib", "kv_cache_bytes", kGiB},
                                              {"kv_total_mib", "kv_cache_bytes", kMiB}}};

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// Other names that records use for a figure.
std::string figure_of(const std::string& name) {
  if (name == "num_blocks") return "kv_blocks";
  if (name == "concurrency") return "max_concurrency";
  return name.starts_with("tokens") ? "kv_tokens" : name;
}

// One unit in the last place of a number as an engine prints it.
double step_of(const Json& value) {
  const std::string text = value.dump();
  const std::size_t point = text.find('.');
  const int decimals = point == std::string::npos ? 0 : static_cast<int>(text.size() - point - 1);
  return std::pow(10.0, -std::max(decimals, kPrintedDecimals));
}

class Record {
public:
  Record(const Json& root, const std::string& place, EngineStart& out) : root_(root), place_(place), out_(out) {}

  Result<void> read(const std::vector<Wording>& wordings) {
    out_.place = place_;
    out_.id = text("id").empty() ? place_ : text("id");
    PLIMSOLL_TRY(engine(wordings));
    out_.model = text("catalogue").empty() ? text("model") : text("catalogue");
    out_.model_key = text("model_key");
    out_.not_compared = text("not_compared");
    const Json* devices = find(root_, "gpu_count");
    if (out_.not_compared.empty() && find(root_, "tp") == nullptr && devices != nullptr && devices->is_number_unsigned() && *devices > 1)
      out_.not_compared = fmt::format("how {} devices were split is not printed", devices->dump());
    out_.record = true;
    PLIMSOLL_TRY(settings());
    PLIMSOLL_TRY(measured());
    refused();
    out_.served = out_.refusal.kind == StartRefusal::kNone;
    what_is_known();
    for (const Json& name : root_.value("known_outliers", Json::array())) out_.outliers.push_back(figure_of(text_of(name)));
    out_.outlier_reason = text("outlier_reason");
    return {};
  }

private:
  tl::unexpected<Error> bad(const std::string& key, std::string_view expected) const {
    return fail(ErrorCode::kBadRequest, fmt::format("{} was expected in '{}'", expected, key), place_);
  }
  const Json* find(const Json& object, const char* key) const {
    const auto it = object.find(key);
    return it == object.end() || it->is_null() ? nullptr : &*it;
  }
  std::string text(const char* key) const {
    const Json* value = find(root_, key);
    return value == nullptr ? std::string() : text_of(*value);
  }

  Result<void> engine(const std::vector<Wording>& wordings) {
    const std::string name = text("engine"), plain = name.substr(0, name.find(" ("));
    for (const Wording& wording : wordings) {
      if (wording.engine != name && wording.engine != plain && !wording.also_named.contains(name)) continue;
      out_.engine = wording.engine;
      wording_ = &wording;
      out_.release = release_of(text("engine_version"), wording);
      if (out_.release.empty()) out_.release = text("release");
      if (const auto it = wording.also_named.find(name); it != wording.also_named.end()) out_.releases = it->second;
      return {};
    }
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no known engine", name.substr(0, 60)), place_);
  }

  Result<void> settings() {
    for (const Field& field : kSettings)
      if (const Json* value = find(root_, field.key)) {
        if (value->is_structured()) return bad(field.key, "a single value");
        out_.set(field.name, spelled(field.name, text_of(*value)), place_);
      }
    for (const Field& field : kEngineSettings)
      if (const Json* value = find(root_, field.key)) {
        if (value->is_structured()) return bad(field.key, "a single value");
        out_.set(field.name, spelled(field.name, text_of(*value)), place_);
      }
    if (find(root_, "max_loras") != nullptr) out_.set("lora_enabled", "true", place_);
    if (const Json* ep = find(root_, "ep")) {
      if (ep->is_boolean() && ep->get<bool>()) out_.set("expert_parallel", "true", place_);
      else if (ep->is_number_unsigned()) out_.set("ep", ep->dump(), place_);
    }
    // "bfloat16 or float16": either, of one size. "f16/f16" is one type.
    std::string kv = text("kv_dtype").substr(0, text("kv_dtype").find(" or "));
    if (const std::size_t slash = kv.find('/'); slash != std::string::npos && kv.substr(0, slash) == kv.substr(slash + 1)) kv.resize(slash);
    if (!kv.empty()) out_.set("kv_dtype", spelled("kv_dtype", kv), place_);
    return {};
  }

  std::string spelled(const std::string& name, const std::string& value) const {
    const auto values = wording_->values.find(name);
    if (values == wording_->values.end()) return value;
    const auto it = values->second.find(value);
    return it == values->second.end() ? value : it->second;
  }

  Result<void> measured() {
    const Json* figures = find(root_, "measured");
    if (figures == nullptr) return {};
    if (!figures->is_object()) return bad("measured", "an object");
    for (const Measured& field : kMeasured) {
      const Json* value = find(*figures, field.key);
      if (value == nullptr) continue;
      if (!value->is_number()) return bad(fmt::format("measured/{}", field.key), "a number");
      put(field.name, {value->get<double>() * field.scale, field.exact ? 0 : step_of(*value) * field.scale, place_});
    }
    for (const auto& [key, name] : {std::pair("gpu_total_gib", "device_total_bytes"), std::pair("free_at_start_gib", "device_free_bytes"),
                                    std::pair("avail_before_load_gib", "device_free_bytes")})
      if (const Json* value = find(*figures, key); value != nullptr && value->is_number() && value->get<double>() > 0)
        out_.set(name, fmt::format("{:.0f}", value->get<double>() * kGiB), place_);
    if (const Json* slots = find(*figures, "mamba_slots")) out_.set("state_slots", text_of(*slots), place_);
    parts(*figures, "k_gib", "v_gib", "kv_cache_bytes", kGiB);
    if (figures->contains("mamba_conv_gib")) parts(*figures, "mamba_conv_gib", "mamba_ssm_gib", "state_bytes", kGiB);
    if (const Json* groups = find(*figures, "kv_groups")) PLIMSOLL_TRY(cache_groups(*groups));
    if (const Json* state = find(*figures, "recurrent"); state != nullptr && state->is_object()) {
      parts(*state, "r_mib", "s_mib", "state_bytes", kMiB);
      if (const Json* cells = find(*state, "cells")) out_.set("state_slots", text_of(*cells), place_);
    }
    if (const Json* buffers = find(*figures, "compute_buffers_mib"); buffers != nullptr && buffers->is_object())
      for (const Json& size : *buffers)
        if (size.is_number() && size.get<double>() * kMiB > out_.printed["compute_buffer_bytes"].value)
          out_.printed["compute_buffer_bytes"] = {size.get<double>() * kMiB, step_of(size) * kMiB, place_};
    return {};
  }
  // The engine's sentence: what stands in it joins what the record says.
  void refused() {
    const std::string sentence = text("refused");
    if (sentence.empty()) return add_implied_refusal(out_);
    EngineStart said = read_sentence(sentence, place_, *wording_);
    out_.refusal = said.refusal.kind == StartRefusal::kNone
                       ? PrintedRefusal{StartRefusal::kOutOfMemory, sentence.substr(0, kMaxRefusalText), place_}
                       : std::move(said.refusal);
    out_.settings.merge(said.settings);
    out_.printed.merge(said.printed);
  }
  void put(const char* name, Printed printed) { out_.printed.try_emplace(name, std::move(printed)); }
  void add(const char* name, const Json& value, double scale) {
    Printed& sum = out_.printed[name];
    sum.place = place_;
    sum.value += value.get<double>() * scale;
    sum.step += step_of(value) * scale;
  }
  void parts(const Json& object, const char* first, const char* second, const char* name, double scale) {
    for (const char* key : {first, second})
      if (const Json* value = find(object, key); value != nullptr && value->is_number()) add(name, *value, scale);
  }
  // Caches that one model keeps side by side; streams are the sequences that do not share one.
  Result<void> cache_groups(const Json& groups) {
    if (!groups.is_array()) return bad("measured/kv_groups", "a list");
    for (const Json& group : groups) {
      const Json* size = group.is_object() ? find(group, "mib") : nullptr;
      if (size == nullptr || !size->is_number()) return bad("measured/kv_groups", "a size in 'mib'");
      add("kv_cache_bytes", *size, kMiB);
      // A draft head keeps a cache of its own.
      if (const Json* name = find(group, "name"); name != nullptr && text_of(*name).find("draft") != std::string::npos)
        out_.set("num_draft_tokens", "1", place_);
      const Json* streams = find(group, "streams");
      if (streams == nullptr || !streams->is_number_unsigned() || streams->get<std::uint64_t>() < 2) continue;
      out_.set("max_batch_size", streams->dump(), place_);
      out_.set("engine.kv_unified", "false", place_);
    }
    return {};
  }

  // The configuration tells what the weights take if it is named with them, or where they are of a plain type.
  void what_is_known() {
    if (const Json* known = find(root_, "limits_known"); known != nullptr && known->is_boolean()) out_.limits_known = known->get<bool>();
    if (const Json* known = find(root_, "weights_known"); known != nullptr && known->is_boolean()) {
      out_.weights_known = known->get<bool>();
      return;
    }
    const std::string type = text("weight_dtype");
    out_.weights_known = type == "bfloat16" || type == "float16" || type == "bfloat16 or float16";
  }

  const Json& root_;
  std::string place_;
  EngineStart& out_;
  const Wording* wording_ = nullptr;
};

} // namespace

Result<EngineStart> read_record(std::string_view line, const std::string& place, const std::vector<Wording>& wordings) {
  const Json root = Json::parse(line, nullptr, false);
  if (!root.is_object()) return fail(ErrorCode::kBadRequest, "the line is no JSON object", place);
  EngineStart out;
  PLIMSOLL_TRY(Record(root, place, out).read(wordings));
  return out;
}

} // namespace plimsoll
