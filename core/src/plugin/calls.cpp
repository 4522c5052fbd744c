#include "plugin/calls.hpp"

#include <algorithm>
#include <cstring>

#include "plugin/interface_id.hpp"
#include "plugin/sinks.hpp"

namespace plimsoll {
namespace {

void copy_text(char* to, std::size_t capacity, std::string_view text) {
  const std::size_t n = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), n);
  to[n] = '\0';
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

// Whether the plugin's table has the entry and fills it.
#define PLIMSOLL_OFFERS(node, entry) (PLIMSOLL_HAS((node).api, plimsoll_planner_api, entry) && (node).api->entry != nullptr)

} // namespace

plimsoll_error blank_error() {
  plimsoll_error err{};
  err.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
  return err;
}
std::string where_of(const plimsoll_error& err) { return std::string(err.where, ::strnlen(err.where, sizeof err.where)); }
std::string message_of(const plimsoll_error& err) { return std::string(err.message, ::strnlen(err.message, sizeof err.message)); }

plimsoll_status report(plimsoll_error* err, plimsoll_status code, std::string_view where, std::string_view message) {
  if (err != nullptr && PLIMSOLL_HAS(err, plimsoll_error, message)) {
    err->code = code;
    copy_text(err->where, sizeof err->where, where);
    copy_text(err->message, sizeof err->message, message);
  }
  return code;
}

plimsoll_status call_weights(const PlannerNode& node, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
  const Speaking speaking(*node.family.plugin, "weights()");
  return PLIMSOLL_OFFERS(node, weights) ? node.api->weights(node.self, aspects, out, err) : PLIMSOLL_OK;
}
plimsoll_status call_kv(const PlannerNode& node, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
  const Speaking speaking(*node.family.plugin, "kv()");
  return PLIMSOLL_OFFERS(node, kv) ? node.api->kv(node.self, aspects, out, err) : PLIMSOLL_OK;
}
plimsoll_status call_entries(const PlannerNode& node, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
  const Speaking speaking(*node.family.plugin, "entries()");
  return PLIMSOLL_OFFERS(node, entries) ? node.api->entries(node.self, aspects, out, err) : PLIMSOLL_OK;
}
plimsoll_status call_activations(const PlannerNode& node, const plimsoll_request& request, const plimsoll_sink* out,
                                 plimsoll_error* err) noexcept {
  const Speaking speaking(*node.family.plugin, "activations()");
  return PLIMSOLL_OFFERS(node, activations) ? node.api->activations(node.self, &request, out, err) : PLIMSOLL_OK;
}
bool says_facts(const PlannerNode& node) { return PLIMSOLL_OFFERS(node, facts); }
bool prices_signal_buffers(const PlannerNode& node) { return PLIMSOLL_OFFERS(node, signal_buffers); }
bool limits_batches(const PlannerNode& node) { return PLIMSOLL_OFFERS(node, max_batch); }
plimsoll_status call_signal_buffers(const PlannerNode& node, const plimsoll_request& request, const plimsoll_sink* out,
                                    plimsoll_error* err) noexcept {
  const Speaking speaking(*node.family.plugin, "signal_buffers()");
  return PLIMSOLL_OFFERS(node, signal_buffers) ? node.api->signal_buffers(node.self, &request, out, err) : PLIMSOLL_OK;
}
plimsoll_status call_max_batch(const PlannerNode& node, const plimsoll_request& request, std::uint64_t* out, plimsoll_error* err) noexcept {
  const Speaking speaking(*node.family.plugin, "max_batch()");
  *out = 0;
  return PLIMSOLL_OFFERS(node, max_batch) ? node.api->max_batch(node.self, &request, out, err) : PLIMSOLL_OK;
}

