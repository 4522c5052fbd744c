// The buffers and the workspace of expert parallelism. The engine profile says which models the engine has such rules for.
// Immutable, any thread.
#pragma once

#include <string>

#include "shape.hpp"

namespace moe {

class Dispatch {
public:
  Dispatch(const plimsoll::Config& config, const Shape& shape);
  // Emits per rank: resident dispatch and combine buffers, the transient phase "experts"; nothing without a rule.
  void price(const plimsoll::Request& request, const plimsoll::Sink& out) const;

private:
  struct Terms; // what both formulas share
  Terms terms(const plimsoll::Request& request) const;
  void buffers(const plimsoll::Request& request, const Terms& t, std::uint64_t sets, const plimsoll::Sink& out) const;
  void workspace(const plimsoll::Request& request, const Terms& t, const plimsoll::Sink& out) const;
  void fp4_reserve(const plimsoll::Request& request, const plimsoll::Sink& out) const;

  std::uint64_t hidden_, experts_, per_token_, expert_width_, shared_experts_;
  bool has_drafts_;
  // Pointers into the engine's section, put together once; empty: a model type no profile can name.
  std::string buffer_sets_, all_tokens_, fused_combine_, fp4_copies_, fp4_reserve_;
};

} // namespace moe
