#include "runtime/reference_model.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <mutex>
#include <utility>

#include "backend/blas_memory.hpp"
#include "backend/cpu_backend.hpp"
#include "runtime/loader.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kTables = "activation.tables";

Result<Tensor> take(Arena& arena, ElementType type, std::initializer_list<std::uint64_t> shape) {
  PLIMSOLL_ASSIGN(Buffer buffer, arena.allocate(Category::kActivation, kTables, type, std::span(shape.begin(), shape.size())));
  return Tensor::of(std::move(buffer));
}

// The bytes that the plan sets aside for a label on the arena's rank.
std::uint64_t planned_bytes(const Plan& plan, const Arena& arena, Category category, std::string_view label) {
  std::uint64_t sum = 0;
  for (const Item& item : plan.items)
    if (item.category == category && item.label == label && arena.rank() < item.bytes.size()) sum += item.bytes[arena.rank()];
  return sum;
}

// A tensor of inputs by its name, as values of one type.
template <class T>
Result<std::span<T>> values_of(const ModelInputs& inputs, std::string_view name) {
  const Tensor tensor = inputs.find(name);
  if (tensor.empty()) return fail(ErrorCode::kBadRequest, fmt::format("the inputs have no '{}'", name));
  auto values = tensor.values<T>();
  if (!values) return fail(ErrorCode::kBadRequest, fmt::format("input '{}': {}", name, values.error().message));
  return values;
}

// What stands in tables for no page: see TableLayout::kMax.
std::uint32_t null_page(const KvGroupPool& pool) {
  return pool.null_pages == 0 ? kNoPage : static_cast<std::uint32_t>(pool.pages - pool.null_pages);
}

// What the cache says of a step, as the executor reads it.
struct ExecutorInputs {
  std::vector<KvGroupInputs> groups;
  KvInputs kv;
};
Result<ExecutorInputs> kv_inputs(const KvDeviceInputs& device, const KvGeometry& geometry) {
  ExecutorInputs out;
  for (const KvGroupTensors& from : device.groups) {
    KvGroupInputs& to = out.groups.emplace_back();
    if (!from.state_rows.empty()) {
      PLIMSOLL_ASSIGN(to.state_rows, from.state_rows.values<std::uint32_t>());
      to.rows_per_request = static_cast<std::uint32_t>(from.state_rows.shape().back());
    }
    if (from.lookup_table.empty()) continue;
    to.fill = null_page(geometry.pool(0, out.groups.size() - 1));
    const std::span<const std::uint64_t> shape = from.lookup_table.shape();
    PLIMSOLL_ASSIGN(to.table, from.lookup_table.values<std::uint32_t>());
    to.lanes = shape.size() == 3 ? static_cast<std::uint32_t>(shape[0]) : 1;
    to.columns = static_cast<std::uint32_t>(shape.back());
  }
  PLIMSOLL_ASSIGN(out.kv.cache_lengths, device.cache_lengths.values<std::uint32_t>());
  PLIMSOLL_ASSIGN(out.kv.max_lengths, device.max_lengths.values<std::uint32_t>());
  out.kv.batch = static_cast<std::uint32_t>(out.kv.cache_lengths.size());
  out.kv.groups = out.groups; // the vector's memory moves with it
  return out;
}

} // namespace

ReferenceModel::ReferenceModel(Program program, PipelineModelOptions options)
    : PipelineModel(std::move(options)), program_(std::move(program)), backend_(cpu_backend()) {}

Result<std::unique_ptr<PipelineModel>> ReferenceModel::create(Program program, PipelineModelOptions options, const LoadProgress& progress) {
  if (options.arenas.size() != 1)
    return fail(ErrorCode::kBadRequest, fmt::format("{} arenas; the reference model runs on one rank", options.arenas.size()));
  std::unique_ptr<ReferenceModel> model(new ReferenceModel(std::move(program), std::move(options)));
  PLIMSOLL_TRY(model->take_memory());
  PLIMSOLL_TRY(model->count_blas());
  PLIMSOLL_TRY(model->load_weights(progress));
  return model;
}

