#include "runtime/executor_inputs.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "backend/block_order.hpp"
#include "base/checked.hpp"

namespace plimsoll {
namespace {

template <class... Args>
tl::unexpected<Error> bad(fmt::format_string<Args...> text, Args&&... args) {
  return fail(ErrorCode::kBadRequest, "a pass cannot be computed: " + fmt::format(text, std::forward<Args>(args)...));
}

Result<void> check_sequences(const ForwardInputs& in, const Program& program) {
  const std::uint64_t tokens = in.tokens.size();
  if (tokens == 0 || tokens > program.most_tokens) return bad("it has {} tokens; the plan is for 1 to {}", tokens, program.most_tokens);
  if (in.row_offsets.size() < 2 || in.row_offsets.size() - 1 > program.most_sequences)
    return bad("{} row offsets; there is one more than sequences, and the plan is for 1 to {} of these", in.row_offsets.size(),
               program.most_sequences);
  const std::uint64_t sequences = in.row_offsets.size() - 1;
  if (in.row_offsets.front() != 0 || in.row_offsets.back() != tokens)
    return bad("row offsets from {} to {} for {} tokens", in.row_offsets.front(), in.row_offsets.back(), tokens);
  for (std::size_t b = 0; b < sequences; ++b)
    if (in.row_offsets[b] >= in.row_offsets[b + 1]) return bad("sequence {} has no tokens", b);
  if (in.kv.batch != sequences || in.kv.cache_lengths.size() < sequences)
    return bad("{} sequences, but {} page tables and {} cache lengths", sequences, in.kv.batch, in.kv.cache_lengths.size());
  const std::uint64_t most = program.most_context_tokens != 0 ? program.most_context_tokens : UINT32_MAX;
  for (std::size_t b = 0; b < sequences; ++b) {
    const std::uint64_t end = std::uint64_t{in.kv.cache_lengths[b]} + in.row_offsets[b + 1] - in.row_offsets[b];
    if (end > most) return bad("sequence {} ends at {} tokens; the plan is for {}", b, end, most);
  }
  return {};
}

Result<void> check_tokens(const TokenIds& tokens, std::uint64_t known) {
  for (std::uint64_t t = 0; t < tokens.size(); ++t)
    if (tokens[t] < 0 || static_cast<std::uint64_t>(tokens[t]) >= known)
      return bad("token {} of it is {}; the model knows 0 to {}", t, tokens[t], known - 1);
  return {};
}

// Pages that the pass reads or writes are pages of the pool.
Result<void> check_table(const ForwardInputs& in, std::size_t index, const ExecutorKvGroup& group, const InputRules::Group& rules) {
  if (index >= in.kv.groups.size()) return bad("no page table for the KV group '{}'", group.geometry.label);
  const KvGroupInputs& table = in.kv.groups[index];
  const std::uint64_t cells = std::uint64_t{rules.lanes} * in.kv.batch * table.columns;
  if (table.lanes < rules.lanes || table.table.size() < cells)
    return bad("the page table of '{}' has {} cells in {} lanes; {} in {} were expected", group.geometry.label, table.table.size(),
               table.lanes, cells, rules.lanes);
  for (std::uint32_t b = 0; b < in.kv.batch; ++b) {
    const std::uint64_t cached = in.kv.cache_lengths[b], end = cached + in.row_offsets[b + 1] - in.row_offsets[b];
    const std::uint64_t first = rules.visible.first(cached) / group.geometry.page_tokens, last = (end - 1) / group.geometry.page_tokens;
    if (last >= table.columns)
      return bad("the page table of '{}' has {} columns; sequence {} needs {}", group.geometry.label, table.columns, b, last + 1);
    for (std::uint64_t lane = 0; lane < rules.lanes; ++lane)
      for (std::uint64_t column = first; column <= last; ++column) {
        const std::uint32_t page = table.table[(lane * in.kv.batch + b) * table.columns + column];
        if (page >= group.pages || page == table.fill)
          return bad("page {} of sequence {} in '{}' is {}, which is none of the {} of its pool; alloc comes first", column, b,
                     group.geometry.label, page, group.pages);
      }
  }
  return {};
}

// Rows of states are rows of the pool, no two of them the same.
Result<void> check_rows(const ForwardInputs& in, std::size_t index, const ExecutorKvGroup& group) {
  const std::string& label = group.geometry.label;
  const std::size_t each = group.geometry.rows_per_sequence, all = each * in.kv.batch;
  if (index >= in.kv.groups.size() || in.kv.groups[index].rows_per_request != each || in.kv.groups[index].state_rows.size() < all)
    return bad("no {} of '{}' for each of {} sequences", each == 1 ? "row" : "two rows", label, in.kv.batch);
  const std::span<const std::uint32_t> rows = in.kv.groups[index].state_rows.first(all);
  for (std::size_t n = 0; n < rows.size(); ++n) {
    if (rows[n] >= group.pages) return bad("sequence {} has the row {} of '{}', which has {}", n / each, rows[n], label, group.pages);
    if (std::find(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(n), rows[n]) != rows.begin() + static_cast<std::ptrdiff_t>(n))
      return bad("two sequences have the row {} of '{}'", rows[n], label);
  }
  return {};
}

Result<void> check_adapter_slots(const ForwardInputs& in, std::uint64_t slots) {
  if (!in.adapters.empty() && in.adapters.size() != in.kv.batch)
    return bad("adapters of {} sequences, where there are {}", in.adapters.size(), in.kv.batch);
  for (std::size_t b = 0; b < in.adapters.size(); ++b)
    if (in.adapters[b] < -1 || (in.adapters[b] >= 0 && static_cast<std::uint64_t>(in.adapters[b]) >= slots))
      return bad("sequence {} has the adapter in slot {}; the plan has {} slots, and -1 is none", b, in.adapters[b], slots);
  return {};
}

Result<void> check_images(const ForwardInputs& in, const Program& program) {
  if (!in.positions.empty() && in.positions.size() != 3 * in.tokens.size())
    return bad("{} positions of {} tokens; each has three", in.positions.size(), in.tokens.size());
  if (in.image_rows.empty()) return {};
  if (program.images.most_rows == 0 || in.image_rows.size() != in.tokens.size() || in.encoded.data == nullptr)
    return bad("rows of images for {} of {} tokens, and the plan is for images of {} rows", in.image_rows.size(), in.tokens.size(),
               program.images.most_rows);
  for (std::size_t t = 0; t < in.image_rows.size(); ++t)
    if (in.image_rows[t] != kNoImageRow && in.image_rows[t] >= in.encoded.rows)
      return bad("token {} is row {} of the encoded images, of which there are {}", t, in.image_rows[t], in.encoded.rows);
  return {};
}

// A head's own ops begin behind what makes of the model's rows what it takes; who has none of the model's goes on from its own.
Result<void> check_taken(const ForwardInputs& in, const Program& program) {
  if (program.takes == kNoIndex) return {};
  if (in.taken.rows.size() != in.tokens.size())
    return bad("{} rows of hidden states for {} tokens", in.taken.rows.size(), in.tokens.size());
  for (std::size_t t = 0; t < in.taken.rows.size(); ++t)
    if (in.taken.rows[t] >= in.taken.most) return bad("token {} takes row {} of {} hidden states", t, in.taken.rows[t], in.taken.most);
  return {};
}

// (0, row, column) of every patch, in blocks of merge x merge, and those in windows.
void write_positions(std::uint64_t rows, std::uint64_t columns, std::uint64_t merge, std::uint64_t window, std::uint32_t* out) {
  for_blocks(rows / merge, columns / merge, window, [&](std::uint64_t y, std::uint64_t x) {
    for (std::uint64_t in = 0; in < merge * merge; ++in) {
      *out++ = 0;
      *out++ = static_cast<std::uint32_t>(y * merge + in / merge);
      *out++ = static_cast<std::uint32_t>(x * merge + in % merge);
    }
  });
}

} // namespace

InputRules input_rules(const Program& program, std::span<const ExecutorKvGroup> groups) {
  InputRules rules;
  rules.groups.resize(groups.size());
  for (const ProgramOp& op : program.ops) {
    if (op.kind == OpKind::kEmbed)
      rules.known_tokens = std::min(rules.known_tokens, op.i[1] != 0 ? op.i[1] : program.weights.tensors[op.weights[0]].dims[0]);
    if (op.kind == OpKind::kPatches) rules.patches = &op;
    rules.pools = rules.pools || op.kind == OpKind::kPool;
    rules.whole = rules.whole || op.kind == OpKind::kAttendWhole;
    if (keeps_state(op.kind)) rules.groups[op.kv_group].states = true;
    if (op.kind != OpKind::kAttend && op.kind != OpKind::kAttendLatent) continue;
    InputRules::Group& group = rules.groups[op.kv_group];
    const Visibility visible = op.kind == OpKind::kAttend ? Visibility{op.i[4], op.i[5], 0} : Visibility{};
    if (!group.used) group.visible = visible;
    else if (!(group.visible == visible)) group.visible = {}; // as if each saw all
    group.used = true;
    group.lanes = std::max(group.lanes, groups[op.kv_group].layers[op.kv_layer].lane + 1);
  }
  return rules;
}

Result<PassView> check_inputs(const ForwardInputs& inputs, const Program& program, std::span<const ExecutorKvGroup> groups,
                              const InputRules& rules, std::span<std::uint32_t> offsets) {
  PLIMSOLL_TRY(check_sequences(inputs, program));
  for (std::size_t b = 0; rules.whole && b < inputs.kv.batch; ++b)
    if (inputs.kv.cache_lengths[b] != 0)
      return bad("sequence {} has {} tokens in a cache; this model reads a sequence whole, in one pass", b, inputs.kv.cache_lengths[b]);
  PLIMSOLL_TRY(check_adapter_slots(inputs, program.adapters.slots));
  PLIMSOLL_TRY(check_tokens(inputs.tokens, rules.known_tokens));
  PLIMSOLL_TRY(check_images(inputs, program));
  PLIMSOLL_TRY(check_taken(inputs, program));
  for (std::size_t n = 0; n < groups.size(); ++n)
    if (rules.groups[n].used) PLIMSOLL_TRY(check_table(inputs, n, groups[n], rules.groups[n]));
    else if (rules.groups[n].states) PLIMSOLL_TRY(check_rows(inputs, n, groups[n]));
  const std::uint64_t per_sequence = std::min<std::uint64_t>(inputs.logits_per_sequence, rules.pools ? 1 : kAllRows);
  std::uint64_t outputs = 0;
  for (std::size_t b = 0; b < inputs.kv.batch; ++b)
    outputs += std::min<std::uint64_t>(per_sequence, inputs.row_offsets[b + 1] - inputs.row_offsets[b]);
  if (outputs > program.most_outputs) return bad("{} rows want logits; the plan is for {}", outputs, program.most_outputs);

  std::uint32_t row = 0;
  for (std::size_t b = 0; b < inputs.kv.batch; ++b) {
    offsets[b] = row;
    row += static_cast<std::uint32_t>(std::min<std::uint64_t>(per_sequence, inputs.row_offsets[b + 1] - inputs.row_offsets[b]));
  }
  offsets[inputs.kv.batch] = row;
  PassView pass;
  pass.tokens = inputs.tokens.size();
  pass.outputs = outputs;
  pass.sequences = inputs.kv.batch;
  pass.narrow_ids = inputs.tokens.narrow();
  pass.wide_ids = inputs.tokens.wide();
  pass.row_offsets = inputs.row_offsets.data();
  pass.cache_lengths = inputs.kv.cache_lengths.data();
  pass.outputs_per_sequence = per_sequence;
  if (!inputs.positions.empty()) pass.positions = inputs.positions.data();
  if (!inputs.image_rows.empty()) pass.image_rows = inputs.image_rows.data();
  return pass;
}

Result<PassView> check_image(const EncoderInputs& inputs, const Program& program, const ProgramOp& patches) {
  const std::uint64_t side = patches.i[2], merge = patches.i[3], step = side * merge;
  const auto [pixels, height, width] = inputs.image;
  if (pixels == nullptr || height == 0 || width == 0 || height % step != 0 || width % step != 0)
    return bad("an image of {} x {} pixels; sides that are multiples of {} were expected", height, width, step);
  PassView pass;
  pass.tokens = (Checked(height / side) * (width / side)).saturated();
  pass.outputs = pass.tokens / (merge * merge);
  pass.sequences = 1;
  if (pass.tokens > program.most_tokens || pass.outputs > program.most_outputs)
    return bad("an image of {} patches; the plan is for {}", pass.tokens, program.most_tokens);
  if (inputs.positions.size() < 3 * pass.tokens) return bad("room for {} positions of {} patches", inputs.positions.size(), pass.tokens);
  write_positions(height / side, width / side, merge, patches.i[4], inputs.positions.data());
  pass.positions = inputs.positions.data();
  return pass;
}

} // namespace plimsoll
