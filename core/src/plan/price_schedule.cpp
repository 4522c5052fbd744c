#include "plan/price_schedule.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "plan/images.hpp"
#include "plan/kv_cache.hpp"
#include "schedule/blas_memory.hpp"
#include "schedule/exchange.hpp"
#include "schedule/nccl_memory.hpp"
#include "schedule/schedule.hpp"

namespace plimsoll {
namespace {

// Page tables, or rows of states, of every group that a stage holds.
Result<Checked> lookup_tables_bytes(const Settled& s, const KvStages& stages, std::uint32_t stage) {
  Checked sum = 0;
  for (std::size_t group = 0; group < stages.prices(stage).size(); ++group)
    if (stages.prices(stage)[group].group->kind == CacheKind::kState)
      sum += state_rows_bytes(pass_shape(s), s.profile().kv.rows_per_sequence(s.request().num_draft_tokens));
    else sum += lookup_table_bytes(pass_shape(s), stages.layout(stage).group_page_tokens(group));
  return sum;
}

// What an NVIDIA device rounds allocations up by at most, as if each took a granule more: weights as ops name them, slabs, tables and
// pools.
std::uint64_t named_weights(const Program& program) {
  std::uint64_t sum = program.encoder ? named_weights(*program.encoder) : 0;
  if (program.head) sum += named_weights(*program.head);
  for (const ProgramOp& op : program.ops)
    sum += static_cast<std::uint64_t>(
        std::count_if(op.weights.begin(), op.weights.end(), [](std::uint32_t weight) { return weight != kNoIndex; }));
  return sum;
}
Checked granularity_bytes(const Program& program, const Program& draft, std::size_t kv_groups) {
  // Slab, six tables, two of adapters, three of images and their cache, signal buffers, BLAS workspace; slab and four tables of what
  // drafts.
  constexpr std::uint64_t kOthers = 20;
  const Checked allocations = Checked(kOthers + 2 * kv_groups) + named_weights(program) + named_weights(draft);
  return allocations * kGranuleBytes;
}

// What a step is handed of images: positions on every rank, the rest on the first stage.
Checked image_input_bytes(const PassShape& pass, const ProgramImages& images, std::uint32_t stage) {
  if (images.most_rows == 0) return 0;
  const Checked positions = position_bytes(pass.tokens);
  return stage > 0 ? positions : positions + image_row_bytes(pass.tokens) + position_bytes(encoder_pass(images).tokens);
}

// The slots of every rank.
void add_adapters(const Settled& s, const std::vector<AdapterSlots>& of_ranks, ItemCollector& collector) {
  if (s.adapters.slots == 0) return;
  Item item;
  item.label = "lora";
  item.planner = s.profile().name;
  std::vector<std::string> formulas;
  for (const AdapterSlots& adapters : of_ranks) {
    item.bytes.push_back(adapters.bytes);
    const auto here = std::count_if(adapters.targets.begin(), adapters.targets.end(), [](const AdapterTarget& t) { return t.in > 0; });
    formulas.push_back(fmt::format("{} slots x {} elements of A and B at rank {} for {} linear layers, in {}", adapters.slots,
                                   adapters.slot_elements, adapters.max_rank, here, adapters.dtype));
  }
  const bool alike = std::adjacent_find(formulas.begin(), formulas.end(), std::not_equal_to<>()) == formulas.end();
  if (s.explains()) item.formula = formulas.front();
  if (s.explains() && !alike) item.rank_formulas = std::move(formulas);
  collector.add(Category::kWeights, "", std::move(item));
}

// Part of a model of the plan on a rank, its KV groups numbered as the geometry's are.
Result<Program> scheduled(const Settled& s, const Model::Data& model, const Described& described, const RankLayout& layout,
                          std::uint32_t rank, const PassShape& pass, AdapterSlots adapters) {
  const bool types_known = model.files.format != CheckpointFormat::kGguf;
  PLIMSOLL_ASSIGN(Program program, schedule_pipeline(described, model.declared, layout, rank, pass, types_known, std::move(adapters)));
  PLIMSOLL_ASSIGN(const std::vector<KvGroupPrice> prices, price_stage(s, s.layout.stage_of_rank(rank)));
  for (ProgramOp& op : program.ops) {
    if (op.kv_group == kNoIndex) continue;
    const KvGroup* const group = &model.declared.kv[op.kv_group];
    const auto at = std::find_if(prices.begin(), prices.end(), [&](const KvGroupPrice& price) { return price.group == group; });
    if (at == prices.end())
      return fail(ErrorCode::kInternal, fmt::format("the KV group '{}' is described and not planned", group->label), model.where);
    op.kv_group = static_cast<std::uint32_t>(at - prices.begin());
  }
  return program;
}

// What drafts for a model sees nothing of images.
Result<void> check_drafted(const Settled& s, std::string_view where) {
  PLIMSOLL_ASSIGN(const ProgramImages images, planned_images(s));
  if (images.most_rows == 0) return {};
  return fail(ErrorCode::kUnsupportedArchitecture,
              fmt::format("{} takes images, of which a draft sees nothing; run it without {}, or without room for images",
                          s.model().info.path, where),
              std::string(where));
}

// The model's own head that drafts.
Result<Program> scheduled_head(const Settled& s, const Described& described, std::uint32_t rank) {
  constexpr std::string_view kWhere = "--num-draft-tokens";
  PLIMSOLL_TRY(check_drafted(s, kWhere));
  if (s.layout.pp > 1)
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("{} stages with a head that drafts are planned for other engines; ours drafts with tensor-parallel ranks: give --tp",
                    s.layout.pp),
        "--pp");
  if (!described.head) {
    const Error none = described.no_head.value_or(Error{ErrorCode::kUnsupportedArchitecture, "no head is described", s.model().where});
    return fail(none.code, fmt::format("the model's own head that drafts is not executed: {}; draft with --draft MODEL", none.message),
                none.where);
  }
  if (s.model().files.format == CheckpointFormat::kGguf)
    return fail(ErrorCode::kUnsupportedArchitecture,
                "a head that drafts is executed from safetensors, not from GGUF files; draft with --draft MODEL", std::string(kWhere));
  return scheduled(s, s.model(), *described.head, s.layout, rank, draft_pass_shape(s), {});
}

} // namespace