// The slab with a guard behind it, and what a step is handed.
Result<void> ReferenceModel::take_memory() {
  Arena& arena = arenas().front();
  const std::array<std::uint64_t, 1> bytes{Executor<float>::slab_bytes(program_)};
  PLIMSOLL_ASSIGN(slab_, arena.allocate(Category::kActivation, "activation.slab", ElementType::kUint8, bytes, true));
  PLIMSOLL_ASSIGN(tokens_, take(arena, ElementType::kInt64, {program_.most_tokens}));
  PLIMSOLL_ASSIGN(row_offsets_, take(arena, ElementType::kUint32, {program_.most_sequences + 1}));
  PLIMSOLL_ASSIGN(return_n_logits_, take(arena, ElementType::kInt64, {1}));
  logit_offsets_.resize(program_.most_sequences + 1);
  return {};
}

// What the BLAS keeps for itself is set aside as the plan bounds it; that it takes no more for this model is measured. It keeps what it
// took for models before, whose plans count that.
Result<void> ReferenceModel::count_blas() {
  static std::mutex mutex;
  static std::uint64_t before = 0;
  const std::scoped_lock lock(mutex);
  Arena& arena = arenas().front();
  PLIMSOLL_ASSIGN(const std::uint64_t taken, blas_bytes(program_.most_tokens));
  const std::uint64_t grown = taken - std::exchange(before, taken); // what was taken stays taken
  return arena.count(Category::kOverhead, "overhead.blas",
                     std::max(grown, planned_bytes(plan(), arena, Category::kOverhead, "overhead.blas")));
}

Result<void> ReferenceModel::load_weights(const LoadProgress& progress) {
  Arena& arena = arenas().front();
  const auto place = [&](const WeightTensor& tensor) -> Result<std::span<std::byte>> {
    const std::optional<ElementType> type = find_element_type(tensor.dtype);
    if (!type) return fail(ErrorCode::kUnsupportedArchitecture, fmt::format("'{}' is stored as {}", tensor.label, tensor.dtype));
    const std::array<std::uint64_t, 1> shape{tensor.bytes / element_bytes(*type)};
    PLIMSOLL_ASSIGN(Buffer buffer, arena.allocate(Category::kWeights, tensor.label, *type, shape));
    weights_.push_back(std::move(buffer));
    return std::span(static_cast<std::byte*>(weights_.back().data()), tensor.bytes);
  };
  const auto told = [&](std::uint64_t done, std::uint64_t total) -> Result<void> {
    if (progress) progress(done, total);
    return {};
  };
  PLIMSOLL_TRY(plimsoll::load_weights(program_.weights, place, told));
  return {};
}

StepLimits ReferenceModel::step_limits() const {
  return {program_.most_tokens, program_.most_sequences, program_.most_outputs, program_.vocab_tokens};
}

Result<KvCache> ReferenceModel::load_kv_manager(const Plan& plan, std::span<Arena> arenas, const KvCacheOptions& options) {
  KvCacheOptions planned = options;
  planned.most_sequences = program_.most_sequences;
  planned.most_context_tokens = program_.most_context_tokens;
  PLIMSOLL_ASSIGN(KvCache cache, KvCache::create(plan, arenas, planned));
  std::vector<ExecutorKvGroup> groups;
  pools_.clear();
  const KvGeometry& geometry = plan.kv_geometry;
  for (std::size_t group = 0; group < geometry.n_groups(); ++group) {
    ExecutorKvGroup& to = groups.emplace_back();
    to.geometry = geometry.group(0, group);
    to.pool = cache.blocks(0, geometry.shared_blocks ? 0 : group).data();
    pools_.push_back(cache.blocks(0, group).data());
    const bool rows = to.geometry.kind == CacheKind::kState && !geometry.shared_blocks;
    const KvGroupPool& pool = geometry.pool(0, geometry.shared_blocks ? 0 : group);
    to.pages = rows ? pool.state_rows : pool.pages;
    to.page_stride_bytes = geometry.shared_blocks ? geometry.block_bytes(0) : rows ? to.geometry.state_row_bytes : to.geometry.page_bytes;
    for (std::uint64_t layer = 0; layer < to.geometry.n_layers; ++layer) to.layers.push_back(cache.manager().place(0, group, layer));
  }
  std::vector<const void*> weights;
  for (const Buffer& buffer : weights_) weights.push_back(buffer.data());
  PLIMSOLL_ASSIGN(executor_, Executor<float>::create(program_, backend_, weights, std::move(groups), {slab_.data(), slab_.bytes()}));
  return cache;
}

