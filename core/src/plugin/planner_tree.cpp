#include "plugin/planner_tree.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>

#include "base/nearest.hpp"
#include "plugin/call_scope.hpp"
#include "plugin/host_table.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaxDepth = 8;
constexpr std::size_t kMaxViews = 256;

plimsoll_error blank_error() {
  plimsoll_error err{};
  err.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
  return err;
}

void copy_text(char* to, std::size_t capacity, std::string_view text) {
  const std::size_t n = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), n);
  to[n] = '\0';
}

plimsoll_status report(plimsoll_error* err, plimsoll_status code, std::string_view where, std::string_view message) {
  if (err != nullptr && PLIMSOLL_HAS(err, plimsoll_error, message)) {
    err->code = code;
    copy_text(err->where, sizeof err->where, where);
    copy_text(err->message, sizeof err->message, message);
  }
  return code;
}

// A plugin's text, cut where it forgot the terminator.
std::string text_of(const char* data, std::size_t capacity) { return std::string(data, ::strnlen(data, capacity)); }

// The planner that this thread is in. A parent may hand its child a sink of its own that relays to the host's: what arrives
// there is the child's all the same.
thread_local const PlannerNode* current_planner = nullptr;

class Entered {
public:
  explicit Entered(const PlannerNode& node) : outer_(std::exchange(current_planner, &node)) {}
  ~Entered() { current_planner = outer_; }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

private:
  const PlannerNode* outer_;
};

// The host's end of a sink, for one call of the root planner.
struct HostSink {
  plimsoll_sink raw;
  Collector* collector;
  const PlannerNode* root;
  std::optional<Error> error;
  CallScope scope{this, error, root};

  HostSink(Collector& c, const PlannerNode& n);
  // The root for what comes from a thread that a plugin started.
  const PlannerNode& emitter() const { return current_planner != nullptr ? *current_planner : *root; }

  template <class Emit>
  plimsoll_status take(Emit&& emit) noexcept {
    if (error) return PLIMSOLL_E_ABI;
    try {
      Result<void> result = emit();
      if (result) return PLIMSOLL_OK;
      error = std::move(result.error());
    } catch (const std::exception& e) {
      error = Error{ErrorCode::kInternal, e.what(), {}};
    }
    return PLIMSOLL_E_CONFIG;
  }
  // nullptr where the call of that sink is over.
  static HostSink* of(void* ctx) { return static_cast<HostSink*>(CallScope::sink_of(ctx)); }
};

plimsoll_status nothing_there(const HostSink* sink) noexcept {
  if (sink != nullptr) CallScope::misused("declared a struct that is not there");
  return PLIMSOLL_E_ABI;
}

plimsoll_status sink_weight(void* ctx, const plimsoll_weight* weight) noexcept {
  HostSink* const sink = HostSink::of(ctx);
  if (sink == nullptr || weight == nullptr) return nothing_there(sink);
  return sink->take([&] { return sink->collector->on_weight(sink->emitter(), *weight); });
}
plimsoll_status sink_kv(void* ctx, const plimsoll_kv_group* group) noexcept {
  HostSink* const sink = HostSink::of(ctx);
  if (sink == nullptr || group == nullptr) return nothing_there(sink);
  return sink->take([&] { return sink->collector->on_kv(sink->emitter(), *group); });
}
plimsoll_status sink_item(void* ctx, const plimsoll_item* item) noexcept {
  HostSink* const sink = HostSink::of(ctx);
  if (sink == nullptr || item == nullptr) return nothing_there(sink);
  return sink->take([&] { return sink->collector->on_item(sink->emitter(), *item); });
}

HostSink::HostSink(Collector& c, const PlannerNode& n)
    : raw{PLIMSOLL_SIZE_THROUGH(plimsoll_sink, item), 0, nullptr, sink_weight, sink_kv, sink_item}, collector(&c), root(&n) {
  raw.ctx = scope.ticket();
}

const PlannerNode& node_of(const plimsoll_planner* child) { return *reinterpret_cast<const PlannerNode*>(child); }

