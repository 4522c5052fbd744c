#include "worker/isolated_planners.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "plugin/calls.hpp"
#include "plugin/planner_tree.hpp"
#include "worker/abi_wire.hpp"

namespace plimsoll {

std::string IsolatedPlanners::tensors_message() const {
  if (!stored_) {
    stored_ = source_ ? source_() : std::vector<StoredTensor>();
    source_ = {};
  }
  WireWriter out = wire::message(wire::Ask::kTensors);
  out(static_cast<std::uint64_t>(stored_->size()));
  for (const StoredTensor& tensor : *stored_) {
    out(tensor.name), out(tensor.dtype), out(tensor.stored_bytes);
    out(static_cast<std::uint64_t>(tensor.dims.size()));
    for (const std::uint64_t extent : tensor.dims) out(extent);
  }
  return std::move(out.bytes());
}

Result<std::string> IsolatedPlanners::ask(std::string_view question) const {
  return link_->ask(question, [this] { return tensors_message(); });
}

Result<std::string> IsolatedPlanners::make() const {
  PLIMSOLL_ASSIGN(link_, WorkerLink::start(registry_, where_));
  WireWriter out = wire::message(wire::Ask::kMake);
  write_options(out, registry_.options());
  out(where_), out(config_->dump());
  return ask(out.bytes());
}

Result<void> IsolatedPlanners::start() const {
  if (link_ != nullptr && link_->alive()) {
    link_->begin();
    return {};
  }
  PLIMSOLL_ASSIGN(const std::string made, make());
  if (made == made_) return {};
  link_.reset();
  return fail(ErrorCode::kPluginFailed,
              fmt::format("planner '{}' declares otherwise than when the model was loaded, which rule R-28 forbids", root().id()), where_);
}

// ---- what the planners are ----

static const Json kNothing = Json::object();

// What a worker of ours never says.
static tl::unexpected<Error> odd(const char* what) { return fail(ErrorCode::kInternal, what); }

bool IsolatedPlanners::read_views(WireReader& reader) {
  const std::uint64_t n = reader.count(sizeof(std::uint64_t));
  for (std::uint64_t i = 0; i < n; ++i) {
    plimsoll_view view;
    const auto parent = reader.number<std::uint32_t>();
    reader(view.pointer);
    const bool renamed = reader.number<std::uint8_t>() != 0;
    std::string as;
    reader(as);
    if (renamed) view.as = Json(std::move(as));
    for (std::uint64_t renames = reader.count(2 * sizeof(std::uint64_t)); renames > 0; --renames) {
      auto& [from, to] = view.renames.emplace_back();
      reader(from), reader(to);
    }
    if (reader.failed() || (parent == UINT32_MAX) != (i == 0) || (i > 0 && parent >= i)) return false;
    if (i > 0) view.parent = &views_[parent];
    // Only the whole is looked up in here; of a part, which a class default may have made, its place and its renames count.
    view.node = i == 0 ? config_.get() : &kNothing;
    views_.push_back(std::move(view));
  }
  return n > 0;
}

Result<void> IsolatedPlanners::read_nodes(WireReader& reader) {
  for (std::uint64_t n = reader.count(sizeof(std::uint64_t)); n > 0; --n) {
    auto node = std::make_unique<PlannerNode>();
    FileIdentity library;
    std::string folder, family, replaced, aliased_by, as;
    reader(folder);
    library.device = reader.number<std::uint64_t>();
    library.inode = reader.number<std::uint64_t>();
    reader(library.file_bytes), reader(library.changed_seconds), reader(library.changed_nanoseconds);
    reader(family), reader(node->family.signal_policy), reader(replaced), reader(aliased_by), reader(as);
    const auto view = reader.number<std::uint32_t>();
    reader(node->place);
    for (bool* const has : {&node->has_facts, &node->has_signal_buffers, &node->has_max_batch}) *has = reader.number<std::uint8_t>() != 0;
    if (reader.failed() || view >= views_.size() || node->family.signal_policy > PLIMSOLL_SIGNAL_ALWAYS)
      return odd("planners that cannot be");
    Plugin* const plugin = registry_.plugin_in(folder);
    if (plugin == nullptr || !(plugin->library == library))
      return fail(ErrorCode::kPluginFailed, "was replaced after it was checked; make a new context, which checks it again", folder);
    node->family.plugin = plugin;
    for (const FamilyManifest& known : plugin->manifest.families)
      if (known.id == family) node->family.family = &known;
    if (node->family.family == nullptr) return odd("a family that its manifest does not have");
    node->family.replaced = replaced.empty() ? nullptr : registry_.plugin_in(replaced);
    node->family.aliased_by = aliased_by.empty() ? nullptr : registry_.plugin_in(aliased_by);
    if (node->family.aliased_by != nullptr) // the text that lies in the manifest
      for (const auto& [name, target] : node->family.aliased_by->manifest.aliases)
        if (target == as) node->family.as = target;
    node->view = &views_[view];
    views_[view].defaults = defaults_of(views_[view], *plugin);
    nodes_.push_back(std::move(node));
  }
  return {};
}

Result<void> IsolatedPlanners::read(std::string made) {
  made_ = std::move(made);
  if (made_.empty()) return odd("nothing");
  WireReader reader(body_of(made_));
  reader(architecture_);
  for (std::uint64_t n = reader.count(4 * sizeof(std::uint64_t)); n > 0; --n) {
    AssumedClass& assumed = assumed_.emplace_back();
    reader(assumed.architecture), reader(assumed.model_type), reader(assumed.family), reader(assumed.where);
  }
  if (!read_views(reader)) return odd("parts of the configuration that it does not have");
  PLIMSOLL_TRY(read_nodes(reader));
  const auto root = reader.number<std::uint32_t>();
  has_pipeline_ = reader.number<std::uint8_t>() != 0;
  if (reader.failed() || root >= nodes_.size()) return odd("no planner of the model");
  root_ = nodes_[root].get();
  const auto emitted = [&]() -> Emitted {
    if (reader.number<std::uint8_t>() == 0) return tl::unexpected(read_error(reader));
    std::string out;
    reader(out);
    return out;
  };
  weights_ = emitted();
  kv_ = emitted();
  Held held;
  if (reader.number<std::uint8_t>() == 0) facts_ = tl::unexpected(read_error(reader));
  else facts_ = read_struct<plimsoll_facts>(reader, held);
  entries_ = emitted();
  if (!reader.done()) return odd("an answer that is too short or too long");
  return {};
}

Result<std::unique_ptr<IsolatedPlanners>> IsolatedPlanners::of_answer(const Registry& registry, std::shared_ptr<const Json> config,
                                                                      std::string made) {
  std::unique_ptr<IsolatedPlanners> out(new IsolatedPlanners(registry, std::move(config), "", {}));
  PLIMSOLL_TRY(out->read(std::move(made)));
  return out;
}

Result<std::unique_ptr<IsolatedPlanners>> IsolatedPlanners::create(const Registry& registry, std::shared_ptr<const Json> config,
                                                                   std::string where, TensorSource stored) {
  std::unique_ptr<IsolatedPlanners> out(new IsolatedPlanners(registry, std::move(config), std::move(where), std::move(stored)));
  PLIMSOLL_ASSIGN(std::string made, out->make());
  if (const Result<void> read = out->read(std::move(made)); !read)
    return tl::unexpected(read.error().code == ErrorCode::kInternal ? out->link_->broke_off(read.error().message) : read.error());
  out->source_ = {}; // the checkpoint may go now
  return out;
}

// ---- what they say ----

template <class What, class Give>
Result<void> IsolatedPlanners::replay(const Emitted& emitted, const Give& give) const {
  if (!emitted) return tl::unexpected(emitted.error());
  WireReader reader(*emitted);
  while (!reader.done()) {
    const auto node = reader.number<std::uint32_t>();
    Held held;
    const auto what = read_struct<What>(reader, held);
    if (reader.failed() || node >= nodes_.size())
      return fail(ErrorCode::kPluginFailed, fmt::format("the worker of planner '{}' broke off in a declaration", root().id()), where_);
    PLIMSOLL_TRY(give(*nodes_[node], what));
  }
  return {};
}

Result<void> IsolatedPlanners::weights(Collector& to) const {
  return replay<plimsoll_weight>(weights_, [&](const auto& node, const auto& what) { return to.on_weight(node, what); });
}
Result<void> IsolatedPlanners::kv(Collector& to) const {
  return replay<plimsoll_kv_group>(kv_, [&](const auto& node, const auto& what) { return to.on_kv(node, what); });
}
Result<plimsoll_facts> IsolatedPlanners::facts() const { return facts_; }
Result<void> IsolatedPlanners::entries(Collector& to) const {
  return replay<plimsoll_entry>(entries_, [&](const auto& node, const auto& what) { return to.on_entry(node, what); });
}

constexpr std::size_t kMostAnswers = 64, kLongestKept = 1U << 16U;

std::string IsolatedPlanners::price_message(wire::Price what, const plimsoll_request& request) {
  WireWriter out = wire::message(wire::Ask::kPrice);
  out(static_cast<std::uint8_t>(what));
  write_struct(out, request);
  out(request.engine == nullptr || request.engine->node == nullptr ? std::string("{}") : request.engine->node->dump());
  return std::move(out.bytes());
}

// The same question has the same answer: the search for a batch, advice and a host that plans again ask many twice.
Result<std::string> IsolatedPlanners::price(const std::string& question) const {
  if (const auto known = answers_.find(question); known != answers_.end()) return known->second;
  PLIMSOLL_TRY(start());
  PLIMSOLL_ASSIGN(std::string answer, ask(question));
  if (answers_.size() >= kMostAnswers) answers_.clear();
  if (answer.size() < kLongestKept) answers_.emplace(question, answer);
  return answer;
}

Error IsolatedPlanners::forget(std::string_view what) const {
  answers_.clear();
  return link_->broke_off(what);
}

Result<void> IsolatedPlanners::priced(wire::Price what, const plimsoll_request& request, Collector& to) const {
  const std::lock_guard lock(mutex_);
  PLIMSOLL_ASSIGN(const std::string answer, price(price_message(what, request)));
  WireReader reader(body_of(answer));
  Emitted emitted;
  if (reader.number<std::uint8_t>() == 0) emitted = tl::unexpected(read_error(reader));
  else reader(*emitted);
  if (!reader.done()) return tl::unexpected(forget("an answer that is too short or too long"));
  return replay<plimsoll_item>(emitted, [&](const auto& node, const auto& item) { return to.on_item(node, item); });
}
Result<void> IsolatedPlanners::activations(const plimsoll_request& request, Collector& to) const {
  return priced(wire::Price::kActivations, request, to);
}
Result<void> IsolatedPlanners::signal_buffers(const plimsoll_request& request, Collector& to) const {
  return priced(wire::Price::kSignalBuffers, request, to);
}
Result<std::uint64_t> IsolatedPlanners::max_batch(const plimsoll_request& request) const {
  if (!root().has_max_batch) return 0;
  const std::lock_guard lock(mutex_);
  PLIMSOLL_ASSIGN(const std::string answer, price(price_message(wire::Price::kMaxBatch, request)));
  WireReader reader(body_of(answer));
  const auto batch = reader.number<std::uint64_t>();
  if (!reader.done()) return tl::unexpected(forget("an answer that is too short or too long"));
  return batch;
}

// ---- the forward pass ----

namespace {

// One step of a part, handed to the host's end of the sink; whether the worker waits for what it says.
bool take_step(WireReader& reader, const plimsoll_pipeline_sink& sink, plimsoll_status& status, std::uint32_t& index) {
  const auto kind = static_cast<wire::Step>(reader.number<std::uint8_t>());
  if (kind == wire::Step::kPart) {
    const auto aspects = reader.number<std::uint32_t>(), layer = reader.number<std::uint32_t>();
    const auto in = reader.number<std::uint32_t>(), out = reader.number<std::uint32_t>();
    status = reader.failed() ? PLIMSOLL_E_ABI : sink.part(sink.ctx, aspects, layer, in, out);
    return true;
  }
  const auto key = kind == wire::Step::kShared ? reader.number<std::uint32_t>() : 0;
  const bool there = reader.number<std::uint8_t>() != 0;
  Held held;
  const auto give = [&]<class What>(const What&, const auto& call) {
    if (!there) return call(static_cast<const What*>(nullptr));
    const auto what = read_struct<What>(reader, held);
    return reader.failed() ? static_cast<plimsoll_status>(PLIMSOLL_E_ABI) : call(&what);
  };
  switch (kind) {
  case wire::Step::kValue:
    status = give(plimsoll_value{}, [&](const plimsoll_value* value) { return sink.value(sink.ctx, value, &index); });
    return true;
  case wire::Step::kShared:
    status = give(plimsoll_value{}, [&](const plimsoll_value* value) { return sink.shared(sink.ctx, value, key, &index); });
    return true;
  case wire::Step::kRope:
    status = give(plimsoll_rope_table{}, [&](const plimsoll_rope_table* table) { return sink.rope(sink.ctx, table, &index); });
    return true;
  case wire::Step::kOp: status = give(plimsoll_op{}, [&](const plimsoll_op* op) { return sink.op(sink.ctx, op); }); return !there;
  default: reader.fail(); return false;
  }
}

} // namespace

plimsoll_status IsolatedPlanners::describe(const PassPart& part, const plimsoll_pipeline_sink& sink, plimsoll_error* err) const {
  const std::lock_guard lock(mutex_);
  const auto lost = [&](const Error& error) { return report(err, PLIMSOLL_E_INTERNAL, "", error.message); };
  if (depth_ == 0) // a part of a part is within the time of the whole
    if (const Result<void> started = start(); !started) return lost(started.error());
  ++depth_;
  const plimsoll_status status = steps(part, sink, err);
  --depth_;
  return status;
}

plimsoll_status IsolatedPlanners::steps(const PassPart& part, const plimsoll_pipeline_sink& sink, plimsoll_error* err) const {
  const auto lost = [&](const Error& error) { return report(err, PLIMSOLL_E_INTERNAL, "", error.message); };
  WireWriter out = wire::message(wire::Ask::kDescribe);
  out(part.aspects), out(part.layer), out(part.in), out(part.out);
  std::string question = std::move(out.bytes());
  for (;;) {
    const Result<std::string> answer = ask(question);
    if (!answer) return lost(answer.error());
    WireReader reader(body_of(*answer));
    if (static_cast<wire::Answer>(answer->front()) == wire::Answer::kDone) {
      const auto status = reader.number<plimsoll_status>();
      std::string_view where, message;
      reader(where), reader(message);
      if (!reader.done()) return lost(link_->broke_off("an answer that is too short or too long"));
      return status == PLIMSOLL_OK ? status : report(err, status, clean_text(where), clean_text(message));
    }
    question.clear();
    bool waits = false;
    plimsoll_status status = PLIMSOLL_OK;
    std::uint32_t index = 0;
    while (!reader.failed() && !reader.done()) waits = take_step(reader, sink, status, index);
    if (reader.failed()) return lost(link_->broke_off("a step that cannot be"));
    if (!waits) continue;
    WireWriter told = wire::message(wire::Ask::kStepped);
    told(status), told(index);
    question = std::move(told.bytes());
  }
}

Result<std::unique_ptr<Planners>> make_planners(const Registry& registry, std::shared_ptr<const Json> config, std::string where,
                                                TensorSource stored) {
  PLIMSOLL_ASSIGN(std::unique_ptr<Planners> here, PlannerTree::create(registry, config, where, stored));
  if (here != nullptr) return here;
  return IsolatedPlanners::create(registry, std::move(config), std::move(where), std::move(stored));
}

Result<void> open_plugin(const Registry& registry, Plugin& plugin) {
  if (!registry.isolates(plugin)) return registry.load_all(plugin);
  PLIMSOLL_ASSIGN(const std::unique_ptr<WorkerLink> link, WorkerLink::start(registry, plugin.manifest.directory));
  WireWriter out = wire::message(wire::Ask::kOpen);
  write_options(out, registry.options());
  out(plugin.manifest.directory);
  PLIMSOLL_TRY(link->ask(out.bytes(), {}));
  return {};
}

} // namespace plimsoll
