// Reads quantisation settings into storage formats and name sets: one function per quant_method, found through one table.
// Called through quantization.hpp. Every number is range-checked before it becomes a divisor. Threads: see header.
#include "storage/quantization.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "storage/storage_formats.hpp"

namespace plimsoll {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::int64_t kMaxGroup = 1 << 20; // inputs or outputs per scale; the largest seen is 128

// Linear layers by name that every exporter leaves alone unless its settings name them: heads, embeddings, routers,
// MTP's input projection, DeepSeek-V3.2's index weights (models of that family store them without scales).
constexpr std::array<std::string_view, 17> kNeverBySegment{
    "lm_head",      "head",           "embed_out",          "embed_tokens", "wte",          "word_embeddings",
    "gate",         "router",         "shared_expert_gate", "conv1d",       "weights_proj", "eh_proj",
    "output_layer", "tok_embeddings", "embeddings",         "patch_embed",  "layer_norm"};

bool never_quantized(std::string_view module_name) {
  const std::size_t dot = module_name.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? module_name : module_name.substr(dot + 1);
  if (std::find(kNeverBySegment.begin(), kNeverBySegment.end(), last) != kNeverBySegment.end()) return true;
  if (module_name == "output" || module_name.ends_with("router.layer") || module_name.ends_with("patch_embed.proj")) return true;
  return last.ends_with("norm") || last.ends_with("bias");
}

// A JSON value and the pointer that leads to it.
struct Node {
  const Json* json = nullptr;
  std::string pointer; // "config.json#/quantization_config"

  bool present() const { return json != nullptr && !json->is_null(); }
  std::string at(std::string_view key) const {
    std::string escaped;
    for (const char c : key.substr(0, 200)) {
      if (c == '~') escaped += "~0";
      else if (c == '/') escaped += "~1";
      else escaped += c;
    }
    return pointer + "/" + escaped;
  }
  // Absent keys and null are the same: a node that is not present.
  Node operator[](std::string_view key) const {
    const Json* found = nullptr;
    if (json && json->is_object())
      if (const auto it = json->find(std::string(key)); it != json->end()) found = &*it;
    return {found, at(key)};
  }
  // The first key that is present, else the first.
  Node any(std::initializer_list<std::string_view> keys) const {
    for (const std::string_view key : keys)
      if (Node node = (*this)[key]; node.present()) return node;
    return (*this)[*keys.begin()];
  }
};

tl::unexpected<Error> bad(const Node& node, std::string_view expected) {
  std::string found = "nothing";
  if (node.present()) {
    found = node.json->is_structured() ? fmt::format("a JSON {}", node.json->type_name())
                                       : node.json->dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60);
  }
  return fail(ErrorCode::kBadConfig, fmt::format("{} instead of {}", found, expected), node.pointer);
}

Result<std::int64_t> integer(const Node& node, std::int64_t fallback, std::int64_t least, std::int64_t most) {
  if (!node.present()) return fallback;
  const std::string expected = fmt::format("an integer from {} to {}", least, most);
  if (!node.json->is_number_integer()) return bad(node, expected);
  if (node.json->is_number_unsigned() && node.json->get<std::uint64_t>() > static_cast<std::uint64_t>(most)) return bad(node, expected);
  const auto value = node.json->get<std::int64_t>();
  if (value < least || value > most) return bad(node, expected);
  return value;
}

Result<bool> boolean(const Node& node, bool fallback) {
  if (!node.present()) return fallback;
  if (!node.json->is_boolean()) return bad(node, "true or false");
  return node.json->get<bool>();
}

Result<std::string> text(const Node& node, std::string fallback) {
  if (!node.present()) return fallback;
  if (!node.json->is_string()) return bad(node, "a string");
  return node.json->get<std::string>();
}

// Exporters' group_size: -1 (and modelopt's absence) mean one group, 0 and all else is an error. 0 stands for one group.
Result<std::uint32_t> group_size(const Node& node, std::uint32_t fallback) {
  PLIMSOLL_ASSIGN(const std::int64_t value, integer(node, fallback, -1, kMaxGroup));
  if (node.present() && value == 0) return bad(node, fmt::format("an integer from 1 to {}, or -1 for one group", kMaxGroup));
  return value < 0 ? 0U : static_cast<std::uint32_t>(value);
}

Result<std::uint32_t> bits(const Node& node, std::uint32_t fallback, std::initializer_list<std::uint32_t> allowed) {
  PLIMSOLL_ASSIGN(const std::int64_t value, integer(node, fallback, 1, 64));
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end())
    return bad(node, fmt::format("one of {} bits", fmt::join(allowed, ", ")));
  return static_cast<std::uint32_t>(value);
}

