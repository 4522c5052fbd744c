#include "model/described.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <map>

#include "checkpoint/quoted_name.hpp"
#include "model/op_rules.hpp"
#include "plugin/abi_text.hpp"
#include "plugin/call_scope.hpp"
#include "plugin/calls.hpp"

namespace plimsoll {
namespace {

constexpr double kLeastLength = 1e-12; // of a vector that is divided by its length, as the library that writes such files has it

// The host's end of the sink that planners describe into, and the walk over the model's parts.
class Describer {
public:
  enum class What : std::uint8_t { kModel, kEncoder, kHead };
  Describer(const Planners& planners, const Declared& declared, const SentenceRules& rules, What what = What::kModel)
      : planners_(planners), root_(planners.root()), where_(planners.where()), declared_(declared), rules_(rules), what_(what) {
    out_.of_images = what == What::kEncoder;
    for (std::uint32_t i = 0; i < declared.weights.size(); ++i)
      if (!out_.of_images || declared.weights[i].aspect == PLIMSOLL_ASPECT_VISION) classes_[declared.weights[i].label].push_back(i);
  }

  Result<Described> run() {
    const plimsoll_facts& facts = declared_.facts;
    const CallScope scope(this, root_, &error_);
    raw_.ctx = scope.ticket();
    if (out_.of_images) return run_encoder();
    if (what_ == What::kHead) return run_head();
    const std::uint32_t residual = out_.residual = add(DescribedValue{false, facts.hidden_elements, 0});
    ask(PLIMSOLL_ASPECT_EMBED, PLIMSOLL_NO_LAYER, PLIMSOLL_NO_VALUE, residual);
    for (std::uint32_t layer = 0; layer < facts.n_layers && !error_; ++layer)
      ask(PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_STATE, layer, residual, residual);
    out_.logits = add(DescribedValue{true, gives_vectors() ? facts.hidden_elements : facts.vocab_tokens, 0});
    ask(PLIMSOLL_ASPECT_HEAD, PLIMSOLL_NO_LAYER, residual, out_.logits);
    if (gives_vectors()) settle_vectors();
    if (error_) return tl::unexpected(std::move(*error_));
    return std::move(out_);
  }

private:
  Result<Described> run_encoder() {
    out_.logits = add(DescribedValue{true, declared_.entry_of(Modality::kImage)->row_elements, 0});
    ask(PLIMSOLL_ASPECT_VISION, PLIMSOLL_NO_LAYER, PLIMSOLL_NO_VALUE, out_.logits);
    if (error_) return tl::unexpected(std::move(*error_));
    return std::move(out_);
  }

  // The first of the layers that draft.
  Result<Described> run_head() {
    const auto group = std::find_if(declared_.kv.begin(), declared_.kv.end(),
                                    [](const KvGroup& one) { return one.role == PLIMSOLL_ROLE_DRAFT && !one.layers.empty(); });
    if (group == declared_.kv.end() || declared_.facts.draft_layers != 1 || gives_vectors())
      return fail(ErrorCode::kUnsupportedArchitecture,
                  fmt::format("a head of {} layers, {} with a cache, is planned and not executed; one with one is",
                              declared_.facts.draft_layers, group == declared_.kv.end() ? "none" : "some"),
                  where_);
    const std::uint32_t layer = group->layers.front();
    const DescribedValue row{false, declared_.facts.hidden_elements, 0};
    for (std::uint32_t* const value : {&out_.takes_model, &out_.takes, &out_.residual, &out_.hands_on}) *value = add(row);
    out_.logits = add(DescribedValue{true, declared_.facts.vocab_tokens, 0});
    set_[out_.takes_model] = true;
    ask(PLIMSOLL_PART_DRAFT, PLIMSOLL_NO_LAYER, out_.takes_model, out_.takes);
    out_.own_ops = static_cast<std::uint32_t>(out_.ops.size());
    ask(PLIMSOLL_PART_DRAFT | PLIMSOLL_ASPECT_EMBED, layer, out_.takes, out_.residual);
    ask(PLIMSOLL_PART_DRAFT | PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_STATE, layer, out_.residual, out_.residual);
    ask(PLIMSOLL_PART_DRAFT, layer, out_.residual, out_.hands_on);
    ask(PLIMSOLL_PART_DRAFT | PLIMSOLL_ASPECT_HEAD, layer, out_.hands_on, out_.logits);
    if (error_) return tl::unexpected(std::move(*error_));
    return std::move(out_);
  }

