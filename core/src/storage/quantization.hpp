// What a model's quantisation settings mean for each of its linear layers: which storage format, or none.
// Reads quantization_config (or compression_config) of config.json and modelopt's hf_quant_config.json; a reader for each exporter is
// a file read_*.hpp. Knows no model: names of modules come from the planners' manifests. Counts no bytes (storage.hpp does).
// Threads: immutable after parse; all queries from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "plimsoll/result.hpp"
#include "storage/module_names.hpp"
#include "storage/name_set.hpp"
#include "storage/storage.hpp"
#include "storage/vendor_formats.hpp"

namespace plimsoll {

// What is known about a model besides its settings.
struct QuantizationHints {
  std::vector<const VendorFormats*> formats; // of the plugins that plan it: a quant_method may be one of theirs
  ModuleNames names;                         // of the families that plan it
  std::vector<std::string> text_parts;       // pointers to the parts of the config that configure a language model: "/text_config"
};

class Quantization {
public:
  // Nothing is quantised.
  Quantization();

  // `config` is the whole config.json; the settings may sit in it or in one of its text parts.
  // `hf_quant_config` is the file of that name beside it, or null. `where` is config.json's path, for messages.
  // kBadConfig names the JSON pointer. An unknown quant_method is no failure but unknown(), which lists those that are known.
  static Result<Quantization> parse(const nlohmann::ordered_json& config, const nlohmann::ordered_json* hf_quant_config,
                                    const std::string& where, const QuantizationHints& hints);

  // The format of one linear layer, by its module's name in the checkpoint without ".weight":
  // "model.layers.3.mlp.experts.7.up_proj", "model.layers.3.mlp.experts.gate_up_proj". Ask for linear layers only; norms, biases and
  // what the hints name are answered as plain unless the settings name them, and so is what `stays`: embeddings and heads.
  const Storage& storage_for(std::string_view module_name, bool stays = false) const;

  // Towers and drafts stay as they are: for what-ifs, whose settings name none of them.
  void leave_all_but_layers() { layers_alone_ = true; }
  bool layers_alone() const { return layers_alone_; }
  // Embedding and head are converted like linear layers.
  bool ends_too() const { return ends_too_; }
  // A method that nobody reads: nothing is known of how weights are stored, and what parse() answers is plain.
  const std::optional<Error>& unknown() const { return unknown_; }

  bool quantized() const { return storages_.size() > 1; }
  // "fp8", "compressed-tensors", "modelopt"; empty when nothing is quantised.
  const std::string& method() const { return method_; }
  // The format that holds the bulk of the weights: the one with the fewest bits (what mixed precision is for), or plain.
  const Storage& main_storage() const;
  // Bytes of one element of the main weights as stored: 1 for fp8 and packed bytes, 4 for packed int32, or base's.
  std::uint32_t weight_type_bytes(const Dtype& base) const { return main_storage().element_bytes(base); }
  // Some layers hold 4-bit floats.
  bool is_fp4() const;
  // The type that the checkpoint asks the KV cache to have ("float8_e4m3fn", "int8", "nvfp4"); empty where it asks for none.
  const std::optional<std::string>& kv_cache_dtype() const { return kv_cache_dtype_; }

private:
  const Storage& with_cache_scale(std::uint16_t index, std::string_view module_name) const;

  friend class QuantizationBuilder;
  std::string method_;
  NameEnds never_quantized_;
  NameEnds draft_joins_;
  std::vector<std::string> draft_modules_;
  std::vector<Storage> storages_;             // [0] is plain
  std::uint16_t default_ = 0;                 // of layers that no list names
  std::uint16_t k_scaled_ = 0, v_scaled_ = 0; // of key and value projections: storages_[i + this] has the cache's scale; 0: none
  bool layers_alone_ = false, ends_too_ = false;
  std::optional<Error> unknown_;
  bool joins_too_ = false; // what joins the inputs of a draft layer is converted unless a list names it
  NameSet excluded_;       // value unused
  NameSet included_;       // value: index into storages_
  std::optional<std::string> kv_cache_dtype_;
};

} // namespace plimsoll
