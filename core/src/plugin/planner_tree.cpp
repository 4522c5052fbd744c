#include "plugin/planner_tree.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/nearest.hpp"
#include "plugin/calls.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaxDepth = 8;
constexpr std::size_t kMaxViews = 256;
constexpr std::uint64_t kMaxRenames = 64;

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
plimsoll_status status_of(ErrorCode code) {
  switch (code) {
  case ErrorCode::kBadConfig: return PLIMSOLL_E_CONFIG;
  case ErrorCode::kUnsupportedArchitecture: return PLIMSOLL_E_UNSUPPORTED;
  case ErrorCode::kBadRequest: return PLIMSOLL_E_REQUEST;
  default: return PLIMSOLL_E_INTERNAL;
  }
}

// A name that a plugin hands over; nothing where it is none.
std::optional<std::string> name_of(plimsoll_str text) {
  if (text.size > PLIMSOLL_MAX_NAME_BYTES || (text.size > 0 && text.data == nullptr)) return std::nullopt;
  return std::string(text.data, text.data + text.size);
}

std::string did_you_mean(const std::vector<std::string>& known) {
  const std::string names = either(known);
  return names.empty() ? "" : fmt::format("; did you mean {}?", names);
}

} // namespace

Result<std::vector<PlannerTree::Claim>> PlannerTree::claims_of_type(const plimsoll_view& view, const std::string& type) const {
  std::vector<Claim> out;
  for (const FamilyRef& family : registry_.claims_of_model_type(type)) out.push_back({family, type});
  if (!out.empty()) return out;
  return fail(ErrorCode::kUnsupportedArchitecture,
              fmt::format("no planner knows the model_type '{}'{}", type, did_you_mean(registry_.nearest_model_types(type))),
              where_ + ": " + view.full_pointer() + "/model_type");
}

Result<std::vector<PlannerTree::Claim>> PlannerTree::claims_of(const plimsoll_view& view) const {
  if (view.as) return claims_of_type(view, view.as->get<std::string>());
  std::vector<Claim> out;
  std::string named;
  if (const Json* list = find_pointer(*view.node, "/architectures"); list != nullptr && list->is_array())
    for (const Json& name : *list) {
      if (!name.is_string()) continue;
      if (named.empty()) named = name.get<std::string>();
      for (const FamilyRef& family : registry_.claims_of_architecture(name.get_ref<const std::string&>()))
        out.push_back({family, name.get<std::string>()});
    }
  if (const Json* type = find_pointer(*view.node, "/model_type"); type != nullptr && type->is_string()) {
    // Without any class the model_type alone is meant to say it.
    const std::string& shown = named.empty() ? type->get_ref<const std::string&>() : named;
    const bool assumed = out.empty() && !named.empty();
    for (const FamilyRef& family : registry_.claims_of_model_type(type->get_ref<const std::string&>()))
      out.push_back({family, shown, assumed});
    if (named.empty()) named = type->get<std::string>();
  }
  if (!out.empty()) return out;
  const std::string pointer = view.full_pointer();
  if (const std::string target = registry_.alias_target(named); !target.empty())
    return fail(ErrorCode::kUnsupportedArchitecture,
                fmt::format("'{}' is an alias of the model_type '{}', which no planner knows", named.substr(0, 100), target),
                where_ + ": " + (pointer.empty() ? "/" : pointer));
  if (named.empty())
    return fail(ErrorCode::kBadConfig, "neither /architectures nor /model_type names the architecture",
                where_ + ": " + (pointer.empty() ? "/" : pointer));
  return fail(ErrorCode::kUnsupportedArchitecture,
              fmt::format("no planner knows '{}'{}; `plimsoll plugins inspect ID` lists what a plugin knows, "
                          "`plimsoll plugins` the ids",
                          named.substr(0, 100), did_you_mean(registry_.nearest_architectures(named))),
              where_ + ": " + pointer + "/architectures/0");
}

void PlannerTree::assume(const plimsoll_view& view, const Claim& claim, std::size_t at) {
  const std::string model_type = find_pointer(*view.node, "/model_type")->get<std::string>();
  AssumedClass assumed{claim.name.substr(0, 100), model_type, claim.family.family->id, view.full_pointer()};
  const bool known = std::any_of(assumed_.begin(), assumed_.end(),
                                 [&](const AssumedClass& a) { return a.architecture == assumed.architecture && a.where == assumed.where; });
  if (!known) assumed_.insert(assumed_.begin() + static_cast<std::ptrdiff_t>(at), std::move(assumed));
}

