// Multi-token-prediction layers that are a checkpoint of their own: what the family of the target says of its draft layers, and nothing
// else, as a model. Throws plimsoll::Error where that family knows of none. Threads: immutable after construction.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "plimsoll/plugin_util.hpp"

namespace draft {

// The model_type whose draft layers such a class is; nothing for other classes.
std::optional<std::string_view> target_of(std::string_view architecture);

class NextLayers {
public:
  NextLayers(const plimsoll::Config& config, std::string_view model_type);

  void weights(const plimsoll::Sink& out) const;
  void kv(const plimsoll::Sink& out) const;
  void activations(const plimsoll::Request& request, const plimsoll::Sink& out) const { child_.activations(request, out); }
  plimsoll_facts facts() const;

private:
  plimsoll::Child child_;
  std::uint32_t first_ = 0; // the number of the first of them in the configuration
  bool from_zero_ = false;  // the checkpoint counts them from 0
  std::uint64_t vocab_ = 0, hidden_ = 0;
};

} // namespace draft
