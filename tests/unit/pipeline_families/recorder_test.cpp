// What recorder.hpp promises: the sink, the walk over the parts, and who may name what.
#include "recorder.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "plugin/calls.hpp"
#include "plugin/registry.hpp"

namespace plimsoll::testing {

std::uint64_t WeightSeen::elements() const {
  std::uint64_t out = 1;
  for (const std::uint64_t dim : dims) out *= dim;
  return out;
}

std::vector<const OpSeen*> Pass::of_layer(std::uint32_t layer) const {
  std::vector<const OpSeen*> out;
  for (const OpSeen& op : ops)
    if (op.layer == layer) out.push_back(&op);
  return out;
}

std::map<std::string, std::uint64_t> Pass::counts() const {
  std::map<std::string, std::uint64_t> out;
  for (const OpSeen& op : ops) ++out[kind_name(op.kind)];
  return out;
}

std::uint64_t Pass::used_classes() const {
  return static_cast<std::uint64_t>(std::count_if(weights.begin(), weights.end(), [](const WeightSeen& w) { return w.used; }));
}

std::uint32_t cache_layer(const OpSeen& op) {
  const bool borrows = op.kind == PLIMSOLL_OP_ATTEND && op.i[7] != 0;
  return borrows ? static_cast<std::uint32_t>(op.i[7] - 1) : op.layer;
}

const char* kind_name(std::uint32_t kind) {
  constexpr std::array<const char*, 21> kNames{
      "?",   "embed",      "norm", "linear",   "rope",    "attend",     "attend_latent", "gate",           "route", "experts", "last_rows",
      "add", "scale_rows", "conv", "ssm_scan", "columns", "delta_rule", "attend_whole",  "embed_position", "pool",  "multiply"};
  return kind < kNames.size() ? kNames[kind] : "?";
}

namespace {

std::string text(plimsoll_str s) { return {s.data, static_cast<std::size_t>(s.size)}; }

class Declarations : public Collector {
public:
  explicit Declarations(Pass& pass) : pass_(pass) {}
  Result<void> on_weight(const PlannerNode&, const plimsoll_weight& w) override {
    WeightSeen seen{
        text(w.label), w.aspect, w.role, w.in_dim, w.shard_dim, {w.layers, w.layers + w.n_layers}, {w.dims, w.dims + w.n_dims}, {},
        w.experts};
    for (std::uint64_t i = 0; i < w.n_parts; ++i) seen.parts.push_back(w.parts[i]->extent);
    pass_.weights.push_back(std::move(seen));
    return {};
  }
  Result<void> on_kv(const PlannerNode&, const plimsoll_kv_group& g) override {
    pass_.groups.push_back(
        {text(g.label), g.kind, g.role, {g.layers, g.layers + g.n_layers}, g.kv_heads, g.k_elements, g.v_elements, g.window_tokens, {}});
    for (std::uint64_t i = 0; i < g.n_regions; ++i) pass_.groups.back().regions.push_back(g.regions[i]->elements);
    return {};
  }

private:
  Pass& pass_;
};

// The sink, and the walk over the parts.
class Recorder {
public:
  Recorder(const PlannerTree& tree, Pass& pass) : pass_(pass) {
    constexpr std::string_view kId = PLIMSOLL_PIPELINE_ID;
    table_ = static_cast<const plimsoll_pipeline*>(call_query(tree.root(), {kId.data(), kId.size()}, &object_));
  }

  void run(const plimsoll_facts& facts) {
    if (table_ == nullptr) {
      pass_.status = PLIMSOLL_E_UNSUPPORTED;
      pass_.message = "this planner describes no pipeline";
      return;
    }
    sink_ = {PLIMSOLL_SIZE_THROUGH(plimsoll_pipeline_sink, shared), 0, this, on_value, on_rope, on_op, on_part, on_shared};
    const std::uint32_t residual = own_value(PLIMSOLL_ROWS_TOKENS, facts.hidden_elements);
    part(PLIMSOLL_ASPECT_EMBED, PLIMSOLL_NO_LAYER, PLIMSOLL_NO_VALUE, residual);
    for (std::uint32_t layer = 0; layer < facts.n_layers && pass_.status == PLIMSOLL_OK; ++layer)
      part(PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_STATE, layer, residual, residual);
    pass_.logits = own_value(PLIMSOLL_ROWS_OUTPUTS, facts.vocab_tokens != 0 ? facts.vocab_tokens : facts.hidden_elements);
    if (pass_.status == PLIMSOLL_OK) part(PLIMSOLL_ASPECT_HEAD, PLIMSOLL_NO_LAYER, residual, pass_.logits);
  }

private:
  static Recorder& of(void* ctx) { return *static_cast<Recorder*>(ctx); }
  plimsoll_status fault(std::string what) {
    pass_.faults.push_back(std::move(what));
    return PLIMSOLL_E_ABI;
  }