// Puts the child's place in the configuration in front of its error.
plimsoll_status relay(const PlannerNode& node, plimsoll_status status, plimsoll_error* err) {
  if (status != PLIMSOLL_OK && err != nullptr) {
    const std::string where = node.place + text_of(err->where, sizeof err->where);
    copy_text(err->where, sizeof err->where, where);
  }
  return status;
}

// What a planner that leaves facts() alone is taken to be: the usual keys.
plimsoll_facts usual_facts(const plimsoll_view& view) {
  const auto first = [&](std::initializer_list<const char*> pointers) -> std::uint64_t {
    for (const char* pointer : pointers)
      if (const Json* value = view.find(pointer))
        if (const auto number = as_u64(*value)) return *number;
    return 0;
  };
  plimsoll_facts facts{};
  facts.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
  facts.n_layers =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(first({"/num_hidden_layers", "/n_layer", "/num_layers", "/n_layers"}), 65535));
  facts.max_length = first({"/max_position_embeddings", "/n_positions", "/max_seq_len", "/seq_length", "/model_max_length"});
  facts.hidden_elements = first({"/hidden_size", "/n_embd", "/d_model"});
  facts.vocab_tokens = first({"/vocab_size", "/padded_vocab_size"});
  facts.query_heads = first({"/num_attention_heads", "/n_head", "/n_heads"});
  facts.kv_heads = first({"/num_key_value_heads"});
  facts.experts = first({"/num_experts", "/num_local_experts", "/n_routed_experts"});
  facts.experts_per_token = first({"/num_experts_per_tok"});
  facts.draft_layers = first({"/num_nextn_predict_layers"});
  return facts;
}

plimsoll_status call_weights(const PlannerNode& node, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
  const Entered entered(node);
  if (!PLIMSOLL_HAS(node.api, plimsoll_planner_api, weights) || node.api->weights == nullptr) return PLIMSOLL_OK;
  return node.api->weights(node.self, aspects, out, err);
}
plimsoll_status call_kv(const PlannerNode& node, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
  const Entered entered(node);
  if (!PLIMSOLL_HAS(node.api, plimsoll_planner_api, kv) || node.api->kv == nullptr) return PLIMSOLL_OK;
  return node.api->kv(node.self, aspects, out, err);
}
plimsoll_status call_facts(const PlannerNode& node, plimsoll_facts* out, plimsoll_error* err) noexcept {
  if (PLIMSOLL_HAS(node.api, plimsoll_planner_api, facts) && node.api->facts != nullptr) return node.api->facts(node.self, out, err);
  plimsoll_facts facts = usual_facts(*node.view);
  facts.struct_size = std::min(out->struct_size, facts.struct_size);
  std::memcpy(out, &facts, facts.struct_size);
  return PLIMSOLL_OK;
}
plimsoll_status call_vision(const PlannerNode& node, plimsoll_vision_entry* out, plimsoll_error* err) noexcept {
  if (PLIMSOLL_HAS(node.api, plimsoll_planner_api, vision_entry) && node.api->vision_entry != nullptr)
    return node.api->vision_entry(node.self, out, err);
  const std::uint32_t capacity = out->struct_size;
  std::memset(out, 0, capacity);
  out->struct_size = capacity;
  return PLIMSOLL_OK;
}
plimsoll_status call_activations(const PlannerNode& node, const plimsoll_request* req, const plimsoll_sink* out,
                                 plimsoll_error* err) noexcept {
  const Entered entered(node);
  if (!PLIMSOLL_HAS(node.api, plimsoll_planner_api, activations) || node.api->activations == nullptr) return PLIMSOLL_OK;
  return node.api->activations(node.self, req, out, err);
}
plimsoll_status call_signals(const PlannerNode& node, const plimsoll_request* req, const plimsoll_sink* out, plimsoll_error* err) noexcept {
  const Entered entered(node);
  if (!PLIMSOLL_HAS(node.api, plimsoll_planner_api, signal_buffers) || node.api->signal_buffers == nullptr) return PLIMSOLL_OK;
  return node.api->signal_buffers(node.self, req, out, err);
}
plimsoll_status call_max_batch(const PlannerNode& node, const plimsoll_request* req, std::uint64_t* out, plimsoll_error* err) noexcept {
  *out = 0;
  if (!PLIMSOLL_HAS(node.api, plimsoll_planner_api, max_batch) || node.api->max_batch == nullptr) return PLIMSOLL_OK;
  return node.api->max_batch(node.self, req, out, err);
}