struct Block {
  std::uint32_t out = 0, in = 0;
};

// [128, 128], or compressed-tensors' older "128x128".
Result<Block> block_size(const Node& node) {
  const std::string expected = fmt::format("two integers from 1 to {}, like [128, 128]", kMaxGroup);
  std::array<std::int64_t, 2> sizes{};
  if (node.present() && node.json->is_string()) {
    const std::string s = node.json->get<std::string>();
    std::size_t i = 0;
    for (std::int64_t& size : sizes) {
      const std::size_t start = i;
      for (; i < s.size() && i - start < 8 && s[i] >= '0' && s[i] <= '9'; ++i) size = size * 10 + (s[i] - '0');
      if (&size == &sizes[0] && (i == start || i >= s.size() || s[i++] != 'x')) return bad(node, expected);
    }
    if (i != s.size()) return bad(node, expected);
  } else {
    if (!node.present() || !node.json->is_array() || node.json->size() != 2) return bad(node, expected);
    for (std::size_t i = 0; i < 2; ++i) {
      PLIMSOLL_ASSIGN(sizes[i], integer({&(*node.json)[i], node.at(std::to_string(i))}, 0, 1, kMaxGroup));
    }
  }
  for (const std::int64_t size : sizes)
    if (size < 1 || size > kMaxGroup) return bad(node, expected);
  return Block{static_cast<std::uint32_t>(sizes[0]), static_cast<std::uint32_t>(sizes[1])};
}

} // namespace

// Fills one Quantization; lives during parse.
class QuantizationReader {
public:
  QuantizationReader(const Json& config, Quantization& out) : config_(config), out_(out) {}

  // Reads `settings` by its quant_method; `hf` is hf_quant_config's inner object or not present.
  Result<void> read(const Node& settings, const Node& hf);

  Result<void> fp8(const Node& q);
  Result<void> fbgemm(const Node& q);
  Result<void> mxfp4(const Node& q);
  Result<void> mxfp8(const Node& q);
  Result<void> gptq(const Node& q);
  Result<void> awq(const Node& q);
  Result<void> auto_round(const Node& q);
  Result<void> bitsandbytes(const Node& q);
  Result<void> compressed_tensors(const Node& q);
  Result<void> modelopt(const Node& q);

private:
  // The index of an equal format, else a new one; a format's name carries all its parameters.
  Result<std::uint16_t> intern(Storage storage, const Node& node) {
    for (std::size_t i = 0; i < out_.storages_.size(); ++i)
      if (out_.storages_[i].name() == storage.name()) return static_cast<std::uint16_t>(i);
    if (out_.storages_.size() >= 256)
      return fail(ErrorCode::kBadConfig, "more than 255 different storage formats in one model", node.pointer);
    out_.storages_.push_back(std::move(storage));
    return static_cast<std::uint16_t>(out_.storages_.size() - 1);
  }
  // Mixed checkpoints whose cache is quantised too store its scales beside the key and value projections.
  void add_cache_scales() {
    const std::size_t n = out_.storages_.size();
    for (const std::string_view suffix : {"k_scale", "v_scale"})
      for (std::size_t i = 0; i < n; ++i) out_.storages_.push_back(out_.storages_[i].with_scalar(suffix));
    out_.k_scaled_ = static_cast<std::uint16_t>(n), out_.v_scaled_ = static_cast<std::uint16_t>(2 * n);
  }
  Result<void> set_default(Storage storage, const Node& node) {
    PLIMSOLL_ASSIGN(out_.default_, intern(std::move(storage), node));
    return {};
  }
  // Adds an array of module patterns; absent is empty.
  Result<void> add_names(const Node& list, NameSet& set, std::uint16_t value) {
    if (!list.present()) return {};
    if (!list.json->is_array()) return bad(list, "an array of module names");
    for (std::size_t i = 0; i < list.json->size(); ++i) {
      const Node item{&(*list.json)[i], list.at(std::to_string(i))};
      if (!item.json->is_string()) return bad(item, "a module name");
      PLIMSOLL_TRY(set.add(item.json->get_ref<const std::string&>(), value, item.pointer));
    }
    return {};
  }
  Result<void> exclude(const Node& list) { return add_names(list, out_.excluded_, 0); }
  Result<void> exclude_one(std::string_view name, const Node& node) { return out_.excluded_.add(name, 0, node.pointer); }