  std::uint32_t own_value(std::uint32_t rows, std::uint64_t width) {
    pass_.values.push_back({PLIMSOLL_SIZE_THROUGH(plimsoll_value, units), rows, width, 0});
    set_.push_back(false);
    owner_.push_back(0);
    return static_cast<std::uint32_t>(pass_.values.size() - 1);
  }

  plimsoll_status part(std::uint32_t aspects, std::uint32_t layer, std::uint32_t in, std::uint32_t out) {
    const std::size_t before = pass_.faults.size();
    calls_.push_back({++n_calls_, layer, in, out});
    plimsoll_error err{};
    err.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
    const plimsoll_status status = table_->describe(object_, aspects, layer, in, out, &sink_, &err);
    calls_.pop_back();
    if (status != PLIMSOLL_OK && pass_.status == PLIMSOLL_OK) {
      pass_.status = status;
      pass_.message = err.message;
      pass_.where = err.where;
    }
    if (status == PLIMSOLL_OK && !set_[out]) return fault(fmt::format("aspects {} of layer {} set nothing", aspects, layer));
    if (status == PLIMSOLL_OK && pass_.faults.size() > before) return fault("a refusal was taken for success");
    return status;
  }

  bool may_use(std::uint32_t value) const {
    if (value >= pass_.values.size()) return false;
    const Call& call = calls_.back();
    return owner_[value] == call.number || owner_[value] == kAnybody || value == call.in || value == call.out;
  }

  static plimsoll_status on_value(void* ctx, const plimsoll_value* value, std::uint32_t* index) noexcept {
    Recorder& self = of(ctx);
    if (value->width == 0 || (value->units != 0 && value->width % value->units != 0))
      return self.fault(fmt::format("a value of {} in {} units", value->width, value->units));
    *index = self.own_value(value->rows, value->width);
    self.pass_.values.back().units = value->units;
    self.owner_.back() = self.calls_.back().number;
    return PLIMSOLL_OK;
  }

  static plimsoll_status on_shared(void* ctx, const plimsoll_value* value, std::uint32_t key, std::uint32_t* index) noexcept {
    Recorder& self = of(ctx);
    const auto known = self.shared_.find(key);
    if (known == self.shared_.end()) {
      const plimsoll_status status = on_value(ctx, value, index);
      self.owner_.back() = kAnybody;
      self.shared_[key] = *index;
      return status;
    }
    *index = known->second;
    const plimsoll_value& is = self.pass_.values[*index];
    if (is.rows != value->rows || is.width != value->width || is.units != value->units) return self.fault("a shared value of two sizes");
    return PLIMSOLL_OK;
  }

  static plimsoll_status on_rope(void* ctx, const plimsoll_rope_table* table, std::uint32_t* index) noexcept {
    Recorder& self = of(ctx);
    TableSeen seen;
    seen.inverse.assign(table->inverse_frequencies, table->inverse_frequencies + table->n);
    seen.attention_factor = table->attention_factor;
    if (table->long_inverse_frequencies != nullptr) {
      seen.long_inverse.assign(table->long_inverse_frequencies, table->long_inverse_frequencies + table->n);
      seen.long_attention_factor = table->long_attention_factor;
      seen.long_beyond_tokens = table->long_beyond_tokens;
    }
    for (const double f : seen.inverse)
      if (!(f >= 0 && f <= 1)) return self.fault(fmt::format("a frequency of {}", f));
    const auto found = std::find(self.pass_.tables.begin(), self.pass_.tables.end(), seen);
    *index = static_cast<std::uint32_t>(found - self.pass_.tables.begin());
    if (found == self.pass_.tables.end()) self.pass_.tables.push_back(std::move(seen));
    return PLIMSOLL_OK;
  }

  static plimsoll_status on_part(void* ctx, std::uint32_t aspects, std::uint32_t layer, std::uint32_t in, std::uint32_t out) noexcept {
    Recorder& self = of(ctx);
    if (aspects != PLIMSOLL_ASPECT_FFN || layer != self.calls_.back().layer || self.calls_.size() != 1)
      return self.fault(fmt::format("asked for aspects {} of layer {}", aspects, layer));
    if (!self.may_use(in) || !self.may_use(out) || !self.set_[in]) return self.fault("a part reads what is not set");
    return self.part(aspects, layer, in, out);
  }

