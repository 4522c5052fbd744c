#include "plan/price_schedule.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "plan/images.hpp"
#include "plan/kv_cache.hpp"
#include "schedule/blas_memory.hpp"
#include "schedule/exchange.hpp"
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

// What a step is handed of images: positions on every rank, the rest on the first stage.
Checked image_input_bytes(const PassShape& pass, const ProgramImages& images, std::uint32_t stage) {
  if (images.most_rows == 0) return 0;
  const Checked positions = position_bytes(pass.tokens);
  return stage > 0 ? positions : positions + image_row_bytes(pass.tokens) + position_bytes(encoder_pass(images).tokens);
}

// All slots, on the one rank.
Item adapters_item(const Settled& s, const AdapterSlots& adapters) {
  Item item;
  item.label = "lora";
  item.planner = s.profile().name;
  item.bytes.assign(1, adapters.bytes);
  if (s.explains())
    item.formula = fmt::format("{} slots x {} elements of A and B at rank {} for {} linear layers, in {}", adapters.slots,
                               adapters.slot_elements, adapters.max_rank, adapters.targets.size(), adapters.dtype);
  return item;
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
  PLIMSOLL_ASSIGN(AdapterSlots adapters, cut_adapter_slots(*described, declared, fusions_of(*s.model().planners), s.adapters));
  PLIMSOLL_ASSIGN(Program program,
                  schedule_pipeline(*described, declared, s.layout, rank, pass_shape(s), types_known, std::move(adapters)));
  PLIMSOLL_ASSIGN(const std::vector<KvGroupPrice> prices, price_stage(s, s.layout.stage_of_rank(rank)));
  for (ProgramOp& op : program.ops) {
    if (op.kv_group == kNoIndex) continue;
    const KvGroup* const group = &declared.kv[op.kv_group];
    const auto at = std::find_if(prices.begin(), prices.end(), [&](const KvGroupPrice& price) { return price.group == group; });
    if (at == prices.end())
      return fail(ErrorCode::kInternal, fmt::format("the KV group '{}' is described and not planned", group->label), s.model().where);
    op.kv_group = static_cast<std::uint32_t>(at - prices.begin());
  }
  PLIMSOLL_ASSIGN(program.images, planned_images(s));
  if (program.images.most_rows == 0 || s.layout.stage_of_rank(rank) > 0) return program;
  PLIMSOLL_ASSIGN(Program encoder,
                  schedule_pipeline(*described->encoder, declared, s.layout, rank, encoder_pass(program.images), types_known));
  program.encoder = std::make_shared<const Program>(std::move(encoder));
  return program;
}

Result<void> price_schedule(const Settled& s, ItemCollector& collector) {
  const PassShape pass = pass_shape(s);
  const std::uint32_t ranks = s.layout.ranks();
  PLIMSOLL_ASSIGN(const KvStages stages, KvStages::create(s, pass.sequences));
  Item slab, tables, blas, signals;
  slab.label = "activation.slab";
  tables.label = "activation.tables";
  blas.label = "overhead.blas";
  signals.label = "signal_buffers";
  const bool exact = !s.layout.replicas_share_experts(); // which is planned and not executed
  for (Item* item : {&slab, &tables, &blas, &signals}) {
    item->basis = exact ? Basis::kExact : Basis::kBound;
    item->planner = s.profile().name;
    item->bytes.assign(ranks, 0);
  }
  blas.basis = Basis::kBound;
  PLIMSOLL_ASSIGN(const ProgramImages images, planned_images(s));
  const Result<Described>& described = s.model().described();
  const bool alike = described && ranks_are_alike(*described, s.layout);
  for (std::uint32_t stage = 0; stage < s.layout.pp; ++stage) {
    PLIMSOLL_ASSIGN(const Checked lookups, lookup_tables_bytes(s, stages, stage));
    const Checked adapter_inputs = s.adapters.slots > 0 ? adapter_input_bytes(pass) : Checked(0);
    const Checked image_inputs = image_input_bytes(pass, images, stage);
    PLIMSOLL_ASSIGN(const std::uint64_t tables_bytes,
                    (step_input_bytes(pass) + adapter_inputs + image_inputs + lookups).get("the page tables"));
    Program program;
    for (std::uint32_t tp = 0; tp < s.layout.tp; ++tp) {
      if (tp == 0 || !alike) {
        PLIMSOLL_ASSIGN(program, scheduled_program(s, stage * s.layout.tp + tp));
      }
      for (std::uint32_t dp = 0; dp < s.layout.dp; ++dp) {
        const std::size_t rank = (static_cast<std::size_t>(dp) * s.layout.pp + stage) * s.layout.tp + tp;
        slab.bytes[rank] = program.shared_slab_bytes();
        tables.bytes[rank] = tables_bytes;
        blas.bytes[rank] = blas_bound_bytes(program.most_rows_at_once()).saturated();
        signals.bytes[rank] = exchange_bytes(program);
      }
    }
    if (s.adapters.slots > 0) collector.add(Category::kWeights, "", adapters_item(s, program.adapters));
  }
  if (s.explains()) {
    slab.formula = fmt::format("buffers of the described pipeline in one slab, {} tokens, {} rows of logits, 4 B an element", pass.tokens,
                               pass.outputs);
    tables.formula =
        fmt::format("tokens, offsets, lengths and page tables of {} sequences of {} tokens", pass.sequences, pass.context_tokens);
    const std::uint64_t patches = encoder_pass(images).tokens;
    if (patches > 0) slab.formula += fmt::format("; or those of an encoder for {} patches, whichever are more", patches);
    blas.formula = fmt::format("what OpenBLAS packs at most for {} rows on one thread", std::max(pass.tokens, patches));
    signals.formula = "two rounds of the largest value that ranks join or hand on, 1 MiB at most each";
  }
  collector.add(Category::kActivation, "", std::move(slab));
  collector.add(Category::kActivation, "", std::move(tables));
  collector.add(Category::kOverhead, "", std::move(blas));
  if (!s.model().planners->root().has_signal_buffers) collector.add(Category::kSignalBuffer, "", std::move(signals));
  return {};
}

} // namespace plimsoll