// Fields over the memory of the largest pass, cut to this one's size.
Result<std::unique_ptr<ModelInputs>> ReferenceModel::text_inputs(std::uint64_t tokens, std::uint64_t sequences) {
  if (tokens > program_.most_tokens || sequences > program_.most_sequences)
    return fail(ErrorCode::kBadRequest, fmt::format("a step of {} tokens of {} requests; the plan is for {} of {}", tokens, sequences,
                                                    program_.most_tokens, program_.most_sequences));
  auto inputs = std::make_unique<TextInputs>();
  PLIMSOLL_ASSIGN(inputs->tokens, tokens_.first({tokens}));
  PLIMSOLL_ASSIGN(inputs->input_row_offsets, row_offsets_.first({sequences + 1}));
  inputs->return_n_logits = return_n_logits_;
  PLIMSOLL_ASSIGN(const std::span<const Tensor> buffers, signal_buffers());
  inputs->signal_buffers.assign(buffers.begin(), buffers.end());
  return inputs;
}

Result<std::unique_ptr<ModelInputs>> ReferenceModel::prepare_initial_token_inputs(std::span<const TextContext* const> batch,
                                                                                  std::optional<KvCacheInputs> kv,
                                                                                  std::uint64_t return_n_logits) {
  std::uint64_t total = 0;
  for (const TextContext* context : batch) total += context->active_length();
  PLIMSOLL_ASSIGN(std::unique_ptr<ModelInputs> inputs, text_inputs(total, batch.size()));
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> tokens, tokens_.values<std::int64_t>());
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> offsets, row_offsets_.values<std::uint32_t>());
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> logits, return_n_logits_.values<std::int64_t>());
  std::size_t at = 0;
  offsets[0] = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    for (const Token token : batch[i]->active_tokens()) tokens[at++] = token;
    offsets[i + 1] = static_cast<std::uint32_t>(at);
  }
  logits[0] = static_cast<std::int64_t>(std::min<std::uint64_t>(return_n_logits, INT64_MAX));
  inputs->kv_cache_inputs = std::move(kv);
  return inputs;
}

Result<std::unique_ptr<ModelInputs>> ReferenceModel::prepare_next_token_inputs(const Tensor& next_tokens,
                                                                               std::unique_ptr<ModelInputs> previous) {
  if (!previous) return fail(ErrorCode::kBadRequest, "there are no inputs of a step before");
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> before, values_of<std::uint32_t>(*previous, "input_row_offsets"));
  const std::size_t sequences = before.size() - 1;
  if (next_tokens.elements() != sequences)
    return fail(ErrorCode::kBadRequest, fmt::format("{} next tokens for {} requests", next_tokens.elements(), sequences));
  if (previous->kv_cache_inputs)
    for (KvDeviceInputs& device : previous->kv_cache_inputs->devices) {
      PLIMSOLL_ASSIGN(const std::span<std::uint32_t> lengths, device.cache_lengths.values<std::uint32_t>());
      PLIMSOLL_ASSIGN(const std::span<std::uint32_t> longest, device.max_lengths.values<std::uint32_t>());
      for (std::size_t i = 0; i < sequences; ++i) lengths[i] += before[i + 1] - before[i];
      longest[0] = 1;
      longest[1] = *std::max_element(lengths.begin(), lengths.end());
    }
  PLIMSOLL_ASSIGN(std::unique_ptr<ModelInputs> inputs, text_inputs(sequences, sequences));
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> tokens, tokens_.values<std::int64_t>());
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> offsets, row_offsets_.values<std::uint32_t>());
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> logits, return_n_logits_.values<std::int64_t>());
  if (const auto wide = next_tokens.values<std::int64_t>()) {
    std::copy(wide->begin(), wide->end(), tokens.begin());
  } else {
    PLIMSOLL_ASSIGN(const std::span<std::int32_t> narrow, next_tokens.values<std::int32_t>());
    std::copy(narrow.begin(), narrow.end(), tokens.begin());
  }
  for (std::size_t i = 0; i <= sequences; ++i) offsets[i] = static_cast<std::uint32_t>(i);
  logits[0] = 1;
  inputs->kv_cache_inputs = std::move(previous->kv_cache_inputs);
  return inputs;
}