  static plimsoll_status on_op(void* ctx, const plimsoll_op* op) noexcept {
    Recorder& self = of(ctx);
    OpSeen seen{op->kind, op->flags, op->layer, op->out, {op->in, op->in + op->n_in}, {}, text(op->kv_group)};
    for (std::uint32_t n = 0; n < op->n_weights; ++n) seen.weights.push_back(text(op->weight[n]));
    std::copy(std::begin(op->i), std::end(op->i), seen.i.begin());
    std::copy(std::begin(op->f), std::end(op->f), seen.f.begin());
    const std::string wrong = self.take(seen);
    if (!wrong.empty())
      return self.fault(fmt::format("layer {}: {}: {}", static_cast<std::int32_t>(op->layer), kind_name(op->kind), wrong));
    self.pass_.ops.push_back(std::move(seen));
    return PLIMSOLL_OK;
  }

  std::string take(const OpSeen& op) {
    const Call& call = calls_.back();
    if (op.layer != call.layer) return "of another layer";
    if (!may_use(op.out)) return "sets a value that is not this part's";
    for (const std::uint32_t in : op.in)
      if (!may_use(in) || !set_[in]) return "reads a value that was not set";
    if ((op.flags & PLIMSOLL_OP_ACCUMULATE) != 0 && !set_[op.out]) return "adds to a value that was not set";
    std::vector<const WeightSeen*> weights;
    for (const std::string& label : op.weights) {
      WeightSeen* found = label.empty() ? nullptr : class_of(label, op.layer);
      if (!label.empty() && found == nullptr) return "names '" + label + "', which is none or several of this layer";
      if (found != nullptr) found->used = true;
      weights.push_back(found);
    }
    const GroupSeen* group = nullptr;
    for (const GroupSeen& g : pass_.groups)
      if (g.label == op.kv_group && std::binary_search(g.layers.begin(), g.layers.end(), cache_layer(op))) group = &g;
    if (!op.kv_group.empty() && group == nullptr) return "names the KV group '" + op.kv_group + "', which does not have this layer";
    std::string wrong = wrong_operands(pass_, op, weights, group);
    set_[op.out] = true;
    return wrong;
  }

  WeightSeen* class_of(const std::string& label, std::uint32_t layer) {
    WeightSeen* found = nullptr;
    for (WeightSeen& w : pass_.weights) {
      const bool listed = layer == PLIMSOLL_NO_LAYER ? w.layers.empty() : std::binary_search(w.layers.begin(), w.layers.end(), layer);
      if (w.label != label || !listed) continue;
      if (found != nullptr) return nullptr;
      found = &w;
    }
    return found;
  }

  struct Call {
    std::uint32_t number, layer, in, out;
  };
  Pass& pass_;
  const plimsoll_pipeline* table_ = nullptr;
  const void* object_ = nullptr;
  plimsoll_pipeline_sink sink_{};
  std::vector<Call> calls_;
  std::uint32_t n_calls_ = 0;
  std::vector<bool> set_;
  std::vector<std::uint32_t> owner_; // the call that declared it; 0: the host
  static constexpr std::uint32_t kAnybody = UINT32_MAX;
  std::map<std::uint32_t, std::uint32_t> shared_;
};

const Registry& registry() {
  static const Registry built({{std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/plugins"}, Trust::kOpen}, {});
  return built;
}

const std::filesystem::path kCatalogue = std::filesystem::path(PLIMSOLL_SOURCE_DIR) / "core/catalogue/models";

} // namespace

Pass record(const Json& config) {
  Pass pass;
  const auto tree = PlannerTree::create(registry(), std::make_shared<const Json>(config), "config.json");
  if (!tree) {
    ADD_FAILURE() << tree.error().where << ": " << tree.error().message;
    return pass;
  }
  Declarations declarations(pass);
  EXPECT_TRUE((*tree)->weights(declarations));
  EXPECT_TRUE((*tree)->kv(declarations));
  const auto facts = (*tree)->facts();
  EXPECT_TRUE(facts);
  if (facts) Recorder(**tree, pass).run(*facts);
  return pass;
}

Json catalogue_config(const std::string& name) {
  std::ifstream file(kCatalogue / (name + ".json"));
  return Json::parse(file).at("config");
}

std::vector<std::string> catalogue_models() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(kCatalogue)) out.push_back(entry.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

} // namespace plimsoll::testing