// The host's own, complete table: what a parent calls on its child.
plimsoll_status no_create(const plimsoll_host*, const plimsoll_view*, plimsoll_planner**, plimsoll_error* err) noexcept {
  return report(err, PLIMSOLL_E_ABI, "", "children are created by planner_for");
}
void no_destroy(plimsoll_planner*) noexcept {}
constexpr plimsoll_planner_api kChildTable{
    PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query),
    0,
    no_create,
    no_destroy,
    [](const plimsoll_planner* p, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
      return relay(node_of(p), call_weights(node_of(p), aspects, out, err), err);
    },
    [](const plimsoll_planner* p, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
      return relay(node_of(p), call_kv(node_of(p), aspects, out, err), err);
    },
    [](const plimsoll_planner* p, plimsoll_facts* out, plimsoll_error* err) noexcept {
      return relay(node_of(p), call_facts(node_of(p), out, err), err);
    },
    [](const plimsoll_planner* p, plimsoll_vision_entry* out, plimsoll_error* err) noexcept {
      return relay(node_of(p), call_vision(node_of(p), out, err), err);
    },
    [](const plimsoll_planner* p, const plimsoll_request* req, const plimsoll_sink* out, plimsoll_error* err) noexcept {
      return relay(node_of(p), call_activations(node_of(p), req, out, err), err);
    },
    [](const plimsoll_planner* p, const plimsoll_request* req, const plimsoll_sink* out, plimsoll_error* err) noexcept {
      return relay(node_of(p), call_signals(node_of(p), req, out, err), err);
    },
    [](const plimsoll_planner* p, const plimsoll_request* req, std::uint64_t* out, plimsoll_error* err) noexcept {
      return relay(node_of(p), call_max_batch(node_of(p), req, out, err), err);
    },
    [](const plimsoll_planner* p, const char* id) noexcept -> const void* {
      const PlannerNode& node = node_of(p);
      return PLIMSOLL_HAS(node.api, plimsoll_planner_api, query) && node.api->query != nullptr ? node.api->query(node.self, id) : nullptr;
    }};

ErrorCode code_of(plimsoll_status status) {
  switch (status) {
  case PLIMSOLL_E_CONFIG:
  case PLIMSOLL_E_TYPE:
  case PLIMSOLL_E_NOT_FOUND:
  case PLIMSOLL_E_OVERFLOW: return ErrorCode::kBadConfig;
  case PLIMSOLL_E_UNSUPPORTED: return ErrorCode::kUnsupportedArchitecture;
  case PLIMSOLL_E_REQUEST: return ErrorCode::kBadRequest;
  default: return ErrorCode::kPluginFailed;
  }
}

} // namespace

Result<void> Collector::on_weight(const PlannerNode&, const plimsoll_weight&) {
  return fail(ErrorCode::kPluginFailed, "declared weights where none were asked for");
}
Result<void> Collector::on_kv(const PlannerNode&, const plimsoll_kv_group&) {
  return fail(ErrorCode::kPluginFailed, "declared a KV group where none was asked for");
}
Result<void> Collector::on_item(const PlannerNode&, const plimsoll_item&) {
  return fail(ErrorCode::kPluginFailed, "emitted bytes where none were asked for");
}

const Json* PlannerTree::defaults_of(const Json& node, const Plugin& plugin) {
  if (!node.is_object()) return nullptr;
  if (const auto type = node.find("model_type"); type != node.end() && type->is_string())
    if (const Json* defaults = Registry::class_defaults(plugin, type->get_ref<const std::string&>())) return defaults;
  if (const auto list = node.find("architectures"); list != node.end() && list->is_array() && !list->empty() && list->front().is_string())
    return Registry::class_defaults(plugin, list->front().get_ref<const std::string&>());
  return nullptr;
}

