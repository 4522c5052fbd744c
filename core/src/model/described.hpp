// The forward pass of a model as its planners describe it (plimsoll/pipeline.h), copied, checked and bound: labels have become classes
// of weights and KV groups. Asked for once, when somebody wants it. Nothing here depends on devices or on a request. Threads: immutable.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "model/declared.hpp"
#include "model/sentence_rules.hpp"
#include "plimsoll/pipeline.h"
#include "plimsoll/program.hpp"

namespace plimsoll {

// A virtual tensor; a row for each token, or for each output that wants logits; of an encoder for each patch, or for each merged row.
struct DescribedValue {
  bool of_outputs = false;
  std::uint64_t width = 0, units = 0;
};

// Frequencies for requests up to a length, and those for longer ones; none where there is no difference.
struct DescribedRope {
  ProgramRope usual, long_one;
  std::uint64_t long_beyond_tokens = UINT64_MAX;
  friend bool operator==(const DescribedRope&, const DescribedRope&) = default;
};

struct DescribedOp {
  OpKind kind = OpKind::kEmbed;
  bool accumulate = false, reduce = false;
  std::uint32_t layer = kNoIndex, out = kNoIndex;
  std::array<std::uint32_t, PLIMSOLL_OP_MAX_INPUTS> in{kNoIndex, kNoIndex, kNoIndex, kNoIndex, kNoIndex, kNoIndex}; // values
  std::array<std::uint32_t, PLIMSOLL_OP_MAX_WEIGHTS> weights{kNoIndex, kNoIndex, kNoIndex,
                                                             kNoIndex, kNoIndex, kNoIndex}; // of Declared::weights
  std::uint32_t kv_group = kNoIndex;                                                        // of Declared::kv
  std::uint32_t kv_from = kNoIndex;                                                         // the layer whose part of that group it is
  std::array<std::uint64_t, PLIMSOLL_OP_MAX_INTEGERS> i{};
  std::array<double, PLIMSOLL_OP_MAX_REALS> f{};
};

struct Described {
  std::vector<DescribedValue> values;
  std::vector<DescribedRope> ropes;
  std::vector<DescribedOp> ops;
  std::uint32_t logits = kNoIndex;        // the value that the head sets, or the encoder
  RowPooling pooling = RowPooling::kNone; // of vectors, which are in place of logits; none: they are logits
  bool normalised = false;                // vectors have length 1
  bool of_images = false;                 // this is an encoder
  std::uint32_t residual = kNoIndex;      // of a model, what its last layer leaves; of a head, its own

  std::shared_ptr<const Described> encoder; // of images; null: none is described, and
  std::optional<Error> no_encoder;          // why not, where the model takes images
  std::shared_ptr<const Described> head;    // that drafts; null: none is described, and
  std::optional<Error> no_head;             // why not, where the model has layers that draft
  // Of a head: what it is handed of the model, what its own ops, from `own_ops` on, make of that, and what they make for its next run.
  std::uint32_t takes_model = kNoIndex, takes = kNoIndex, hands_on = kNoIndex, own_ops = 0;
  bool of_head() const { return takes_model != kNoIndex; }
};

// The op of that kind; null where there is none.
const DescribedOp* find_op(const Described& described, OpKind kind);

// Asks the planners. A model without a vocabulary gives vectors, as `rules` say where they say anything. kUnsupportedArchitecture where one
// of them describes no pipeline, kPluginFailed where a rule of pipeline.h is broken; both name the planner.
Result<Described> describe_pipeline(const Planners& planners, const Declared& declared, const SentenceRules& rules = {});

} // namespace plimsoll