  Result<void> quantized_layers(const Node& layers, std::uint32_t group);
  Result<std::uint16_t> modelopt_format(const Node& algorithm, const Node& group, std::uint32_t fallback_group);
  Result<void> config_groups(const Node& q);
  Result<Storage> config_group(const Node& group, const std::string& outer_format);
  Result<Storage> gptq_format(const Node& q, std::uint32_t default_bits, std::uint32_t default_group);
  void kv_cache(const Node& q, const Node& hf);

  const Json& config_;
  Quantization& out_;
  bool mixed_ = false;       // modelopt's MIXED_PRECISION
  bool wide_shapes_ = false; // compressed-tensors' own writer, which names its version, stores shapes in 64 bits
};

namespace {

struct Method {
  std::string_view name;
  Result<void> (QuantizationReader::*read)(const Node&);
};
constexpr std::array kMethods{
    Method{"fp8", &QuantizationReader::fp8},
    Method{"fbgemm_fp8", &QuantizationReader::fbgemm},
    Method{"compressed-tensors", &QuantizationReader::compressed_tensors},
    Method{"compressed_tensors", &QuantizationReader::compressed_tensors},
    Method{"modelopt", &QuantizationReader::modelopt},
    Method{"modelopt_fp4", &QuantizationReader::modelopt},
    Method{"modelopt_mixed", &QuantizationReader::modelopt},
    Method{"mxfp4", &QuantizationReader::mxfp4},
    Method{"mxfp8", &QuantizationReader::mxfp8},
    Method{"gptq", &QuantizationReader::gptq},
    Method{"gptq_marlin", &QuantizationReader::gptq},
    Method{"awq", &QuantizationReader::awq},
    Method{"awq_marlin", &QuantizationReader::awq},
    Method{"auto-round", &QuantizationReader::auto_round},
    Method{"bitsandbytes", &QuantizationReader::bitsandbytes},
};

std::string known_methods() {
  std::vector<std::string_view> names;
  for (const Method& method : kMethods) names.push_back(method.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

bool same_text(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? static_cast<char>(x - 'A' + 'a') : x) == y; });
}

} // namespace

Result<void> QuantizationReader::read(const Node& settings, const Node& hf) {
  const Node method = settings["quant_method"];
  std::string name;
  if (method.present()) {
    PLIMSOLL_ASSIGN(name, text(method, ""));
  } else if (settings["quant_algo"].present()) name = "modelopt"; // modelopt's older exports leave quant_method out
  else if (settings["config_groups"].present()) name = "compressed-tensors";
  else if (settings["load_in_4bit"].present() || settings["load_in_8bit"].present()) name = "bitsandbytes";
  else return bad(method, "one of " + known_methods());
  if (same_text(name, "gguf")) { // every tensor of a GGUF file names its own type; there is no rule to read
    out_.method_ = "gguf";
    return {};
  }
  for (const Method& known : kMethods) {
    if (!same_text(name, known.name)) continue;
    out_.method_ = std::string(known.name);
    PLIMSOLL_TRY((this->*known.read)(settings));
    if (known.read == &QuantizationReader::modelopt && settings.pointer != hf.pointer &&
        !settings.any({"ignore", "exclude_modules", "modules_to_not_convert"}).present())
      PLIMSOLL_TRY(exclude(hf.any({"exclude_modules", "ignore"})));
    kv_cache(settings, hf);
    if (mixed_ && out_.kv_cache_dtype_) add_cache_scales();
    return {};
  }
  return bad(method, "one of " + known_methods());
}

// DeepSeek, Qwen, GLM and transformers' fine-grained fp8; without blocks one scalar per layer.
Result<void> QuantizationReader::fp8(const Node& q) {
  PLIMSOLL_TRY(exclude(q["modules_to_not_convert"]));
  PLIMSOLL_TRY(exclude(q["ignored_layers"]));
  const Node block = q["weight_block_size"];
  PLIMSOLL_ASSIGN(const std::string activation, text(q["activation_scheme"], "dynamic"));
  if (block.present()) {
    PLIMSOLL_ASSIGN(const Block size, block_size(block));
    PLIMSOLL_TRY(set_default(formats::fp8_block(size.out, size.in), q));
  } else PLIMSOLL_TRY(set_default(formats::fp8_tensor(activation == "static"), q));
  PLIMSOLL_TRY(quantized_layers(q["quantized_layers"], 16));
  // Routed experts may be held in 4 bits beside fp8.
  const Node whole{&config_, ""};
  PLIMSOLL_ASSIGN(const std::string expert, text(whole["expert_dtype"], ""));
  if (expert == "fp4") {
    PLIMSOLL_ASSIGN(const std::uint16_t format, intern(formats::mxfp4_scale(), q));
    PLIMSOLL_TRY(out_.included_.add("experts", format, q.pointer));
  }
  return {};
}