Result<FamilyRef> PlannerTree::family_of(const plimsoll_view& view, std::string* architecture) {
  std::string named;
  if (const Json* list = find_pointer(*view.node, "/architectures"); list != nullptr && list->is_array())
    for (const Json& name : *list) {
      if (!name.is_string()) continue;
      if (named.empty()) named = name.get<std::string>();
      if (const FamilyRef ref = registry_.for_architecture(name.get_ref<const std::string&>())) {
        *architecture = name.get<std::string>();
        return ref;
      }
    }
  if (const Json* type = find_pointer(*view.node, "/model_type"); type != nullptr && type->is_string()) {
    if (const FamilyRef ref = registry_.for_model_type(type->get_ref<const std::string&>())) {
      // Without any class the model_type alone is meant to say it.
      if (!named.empty()) assume(view, named, type->get<std::string>(), ref);
      *architecture = named.empty() ? type->get<std::string>() : named;
      return ref;
    }
    if (named.empty()) named = type->get<std::string>();
  }
  const std::string pointer = view.full_pointer();
  if (named.empty())
    return fail(ErrorCode::kBadConfig, "neither /architectures nor /model_type names the architecture",
                where_ + ": " + (pointer.empty() ? "/" : pointer));
  const std::string known = either(registry_.nearest_architectures(named));
  return fail(ErrorCode::kUnsupportedArchitecture,
              fmt::format("no planner knows '{}'{}; `plimsoll plugins` lists what is known", named.substr(0, 100),
                          known.empty() ? "" : fmt::format("; did you mean {}?", known)),
              where_ + ": " + pointer + "/architectures/0");
}

void PlannerTree::assume(const plimsoll_view& view, const std::string& architecture, const std::string& model_type,
                         const FamilyRef& family) {
  AssumedClass assumed{architecture.substr(0, 100), model_type, family.family->id, view.full_pointer()};
  const bool known = std::any_of(assumed_.begin(), assumed_.end(),
                                 [&](const AssumedClass& a) { return a.architecture == assumed.architecture && a.where == assumed.where; });
  if (!known) assumed_.push_back(std::move(assumed));
}

std::string PlannerTree::place_of(const plimsoll_view& view) const {
  const std::string whole = view.full_pointer();
  const std::string outer = creating_.empty() ? std::string() : creating_.back().first->full_pointer();
  return whole.starts_with(outer) ? whole.substr(outer.size()) : whole;
}

Error PlannerTree::explain(plimsoll_status status, const plimsoll_error& err, const PlannerNode& node) const {
  const std::string pointer = node.view->full_pointer() + text_of(err.where, sizeof err.where);
  std::string message = text_of(err.message, sizeof err.message);
  if (message.empty()) message = fmt::format("the planner answered with status {}", status);
  return Error{code_of(status), fmt::format("{} (planner '{}')", message, node.id()), where_ + ": " + pointer};
}

Result<PlannerNode*> PlannerTree::create_node(const plimsoll_view& view, const FamilyRef& family) {
  PLIMSOLL_ASSIGN(const plimsoll_family* table, registry_.load(family));
  auto node = std::make_unique<PlannerNode>();
  node->family = family;
  node->table = table;
  node->api = table->api;
  node->view = &view;
  node->place = place_of(view);
  creating_.emplace_back(&view, family);
  plimsoll_error err = blank_error();
  const plimsoll_status status = table->api->create(registry_.host(), &view, &node->self, &err);
  creating_.pop_back();
  if (status != PLIMSOLL_OK) return tl::unexpected(explain(status, err, *node));
  if (node->self == nullptr) return fail(ErrorCode::kPluginFailed, fmt::format("planner '{}' created nothing", family.family->id), where_);
  nodes_.push_back(std::move(node));
  return nodes_.back().get();
}

Result<std::unique_ptr<PlannerTree>> PlannerTree::create(const Registry& registry, std::shared_ptr<const Json> config, std::string where) {
  if (!config->is_object()) return fail(ErrorCode::kBadConfig, "an object was expected", where);
  std::unique_ptr<PlannerTree> tree(new PlannerTree(registry, std::move(config), std::move(where)));
  plimsoll_view& view = tree->views_.emplace_back();
  view.tree = tree.get();
  view.node = tree->config_.get();
  PLIMSOLL_ASSIGN(const FamilyRef family, tree->family_of(view, &tree->architecture_));
  view.defaults = defaults_of(*view.node, *family.plugin);
  PLIMSOLL_ASSIGN(tree->root_, tree->create_node(view, family));
  return tree;
}