// The plugin fills a struct of the host's, so that whoever asked gets what was checked.
plimsoll_status call_facts(const PlannerNode& node, plimsoll_facts* out, plimsoll_error* err) noexcept {
  constexpr std::uint32_t kWhole = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
  plimsoll_facts facts{};
  facts.struct_size = kWhole;
  if (PLIMSOLL_OFFERS(node, facts)) {
    const Speaking speaking(*node.family.plugin, "facts()");
    const CallScope scope(nullptr, node, nullptr);
    const plimsoll_status status = node.api->facts(node.self, &facts, err);
    if (status != PLIMSOLL_OK) return status;
    if (facts.struct_size != kWhole) {
      CallScope::misused(facts.struct_size > kWhole ? "filled more facts than there was room for, which rule R-03 forbids"
                                                    : "filled fewer facts than version 1.0 has, which rule R-03 forbids");
      return report(err, PLIMSOLL_E_ABI, "", "its facts have another size than they may have");
    }
  } else {
    facts = usual_facts(*node.view);
  }
  facts.struct_size = std::min(out->struct_size, kWhole);
  std::memcpy(out, &facts, facts.struct_size);
  return PLIMSOLL_OK;
}

const void* call_query(const PlannerNode& node, plimsoll_str id, const void** object) noexcept {
  *object = nullptr;
  if (!is_interface_id(id) || !PLIMSOLL_OFFERS(node, query)) return nullptr;
  const Speaking speaking(*node.family.plugin, "query()");
  return node.api->query(node.self, id, object);
}

#undef PLIMSOLL_OFFERS

namespace {

const PlannerNode& node_of(const plimsoll_planner* child) { return *reinterpret_cast<const PlannerNode*>(child); }

// Puts the child's place in the configuration in front of its error.
plimsoll_status relay(const PlannerNode& node, plimsoll_status status, plimsoll_error* err) {
  if (status != PLIMSOLL_OK && err != nullptr && PLIMSOLL_HAS(err, plimsoll_error, message))
    copy_text(err->where, sizeof err->where, node.place + where_of(*err));
  return status;
}

// Calls a child with a sink of the host's in front of the one that its parent gives it.
template <class Call>
plimsoll_status through(const plimsoll_planner* child, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err,
                        const Call& call) noexcept {
  const PlannerNode& node = node_of(child);
  if (!is_whole(out)) {
    CallScope::misused("gave another planner a sink that is not whole");
    return report(err, PLIMSOLL_E_ABI, "", "the sink lacks functions");
  }
  const HostSink sink(*out, aspects, node);
  const plimsoll_status status = call(node, sink.raw());
  if (status == PLIMSOLL_OK && sink.error()) return report(err, PLIMSOLL_E_ABI, "", "a rule of the ABI was broken");
  return relay(node, status, err);
}

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
      return through(p, aspects, out, err,
                     [&](const PlannerNode& n, const plimsoll_sink* to) { return call_weights(n, aspects, to, err); });
    },
    [](const plimsoll_planner* p, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
      return through(p, aspects, out, err, [&](const PlannerNode& n, const plimsoll_sink* to) { return call_kv(n, aspects, to, err); });
    },
    [](const plimsoll_planner* p, plimsoll_facts* out, plimsoll_error* err) noexcept {
      return relay(node_of(p), call_facts(node_of(p), out, err), err);
    },
    [](const plimsoll_planner* p, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept {
      return through(p, aspects, out, err,
                     [&](const PlannerNode& n, const plimsoll_sink* to) { return call_entries(n, aspects, to, err); });
    },
    [](const plimsoll_planner* p, const plimsoll_request* req, const plimsoll_sink* out, plimsoll_error* err) noexcept {
      return through(p, req->aspects, out, err,
                     [&](const PlannerNode& n, const plimsoll_sink* to) { return call_activations(n, *req, to, err); });
    },
    [](const plimsoll_planner* p, const plimsoll_request* req, const plimsoll_sink* out, plimsoll_error* err) noexcept {
      return through(p, req->aspects, out, err,
                     [&](const PlannerNode& n, const plimsoll_sink* to) { return call_signal_buffers(n, *req, to, err); });
    },
    [](const plimsoll_planner* p, const plimsoll_request* req, std::uint64_t* out, plimsoll_error* err) noexcept {
      return relay(node_of(p), call_max_batch(node_of(p), *req, out, err), err);
    },
    [](const plimsoll_planner* p, plimsoll_str id, const void** object) noexcept { return call_query(node_of(p), id, object); }};

} // namespace

const plimsoll_planner_api& child_table() { return kChildTable; }

} // namespace plimsoll