  static std::array<std::uint32_t, PLIMSOLL_MAX_SHARED_VALUES> no_values() {
    std::array<std::uint32_t, PLIMSOLL_MAX_SHARED_VALUES> none{};
    none.fill(kNoIndex);
    return none;
  }

  struct Asked {
    std::uint32_t layer, first_value; // values of the call: those from first_value on, and what it was handed
    std::uint32_t in, out;
  };

  bool gives_vectors() const { return declared_.facts.vocab_tokens == 0; }

  // What the head made of a sequence, and what comes behind it.
  void settle_vectors() {
    if (error_) return;
    out_.pooling = RowPooling::kLast; // of LAST_ROWS, as models that generate have it
    for (const DescribedOp& op : out_.ops)
      if (op.kind == OpKind::kPool) out_.pooling = static_cast<RowPooling>(op.i[0]);
    if (rules_.pooling && *rules_.pooling != out_.pooling) {
      error_ = Error{ErrorCode::kUnsupportedArchitecture,
                     fmt::format("the files beside the model make vectors of the {} of a sequence's rows; of a model that generates only "
                                 "the last is made here",
                                 pooling_name(*rules_.pooling)),
                     where_};
      return;
    }
    out_.normalised = rules_.normalised;
    if (!rules_.normalised) return;
    // x / |x|, by the root of the mean of squares.
    const auto width = static_cast<double>(declared_.facts.hidden_elements);
    DescribedOp norm, scale;
    norm.kind = OpKind::kNorm;
    norm.f[0] = kLeastLength * kLeastLength / width;
    scale.kind = OpKind::kAdd;
    scale.f[0] = 1 / std::sqrt(width);
    for (DescribedOp* const op : {&norm, &scale}) {
      op->out = op->in[0] = out_.logits;
      out_.ops.push_back(*op);
    }
  }

  // One part; what goes wrong is left in error_.
  plimsoll_status ask(std::uint32_t aspects, std::uint32_t layer, std::uint32_t in, std::uint32_t out) {
    if (error_) return PLIMSOLL_E_ABI;
    if (asked_.size() >= PLIMSOLL_MAX_PARTS_DEEP) return broken("asks for parts inside parts, too deep");
    asked_.push_back({layer, static_cast<std::uint32_t>(out_.values.size()), in, out});
    plimsoll_error err = blank_error();
    const plimsoll_status status = planners_.describe({aspects, layer, in, out}, raw_, &err);
    asked_.pop_back();
    if (status != PLIMSOLL_OK && !error_) {
      const bool unsupported = status == PLIMSOLL_E_UNSUPPORTED;
      std::string message = message_of(err);
      if (message.empty()) message = unsupported ? "this planner describes no pipeline" : fmt::format("it answered with status {}", status);
      error_ = Error{unsupported                   ? ErrorCode::kUnsupportedArchitecture
                     : status == PLIMSOLL_E_CONFIG ? ErrorCode::kBadConfig
                                                   : ErrorCode::kPluginFailed,
                     fmt::format("{} (planner '{}')", message, root_.id()), where_ + ": " + where_of(err)};
    }
    if (status == PLIMSOLL_OK && !error_ && (out_.values[out].width == 0 || !is_set(out))) return broken("left unset what a part gives");
    return error_ ? PLIMSOLL_E_ABI : PLIMSOLL_OK;
  }