Result<void> QuantizationReader::fbgemm(const Node& q) {
  PLIMSOLL_TRY(exclude(q["modules_to_not_convert"]));
  return set_default(formats::fp8_fbgemm(), q);
}

// gpt-oss: only packed experts are converted; the list of exceptions is there for everything else.
Result<void> QuantizationReader::mxfp4(const Node& q) {
  PLIMSOLL_TRY(exclude(q["modules_to_not_convert"]));
  PLIMSOLL_ASSIGN(const std::uint16_t format, intern(formats::mxfp4_blocks(), q));
  return out_.included_.add("experts", format, q.pointer);
}

Result<void> QuantizationReader::mxfp8(const Node& q) {
  PLIMSOLL_TRY(exclude(q.any({"modules_to_not_convert", "ignored_layers"})));
  return set_default(formats::mxfp8(), q);
}

Result<Storage> QuantizationReader::gptq_format(const Node& q, std::uint32_t default_bits, std::uint32_t default_group) {
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(q["bits"], default_bits, {2, 3, 4, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q["group_size"], default_group));
  return formats::gptq(width, group);
}

Result<void> QuantizationReader::gptq(const Node& q) {
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(q["bits"], 4, {2, 3, 4, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q["group_size"], 128));
  PLIMSOLL_ASSIGN(const std::uint16_t format, intern(formats::gptq(width, group), q));
  PLIMSOLL_TRY(exclude(q["modules_to_not_convert"]));
  PLIMSOLL_ASSIGN(const bool head, boolean(q["lm_head"], false));
  if (head) PLIMSOLL_TRY(out_.included_.add("lm_head", format, q["lm_head"].pointer));

  // GPTQModel: {"-:regex": {}} leaves layers alone, {"+:regex": {"bits": 8}} changes their parameters.
  if (const Node dynamic = q["dynamic"]; dynamic.present() && !(dynamic.json->is_boolean() && !dynamic.json->get<bool>())) {
    if (!dynamic.json->is_object()) return bad(dynamic, "an object of patterns");
    for (const auto& [key, value] : dynamic.json->items()) {
      const Node entry{&value, dynamic.at(key)};
      const std::string_view pattern = key;
      if (pattern.starts_with("-:")) PLIMSOLL_TRY(exclude_one(std::string("re:").append(pattern.substr(2)), entry));
      else {
        PLIMSOLL_ASSIGN(Storage changed, gptq_format(entry, width, group));
        PLIMSOLL_ASSIGN(const std::uint16_t index, intern(std::move(changed), entry));
        PLIMSOLL_TRY(
            out_.included_.add(std::string("re:").append(pattern.substr(pattern.starts_with("+:") ? 2 : 0)), index, entry.pointer));
      }
    }
  }
  // A list of lists of the modules to convert in each block; all others stay.
  const Node only = q["modules_in_block_to_quantize"];
  if (!only.present()) {
    out_.default_ = format;
    return {};
  }
  if (!only.json->is_array()) return bad(only, "an array of arrays of module names");
  for (std::size_t i = 0; i < only.json->size(); ++i) {
    const Node list{&(*only.json)[i], only.at(std::to_string(i))};
    if (list.json->is_string()) PLIMSOLL_TRY(out_.included_.add(list.json->get_ref<const std::string&>(), format, list.pointer));
    else PLIMSOLL_TRY(add_names(list, out_.included_, format));
  }
  return {};
}

Result<void> QuantizationReader::awq(const Node& q) {
  PLIMSOLL_TRY(exclude(q["modules_to_not_convert"]));
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(q.any({"bits", "w_bit"}), 4, {4, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q.any({"group_size", "q_group_size"}), 128));
  return set_default(formats::awq(width, group), q);
}