std::vector<const FamilyManifest*> PlannerTree::families() const {
  std::vector<const FamilyManifest*> out;
  for (auto it = nodes_.rbegin(); it != nodes_.rend(); ++it)
    if (std::find(out.begin(), out.end(), (*it)->family.family) == out.end()) out.push_back((*it)->family.family);
  return out;
}

std::vector<std::string> PlannerTree::delegated_parts() const {
  std::vector<std::string> out;
  for (auto it = nodes_.rbegin(); it != nodes_.rend(); ++it) {
    const std::string pointer = (*it)->view->full_pointer();
    for (std::size_t slash = pointer.find('/', 1); !pointer.empty(); slash = pointer.find('/', slash + 1)) {
      std::string part = pointer.substr(0, slash);
      if (std::find(out.begin(), out.end(), part) == out.end()) out.push_back(std::move(part));
      if (slash == std::string::npos) break;
    }
  }
  return out;
}

PlannerTree::~PlannerTree() {
  // A parent finishes after its children, so the last one made goes first.
  for (auto it = nodes_.rbegin(); it != nodes_.rend(); ++it) (*it)->api->destroy((*it)->self);
}

plimsoll_status PlannerTree::make_subview(const plimsoll_view* view, std::string_view pointer, const plimsoll_rename* renames,
                                          std::uint64_t n_renames, const plimsoll_view** out) {
  if (creating_.empty()) {
    CallScope::misused("called subview outside create");
    return PLIMSOLL_E_ABI;
  }
  if (views_.size() >= kMaxViews || n_renames > 64) return PLIMSOLL_E_CYCLE;
  const Json* node = view->find(pointer);
  if (node == nullptr || node->is_null()) return PLIMSOLL_E_NOT_FOUND;
  if (!node->is_object()) return PLIMSOLL_E_TYPE;
  plimsoll_view& sub = views_.emplace_back();
  sub.tree = this;
  sub.node = node;
  sub.parent = view;
  sub.pointer = std::string(pointer);
  if (!creating_.empty()) sub.defaults = defaults_of(*node, *creating_.back().second.plugin); // a child gets a view of its own
  for (std::uint64_t i = 0; i < n_renames; ++i)
    sub.renames.emplace_back(std::string(renames[i].from.data, renames[i].from.size), std::string(renames[i].to.data, renames[i].to.size));
  *out = &sub;
  return PLIMSOLL_OK;
}

plimsoll_status PlannerTree::make_child(const plimsoll_view* view, const char* family_id, const plimsoll_planner_api** api,
                                        const plimsoll_planner** child, plimsoll_error* err) {
  if (creating_.empty()) {
    CallScope::misused("called planner_for outside create");
    return report(err, PLIMSOLL_E_ABI, "", "planner_for is for create only");
  }
  FamilyRef family;
  if (family_id != nullptr) {
    family = registry_.for_family(family_id);
    if (!family) return report(err, PLIMSOLL_E_NOT_FOUND, "", fmt::format("no plugin offers the family '{}'", family_id));
  } else {
    std::string architecture;
    auto found = family_of(*view, &architecture);
    if (!found) return report(err, PLIMSOLL_E_UNSUPPORTED, place_of(*view) + "/architectures/0", found.error().message);
    family = *found;
  }
  if (creating_.size() >= kMaxDepth)
    return report(err, PLIMSOLL_E_CYCLE, "", fmt::format("planners delegate more than {} levels deep", kMaxDepth));
  for (const auto& [other_view, other_family] : creating_)
    if (other_family.family == family.family && other_view->node == view->node)
      return report(err, PLIMSOLL_E_CYCLE, "", fmt::format("'{}' is asked for a part that it is planning already", family.family->id));
  plimsoll_view& own = views_.emplace_back();
  if (view == creating_.back().first) { // of the same part: what the asking planner's class fills in counts too
    own.tree = this;
    own.node = view->node;
    own.parent = view;
  } else {
    own = *view;
  }
  own.defaults = defaults_of(*own.node, *family.plugin);
  auto node = create_node(own, family);
  if (!node) {
    // The pointer is complete already; the parents must not put theirs in front again.
    std::string where = node.error().where;
    const std::string own = where_ + ": ";
    if (where.starts_with(own)) where.erase(0, own.size());
    const std::string outer = creating_.back().first->full_pointer();
    if (where.starts_with(outer)) where.erase(0, outer.size());
    const plimsoll_status status = node.error().code == ErrorCode::kBadConfig                 ? PLIMSOLL_E_CONFIG
                                   : node.error().code == ErrorCode::kUnsupportedArchitecture ? PLIMSOLL_E_UNSUPPORTED
                                   : node.error().code == ErrorCode::kBadRequest              ? PLIMSOLL_E_REQUEST
                                                                                              : PLIMSOLL_E_INTERNAL;
    return report(err, status, where, node.error().message);
  }
  *api = &kChildTable;
  *child = reinterpret_cast<const plimsoll_planner*>(*node);
  return PLIMSOLL_OK;
}

