// Gemma 4's assistants: a few narrow layers that have queries alone and look into the target's cache. Throws plimsoll::Error with the
// pointer at fault. Threads: immutable after construction.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "plimsoll/plugin_util.hpp"

namespace draft {

// Whether a class of `architectures` is one.
bool is_assistant(std::string_view architecture);

class Assistant {
public:
  explicit Assistant(const plimsoll::Config& config);
  Assistant(const Assistant&) = delete;
  Assistant& operator=(const Assistant&) = delete;

  void weights(const plimsoll::Sink& out) const;
  plimsoll_facts facts() const;

private:
  void layers_of(const std::vector<std::uint32_t>& layers, std::uint64_t head_elements, const plimsoll::Sink& out) const;
  void ends(const plimsoll::Sink& out) const;

  std::uint64_t hidden_, backbone_, heads_, narrow_, wide_, ffn_width_, vocab_, max_length_, centroids_ = 0;
  bool bias_;
  std::vector<std::uint32_t> all_, windowed_, full_; // layers; heads of full ones are wide
};

} // namespace draft