std::string PlannerTree::place_of(const plimsoll_view& view) const {
  const std::string whole = view.full_pointer();
  const std::string outer = creating_.empty() ? std::string() : creating_.back().view->full_pointer();
  return whole.starts_with(outer) ? whole.substr(outer.size()) : whole;
}

Error PlannerTree::explain(plimsoll_status status, const plimsoll_error& err, const PlannerNode& node) const {
  std::string message = message_of(err);
  if (message.empty()) message = fmt::format("the planner answered with status {}", status);
  return Error{code_of(status), fmt::format("{} (planner '{}')", message, node.id()),
               where_ + ": " + node.view->full_pointer() + where_of(err)};
}

void PlannerTree::drop_planners_from(std::size_t n_nodes) {
  for (; nodes_.size() > n_nodes; nodes_.pop_back()) {
    const Speaking speaking(*nodes_.back()->family.plugin, "destroy()");
    nodes_.back()->api->destroy(nodes_.back()->self);
  }
}

// What a planner asked for before it failed goes with it.
Result<PlannerNode*> PlannerTree::create_node(const plimsoll_view& view, const FamilyRef& family) {
  if (registry_.isolates(*family.plugin)) {
    needs_worker_ = true;
    return fail(ErrorCode::kPluginFailed, fmt::format("plugin {}: its code runs in a worker", family.plugin->manifest.id), where_);
  }
  PLIMSOLL_ASSIGN(const plimsoll_family* table, registry_.load(family));
  auto node = std::make_unique<PlannerNode>();
  node->family = family;
  node->api = table->api;
  node->has_facts = says_facts(*node);
  node->has_signal_buffers = prices_signal_buffers(*node);
  node->has_max_batch = limits_batches(*node);
  node->view = &view;
  node->place = place_of(view);
  const std::size_t before = nodes_.size(), assumed_before = assumed_.size();
  plimsoll_error err = blank_error();
  creating_.push_back({&view, family});
  const plimsoll_status status = [&] {
    const Speaking speaking(*family.plugin, "create()");
    return table->api->create(registry_.host(), &view, &node->self, &err);
  }();
  creating_.pop_back();
  if (status == PLIMSOLL_OK && node->self != nullptr) {
    nodes_.push_back(std::move(node));
    return nodes_.back().get();
  }
  drop_planners_from(before);
  assumed_.resize(std::min(assumed_before, assumed_.size()));
  if (status == PLIMSOLL_OK) return fail(ErrorCode::kPluginFailed, fmt::format("planner '{}' created nothing", family.family->id), where_);
  return tl::unexpected(explain(status, err, *node));
}

Result<PlannerNode*> PlannerTree::first_of(const std::vector<Claim>& claims, plimsoll_view& view, std::string* name) {
  std::optional<Error> first;
  const std::optional<Json> own = view.as;
  for (const Claim& claim : claims) {
    view.as = claim.family.as.empty() ? own : std::optional<Json>(std::string(claim.family.as));
    view.defaults = defaults_of(view, *claim.family.plugin);
    const std::size_t before = assumed_.size();
    auto node = create_node(view, claim.family);
    if (node) {
      if (claim.assumed) assume(view, claim, before);
      *name = claim.name;
      return node;
    }
    if (node.error().code != ErrorCode::kUnsupportedArchitecture) return node;
    if (!first) first = std::move(node.error());
  }
  return tl::unexpected(std::move(*first));
}

Result<std::unique_ptr<PlannerTree>> PlannerTree::create(const Registry& registry, std::shared_ptr<const Json> config, std::string where,
                                                         TensorSource stored) {
  if (!config->is_object()) return fail(ErrorCode::kBadConfig, "an object was expected", where);
  std::unique_ptr<PlannerTree> tree(new PlannerTree(registry, std::move(config), std::move(where), std::move(stored)));
  plimsoll_view& view = tree->views_.emplace_back();
  view.tree = tree.get();
  view.node = tree->config_.get();
  PLIMSOLL_ASSIGN(const std::vector<Claim> claims, tree->claims_of(view));
  auto root = tree->first_of(claims, view, &tree->architecture_);
  if (tree->needs_worker_) return nullptr;
  if (!root) return tl::unexpected(std::move(root.error()));
  tree->root_ = *root;
  tree->stored_.reset();
  return tree;
}

