#include "runtime/model_rank.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <new>
#include <utility>

#include "backend/cpu_backend.hpp"
#include "base/checked.hpp"
#include "runtime/loader.hpp"
#include "schedule/blas_memory.hpp"

namespace plimsoll {
namespace {

Result<Tensor> take_table(Arena& arena, const std::string& label, ElementType type, std::initializer_list<std::uint64_t> shape) {
  PLIMSOLL_ASSIGN(Buffer buffer, arena.allocate_visible(Category::kActivation, label, type, std::span(shape.begin(), shape.size())));
  return Tensor::of(std::move(buffer));
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
Result<ExecutorInputs> kv_inputs(const KvDeviceInputs& device, const KvGeometry& geometry, std::uint32_t rank) {
  ExecutorInputs out;
  for (const KvGroupTensors& from : device.groups) {
    KvGroupInputs& to = out.groups.emplace_back();
    if (!from.state_rows.empty()) {
      PLIMSOLL_ASSIGN(to.state_rows, from.state_rows.values<std::uint32_t>());
      to.rows_per_request = static_cast<std::uint32_t>(from.state_rows.shape().back());
    }
    if (from.lookup_table.empty()) continue;
    to.fill = null_page(geometry.pool(rank, out.groups.size() - 1));
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

// The values in the rank's own memory, where they may be already.
template <class T>
Result<std::span<const T>> own_copy(const Tensor& memory, std::span<const T> values) {
  PLIMSOLL_ASSIGN(const std::span<T> room, memory.values<T>());
  if (values.size() > room.size())
    return fail(ErrorCode::kBadRequest, fmt::format("a step hands over {} numbers; the plan is for {}", values.size(), room.size()));
  if (values.data() != room.data()) std::copy(values.begin(), values.end(), room.begin());
  return std::span<const T>(room.first(values.size()));
}

} // namespace

ModelRank::ModelRank(Program program, std::shared_ptr<Backend> backend, std::string prefix)
    : program_(std::move(program)), prefix_(std::move(prefix)), backend_(backend ? std::move(backend) : cpu_backend()) {}

ModelRank::ModelRank(ModelRank&&) noexcept = default;

ModelRank::~ModelRank() {
  if (workspace_.data() != nullptr) (void)backend_->use_workspace(nullptr, 0); // before it is given back
}

Result<void> ModelRank::take_workspace(Arena& arena) {
  const std::array<std::uint64_t, 1> shape{kCublasWorkspaceBytes};
  PLIMSOLL_ASSIGN(workspace_, arena.allocate(Category::kOverhead, "overhead.cublas", ElementType::kUint8, shape));
  return backend_->use_workspace(workspace_.data(), workspace_.bytes());
}

Result<void> ModelRank::take_memory(Arena& arena, bool others_read, std::uint64_t vision_bytes) {
  const std::array<std::uint64_t, 1> bytes{program_.shared_slab_bytes()};
  const std::string slab = prefix_ + "activation.slab", tables = prefix_ + "activation.tables";
  PLIMSOLL_ASSIGN(slab_, others_read ? arena.allocate_shared(Category::kActivation, slab, ElementType::kUint8, bytes)
                                     : arena.allocate(Category::kActivation, slab, ElementType::kUint8, bytes, true));
  PLIMSOLL_ASSIGN(tokens_, take_table(arena, tables, ElementType::kInt64, {program_.most_tokens}));
  PLIMSOLL_ASSIGN(row_offsets_, take_table(arena, tables, ElementType::kUint32, {program_.most_sequences + 1}));
  PLIMSOLL_ASSIGN(return_n_logits_, take_table(arena, tables, ElementType::kInt64, {1}));
  if (program_.head) PLIMSOLL_TRY(take_head_memory(arena));
  if (program_.images.most_rows > 0) PLIMSOLL_TRY(take_image_memory(arena, vision_bytes));
  if (program_.adapters.slots == 0) return {};
  PLIMSOLL_ASSIGN(lora_ids_, take_table(arena, tables, ElementType::kInt32, {program_.most_sequences}));
  PLIMSOLL_ASSIGN(lora_ranks_, take_table(arena, tables, ElementType::kUint32, {program_.most_sequences}));
  return {};
}

Result<void> ModelRank::take_head_memory(Arena& arena) {
  const Program& head = *program_.head;
  const std::array<std::uint64_t, 1> bytes{head.slab_bytes};
  PLIMSOLL_ASSIGN(head_slab_, arena.allocate(Category::kActivation, "draft.activation.slab", ElementType::kUint8, bytes, true));
  PLIMSOLL_ASSIGN(head_tokens_, take_table(arena, "draft.activation.tables", ElementType::kInt64, {head.most_tokens}));
  PLIMSOLL_ASSIGN(head_row_offsets_, take_table(arena, "draft.activation.tables", ElementType::kUint32, {head.most_sequences + 1}));
  return {};
}

Result<void> ModelRank::take_image_memory(Arena& arena, std::uint64_t vision_bytes) {
  PLIMSOLL_ASSIGN(position_ids_, take_table(arena, prefix_ + "activation.tables", ElementType::kUint32, {program_.most_tokens, 3}));
  if (!program_.encoder) return {};
  PLIMSOLL_ASSIGN(image_rows_, take_table(arena, prefix_ + "activation.tables", ElementType::kUint32, {program_.most_tokens}));
  PLIMSOLL_ASSIGN(patch_positions_,
                  take_table(arena, prefix_ + "activation.tables", ElementType::kUint32, {program_.encoder->most_tokens, 3}));
  const std::optional<ElementType> type = find_element_type(program_.images.dtype);
  if (!type)
    return fail(ErrorCode::kUnsupportedArchitecture,
                fmt::format("encoded images are kept as {}, which is no type here", program_.images.dtype));
  const std::uint64_t row_bytes = program_.images.row_elements * element_bytes(*type);
  const std::array<std::uint64_t, 2> shape{vision_bytes / row_bytes, program_.images.row_elements};
  PLIMSOLL_ASSIGN(vision_cache_, arena.allocate(Category::kVisionCache, "vision_cache", *type, shape));
  return {};
}

Result<void> ModelRank::load_weights(Arena& arena, const LoadProgress& progress) {
  const auto place = [&](const WeightTensor& tensor) -> Result<std::span<std::byte>> {
    const std::optional<ElementType> type = find_element_type(tensor.dtype);
    if (!type) return fail(ErrorCode::kUnsupportedArchitecture, fmt::format("'{}' is stored as {}", tensor.label, tensor.dtype));
    const std::array<std::uint64_t, 1> shape{tensor.bytes / element_bytes(*type)};
    PLIMSOLL_ASSIGN(Buffer buffer, arena.allocate(Category::kWeights, prefix_ + tensor.label, *type, shape));
    weights_.push_back(std::move(buffer));
    if (!backend_->on_host()) return stage(tensor.bytes);
    return std::span(static_cast<std::byte*>(weights_.back().data()), tensor.bytes);
  };
  const auto told = [&](std::uint64_t done, std::uint64_t total) -> Result<void> {
    if (progress) progress(done, total);
    return {};
  };
  if (backend_->on_host()) {
    PLIMSOLL_TRY(plimsoll::load_weights(program_.weights, place, told));
    return {};
  }
  // One tensor after the other, through memory of the host.
  std::uint64_t done = 0, total = 0;
  for (const WeightTensor& tensor : program_.weights.tensors) total += tensor.bytes;
  for (const WeightTensor& tensor : program_.weights.tensors) {
    WeightSources one;
    one.files = program_.weights.files;
    one.tensors = {tensor};
    PLIMSOLL_ASSIGN(const std::vector<std::span<std::byte>> loaded, plimsoll::load_weights(one, place));
    backend_->copy_in(weights_.back().data(), loaded.front().data(), tensor.bytes);
    done += tensor.bytes;
    PLIMSOLL_TRY(told(done, total));
  }
  staged_ = {};
  return backend_->synchronize();
}

Result<std::span<std::byte>> ModelRank::stage(std::uint64_t bytes) {
  try {
    if (staged_.size() * sizeof(std::uint64_t) < bytes) staged_.resize(ceil_div(bytes, sizeof(std::uint64_t)));
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kOutOfMemory,
                fmt::format("{} B of host memory, through which a weight goes to the device, were refused", bytes));
  }
  return std::as_writable_bytes(std::span(staged_)).first(bytes);
}

Result<ForwardOutputs<float>> ModelRank::on_host(ForwardOutputs<float> outputs) {
  if (backend_->on_host()) return outputs;
  const std::uint64_t elements = outputs.rows * outputs.width;
  if (shown_logits_.empty() && logits_.size() < elements) logits_.resize(elements);
  const std::span<float> to = shown_logits_.empty() ? std::span(logits_) : shown_logits_;
  if (elements > to.size())
    return fail(ErrorCode::kInternal, fmt::format("{} logits, where {} can be shown to other processes", elements, to.size()));
  backend_->copy_out(to.data(), outputs.logits, elements * sizeof(float));
  PLIMSOLL_TRY(backend_->synchronize());
  outputs.logits = to.data();
  return outputs;
}

Result<void> ModelRank::bind(KvCache& cache, const KvGeometry& geometry, Communicator* communicator) {
  std::vector<ExecutorKvGroup> groups;
  pools_.clear();
  const std::uint32_t rank = program_.rank;
  for (std::size_t group = 0; group < geometry.n_groups(); ++group) {
    ExecutorKvGroup& to = groups.emplace_back();
    to.geometry = geometry.group(rank, group);
    to.pool = cache.blocks(rank, geometry.shared_blocks ? 0 : group).data();
    pools_.push_back(cache.blocks(rank, group).data());
    const bool rows = to.geometry.kind == CacheKind::kState && !geometry.shared_blocks;
    const KvGroupPool& pool = geometry.pool(rank, geometry.shared_blocks ? 0 : group);
    to.pages = rows ? pool.state_rows : pool.pages;
    to.page_stride_bytes = geometry.shared_blocks ? geometry.block_bytes(rank)
                           : rows                 ? to.geometry.state_row_bytes
                                                  : to.geometry.page_bytes;
    for (std::uint64_t layer = 0; layer < to.geometry.n_layers; ++layer) to.layers.push_back(cache.manager().place(rank, group, layer));
  }
  return make_executor(std::move(groups), communicator);
}

Result<void> ModelRank::bind_alone(Arena& arena, Communicator* communicator) {
  PLIMSOLL_ASSIGN(cache_lengths_, take_table(arena, prefix_ + "activation.tables", ElementType::kUint32, {program_.most_sequences}));
  PLIMSOLL_ASSIGN(max_lengths_, take_table(arena, prefix_ + "activation.tables", ElementType::kUint32, {1, 2}));
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> lengths, cache_lengths_.values<std::uint32_t>());
  std::fill(lengths.begin(), lengths.end(), 0U);
  return make_executor({}, communicator);
}

Result<void> ModelRank::make_executor(std::vector<ExecutorKvGroup> groups, Communicator* communicator) {
  std::vector<const void*> weights;
  for (const Buffer& buffer : weights_) weights.push_back(buffer.data());
  ExecutorOptions options;
  options.communicator = communicator;
  if (program_.head) {
    PLIMSOLL_ASSIGN(head_,
                    Executor<float>::create(*program_.head, backend_, weights, groups, {head_slab_.data(), head_slab_.bytes()}, options));
  }
  PLIMSOLL_ASSIGN(executor_,
                  Executor<float>::create(program_, backend_, weights, std::move(groups), {slab_.data(), slab_.bytes(), slots_}, options));
  if (program_.encoder) {
    PLIMSOLL_ASSIGN(encoder_, Executor<float>::create(*program_.encoder, backend_, weights, {}, {slab_.data(), slab_.bytes()}, options));
  }
  return {};
}

// Its rows go into the cache, as many into each block as that holds.
Result<void> ModelRank::encode(const StepInputs::Encoded& image) {
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> positions, patch_positions_.values<std::uint32_t>());
  PLIMSOLL_ASSIGN(const Rows<const float> rows,
                  encoder_->encode({{image.image->pixels.data(), image.image->height, image.image->width}, positions}));
  const std::uint64_t block_rows = program_.images.block_rows, cache_rows = vision_cache_.shape()[0];
  for (std::size_t i = 0; i < image.blocks.size(); ++i) {
    const std::uint64_t first = i * block_rows, to = image.blocks[i] * block_rows;
    const std::uint64_t count = std::min(block_rows, rows.rows - std::min(rows.rows, first));
    if (to + count > cache_rows) return fail(ErrorCode::kInternal, fmt::format("block {} is beyond the vision cache", image.blocks[i]));
    backend_->ops(float{}).store_rows({rows.data + first * rows.width, count, rows.width}, vision_cache_.data(), vision_cache_.type(),
                                      to * rows.width);
  }
  return backend_->synchronize();
}

Result<ForwardOutputs<float>> ModelRank::run(const StepInputs& step, const KvDeviceInputs* kv, const KvGeometry& geometry) {
  const auto is_bound = [](const KvGroupTensors& group, const std::byte* pool) { return group.blocks.data() == pool; };
  if (kv != nullptr && !std::equal(kv->groups.begin(), kv->groups.end(), pools_.begin(), pools_.end(), is_bound))
    return fail(ErrorCode::kBadRequest, "the inputs are of another KV cache than the model's, which load_kv_manager made last");
  ExecutorInputs inputs;
  if (kv != nullptr) {
    PLIMSOLL_ASSIGN(inputs, kv_inputs(*kv, geometry, program_.rank));
  } else {
    PLIMSOLL_ASSIGN(inputs.kv.cache_lengths, cache_lengths_.values<std::uint32_t>());
    PLIMSOLL_ASSIGN(inputs.kv.max_lengths, max_lengths_.values<std::uint32_t>());
    inputs.kv.batch = static_cast<std::uint32_t>(step.row_offsets.size() - 1);
  }
  if (step.head && !head_) return fail(ErrorCode::kInternal, "no head drafts here");
  ForwardInputs pass;
  PLIMSOLL_ASSIGN(const std::span<const std::int64_t> tokens, own_copy(step.head ? head_tokens_ : tokens_, step.tokens));
  PLIMSOLL_ASSIGN(pass.row_offsets, own_copy(step.head ? head_row_offsets_ : row_offsets_, step.row_offsets));
  pass.tokens = TokenIds(tokens);
  pass.kv = inputs.kv;
  pass.logits_per_sequence = step.logits_per_sequence;
  if (step.head) {
    pass.taken = {step.head->of_model ? executor_->handed() : nullptr, step.head->rows, step.head->most};
    return head_->run(pass);
  }
  if (!step.positions.empty()) {
    PLIMSOLL_ASSIGN(pass.positions, own_copy(position_ids_, step.positions));
  }
  if (encoder_) {
    for (const StepInputs::Encoded& image : step.images) PLIMSOLL_TRY(encode(image));
    if (!step.image_rows.empty()) {
      PLIMSOLL_ASSIGN(pass.image_rows, own_copy(image_rows_, step.image_rows));
      pass.encoded = {vision_cache_.data(), vision_cache_.type(), vision_cache_.shape()[0]};
    }
  }
  if (program_.adapters.slots > 0) {
    PLIMSOLL_ASSIGN(pass.adapters, own_copy(lora_ids_, step.adapters));
  }
  return executor_->run(pass);
}

} // namespace plimsoll