PassShape pass_shape(const Settled& s) {
  PassShape pass;
  pass.tokens = s.max_batch_input_tokens;
  pass.sequences = std::min(s.sequences(s.batch), s.max_batch_input_tokens);
  // A request whose tokens are drafted has each of them verified, and the one that follows the last chosen.
  const std::uint64_t each = s.draft != DraftSource::kNone ? 1 + std::uint64_t{s.request().num_draft_tokens} : 1;
  const bool all = s.profile().schedule.logits == LogitRows::kAll;
  pass.outputs = all ? pass.tokens : std::min(pass.tokens, (Checked(pass.sequences) * each).saturated());
  pass.context_tokens = s.max_length;
  pass.hands_on = s.draft == DraftSource::kOwnHead;
  return pass;
}

PassShape draft_pass_shape(const Settled& s) {
  PassShape pass = pass_shape(s);
  pass.outputs = pass.sequences;
  pass.hands_on = false;
  return pass;
}

Result<Program> scheduled_program(const Settled& s, std::uint32_t rank) {
  const Result<Described>& described = s.model().described();
  if (!described) return tl::unexpected(described.error());
  PLIMSOLL_ASSIGN(AdapterSlots adapters, cut_adapter_slots(*described, s.model().declared, fusions_of(*s.model().planners), s.adapters));
  PLIMSOLL_ASSIGN(Program program, scheduled(s, s.model(), *described, s.layout, rank, pass_shape(s), std::move(adapters)));
  if (s.draft == DraftSource::kOwnHead) {
    if (program.replicas > 1) // they draft each at their own time
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("{} replicas share the experts of {}, and its own head drafts for one; draft with --draft MODEL, or leave out "
                      "--ep, so that each has its own",
                      program.replicas, s.model().info.path),
          "--num-draft-tokens");
    PLIMSOLL_ASSIGN(Program head, scheduled_head(s, *described, rank));
    program.head = std::make_shared<const Program>(std::move(head));
  }
  PLIMSOLL_ASSIGN(program.images, planned_images(s));
  if (program.images.most_rows == 0 || s.layout.stage_of_rank(rank) > 0) return program;
  const bool types_known = s.model().files.format != CheckpointFormat::kGguf;
  PLIMSOLL_ASSIGN(Program encoder,
                  schedule_pipeline(*described->encoder, s.model().declared, s.layout, rank, encoder_pass(program.images), types_known));
  program.encoder = std::make_shared<const Program>(std::move(encoder));
  return program;
}