PlannerTree::~PlannerTree() { drop_planners_from(0); } // a parent finishes after its children, so the last one made goes first

bool PlannerTree::in_create(std::string_view what) const {
  if (!creating_.empty() && std::this_thread::get_id() == creator_) return true;
  CallScope::misused(fmt::format("called {} outside create", what));
  return false;
}

StoredTensors* PlannerTree::stored_tensors() { return in_create("plimsoll.tensors/1") && stored_ ? &*stored_ : nullptr; }

plimsoll_status PlannerTree::make_subview(const plimsoll_view* view, std::string_view pointer, const plimsoll_rename* const* renames,
                                          std::uint64_t n_renames, const plimsoll_view** out) {
  if (!in_create("subview")) return PLIMSOLL_E_ABI;
  if (views_.size() >= kMaxViews || n_renames > kMaxRenames) return PLIMSOLL_E_CYCLE;
  const Json* node = view->find(pointer);
  if (node == nullptr || node->is_null()) return PLIMSOLL_E_NOT_FOUND;
  if (!node->is_object()) return PLIMSOLL_E_TYPE;
  plimsoll_view sub;
  sub.tree = this;
  sub.node = node;
  sub.parent = view;
  sub.pointer = std::string(pointer);
  if (node == view->node) sub.as = view->as;
  sub.defaults = defaults_of(sub, *creating_.back().family.plugin); // a child gets a view of its own
  for (std::uint64_t i = 0; i < n_renames; ++i) {
    const plimsoll_rename* rename = renames[i];
    if (rename == nullptr || !PLIMSOLL_HAS(rename, plimsoll_rename, to)) return PLIMSOLL_E_ABI;
    if (rename->from.size > PLIMSOLL_MAX_PATTERN_BYTES || rename->to.size > PLIMSOLL_MAX_PATTERN_BYTES) return PLIMSOLL_E_ABI;
    sub.renames.emplace_back(std::string(rename->from.data, rename->from.data + rename->from.size),
                             std::string(rename->to.data, rename->to.data + rename->to.size));
  }
  *out = &views_.emplace_back(std::move(sub));
  return PLIMSOLL_OK;
}

plimsoll_status PlannerTree::make_child(const plimsoll_view* view, plimsoll_str family, plimsoll_str as, const plimsoll_planner_api** api,
                                        const plimsoll_planner** child, plimsoll_error* err) {
  if (!in_create("planner_for")) return report(err, PLIMSOLL_E_ABI, "", "planner_for is for create only");
  const auto family_id = name_of(family), type = name_of(as);
  if (!family_id || !type) return report(err, PLIMSOLL_E_ABI, "", "the name of a family or a model_type is too long");
  if (views_.size() >= kMaxViews) return report(err, PLIMSOLL_E_CYCLE, "", fmt::format("more than {} parts are asked for", kMaxViews));
  plimsoll_view& own = views_.emplace_back();
  if (view == creating_.back().view) { // of the same part: what the asking planner's class fills in counts too
    own.tree = this;
    own.node = view->node;
    own.parent = view;
    own.as = view->as;
  } else {
    own = *view;
  }
  if (!type->empty()) own.as = *type;

  std::vector<Claim> claims;
  if (!family_id->empty()) {
    const FamilyRef ref = registry_.for_family(*family_id);
    if (!ref) return report(err, PLIMSOLL_E_UNSUPPORTED, "", fmt::format("no plugin offers the family '{}'", *family_id));
    claims.push_back({ref, *family_id});
  } else {
    auto found = claims_of(own);
    const char* const key = own.as ? "/model_type" : "/architectures/0";
    if (!found) return report(err, PLIMSOLL_E_UNSUPPORTED, place_of(*view) + key, found.error().message);
    claims = std::move(*found);
  }
  if (creating_.size() >= kMaxDepth)
    return report(err, PLIMSOLL_E_CYCLE, "", fmt::format("planners delegate more than {} levels deep", kMaxDepth));
  const std::string asked_id = claims.front().family.family->id;
  std::erase_if(claims, [&](const Claim& claim) {
    return std::any_of(creating_.begin(), creating_.end(), [&](const Making& making) {
      return making.family.family == claim.family.family && making.view->node == view->node;
    });
  });
  if (claims.empty())
    return report(err, PLIMSOLL_E_CYCLE, "", fmt::format("'{}' is asked for a part that it is planning already", asked_id));
  std::string name;
  auto node = first_of(claims, own, &name);
  if (node) {
    *api = &child_table();
    *child = handle_of(**node);
    return PLIMSOLL_OK;
  }
  // The pointer is complete already; the parents must not put theirs in front again.
  std::string where = node.error().where;
  for (const std::string& outer : {where_ + ": ", creating_.back().view->full_pointer()})
    if (where.starts_with(outer)) where.erase(0, outer.size());
  return report(err, status_of(node.error().code), where, node.error().message);
}