  plimsoll_status broken(std::string what) {
    if (!error_)
      error_ = Error{ErrorCode::kPluginFailed,
                     fmt::format("planner '{}' described a pipeline that breaks the rules of pipeline.h: {}", root_.id(), what), where_};
    return PLIMSOLL_E_ABI;
  }

  std::uint32_t add(DescribedValue value) {
    out_.values.push_back(value);
    set_.push_back(false);
    return static_cast<std::uint32_t>(out_.values.size() - 1);
  }
  void take_back() {
    out_.values.pop_back();
    set_.pop_back();
  }
  bool is_set(std::uint32_t value) const { return set_[value]; }
  // P-03: of this call, or handed to it.
  bool may_use(std::uint32_t value) const {
    if (value >= out_.values.size() || asked_.empty()) return false;
    const Asked& now = asked_.back();
    return value >= now.first_value || value == now.in || value == now.out ||
           std::find(shared_.begin(), shared_.end(), value) != shared_.end();
  }

  template <class Body>
  static plimsoll_status take(void* ctx, const Body& body) noexcept {
    auto* const self = static_cast<Describer*>(CallScope::sink_of(ctx));
    if (self == nullptr || self->error_ || self->asked_.empty()) return PLIMSOLL_E_ABI;
    try {
      return body(*self);
    } catch (const std::exception& e) {
      self->error_ = Error{ErrorCode::kInternal, e.what(), {}};
      return PLIMSOLL_E_INTERNAL;
    }
  }

  plimsoll_status add_value(const plimsoll_value* value, std::uint32_t* index) {
    if (value == nullptr || index == nullptr || !PLIMSOLL_HAS(value, plimsoll_value, units)) return broken("a value is not there");
    const std::uint32_t first = out_.of_images ? PLIMSOLL_ROWS_PATCHES : PLIMSOLL_ROWS_TOKENS; // and the one behind it
    if (value->rows < first || value->rows > first + 1) return broken("rows of a kind that is none, or none of this part");
    if (value->width == 0 || value->width > PLIMSOLL_MAX_EXTENT) return broken(fmt::format("a value of width {}", value->width));
    if (value->units != 0 && value->width % value->units != 0)
      return broken(fmt::format("a width of {} in {} units", value->width, value->units));
    if (out_.values.size() >= PLIMSOLL_MAX_PIPELINE_VALUES) return broken("more values than a model may have");
    *index = add({value->rows == first + 1, value->width, value->units});
    return PLIMSOLL_OK;
  }
  static plimsoll_status on_value(void* ctx, const plimsoll_value* value, std::uint32_t* index) noexcept {
    return take(ctx, [&](Describer& self) { return self.add_value(value, index); });
  }
  static plimsoll_status on_shared(void* ctx, const plimsoll_value* value, std::uint32_t key, std::uint32_t* index) noexcept {
    return take(ctx, [&](Describer& self) {
      if (key >= PLIMSOLL_MAX_SHARED_VALUES || self.out_.of_images)
        return self.broken(fmt::format("a shared value {}, which is none", key));
      std::uint32_t& known = self.shared_[key];
      std::uint32_t asked = kNoIndex;
      if (const plimsoll_status status = self.add_value(value, &asked); status != PLIMSOLL_OK) return status;
      if (known == kNoIndex) known = asked;
      const DescribedValue &is = self.out_.values[known], &wanted = self.out_.values[asked];
      if (is.of_outputs != wanted.of_outputs || is.width != wanted.width || is.units != wanted.units)
        return self.broken(fmt::format("the shared value {} is another one here", key));
      if (asked != known) self.take_back();
      *index = known;
      return static_cast<plimsoll_status>(PLIMSOLL_OK);
    });
  }

  static bool is_usable(const double* frequencies, std::uint32_t n, double factor) {
    return std::isfinite(factor) && factor > 0 && std::all_of(frequencies, frequencies + n, [](double x) { return std::isfinite(x); });
  }

