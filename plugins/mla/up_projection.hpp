// The keys and values that prefill expands from cached latents. The engine profile says which models the engine expands and how
// many tensors it holds. Immutable, any thread.
#pragma once

#include <string>

#include "shape.hpp"

namespace mla {

class UpProjection {
public:
  UpProjection(const plimsoll::Config& config, const Shape& shape);
  // Emits the transient phase "attention"; nothing for decode-only serving or where the engine has no such rule.
  void price(const plimsoll::Request& request, const plimsoll::Sink& out) const;

private:
  std::uint64_t heads_;
  std::uint64_t nope_elements_;
  std::string tensors_pointer_; // into the engine's section; empty: a model type no profile can name
};

} // namespace mla