// Intel's exporter writes GPTQ's or AWQ's layout and says which.
Result<void> QuantizationReader::auto_round(const Node& q) {
  PLIMSOLL_ASSIGN(const std::string packing, text(q["packing_format"], "auto_round:auto_gptq"));
  const bool as_awq = packing.find("awq") != std::string::npos;
  const auto format = [&](const Node& node, std::uint32_t width, std::uint32_t group) -> Result<Storage> {
    PLIMSOLL_ASSIGN(const std::uint32_t own_width, bits(node["bits"], width, {2, 3, 4, 8}));
    PLIMSOLL_ASSIGN(const std::uint32_t own_group, group_size(node["group_size"], group));
    return as_awq ? formats::awq(own_width, own_group) : formats::gptq(own_width, own_group);
  };
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(q["bits"], 4, {2, 3, 4, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q["group_size"], 128));
  PLIMSOLL_TRY(set_default(as_awq ? formats::awq(width, group) : formats::gptq(width, group), q));
  const Node extra = q["extra_config"];
  if (!extra.present()) return {};
  if (!extra.json->is_object()) return bad(extra, "an object of modules");
  for (const auto& [key, value] : extra.json->items()) {
    const Node entry{&value, extra.at(key)};
    PLIMSOLL_ASSIGN(const std::int64_t own_bits, integer(entry["bits"], width, 1, 64));
    if (own_bits >= 16) {
      PLIMSOLL_TRY(exclude_one(key, entry));
      continue;
    }
    PLIMSOLL_ASSIGN(Storage own, format(entry, width, group));
    PLIMSOLL_ASSIGN(const std::uint16_t index, intern(std::move(own), entry));
    PLIMSOLL_TRY(out_.included_.add(key, index, entry.pointer));
  }
  return {};
}

Result<void> QuantizationReader::bitsandbytes(const Node& q) {
  PLIMSOLL_TRY(exclude(q["llm_int8_skip_modules"]));
  PLIMSOLL_ASSIGN(const bool four, boolean(q.any({"load_in_4bit", "_load_in_4bit"}), false));
  PLIMSOLL_ASSIGN(const bool eight, boolean(q.any({"load_in_8bit", "_load_in_8bit"}), false));
  if (four == eight) return fail(ErrorCode::kBadConfig, "one of load_in_4bit and load_in_8bit must be true", q.pointer);
  if (eight) return set_default(formats::bnb_int8(), q);
  PLIMSOLL_ASSIGN(const std::string kind, text(q["bnb_4bit_quant_type"], "fp4"));
  if (kind != "nf4" && kind != "fp4") return bad(q["bnb_4bit_quant_type"], "nf4 or fp4");
  PLIMSOLL_ASSIGN(const bool nested, boolean(q["bnb_4bit_use_double_quant"], false));
  return set_default(formats::bnb_4bit(kind == "nf4", nested), q);
}

Result<void> QuantizationReader::compressed_tensors(const Node& q) {
  if (const Node sparse = q["sparsity_config"]["format"]; sparse.present()) {
    PLIMSOLL_ASSIGN(const std::string format, text(sparse, ""));
    if (format != "dense") return bad(sparse, "dense; compressed sparse weights cannot be planned from the configuration");
  }
  PLIMSOLL_TRY(exclude(q["ignore"]));
  wide_shapes_ = q["version"].present();
  return config_groups(q);
}

Result<void> QuantizationReader::config_groups(const Node& q) {
  PLIMSOLL_ASSIGN(const std::string outer_format, text(q["format"], ""));
  const Node groups = q["config_groups"];
  if (!groups.present() || !groups.json->is_object()) return bad(groups, "an object of groups");
  bool have_default = false;
  for (const auto& [key, value] : groups.json->items()) {
    const Node group{&value, groups.at(key)};
    if (!value.is_object()) return bad(group, "an object with weights and targets");
    PLIMSOLL_ASSIGN(Storage storage, config_group(group, outer_format));
    PLIMSOLL_ASSIGN(const std::uint16_t index, intern(std::move(storage), group));
    const Node targets = group["targets"];
    if (targets.present() && !targets.json->is_array()) return bad(targets, "an array of module names or classes");
    const std::size_t count = targets.present() ? targets.json->size() : 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Node target{&(*targets.json)[i], targets.at(std::to_string(i))};
      if (!target.json->is_string()) return bad(target, "a module name or class");
      const std::string& name = target.json->get_ref<const std::string&>();
      // A class name: these are the ones that hold linear layers. Embedding and attention classes hold none.
      if (name.find('.') == std::string::npos && !name.empty() && name[0] >= 'A' && name[0] <= 'Z') {
        if (name.find("Linear") == std::string::npos && name.find("MoE") == std::string::npos) continue;
        if (!have_default) out_.default_ = index;
        have_default = true;
      } else PLIMSOLL_TRY(out_.included_.add(name, index, target.pointer));
    }
    if (count == 0 && !have_default) {
      out_.default_ = index;
      have_default = true;
    }
  }
  return {};
}

