#include "plan/price_schedule.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "plan/kv_cache.hpp"
#include "schedule/blas_memory.hpp"
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

} // namespace

PassShape pass_shape(const Settled& s) {
  PassShape pass;
  pass.tokens = s.max_batch_input_tokens;
  pass.sequences = std::min(s.sequences(s.batch), s.max_batch_input_tokens);
  pass.outputs = s.profile().schedule.logits == LogitRows::kAll ? pass.tokens : pass.sequences;
  pass.context_tokens = s.max_length;
  return pass;
}

Result<Program> scheduled_program(const Settled& s, std::uint32_t rank) {
  const Result<Described>& described = s.model().described();
  if (!described) return tl::unexpected(described.error());
  const Declared& declared = s.model().declared;
  const bool types_known = s.model().files.format != CheckpointFormat::kGguf;
  PLIMSOLL_ASSIGN(Program program, schedule_pipeline(*described, declared, s.layout, rank, pass_shape(s), types_known));
  PLIMSOLL_ASSIGN(const std::vector<KvGroupPrice> prices, price_stage(s, s.layout.stage_of_rank(rank)));
  for (ProgramOp& op : program.ops) {
    if (op.kv_group == kNoIndex) continue;
    const KvGroup* const group = &declared.kv[op.kv_group];
    const auto at = std::find_if(prices.begin(), prices.end(), [&](const KvGroupPrice& price) { return price.group == group; });
    if (at == prices.end())
      return fail(ErrorCode::kInternal, fmt::format("the KV group '{}' is described and not planned", group->label), s.model().where);
    op.kv_group = static_cast<std::uint32_t>(at - prices.begin());
  }
  return program;
}

Result<void> price_schedule(const Settled& s, ItemCollector& collector) {
  const PassShape pass = pass_shape(s);
  const std::uint32_t ranks = s.layout.ranks();
  PLIMSOLL_ASSIGN(const KvStages stages, KvStages::create(s, pass.sequences));
  Item slab, tables, blas;
  slab.label = "activation.slab";
  tables.label = "activation.tables";
  blas.label = "overhead.blas";
  for (Item* item : {&slab, &tables, &blas}) {
    item->basis = ranks == 1 ? Basis::kExact : Basis::kBound;
    item->planner = s.profile().name;
    item->bytes.assign(ranks, 0);
  }
  blas.basis = Basis::kBound;
  std::vector<std::uint64_t> slab_of_stage(s.layout.pp, 0), tables_of_stage(s.layout.pp, 0);
  for (std::uint32_t stage = 0; stage < s.layout.pp; ++stage) {
    PLIMSOLL_ASSIGN(const Program program, scheduled_program(s, stage * s.layout.tp));
    PLIMSOLL_ASSIGN(const Checked lookups, lookup_tables_bytes(s, stages, stage));
    PLIMSOLL_ASSIGN(tables_of_stage[stage], (step_input_bytes(pass) + lookups).get("the page tables"));
    slab_of_stage[stage] = program.slab_bytes;
  }
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    slab.bytes[rank] = slab_of_stage[s.layout.stage_of_rank(rank)];
    tables.bytes[rank] = tables_of_stage[s.layout.stage_of_rank(rank)];
    blas.bytes[rank] = blas_bound_bytes(pass.tokens).saturated();
  }
  if (s.explains()) {
    slab.formula = fmt::format("buffers of the described pipeline in one slab, {} tokens, {} rows of logits, 4 B an element", pass.tokens,
                               pass.outputs);
    tables.formula =
        fmt::format("tokens, offsets, lengths and page tables of {} sequences of {} tokens", pass.sequences, pass.context_tokens);
    blas.formula = fmt::format("what OpenBLAS packs at most for {} tokens on one thread", pass.tokens);
  }
  collector.add(Category::kActivation, "", std::move(slab));
  collector.add(Category::kActivation, "", std::move(tables));
  collector.add(Category::kOverhead, "", std::move(blas));
  return {};
}

} // namespace plimsoll