Result<ModelOutputs> ReferenceModel::execute(const ModelInputs& inputs) {
  if (!executor_) return fail(ErrorCode::kBadRequest, "the model has no pages yet; load_kv_manager comes first");
  if (!inputs.kv_cache_inputs || inputs.kv_cache_inputs->devices.size() != 1)
    return fail(ErrorCode::kBadRequest, "the inputs do not say where in the KV cache the requests stand");
  const KvDeviceInputs& device = inputs.kv_cache_inputs->devices.front();
  const auto is_bound = [](const KvGroupTensors& group, const std::byte* pool) { return group.blocks.data() == pool; };
  if (!std::equal(device.groups.begin(), device.groups.end(), pools_.begin(), pools_.end(), is_bound))
    return fail(ErrorCode::kBadRequest, "the inputs are of another KV cache than the model's, which load_kv_manager made last");
  PLIMSOLL_ASSIGN(const ExecutorInputs kv, kv_inputs(device, plan().kv_geometry));
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> tokens, values_of<std::int64_t>(inputs, "tokens"));
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> offsets, values_of<std::uint32_t>(inputs, "input_row_offsets"));
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> wanted, values_of<std::int64_t>(inputs, "return_n_logits"));
  ForwardInputs pass;
  pass.tokens = TokenIds(std::span<const std::int64_t>(tokens));
  pass.row_offsets = offsets;
  pass.kv = kv.kv;
  switch (return_logits()) {
  case ReturnLogits::kLastToken: pass.logits_per_sequence = 1; break;
  case ReturnLogits::kAll: pass.logits_per_sequence = kAllRows; break;
  case ReturnLogits::kVariable: pass.logits_per_sequence = static_cast<std::uint64_t>(std::max<std::int64_t>(wanted.front(), 0)); break;
  }
  PLIMSOLL_ASSIGN(const ForwardOutputs<float> computed, executor_->run(pass));

  // Views of the slab and of the offsets, until the next pass.
  float* const data = const_cast<float*>(computed.logits); // NOLINT: a tensor names memory that this model owns
  const std::array<std::uint64_t, 2> shape{computed.rows, computed.width};
  PLIMSOLL_ASSIGN(Tensor logits,
                  Tensor::view(std::as_writable_bytes(std::span(data, computed.rows * computed.width)), shape, ElementType::kFloat32));
  const std::size_t sequences = offsets.size() - 1;
  if (return_logits() == ReturnLogits::kLastToken) return ModelOutputs::create(logits, logits);
  std::copy(computed.offsets.begin(), computed.offsets.end(), logit_offsets_.begin());
  const std::array<std::uint64_t, 1> count{sequences + 1};
  PLIMSOLL_ASSIGN(Tensor rows,
                  Tensor::view(std::as_writable_bytes(std::span(logit_offsets_).first(sequences + 1)), count, ElementType::kUint32));
  std::optional<Tensor> next;
  if (computed.rows == sequences) next = logits;
  return ModelOutputs::create(std::move(logits), std::move(next), std::move(rows));
}

Result<std::unique_ptr<PipelineModel>> PipelineModel::load(const Context& context, const Model& model, const PlanRequest& request,
                                                           PipelineModelOptions options, const LoadProgress& progress) {
  if (options.plan.error) return tl::unexpected(*options.plan.error);
  PLIMSOLL_ASSIGN(Program program, context.program(model, request));
  return ReferenceModel::create(std::move(program), std::move(options), progress);
}

} // namespace plimsoll