// One entry of compressed-tensors' config_groups.
Result<Storage> QuantizationReader::config_group(const Node& group, const std::string& outer_format) {
  using formats::Strategy;
  const Node weights = group["weights"];
  if (!weights.present()) return Storage();
  if (!weights.json->is_object()) return bad(weights, "an object with num_bits and type");
  PLIMSOLL_ASSIGN(const std::string type, text(weights["type"], "int"));
  if (type != "int" && type != "float") return bad(weights["type"], "int or float");
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(weights["num_bits"], 8, {2, 4, 8}));

  formats::Scheme scheme;
  scheme.bits = width;
  scheme.wide_shape = wide_shapes_;
  PLIMSOLL_ASSIGN(scheme.symmetric, boolean(weights["symmetric"], true));
  PLIMSOLL_ASSIGN(scheme.group, group_size(weights["group_size"], 0));
  PLIMSOLL_ASSIGN(const std::string strategy, text(weights["strategy"], weights["group_size"].present()        ? "group"
                                                                        : weights["block_structure"].present() ? "block"
                                                                                                               : "tensor"));
  if (strategy == "tensor") scheme.strategy = Strategy::kTensor;
  else if (strategy == "channel") scheme.strategy = Strategy::kChannel;
  else if (strategy == "group" || strategy == "tensor_group") scheme.strategy = Strategy::kGroup;
  else if (strategy == "block") {
    scheme.strategy = Strategy::kBlock;
    PLIMSOLL_ASSIGN(const Block block, block_size(weights["block_structure"]));
    scheme.block_out = block.out;
    scheme.block_in = block.in;
  } else return bad(weights["strategy"], "tensor, channel, group, tensor_group or block");
  // "weight" and "static" sort before packing and store nothing; "group" (and true) store each input's group.
  if (const Node order = weights["actorder"]; order.present()) {
    if (order.json->is_boolean()) scheme.group_index = order.json->get<bool>();
    else {
      PLIMSOLL_ASSIGN(const std::string name, text(order, ""));
      scheme.group_index = name == "group" || name == "GROUP";
    }
  }
  const Node input = group["input_activations"];
  if (input.present()) {
    if (!input.json->is_object()) return bad(input, "an object or null");
    const Node dynamic = input["dynamic"];
    scheme.static_input = !dynamic.present() || (dynamic.json->is_boolean() && !dynamic.json->get<bool>());
  }

  PLIMSOLL_ASSIGN(std::string format, text(group["format"], outer_format));
  if (format.empty() || format == "mixed-precision" || format == "naive-quantized") {
    if (type == "float") format = width == 8 ? "float-quantized" : scheme.group == 32 ? "mxfp4-pack-quantized" : "nvfp4-pack-quantized";
    else format = width == 8 && (input.present() || format == "naive-quantized") ? "int-quantized" : "pack-quantized";
  }
  const bool float4 = type == "float" && width == 4;
  if (format == "dense") return Storage();
  if (format == "pack-quantized" && type == "int") return formats::ct_packed_int(scheme);
  if (format == "int-quantized" && type == "int" && width == 8) return formats::ct_int(scheme);
  if (format == "float-quantized" && type == "float" && width == 8) return formats::ct_float(scheme);
  if (format == "nvfp4-pack-quantized" && float4) return formats::ct_nvfp4(scheme.group == 0 ? 16 : scheme.group, input.present());
  if (format == "mxfp4-pack-quantized" && float4) return formats::ct_mxfp4();
  if (format == "mxfp8-quantized" && type == "float" && width == 8) return formats::mxfp8();
  return fail(
      ErrorCode::kBadConfig,
      fmt::format("format \"{}\" with {}-bit {} weights; known are dense, pack-quantized (int), int-quantized (int8), float-quantized "
                  "(float8), nvfp4-pack-quantized and mxfp4-pack-quantized (float4), mxfp8-quantized (float8)",
                  format.substr(0, 40), width, type),
      weights.pointer);
}

