// plimsoll/plugin/pipeline.hpp - how a planner describes a forward pass (interface "plimsoll.pipeline/1"): the Pipeline that takes its
// values and ops, and the planners to derive from, PipelinePlanner and DelegatingPipelinePlanner. sdk/docs/pipeline.md shows it whole.
// Never include it by itself: plimsoll/plugin.hpp is the include of plugins. Threads: a Pipeline lives for the call; planners are
// immutable, any thread.
#ifndef PLIMSOLL_PLUGIN_PIPELINE_HPP
#define PLIMSOLL_PLUGIN_PIPELINE_HPP

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "plimsoll/pipeline.h"
#include "plimsoll/plugin/glue.hpp"
#include "plimsoll/plugin/image_ops.hpp"
#include "plimsoll/plugin/ops.hpp"
#include "plimsoll/plugin/rope.hpp"

namespace plimsoll {

// Rows of a value: one for each token of the pass, or for each that wants logits; of an encoder for each patch, or for each of what these
// are merged to.
enum class Rows : std::uint32_t {
  kTokens = PLIMSOLL_ROWS_TOKENS,
  kOutputs = PLIMSOLL_ROWS_OUTPUTS,
  kPatches = PLIMSOLL_ROWS_PATCHES,
  kMerged = PLIMSOLL_ROWS_MERGED
};

// The part of a model that is described (P-01). Of a layer, `in` and `out` both are the residual stream, and its ops add to it; of
// the others `out` is set from `in`, and the embedding has no `in`, nor has the encoder of images. A planner may ask a child for the
// attention of a layer alone. Parts of a head that drafts (P-08) come to `describe_draft`, without PLIMSOLL_PART_DRAFT.
struct PipelinePart {
  Aspects aspects;
  std::uint32_t layer; // PLIMSOLL_NO_LAYER: embedding, head and encoder
  Value in, out;

  bool is_embedding() const { return aspects == Aspect::kEmbed; }
  bool is_ffn() const { return aspects == Aspect::kFfn; }
  bool is_attention() const { return aspects == Aspect::kAttention; }
  bool is_head() const { return aspects == Aspect::kHead; }
  bool is_vision() const { return aspects == Aspect::kVision; }
  // Of a head that drafts (P-08): what it takes, of the model where it has no layer, else of its own run.
  bool is_handover() const { return aspects.empty(); }
  bool is_layer() const { return aspects.has(Aspect::kAttention | Aspect::kState); }
};

// Where values and ops go, in the order in which they are computed. Throws where the host refuses one.
class Pipeline {
public:
  Pipeline(const plimsoll_pipeline_sink* raw, std::uint32_t layer) : raw_(raw), layer_(layer) {}

  // A tensor of so many elements a row. Tensor parallelism splits a row into `units` (heads; the width itself: at any element); 0: every
  // rank has all of it.
  Value value(Bytes width, std::uint64_t units = 0, Rows rows = Rows::kTokens) const {
    const plimsoll_value raw{PLIMSOLL_SIZE_THROUGH(plimsoll_value, units), static_cast<std::uint32_t>(rows), width.value(), units};
    Value out;
    check(raw_->value(raw_->ctx, &raw, &out.index));
    return out;
  }
  // A value for several parts: the same one wherever its key, below PLIMSOLL_MAX_SHARED_VALUES, is asked for, of the same size. Whoever
  // comes first sets it.
  Value shared(std::uint32_t key, Bytes width, std::uint64_t units = 0) const {
    if (!PLIMSOLL_HAS(raw_, plimsoll_pipeline_sink, shared) || raw_->shared == nullptr)
      throw Error(PLIMSOLL_E_UNSUPPORTED, "", "describes no pipeline for a host that keeps no values from part to part");
    const plimsoll_value raw{PLIMSOLL_SIZE_THROUGH(plimsoll_value, units), PLIMSOLL_ROWS_TOKENS, width.value(), units};
    Value out;
    check(raw_->shared(raw_->ctx, &raw, key, &out.index));
    return out;
  }
  // The same frequencies may be handed over for every layer: the host keeps them once.
  RopeTable table(const RopeFrequencies& of) const {
    plimsoll_rope_table raw{};
    raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_rope_table, long_beyond_tokens);
    raw.n = static_cast<std::uint32_t>(of.inverse.size());
    raw.inverse_frequencies = of.inverse.data();
    raw.attention_factor = of.attention_factor;
    if (!of.long_inverse.empty()) {
      if (of.long_inverse.size() != of.inverse.size())
        throw Error(PLIMSOLL_E_INTERNAL, "", "a rope table has as many frequencies for long requests as for short ones");
      raw.long_inverse_frequencies = of.long_inverse.data();
      raw.long_attention_factor = of.long_attention_factor;
      raw.long_beyond_tokens = of.long_beyond_tokens;
    }
    RopeTable out;
    check(raw_->rope(raw_->ctx, &raw, &out.index));
    return out;
  }