Result<Program> scheduled_draft(const Settled& s, std::uint32_t rank) {
  const Model::Data& draft = *s.input.draft;
  if (s.request().num_draft_tokens == 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("is 0, so {} drafts nothing; give the tokens that it drafts for each step", draft.info.path),
                "--num-draft-tokens");
  PLIMSOLL_TRY(check_drafted(s, "--draft"));
  for (const KvGroup& group : draft.declared.kv)
    if (group.kind == CacheKind::kState && group.role != PLIMSOLL_ROLE_DRAFT)
      return fail(ErrorCode::kUnsupportedArchitecture,
                  fmt::format("{} keeps states ('{}'), which go on with every token that it drafts and cannot be taken back; draft with "
                              "another model",
                              draft.info.path, group.label),
                  "--draft");
  const std::uint64_t own = draft.declared.facts.vocab_tokens, target = s.model().declared.facts.vocab_tokens;
  if (own != target)
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("{} has {} tokens and {} has {}; a draft speaks of the same tokens", draft.info.path, own, s.model().info.path, target),
        "--draft");
  const Result<Described>& described = draft.described();
  if (!described) return tl::unexpected(described.error());
  PLIMSOLL_ASSIGN(Program program, scheduled(s, draft, *described, s.draft_layout, rank, draft_pass_shape(s), {}));
  if (program.replicas > 1) // they draft each at their own time
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} has experts, which {} replicas would share; draft with a dense model, or leave out --ep, so that each has "
                            "its own",
                            draft.info.path, program.replicas),
                "--draft");
  return program;
}