  static plimsoll_status on_rope(void* ctx, const plimsoll_rope_table* table, std::uint32_t* index) noexcept {
    return take(ctx, [&](Describer& self) {
      if (table == nullptr || index == nullptr || !PLIMSOLL_HAS(table, plimsoll_rope_table, long_beyond_tokens) || table->n == 0 ||
          table->n > PLIMSOLL_MAX_FREQUENCIES || table->inverse_frequencies == nullptr)
        return self.broken("a table of frequencies is not there, or too long");
      DescribedRope rope;
      const auto copy = [&](const double* from, double factor) { return ProgramRope{std::vector<double>(from, from + table->n), factor}; };
      if (!is_usable(table->inverse_frequencies, table->n, table->attention_factor)) return self.broken("a frequency that is no number");
      rope.usual = copy(table->inverse_frequencies, table->attention_factor);
      if (table->long_inverse_frequencies != nullptr) {
        if (!is_usable(table->long_inverse_frequencies, table->n, table->long_attention_factor))
          return self.broken("a frequency that is no number");
        rope.long_one = copy(table->long_inverse_frequencies, table->long_attention_factor);
        rope.long_beyond_tokens = table->long_beyond_tokens;
      }
      // Planners keep nothing between calls, so every layer brings its table again: an equal one is the same.
      std::vector<DescribedRope>& ropes = self.out_.ropes;
      const auto known = std::find(ropes.begin(), ropes.end(), rope);
      *index = static_cast<std::uint32_t>(known - ropes.begin());
      if (known != ropes.end()) return static_cast<plimsoll_status>(PLIMSOLL_OK);
      if (ropes.size() >= PLIMSOLL_MAX_ROPE_TABLES) return self.broken("more tables of frequencies than a model may have");
      ropes.push_back(std::move(rope));
      return static_cast<plimsoll_status>(PLIMSOLL_OK);
    });
  }

  static plimsoll_status on_part(void* ctx, std::uint32_t aspects, std::uint32_t layer, std::uint32_t in, std::uint32_t out) noexcept {
    return take(ctx, [&](Describer& self) {
      if (aspects != PLIMSOLL_ASPECT_FFN || layer != self.asked_.back().layer)
        return self.broken("a part that is not the FFN of the layer");
      if (!self.may_use(in) || !self.may_use(out) || !self.is_set(in)) return self.broken("hands a part a value that it does not have");
      return self.ask(self.what_ == What::kHead ? aspects | PLIMSOLL_PART_DRAFT : aspects, layer, in, out);
    });
  }

  static plimsoll_status on_op(void* ctx, const plimsoll_op* op) noexcept {
    return take(ctx, [&](Describer& self) {
      if (op == nullptr || !PLIMSOLL_HAS(op, plimsoll_op, f)) return self.broken("an op is not there");
      plimsoll_op raw = *op;
      if (self.declared_.head_left_out && self.asked_.back().out == self.out_.logits) {
        if (self.head_is_done_) return static_cast<plimsoll_status>(PLIMSOLL_OK); // what is done with logits
        if (raw.kind == PLIMSOLL_OP_LINEAR && raw.out == self.out_.logits) self.head_is_done_ = self.leave_out(raw);
      }
      DescribedOp bound;
      if (const plimsoll_status status = self.bind(raw, bound); status != PLIMSOLL_OK) return status;
      if (bound.kind == OpKind::kPool && self.rules_.pooling) bound.i[0] = static_cast<std::uint64_t>(*self.rules_.pooling);
      if (std::string wrong = wrong_op(bound, self.out_, self.declared_); !wrong.empty())
        return self.broken(fmt::format("op {} {}{}", self.out_.ops.size(), op_name(bound.kind), ": " + wrong));
      self.set_[bound.out] = true;
      self.out_.ops.push_back(bound);
      return static_cast<plimsoll_status>(PLIMSOLL_OK);
    });
  }