namespace {

struct ModeloptAlgorithm {
  std::string_view name;
  std::uint32_t default_group;
  Storage (*make)(std::uint32_t group);
};
constexpr std::array kModeloptAlgorithms{
    ModeloptAlgorithm{"fp8", 0, [](std::uint32_t) { return formats::fp8_tensor(true); }},
    ModeloptAlgorithm{"fp8_per_channel_per_token", 0, [](std::uint32_t) { return formats::fp8_row(); }},
    ModeloptAlgorithm{"fp8_pb_wo", 0, [](std::uint32_t) { return formats::fp8_modelopt_block(); }},
    ModeloptAlgorithm{"nvfp4", 16, [](std::uint32_t group) { return formats::nvfp4(group, true, false); }},
    ModeloptAlgorithm{"nvfp4_awq", 16, [](std::uint32_t group) { return formats::nvfp4(group, true, true); }},
    ModeloptAlgorithm{"w4a16_nvfp4", 16, [](std::uint32_t group) { return formats::nvfp4(group, false, false); }},
    ModeloptAlgorithm{"nvfp4_w4a16", 16, [](std::uint32_t group) { return formats::nvfp4(group, false, false); }},
    ModeloptAlgorithm{"w4a8_nvfp4_fp8", 16, [](std::uint32_t group) { return formats::nvfp4(group, true, false); }},
    ModeloptAlgorithm{"w4a16_awq", 128, [](std::uint32_t group) { return formats::int4_modelopt(group, false); }},
    ModeloptAlgorithm{"w4a8_awq", 128, [](std::uint32_t group) { return formats::int4_modelopt(group, true); }},
    ModeloptAlgorithm{"mxfp8", 32, [](std::uint32_t) { return formats::mxfp8(); }},
    ModeloptAlgorithm{"mxfp4", 32, [](std::uint32_t) { return formats::mxfp4(); }},
    ModeloptAlgorithm{"w4a16_mxfp4", 32, [](std::uint32_t) { return formats::mxfp4(); }},
    ModeloptAlgorithm{"w4a8_mxfp4_fp8", 32, [](std::uint32_t) { return formats::mxfp4(); }},
};

} // namespace

Result<std::uint16_t> QuantizationReader::modelopt_format(const Node& algorithm, const Node& group, std::uint32_t fallback_group) {
  PLIMSOLL_ASSIGN(const std::string name, text(algorithm, ""));
  for (const ModeloptAlgorithm& known : kModeloptAlgorithms) {
    if (!same_text(name, known.name)) continue;
    PLIMSOLL_ASSIGN(const std::uint32_t size, group_size(group, fallback_group != 0 ? fallback_group : known.default_group));
    return intern(known.make(size), algorithm);
  }
  std::vector<std::string_view> names;
  for (const ModeloptAlgorithm& known : kModeloptAlgorithms) names.push_back(known.name);
  return bad(algorithm, fmt::format("MIXED_PRECISION or (in any case) one of {}", fmt::join(names, ", ")));
}

Result<void> QuantizationReader::quantized_layers(const Node& layers, std::uint32_t group) {
  if (!layers.present()) return {};
  if (!layers.json->is_object()) return bad(layers, "an object of modules");
  // Tens of thousands of entries share a handful of settings.
  std::string last_algorithm;
  std::int64_t last_group = -2;
  std::uint16_t last_index = 0;
  for (const auto& [key, value] : layers.json->items()) {
    const Node entry{&value, ""};
    const auto algorithm = value.is_object() ? value.find("quant_algo") : value.end();
    if (!value.is_object() || algorithm == value.end() || !algorithm->is_string()) {
      const Node named{&value, layers.at(key)};
      return bad(value.is_object() ? named["quant_algo"] : named, "a module's quant_algo");
    }
    const auto own_group = value.find("group_size");
    const std::int64_t number = own_group != value.end() && own_group->is_number_integer() ? own_group->get<std::int64_t>() : -2;
    const std::string& name = algorithm->get_ref<const std::string&>();
    if (name != last_algorithm || number != last_group || last_index == 0) {
      const Node named{&value, layers.at(key)};
      PLIMSOLL_ASSIGN(last_index, modelopt_format(named["quant_algo"], named["group_size"], group));
      last_algorithm = name;
      last_group = number;
    }
    PLIMSOLL_TRY(out_.included_.add(key, last_index, layers.pointer));
  }
  return {};
}

Result<void> QuantizationReader::modelopt(const Node& q) {
  PLIMSOLL_TRY(exclude(q["exclude_modules"]));
  PLIMSOLL_TRY(exclude(q["ignore"]));
  PLIMSOLL_TRY(exclude(q["modules_to_not_convert"]));
  const Node algorithm = q["quant_algo"];
  PLIMSOLL_ASSIGN(const std::string name, text(algorithm, ""));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q["group_size"], 0));
  if (name.empty() || same_text(name, "mixed_precision")) {
    mixed_ = !name.empty();
    if (const Node layers = q["quantized_layers"]; layers.present()) return quantized_layers(layers, group);
    if (q["config_groups"].present()) return config_groups(q);
    if (name.empty()) return {}; // only the KV cache is quantised
    return bad(q["quantized_layers"], "an object that names the quantised modules");
  }
  PLIMSOLL_ASSIGN(out_.default_, modelopt_format(algorithm, q["group_size"], 0));
  // Its 4-bit exports leave multi-token prediction alone, also where a list of exceptions is missing; 8 bits convert it.
  if (out_.storages_[out_.default_].weight_bits() == 4) PLIMSOLL_TRY(exclude_one("mtp.*", algorithm));
  else out_.joins_too_ = true;
  return quantized_layers(q["quantized_layers"], group);
}