  // `out` becomes what the op gives.
  template <class Op>
  void set(Value out, const Op& op) const {
    emit(out, op, 0);
  }
  // What the op gives is added to `out`.
  template <class Op>
  void add(Value out, const Op& op) const {
    static_assert(Op::kAdds, "this op sets a value; it cannot add to one");
    emit(out, op, PLIMSOLL_OP_ACCUMULATE);
  }
  // A value of its own for what the op gives.
  template <class Op>
  Value make(Bytes width, std::uint64_t units, const Op& op) const {
    const Value out = value(width, units);
    set(out, op);
    return out;
  }
  // The FFN of this layer, whoever has it, reads `in` and sets `out` (P-02).
  void ffn(Value in, Value out) const { check(raw_->part(raw_->ctx, PLIMSOLL_ASPECT_FFN, layer_, in.index, out.index)); }

  // The same sink, for ops of a layer of an encoder (P-07).
  Pipeline of_layer(std::uint32_t layer) const { return Pipeline(raw_, layer); }

  const plimsoll_pipeline_sink* raw() const { return raw_; }

private:
  template <class Op>
  void emit(Value out, const Op& op, std::uint32_t flags) const {
    check(op.raw(layer_, out, flags, [&](const plimsoll_op& raw) { return raw_->op(raw_->ctx, &raw); }));
  }
  static void check(plimsoll_status status) {
    if (status != PLIMSOLL_OK) throw Error(status, "", "the host refused what was described");
  }
  const plimsoll_pipeline_sink* raw_;
  std::uint32_t layer_;
};

// E_UNSUPPORTED: the planner plans this model, but describes no pipeline for it. `why` goes on after that.
[[noreturn]] inline void no_pipeline(std::string where, std::string_view why) {
  throw Error(PLIMSOLL_E_UNSUPPORTED, std::move(where), "describes no pipeline" + std::string(why.empty() ? "" : " ") + std::string(why));
}

// Who describes a forward pass.
class DescribesPipeline {
public:
  virtual ~DescribesPipeline() = default;
  // Describes one part, the same way every time (P-05). What cannot be described throws: no_pipeline("/key", "for ...").
  virtual void describe(const PipelinePart& part, const Pipeline& out) const = 0;
  // The same of the head that drafts (P-08), where there is one.
  virtual void describe_draft(const PipelinePart&, const Pipeline&) const { no_pipeline("", "for the layers that draft"); }

protected:
  // For `query`.
  Interface pipeline(std::string_view id) const {
    static constexpr plimsoll_pipeline kTable{PLIMSOLL_SIZE_THROUGH(plimsoll_pipeline, describe), 0, describe_part};
    return id == PLIMSOLL_PIPELINE_ID ? Interface{&kTable, this} : Interface{};
  }

private:
  static plimsoll_status describe_part(const void* object, std::uint32_t aspects, std::uint32_t layer, std::uint32_t in, std::uint32_t out,
                                       const plimsoll_pipeline_sink* sink, plimsoll_error* err) noexcept {
    return detail::guard(err, [&] {
      const auto& self = *static_cast<const DescribesPipeline*>(object);
      const PipelinePart part{Aspects(aspects & ~PLIMSOLL_PART_DRAFT), layer, Value{in}, Value{out}};
      if ((aspects & PLIMSOLL_PART_DRAFT) != 0) self.describe_draft(part, Pipeline(sink, layer));
      else self.describe(part, Pipeline(sink, layer));
    });
  }
};

// A planner that describes its model's forward pass too.
class PipelinePlanner : public MemoryPlanner, public DescribesPipeline {
public:
  using MemoryPlanner::MemoryPlanner;
  Interface query(std::string_view id) const override { return pipeline(id); }
};

// Answers as its language model does here too: what stands before it takes no part in a pass over text. Who describes an encoder, too,
// overrides `describe`.
class DelegatingPipelinePlanner : public DelegatingPlanner, public DescribesPipeline {
public:
  using DelegatingPlanner::DelegatingPlanner;
  Interface query(std::string_view id) const override { return pipeline(id); }
  void describe(const PipelinePart& part, const Pipeline& out) const override {
    if (part.is_vision()) no_pipeline("", "for images");
    child().describe(part, out);
  }
  void describe_draft(const PipelinePart& part, const Pipeline& out) const override { child().describe_draft(part, out); }
};

inline void Child::describe(const PipelinePart& part, const Pipeline& out) const { describe(part, 0, out); }
inline void Child::describe_draft(const PipelinePart& part, const Pipeline& out) const { describe(part, PLIMSOLL_PART_DRAFT, out); }

inline void Child::describe(const PipelinePart& part, std::uint32_t flags, const Pipeline& out) const {
  const Interface found = query(PLIMSOLL_PIPELINE_ID);
  const auto* table = static_cast<const plimsoll_pipeline*>(found.table);
  if (table == nullptr || !PLIMSOLL_HAS(table, plimsoll_pipeline, describe) || table->describe == nullptr)
    throw Error(PLIMSOLL_E_UNSUPPORTED, place_, "the planner of this part describes no pipeline");
  try {
    call([&](plimsoll_error* err) {
      return table->describe(found.object, part.aspects.bits() | flags, part.layer, part.in.index, part.out.index, out.raw(), err);
    });
  } catch (const Error& e) {
    throw Error(e.code(), place_ + e.where(), e.what());
  }
}

} // namespace plimsoll

#endif