  // In place of the matrix between hidden states and words what goes into it.
  static bool leave_out(plimsoll_op& linear) {
    linear.kind = PLIMSOLL_OP_ADD;
    linear.flags = 0;
    linear.n_weights = 0;
    std::fill(std::begin(linear.i), std::end(linear.i), 0);
    std::fill(std::begin(linear.f), std::end(linear.f), 0);
    linear.f[0] = 1;
    return true;
  }

  // Labels and indices of an op become those of the model.
  plimsoll_status bind(const plimsoll_op& op, DescribedOp& bound) {
    const std::optional<OpKind> kind = op_kind(op.kind);
    if (!kind) return broken(fmt::format("an op of kind {}, which is none", op.kind));
    if (out_.ops.size() >= PLIMSOLL_MAX_PIPELINE_VALUES) return broken("more ops than a model may have");
    if (op.flags > (PLIMSOLL_OP_ACCUMULATE | PLIMSOLL_OP_REDUCE)) return broken(fmt::format("flags {:#x}", op.flags));
    if (op.layer != asked_.back().layer && !out_.of_images) return broken(fmt::format("an op of layer {} in a part of another", op.layer));
    if (op.n_in > PLIMSOLL_OP_MAX_INPUTS || op.n_weights > PLIMSOLL_OP_MAX_WEIGHTS) return broken("more operands than an op may have");
    bound.kind = *kind;
    bound.accumulate = (op.flags & PLIMSOLL_OP_ACCUMULATE) != 0;
    bound.reduce = (op.flags & PLIMSOLL_OP_REDUCE) != 0;
    bound.layer = op.layer;
    bound.out = op.out;
    if (!may_use(op.out)) return broken("an op gives a value that its part does not have");
    if (bound.accumulate && !is_set(op.out)) return broken(fmt::format("{} adds to a value that was not set", op_name(*kind)));
    for (std::uint32_t n = 0; n < op.n_in; ++n) {
      bound.in[n] = op.in[n];
      if (!may_use(op.in[n]) || !is_set(op.in[n])) return broken(fmt::format("{} reads a value that was not set", op_name(*kind)));
    }
    for (std::uint32_t n = 0; n < op.n_weights; ++n) {
      const std::string_view label = text_of(op.weight[n], PLIMSOLL_MAX_LABEL_BYTES);
      if (op.weight[n].size == 0) continue;
      bound.weights[n] = class_of(label, op.layer);
      if (bound.weights[n] == kNoIndex)
        return broken(fmt::format("{} names the weight {}, which {}", op_name(*kind), quoted_name(label), unknown(op.layer)));
    }
    if (op.kv_group.size != 0) {
      const std::string_view label = text_of(op.kv_group, PLIMSOLL_MAX_LABEL_BYTES);
      const bool borrows = *kind == OpKind::kAttend && op.i[7] != 0;
      if (borrows) bound.kv_from = static_cast<std::uint32_t>(std::min<std::uint64_t>(op.i[7] - 1, kNoIndex - 1));
      const std::uint32_t layer = borrows ? bound.kv_from : op.layer;
      bound.kv_group = group_of(label, layer);
      if (bound.kv_group == kNoIndex)
        return broken(fmt::format("{} names the KV group {}, which {}", op_name(*kind), quoted_name(label), unknown(layer)));
    }
    std::copy(std::begin(op.i), std::end(op.i), bound.i.begin());
    std::copy(std::begin(op.f), std::end(op.f), bound.f.begin());
    return PLIMSOLL_OK;
  }

