// Fills one Quantization while the settings of an exporter are read. Every exporter's reader (read_*.hpp) uses it; nobody else does.
// Lives during Quantization::parse. Threads: one.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/json.hpp"
#include "plimsoll/result.hpp"
#include "storage/json_node.hpp"
#include "storage/quantization.hpp"

namespace plimsoll {

class QuantizationBuilder {
public:
  QuantizationBuilder(const Json& config, Quantization& out) : config_(config), out_(out) {}

  // The whole config.json.
  const Json& config() const { return config_; }

  // The index of an equal format, else a new one; a format's name carries all its parameters but how its numbers are unpacked.
  Result<std::uint16_t> intern(Storage storage, const Node& node);
  const Storage& storage(std::uint16_t index) const { return out_.storages_[index]; }
  // The format of layers that no list names.
  void set_default(std::uint16_t index) { out_.default_ = index; }
  Result<void> set_default(Storage storage, const Node& node);

  // An array of module patterns; absent is empty.
  Result<void> exclude(const Node& list) { return add_names(list, out_.excluded_, 0); }
  Result<void> exclude_one(std::string_view name, const Node& node) { return out_.excluded_.add(name, 0, node.pointer); }
  Result<void> exclude_drafts(const Node& node);
  Result<void> include_all(const Node& list, std::uint16_t index) { return add_names(list, out_.included_, index); }
  Result<void> include(std::string_view name, std::uint16_t index, const std::string& where) {
    return out_.included_.add(name, index, where);
  }

  // The embedding and the head are converted too; towers and drafts are not.
  void convert_ends() {
    out_.ends_too_ = true;
    out_.leave_all_but_layers();
  }
  // What joins the inputs of a draft layer is converted unless a list names it.
  void convert_joins() { out_.joins_too_ = true; }
  // Nobody reads the method; the error that says so.
  void set_unknown(Error error) { out_.unknown_ = std::move(error); }
  // The checkpoint mixes formats. Such whose cache is quantised too store its scales beside the key and value projections.
  void mix() { mixed_ = true; }
  // A hint for planners from a kv_cache_scheme and the like; what is not understood asks for nothing. `hf` may be not present.
  void read_kv_cache(const Node& settings, const Node& hf);

private:
  Result<void> add_names(const Node& list, NameSet& set, std::uint16_t value);
  void add_cache_scales();

  const Json& config_;
  Quantization& out_;
  bool mixed_ = false;
};

} // namespace plimsoll