template <class Call>
Result<void> PlannerTree::collect(Collector& collector, const Call& call) const {
  HostSink sink(collector, *root_);
  plimsoll_error err = blank_error();
  const plimsoll_status status = call(&sink.raw, &err);
  if (sink.error) return tl::unexpected(*sink.error);
  if (status != PLIMSOLL_OK) return tl::unexpected(explain(status, err, *root_));
  return {};
}
Result<void> PlannerTree::weights(Collector& collector) const {
  return collect(collector,
                 [&](const plimsoll_sink* out, plimsoll_error* err) { return call_weights(*root_, PLIMSOLL_ASPECT_ALL, out, err); });
}
Result<void> PlannerTree::kv(Collector& collector) const {
  return collect(collector, [&](const plimsoll_sink* out, plimsoll_error* err) { return call_kv(*root_, PLIMSOLL_ASPECT_ALL, out, err); });
}
Result<plimsoll_facts> PlannerTree::facts() const {
  plimsoll_facts out{};
  out.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
  plimsoll_error err = blank_error();
  std::optional<Error> fault;
  const CallScope scope(nullptr, fault, root_);
  const plimsoll_status status = call_facts(*root_, &out, &err);
  if (fault) return tl::unexpected(*fault);
  if (status != PLIMSOLL_OK) return tl::unexpected(explain(status, err, *root_));
  return out;
}
Result<plimsoll_vision_entry> PlannerTree::vision_entry() const {
  plimsoll_vision_entry out{};
  out.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_vision_entry, tower_elements);
  plimsoll_error err = blank_error();
  std::optional<Error> fault;
  const CallScope scope(nullptr, fault, root_);
  const plimsoll_status status = call_vision(*root_, &out, &err);
  if (fault) return tl::unexpected(*fault);
  if (status != PLIMSOLL_OK) return tl::unexpected(explain(status, err, *root_));
  return out;
}
Result<void> PlannerTree::activations(const plimsoll_request& request, Collector& collector) const {
  return collect(collector, [&](const plimsoll_sink* out, plimsoll_error* err) { return call_activations(*root_, &request, out, err); });
}
bool PlannerTree::has_signal_buffers() const {
  return PLIMSOLL_HAS(root_->api, plimsoll_planner_api, signal_buffers) && root_->api->signal_buffers != nullptr;
}
Result<void> PlannerTree::signal_buffers(const plimsoll_request& request, Collector& collector) const {
  return collect(collector, [&](const plimsoll_sink* out, plimsoll_error* err) { return call_signals(*root_, &request, out, err); });
}
Result<std::uint64_t> PlannerTree::max_batch(const plimsoll_request& request) const {
  std::uint64_t out = 0;
  plimsoll_error err = blank_error();
  std::optional<Error> fault;
  const CallScope scope(nullptr, fault, root_);
  const plimsoll_status status = call_max_batch(*root_, &request, &out, &err);
  if (fault) return tl::unexpected(*fault);
  if (status != PLIMSOLL_OK) return tl::unexpected(explain(status, err, *root_));
  return out;
}

} // namespace plimsoll