Result<void> price_schedule(const Settled& s, ItemCollector& collector) {
  const PassShape pass = pass_shape(s);
  const std::uint32_t ranks = s.layout.ranks();
  PLIMSOLL_ASSIGN(const KvStages stages, KvStages::create(s, pass.sequences));
  Item slab, tables, blas, signals, draft_slab, draft_tables, granules, collectives;
  slab.label = "activation.slab";
  draft_slab.label = "draft.activation.slab";
  draft_tables.label = "draft.activation.tables";
  tables.label = "activation.tables";
  blas.label = "overhead.blas";
  signals.label = "signal_buffers";
  granules.label = "overhead.granularity";
  collectives.label = kCollectivesLabel;
  for (Item* item : {&slab, &tables, &blas, &signals, &draft_slab, &draft_tables, &granules, &collectives}) {
    item->basis = Basis::kExact;
    item->planner = s.profile().name;
    item->bytes.assign(ranks, 0);
  }
  blas.basis = Basis::kBound;
  granules.basis = Basis::kBound;
  collectives.basis = Basis::kBound;
  PLIMSOLL_ASSIGN(const ProgramImages images, planned_images(s));
  const bool drafts = s.draft != DraftSource::kNone, head = s.draft == DraftSource::kOwnHead;
  const PassShape draft_pass = draft_pass_shape(s);
  PLIMSOLL_ASSIGN(const std::uint64_t draft_tables_bytes,
                  (head ? head_input_bytes(draft_pass) : model_input_bytes(draft_pass)).get("the inputs of the draft"));
  const Result<Described>& described = s.model().described();
  const bool alike = described && s.adapters.slots == 0 && ranks_are_alike(*described, s.model().declared, s.layout) &&
                     (!head || !described->head || ranks_are_alike(*described->head, s.model().declared, s.layout));
  const bool alike_replicas = alike || !s.layout.replicas_share_experts();
  std::vector<AdapterSlots> adapters(ranks);
  for (std::uint32_t stage = 0; stage < s.layout.pp; ++stage) {
    PLIMSOLL_ASSIGN(const Checked lookups, lookup_tables_bytes(s, stages, stage));
    const Checked adapter_inputs = s.adapters.slots > 0 ? adapter_input_bytes(pass) : Checked(0);
    const Checked image_inputs = image_input_bytes(pass, images, stage);
    PLIMSOLL_ASSIGN(const std::uint64_t tables_bytes,
                    (step_input_bytes(pass) + adapter_inputs + image_inputs + lookups).get("the page tables"));
    Program program, draft;
    for (std::uint32_t tp = 0; tp < s.layout.tp; ++tp) {
      if (tp == 0 || !alike) {
        PLIMSOLL_ASSIGN(program, scheduled_program(s, stage * s.layout.tp + tp));
      }
      if (s.draft == DraftSource::kModel) {
        PLIMSOLL_ASSIGN(draft, scheduled_draft(s, stage * s.layout.tp + tp));
      }
      for (std::uint32_t dp = 0; dp < s.layout.dp; ++dp) {
        const std::uint32_t rank = (dp * s.layout.pp + stage) * s.layout.tp + tp;
        if (dp > 0 && !alike_replicas) {
          PLIMSOLL_ASSIGN(program, scheduled_program(s, rank));
        }
        slab.bytes[rank] = program.shared_slab_bytes();
        tables.bytes[rank] = tables_bytes;
        blas.bytes[rank] = blas_bound_bytes(program.most_rows_at_once()).saturated();
        adapters[rank] = program.adapters;
        signals.bytes[rank] = std::max(program_exchange_bytes(program), exchange_bytes(draft)); // one computes, then the other
        if (s.devices()[rank].vendor == "nvidia") {
          granules.bytes[rank] = granularity_bytes(program, draft, stages.prices(stage).size()).saturated();
          collectives.bytes[rank] = nccl_bound_bytes(s.layout.tp, s.layout.pp).saturated();
        }
        if (!drafts) continue;
        draft_slab.bytes[rank] = program.head ? program.head->slab_bytes : draft.slab_bytes;
        draft_tables.bytes[rank] = draft_tables_bytes;
      }
    }
  }
  if (s.explains()) {
    slab.formula = fmt::format("buffers of the described pipeline in one slab, {} tokens, {} rows of logits, 4 B an element", pass.tokens,
                               pass.outputs);
    if (s.layout.replicas_share_experts()) slab.formula += fmt::format("; what experts read and give, for {} replicas", s.layout.dp);
    tables.formula =
        fmt::format("tokens, offsets, lengths and page tables of {} sequences of {} tokens", pass.sequences, pass.context_tokens);
    const std::uint64_t patches = encoder_pass(images).tokens;
    if (patches > 0) slab.formula += fmt::format("; or those of an encoder for {} patches, whichever are more", patches);
    blas.formula = fmt::format("what OpenBLAS packs at most for {} rows on one thread", std::max(pass.tokens, patches));
    draft_slab.formula = fmt::format("buffers of the draft's pipeline in one slab, {} tokens, {} rows of logits, 4 B an element",
                                     draft_pass.tokens, draft_pass.outputs);
    draft_tables.formula = fmt::format("tokens and offsets of {} sequences; lengths and page tables are the model's", draft_pass.sequences);
    granules.formula = "weights, slab, tables and pools, each a granule of 2 MiB more at most";
    collectives.formula = fmt::format(
        "what NCCL takes at most: 384 MiB, and for each of {} channels 12 MiB for each peer, 8 MiB for each rank where switches add up",
        kNcclChannels);
    signals.formula = "two rounds of the largest value that ranks join or hand on, 1 MiB at most each";
  }
  add_adapters(s, adapters, collector);
  collector.add(Category::kActivation, "", std::move(slab));
  collector.add(Category::kActivation, "", std::move(tables));
  if (drafts) {
    collector.add(Category::kActivation, "", std::move(draft_slab));
    collector.add(Category::kActivation, "", std::move(draft_tables));
  }
  collector.add(Category::kOverhead, "", std::move(blas));
  for (Item* item : {&granules, &collectives})
    if (std::any_of(item->bytes.begin(), item->bytes.end(), [](std::uint64_t b) { return b > 0; }))
      collector.add(Category::kOverhead, "", std::move(*item));
  if (!s.model().planners->root().has_signal_buffers) collector.add(Category::kSignalBuffer, "", std::move(signals));
  return {};
}

} // namespace plimsoll