  static std::string unknown(std::uint32_t layer) {
    return layer == PLIMSOLL_NO_LAYER ? "is none, or more than one, outside the layers"
                                      : fmt::format("layer {} does not have, or more than once", layer);
  }
  // Of a head what belongs to no layer may be named too, and its layer is the first of every class that drafts.
  bool may_name(const WeightClass& c, std::uint32_t layer) const {
    if (what_ == What::kHead) return c.role == PLIMSOLL_ROLE_DRAFT || c.layers.empty();
    return layer == PLIMSOLL_NO_LAYER ? c.layers.empty() : std::binary_search(c.layers.begin(), c.layers.end(), layer);
  }
  std::uint32_t class_of(std::string_view label, std::uint32_t layer) const {
    const auto found = classes_.find(label);
    if (found == classes_.end()) return kNoIndex;
    std::uint32_t one = kNoIndex;
    for (const std::uint32_t index : found->second) {
      if (!may_name(declared_.weights[index], layer)) continue;
      if (one != kNoIndex) return kNoIndex; // a label of several tensors names none of them
      one = index;
    }
    return one;
  }
  std::uint32_t group_of(std::string_view label, std::uint32_t layer) const {
    for (std::uint32_t i = 0; i < declared_.kv.size(); ++i) {
      const KvGroup& group = declared_.kv[i];
      if (what_ == What::kHead && group.role != PLIMSOLL_ROLE_DRAFT) continue;
      if (group.label == label && std::binary_search(group.layers.begin(), group.layers.end(), layer)) return i;
    }
    return kNoIndex;
  }

  const Planners& planners_;
  const PlannerNode& root_;
  const std::string& where_;
  const Declared& declared_;
  const SentenceRules& rules_;
  const What what_;
  bool head_is_done_ = false;
  std::map<std::string_view, std::vector<std::uint32_t>> classes_;
  Described out_;
  std::vector<bool> set_;
  std::array<std::uint32_t, PLIMSOLL_MAX_SHARED_VALUES> shared_ = no_values(); // by key
  std::vector<Asked> asked_;
  std::optional<Error> error_;
  plimsoll_pipeline_sink raw_{
      PLIMSOLL_SIZE_THROUGH(plimsoll_pipeline_sink, shared), 0, nullptr, on_value, on_rope, on_op, on_part, on_shared};
};

} // namespace

Result<Described> describe_pipeline(const Planners& planners, const Declared& declared, const SentenceRules& rules) {
  if (!planners.has_pipeline())
    return fail(ErrorCode::kUnsupportedArchitecture, fmt::format("this planner describes no pipeline (planner '{}')", planners.root().id()),
                planners.where());
  if (declared.facts.hidden_elements == 0)
    return fail(ErrorCode::kUnsupportedArchitecture, "a pipeline needs the width of the model, which its planner does not say",
                planners.where());
  if (declared.scores)
    return fail(ErrorCode::kUnsupportedArchitecture,
                fmt::format("the class {} scores what it reads; of models without words only those that give vectors are described",
                            quoted_name(planners.architecture())),
                planners.where());
  if (declared.facts.vocab_tokens == 0 && !rules.unsupported.empty())
    return fail(ErrorCode::kUnsupportedArchitecture, rules.unsupported, planners.where());
  PLIMSOLL_ASSIGN(Described described, Describer(planners, declared, rules).run());
  if (declared.facts.draft_layers > 0) {
    auto head = Describer(planners, declared, rules, Describer::What::kHead).run();
    if (head) described.head = std::make_shared<const Described>(std::move(*head));
    else described.no_head = std::move(head.error());
  }
  if (find_op(described, OpKind::kImageRows) == nullptr) return described;
  auto encoder = Describer(planners, declared, rules, Describer::What::kEncoder).run();
  if (!encoder && encoder.error().code != ErrorCode::kUnsupportedArchitecture) return tl::unexpected(std::move(encoder.error()));
  if (encoder) described.encoder = std::make_shared<const Described>(std::move(*encoder));
  else described.no_encoder = std::move(encoder.error());
  return described;
}

const DescribedOp* find_op(const Described& described, OpKind kind) {
  const auto at = std::find_if(described.ops.begin(), described.ops.end(), [&](const DescribedOp& op) { return op.kind == kind; });
  return at == described.ops.end() ? nullptr : &*at;
}

} // namespace plimsoll