template <class Call>
Result<void> PlannerTree::collect(Collector& collector, const Call& call) const {
  const HostSink sink(collector, *root_);
  plimsoll_error err = blank_error();
  const plimsoll_status status = call(sink.raw(), &err);
  if (sink.error()) return tl::unexpected(*sink.error());
  if (status != PLIMSOLL_OK) return tl::unexpected(explain(status, err, *root_));
  return {};
}
template <class Call>
Result<void> PlannerTree::ask(const Call& call) const {
  plimsoll_error err = blank_error();
  std::optional<Error> fault;
  const CallScope scope(nullptr, *root_, &fault);
  const plimsoll_status status = call(&err);
  if (fault) return tl::unexpected(*fault);
  if (status != PLIMSOLL_OK) return tl::unexpected(explain(status, err, *root_));
  return {};
}

Result<void> PlannerTree::weights(Collector& collector) const {
  return collect(collector, [&](const auto* out, auto* err) { return call_weights(*root_, PLIMSOLL_ASPECT_ALL, out, err); });
}
Result<void> PlannerTree::kv(Collector& collector) const {
  return collect(collector, [&](const auto* out, auto* err) { return call_kv(*root_, PLIMSOLL_ASPECT_ALL, out, err); });
}
Result<void> PlannerTree::entries(Collector& collector) const {
  return collect(collector, [&](const auto* out, auto* err) { return call_entries(*root_, PLIMSOLL_ASPECT_ALL, out, err); });
}
Result<plimsoll_facts> PlannerTree::facts() const {
  plimsoll_facts out{};
  out.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
  PLIMSOLL_TRY(ask([&](plimsoll_error* err) { return call_facts(*root_, &out, err); }));
  return out;
}
Result<void> PlannerTree::activations(const plimsoll_request& request, Collector& collector) const {
  return collect(collector, [&](const auto* out, auto* err) { return call_activations(*root_, request, out, err); });
}
Result<void> PlannerTree::signal_buffers(const plimsoll_request& request, Collector& collector) const {
  return collect(collector, [&](const auto* out, auto* err) { return call_signal_buffers(*root_, request, out, err); });
}
Result<std::uint64_t> PlannerTree::max_batch(const plimsoll_request& request) const {
  std::uint64_t out = 0;
  PLIMSOLL_TRY(ask([&](plimsoll_error* err) { return call_max_batch(*root_, request, &out, err); }));
  return out;
}

const plimsoll_pipeline* PlannerTree::pipeline(const void** object) const {
  constexpr std::string_view kId = PLIMSOLL_PIPELINE_ID;
  const auto* const table = static_cast<const plimsoll_pipeline*>(call_query(*root_, {kId.data(), kId.size()}, object));
  return table == nullptr || !PLIMSOLL_HAS(table, plimsoll_pipeline, describe) || table->describe == nullptr ? nullptr : table;
}
bool PlannerTree::has_pipeline() const {
  const void* object = nullptr;
  return pipeline(&object) != nullptr;
}
plimsoll_status PlannerTree::describe(const PassPart& part, const plimsoll_pipeline_sink& sink, plimsoll_error* err) const {
  const void* object = nullptr;
  const plimsoll_pipeline* const table = pipeline(&object);
  if (table == nullptr) return PLIMSOLL_E_UNSUPPORTED;
  const Speaking speaking(*root_->family.plugin, "describe()");
  return table->describe(object, part.aspects, part.layer, part.in, part.out, &sink, err);
}

} // namespace plimsoll
