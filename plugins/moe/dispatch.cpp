// Prices expert parallelism as the documented planners do, per rank. Does no string work unless asked to explain. Immutable,
// any thread.
//
// With T tokens of a forward pass, E = ep, d = dp, R = E ranks in the expert group, k experts per token, h = hidden:
//   tau  = ceil(T / (E / d)); T with allreduce dispatch, and for models whose profile says so
//   x    = bytes of a token's row in the storage type; packed FP4: (h / 2) x 9 / 8, its scales included
//   q    = h x 2 B, a combine row
//   beta = tau x + X tau x + [expert group over nodes] tau q min(experts, R k) + k tau q;  X = experts, allreduce: experts / R
//   rho  = tau min(experts, E k); allreduce: T min(experts / n, k)
//   mu   = rho expert_width w + [combine not fused] rho q + 256 MiB
// Worked example, DeepSeek-V3, 8 ranks, dp 8, ep 8, fp8, T = 128: tau = 128, beta = 917,504 + 234,881,024 + 14,680,064
// = 250,478,592; rho = 8192, mu = 402,653,184; 8 (beta + mu) = 5,225,054,208 B on all ranks.
#include "dispatch.hpp"

#include <algorithm>

namespace moe {

using plimsoll::Aspect;
using plimsoll::Basis;
using plimsoll::Bytes;
using plimsoll::Item;
using plimsoll::Request;
using plimsoll::Sink;

static Item ffn_item(const char* label, Bytes bytes, Basis basis) { return {Aspect::kFfn, label, bytes, basis}; }

struct Dispatch::Terms {
  Bytes tokens;        // tau
  Bytes row_bytes;     // x
  Bytes combine_bytes; // q
  Bytes sources;       // X
  Bytes routed_rows;   // rho
  std::uint64_t ranks; // R
  bool over_nodes;
  bool fused;
};

Dispatch::Dispatch(const plimsoll::Config& config, const Shape& shape)
    : hidden_(shape.expert_hidden), experts_(shape.experts), per_token_(shape.experts_per_token), expert_width_(shape.expert_width),
      shared_experts_(shape.shared_experts), has_drafts_(!shape.draft_layers.empty()) {
  const std::string_view type = config.model_type();
  if (type.empty() || type.find_first_of("/~") != std::string_view::npos) return;
  const std::string model = "/models/" + std::string(type);
  buffer_sets_ = model + "/expert_buffer_sets";
  all_tokens_ = model + "/dispatch_all_tokens";
  fused_combine_ = model + "/fused_combine";
  fp4_copies_ = model + "/fp4_expert_layer_copies";
  fp4_reserve_ = model + "/fp4_reservation_bytes";
}

// Whether an expert group has ranks on several nodes. A group takes whole neighbours; where it is larger than a tensor-parallel
// group it takes those of the next replicas too, and the pipeline's stages between them lie within its reach.
static bool over_nodes(const Request& request) {
  const std::uint64_t ranks_per_node = std::max(1U, request->n_ranks / std::max(1U, request->n_nodes));
  const std::uint64_t stages = request->ep > request->tp ? std::max(1U, request->pp) : 1;
  const std::uint64_t reach = request->ep * stages;
  return reach > ranks_per_node || ranks_per_node % reach != 0;
}

void Dispatch::price(const Request& request, const Sink& out) const {
  if (buffer_sets_.empty() || request->engine == nullptr) return;
  if (request->weight_is_fp4 != 0) fp4_reserve(request, out);
  if (request->ep <= 1) return;
  const std::uint64_t sets = request.engine(buffer_sets_).value_or(0);
  if (sets == 0) return;
  const Terms t = terms(request);
  buffers(request, t, sets, out);
  workspace(request, t, out);
}

Dispatch::Terms Dispatch::terms(const Request& request) const {
  const std::uint64_t group = std::max<std::uint64_t>(1, request->ep / std::max(1U, request->dp));
  const bool allreduce = request.engine_bool("/expert_parallel/allreduce_dispatch").value_or(false);
  const bool all_tokens = allreduce || request.engine_bool(all_tokens_).value_or(false);
  const std::uint64_t batch_tokens = request->max_batch_input_tokens;

  Terms t;
  t.tokens = all_tokens ? Bytes(batch_tokens) : plimsoll::ceil_div(batch_tokens, group);
  t.ranks = request->ep;
  t.over_nodes = over_nodes(request);
  t.combine_bytes = Bytes(hidden_) * request.engine("/expert_parallel/combine_bytes_per_element").value_or(2);
  // A draft from the same checkpoint dispatches bf16 rows over an FP4 target.
  if (request->weight_is_fp4 != 0 && request->num_draft_tokens > 0 && has_drafts_) t.row_bytes = Bytes(hidden_) * 2;
  else if (request->weight_is_fp4 != 0) t.row_bytes = Bytes(hidden_ / 2) * 9 / 8;
  else t.row_bytes = request.weight_bytes(hidden_);
  t.sources = allreduce ? experts_ / t.ranks : experts_;
  const Bytes spread = Bytes(t.ranks) * per_token_;
  t.routed_rows = allreduce ? Bytes(batch_tokens) * std::min(experts_ / std::max(1U, request->n_ranks), per_token_)
                            : t.tokens * std::min(experts_, spread.value());
  t.fused = request->weight_is_fp4 != 0 && shared_experts_ == 1 && !allreduce && request->phase != PLIMSOLL_PHASE_DECODE &&
            request.engine_bool(fused_combine_).value_or(false);
  return t;
}

void Dispatch::buffers(const Request& request, const Terms& t, std::uint64_t sets, const Sink& out) const {
  const Bytes send = t.tokens * t.row_bytes;
  const Bytes receive = t.sources * t.tokens * t.row_bytes;
  const Bytes stage = t.over_nodes ? t.tokens * t.combine_bytes * std::min(experts_, (Bytes(t.ranks) * per_token_).value()) : Bytes(0);
  const Bytes combine = Bytes(per_token_) * t.tokens * t.combine_bytes;
  out.item(ffn_item("experts.dispatch_buffers", Bytes(sets) * (send + receive + stage), Basis::kExact)
               .formula(request.formula(sets, " x ", t.tokens, " tokens x (", t.row_bytes, " B x (1 + ", t.sources, ") + ",
                                        t.over_nodes ? "combine rows of other nodes)" : "0 B to other nodes)")));
  out.item(ffn_item("experts.combine_buffers", Bytes(sets) * combine, Basis::kExact)
               .formula(request.formula(sets, " x ", per_token_, " experts x ", t.tokens, " tokens x ", t.combine_bytes, " B")));
}

void Dispatch::workspace(const Request& request, const Terms& t, const Sink& out) const {
  const std::uint64_t scratch = request.engine("/expert_parallel/scratch_bytes").value_or(0);
  const Bytes width = t.routed_rows * (request->weight_is_fp4 != 0 ? Bytes(expert_width_) : request.weight_bytes(expert_width_));
  const Bytes results = t.fused ? Bytes(0) : t.routed_rows * t.combine_bytes;
  out.item(ffn_item("experts.workspace", width + results + scratch, Basis::kBound)
               .transient("experts")
               .formula(request.formula(t.routed_rows, " rows x ", expert_width_, " elements as stored + ",
                                        t.fused ? std::uint64_t{0} : t.routed_rows.value(), " rows x ", t.combine_bytes, " B + ", scratch,
                                        " B")));
}

// gpt-oss in FP4: one layer's experts in bf16 and a fixed reserve, both documented as totals over all ranks.
// gpt-oss-120b: 128 experts x 3 x 2880 x 2880 x 2 B = 6,370,099,200 B, and 15 GiB.
void Dispatch::fp4_reserve(const Request& request, const Sink& out) const {
  const std::uint64_t ranks = std::max(1U, request->n_ranks);
  if (const std::uint64_t copies = request.engine(fp4_copies_).value_or(0); copies > 0) {
    const Bytes total = Bytes(copies) * experts_ * 3 * hidden_ * expert_width_ * 2;
    out.item(ffn_item("experts.unpacked_layer", plimsoll::ceil_div(total, ranks), Basis::kHeuristic)
                 .formula(request.formula(copies, " x ", experts_, " experts x 3 x ", hidden_, " x ", expert_width_, " x 2 B / ", ranks,
                                          " ranks")));
  }
  if (const std::uint64_t total = request.engine(fp4_reserve_).value_or(0); total > 0)
    out.item(ffn_item("experts.fp4_reservation", plimsoll::ceil_div(total, ranks), Basis::kHeuristic)
                 .formula(request.formula(total, " B / ", ranks, " ranks")));
}

} // namespace moe