// A hint for planners; what is not understood asks for nothing.
void QuantizationReader::kv_cache(const Node& q, const Node& hf) {
  const auto from = [&](const Node& node) -> bool {
    if (!node.present()) return false;
    std::string_view dtype;
    if (node.json->is_string()) {
      const std::string& name = node.json->get_ref<const std::string&>();
      if (same_text(name, "fp8") || same_text(name, "fp8_e4m3") || same_text(name, "float8_e4m3fn")) dtype = "float8_e4m3fn";
      else if (same_text(name, "int8")) dtype = "int8";
      else if (same_text(name, "nvfp4")) dtype = "nvfp4";
    } else if (node.json->is_object()) {
      const Node type = node["type"], width = node["num_bits"];
      const bool is_float = type.present() && type.json->is_string() && type.json->get_ref<const std::string&>() == "float";
      const std::int64_t n = width.present() && width.json->is_number_integer() ? width.json->get<std::int64_t>() : 0;
      if (n == 8) dtype = is_float ? "float8_e4m3fn" : "int8";
      else if (n == 4 && is_float) dtype = "nvfp4";
    }
    if (!dtype.empty()) out_.kv_cache_dtype_ = std::string(dtype);
    return !dtype.empty();
  };
  for (const Node* settings : {&q, &hf})
    for (const std::string_view key : {"kv_cache_quant_algo", "kv_cache_scheme", "kv_cache_quant_method"})
      if (from((*settings)[key])) return;
}

Quantization::Quantization() { storages_.emplace_back(); }

Result<Quantization> Quantization::parse(const Json& config, const Json* hf_quant_config, const std::string& where) {
  Quantization result;
  QuantizationReader reader(config, result);

  // hf_quant_config.json keeps its settings one level down.
  Node hf;
  if (hf_quant_config && !hf_quant_config->is_null()) {
    const std::size_t slash = where.rfind('/');
    const Node file{hf_quant_config, (slash == std::string::npos ? "" : where.substr(0, slash + 1)) + "hf_quant_config.json#"};
    if (!hf_quant_config->is_object()) return bad(file, "a JSON object");
    hf = file["quantization"].present() ? file["quantization"] : file;
    if (!hf.json->is_object()) return bad(hf, "an object");
  }

  const Node whole{&config, where + "#"};
  std::vector<Node> levels{whole};
  for (const std::string_view key : {"text_config", "llm_config", "language_config", "thinker_config"})
    if (const Node inner = whole[key]; inner.present()) levels.push_back(inner);
  if (const Node inner = whole["thinker_config"]["text_config"]; inner.present()) levels.push_back(inner);
  for (const Node& level : levels) {
    for (const std::string_view key : {"quantization_config", "compression_config"}) {
      const Node settings = level[key];
      if (!settings.present()) continue;
      if (!settings.json->is_object()) return bad(settings, "an object");
      if (settings.json->empty()) continue;
      PLIMSOLL_TRY(reader.read(settings, hf));
      return result;
    }
  }
  if (hf.present() && !hf.json->empty()) PLIMSOLL_TRY(reader.read(hf, hf));
  return result;
}

const Storage& Quantization::storage_for(std::string_view module_name) const {
  if (!quantized()) return storages_.front();
  if (excluded_.find(module_name)) return with_cache_scale(0, module_name);
  const auto hit = included_.find(module_name);
  if (hit && hit->whole) return with_cache_scale(hit->value, module_name);
  if (never_quantized(module_name) && !(joins_too_ && module_name.ends_with(".eh_proj"))) return storages_.front();
  return with_cache_scale(hit ? hit->value : default_, module_name);
}

const Storage& Quantization::with_cache_scale(std::uint16_t index, std::string_view module_name) const {
  std::size_t shift = 0;
  if (module_name.ends_with(".k_proj")) shift = k_scaled_;
  else if (module_name.ends_with(".v_proj")) shift = v_scaled_;
  if (module_name.starts_with("mtp.")) shift = 0; // drafts are left alone
  return storages_[index + shift];
}

const Storage& Quantization::main_storage() const {
  const Storage* main = &storages_.front();
  for (const Storage& storage : storages_)
    if (storage.weight_bits() != 0 && (main->is_plain() || storage.weight_bits() < main->weight_bits())) main = &storage;
  return *main;
}

bool Quantization::is_fp4() const {
  return std::any_of(storages_.begin(), storages_.end(), [](const Storage& storage) { return storage.is_fp4(); });
}

} // namespace plimsoll
