#include "runtime/reference_model.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <mutex>
#include <utility>

#include "backend/blas_memory.hpp"
#include "base/checked.hpp"
#include "runtime/remote_replica.hpp"
#include "runtime/replica_group.hpp"
#include "runtime/shared_window.hpp"
#include "runtime/thread_group.hpp"
#include "runtime/token_positions.hpp"
#include "schedule/exchange.hpp"
#include "schedule/nccl_memory.hpp"

namespace plimsoll {
namespace {

// The bytes that the plan sets aside for a label on a rank.
std::uint64_t planned_bytes(const Plan& plan, std::uint32_t rank, Category category, std::string_view label) {
  std::uint64_t sum = 0;
  for (const Item& item : plan.items)
    if (item.category == category && item.label == label && rank < item.bytes.size()) sum += item.bytes[rank];
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

// Whether other processes read the slab, which has the logits: of the last of several stages, or of another replica. What a draft says
// only those of its own replica read.
bool others_read(const Plan& plan, const Program& program, bool drafts) {
  const bool last = program.rank + program.tensor_ranks >= program.tensor_ranks * program.stages;
  return last && (program.stages > 1 || (plan.request.dp > 1 && !drafts));
}

std::uint64_t logits_bytes(const Program& program) {
  if (program.logits == kNoIndex) return 0;
  return (Checked(program.most_outputs) * program.values[program.logits].width * sizeof(float)).saturated();
}

// The bytes of a process that the others see: its signal buffers, and its slab where they read it. Of a rank on a device a copy of the
// logits alone. `draft`: of the same rank, or null.
std::uint64_t shared_bytes(const Plan& plan, const Program& program, const Program* draft, bool on_device) {
  Checked sum = 0;
  const auto add = [&](std::uint64_t more) { sum += ceil_div(more, kWindowAlignBytes) * kWindowAlignBytes; };
  for (const Item& item : plan.items)
    if (item.category == Category::kSignalBuffer) add(item.bytes[program.rank]);
  if (sum.saturated() == 0) add(std::max(program_exchange_bytes(program), draft != nullptr ? exchange_bytes(*draft) : 0));
  if (on_device) sum = 0;
  const auto add_logits = [&](const Program& of) { add(on_device ? logits_bytes(of) : Executor<float>::slab_bytes(of)); };
  if (others_read(plan, program, false)) add_logits(program);
  if (draft != nullptr && others_read(plan, *draft, true)) add_logits(*draft);
  return sum.saturated();
}

// Windows of so many bytes as each process says.
Result<void> share_windows(Processes::Impl& with, std::uint64_t own_bytes) {
  PLIMSOLL_ASSIGN(const std::vector<std::string> said, with.gather(fmt::format("{}", own_bytes)));
  std::vector<std::uint64_t> of_each;
  for (const std::string& text : said) of_each.push_back(std::strtoull(text.c_str(), nullptr, 10));
  return with.share(of_each);
}

// What a step computes, as a number that is another one for another step.
std::uint64_t hash_of(const StepInputs& step, const KvDeviceInputs* device) {
  std::uint64_t hash = step_hash(step.logits_per_sequence, std::as_bytes(step.tokens));
  hash = step_hash(hash, std::as_bytes(step.row_offsets));
  hash = step_hash(hash, std::as_bytes(step.image_rows));
  if (step.head) hash = step_hash(hash + 1, std::as_bytes(step.head->rows));
  if (device == nullptr) return hash;
  const auto lengths = device->cache_lengths.values<std::uint32_t>();
  return lengths ? step_hash(hash, std::as_bytes(*lengths)) : hash;
}

// A view of logits in memory of this process, until the next pass.
Result<Tensor> view_of_logits(const ForwardOutputs<float>& computed) {
  float* const data = const_cast<float*>(computed.logits); // NOLINT: a tensor names memory that the model owns
  const std::array<std::uint64_t, 2> shape{computed.rows, computed.width};
  return Tensor::view(std::as_writable_bytes(std::span(data, computed.rows * computed.width)), shape, ElementType::kFloat32);
}

} // namespace

class ReferenceModel::Inputs : public TextInputs {
public:
  struct Image {
    MediaSpan span;
    std::uint64_t first_row = 0;                      // of it, in the step
    std::uint64_t first_token = 0, length_tokens = 0; // of the step
  };
  std::vector<Image> images;
};

// The head's runs on all ranks, over what theirs of the model left.
class ReferenceModel::Head : public DraftHead {
public:
  explicit Head(ReferenceModel& model) : model_(model) {}

  Result<ModelOutputs> follow(const ModelInputs& of_pass, std::span<const std::vector<Token>> next) override {
    PLIMSOLL_ASSIGN(const std::span<std::uint32_t> offsets, values_of<std::uint32_t>(of_pass, "input_row_offsets"));
    if (next.size() + 1 != offsets.size())
      return fail(ErrorCode::kBadRequest, fmt::format("next tokens of {} requests behind a pass of {}", next.size(), offsets.size() - 1));
    PLIMSOLL_TRY(begin(next.size()));
    for (std::size_t i = 0; i < next.size(); ++i) {
      const std::uint32_t rows = offsets[i + 1] - offsets[i];
      if (next[i].empty() || next[i].size() > rows)
        return fail(ErrorCode::kBadRequest,
                    fmt::format("{} next tokens of request {} behind a pass of {} rows of it", next[i].size(), i, rows));
      for (std::size_t n = 0; n < next[i].size(); ++n) PLIMSOLL_TRY(add(next[i][n], offsets[i] + static_cast<std::uint32_t>(n)));
      end_request(i);
    }
    return run(of_pass.kv_cache_inputs, true, offsets.back());
  }

  Result<ModelOutputs> go_on(std::span<const std::uint32_t> before, std::span<const Token> tokens, KvCacheInputs kv) override {
    if (before.size() != tokens.size())
      return fail(ErrorCode::kBadRequest, fmt::format("{} tokens of {} requests", tokens.size(), before.size()));
    const std::vector<std::uint32_t> last = std::exchange(last_rows_, {});
    const std::uint64_t most = rows_.size();
    PLIMSOLL_TRY(begin(before.size()));
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (before[i] >= last.size())
        return fail(ErrorCode::kBadRequest, fmt::format("request {} of a run of {} goes on", before[i], last.size()));
      PLIMSOLL_TRY(add(tokens[i], last[before[i]]));
      end_request(i);
    }
    return run(kv, false, most);
  }

  std::uint64_t runs() const noexcept override { return runs_; }

private:
  Result<void> begin(std::size_t requests) {
    ++runs_;
    rows_.clear();
    last_rows_.clear();
    PLIMSOLL_ASSIGN(tokens_, model_.ranks_.front().head_tokens().values<std::int64_t>());
    PLIMSOLL_ASSIGN(offsets_, model_.ranks_.front().head_row_offsets().values<std::uint32_t>());
    if (requests == 0 || requests >= offsets_.size())
      return fail(ErrorCode::kBadRequest,
                  fmt::format("a head drafts for {} requests; the plan is for 1 to {}", requests, offsets_.size() - 1));
    offsets_[0] = 0;
    return {};
  }
  Result<void> add(Token token, std::uint32_t row) {
    if (rows_.size() == tokens_.size())
      return fail(ErrorCode::kBadRequest, fmt::format("a head drafts over more than the {} tokens that the plan is for", tokens_.size()));
    tokens_[rows_.size()] = token;
    rows_.push_back(row);
    return {};
  }
  void end_request(std::size_t i) {
    offsets_[i + 1] = static_cast<std::uint32_t>(rows_.size());
    last_rows_.push_back(offsets_[i + 1] - 1);
  }
  Result<ModelOutputs> run(const std::optional<KvCacheInputs>& kv, bool of_model, std::uint64_t most) {
    if (!kv || kv->devices.size() != model_.ranks_.size() || !model_.ranks_.front().is_bound())
      return fail(ErrorCode::kBadRequest, "the inputs do not say where in the KV cache the requests stand");
    StepInputs step;
    step.tokens = tokens_.first(rows_.size());
    step.row_offsets = offsets_.first(last_rows_.size() + 1);
    step.head = StepInputs::Head{rows_, of_model, most};
    PLIMSOLL_ASSIGN(const ForwardOutputs<float> computed, model_.run_ranks(step, kv->devices));
    PLIMSOLL_ASSIGN(const Tensor logits, view_of_logits(computed));
    return ModelOutputs::create(logits, logits);
  }

  ReferenceModel& model_;
  std::uint64_t runs_ = 0;
  std::vector<std::uint32_t> rows_;      // of the run: what each token takes
  std::vector<std::uint32_t> last_rows_; // of the run: each request's last
  std::span<std::int64_t> tokens_;       // memory of the first rank
  std::span<std::uint32_t> offsets_;
};

ReferenceModel::~ReferenceModel() = default;

DraftHead* ReferenceModel::draft_head() noexcept { return head_.get(); }

ReferenceModel::ReferenceModel(std::vector<Program> programs, PipelineModelOptions options, ReferenceModel* drafts_for)
    : PipelineModel(options), drafts_for_(drafts_for), replica_(options.replica), logit_offsets_(programs.front().most_sequences + 1),
      threads_(static_cast<std::uint32_t>(arenas().size())) {
  const std::uint32_t tensor_ranks = programs.front().tensor_ranks, stages = programs.front().stages;
  const Program& last = programs[std::size_t{tensor_ranks} * (stages - 1)];
  if (last.logits != kNoIndex) logits_offset_bytes_ = last.values[last.logits].offset_bytes;
  ranks_.reserve(arenas().size());
  for (std::size_t i = 0; i < arenas().size(); ++i)
    ranks_.emplace_back(std::move(programs[arenas()[i].rank()]), i < options.backends.size() ? options.backends[i] : nullptr,
                        drafts_for == nullptr ? "" : "draft.");
  own_buffers_.resize(ranks_.size());
  if (program().head) head_ = std::make_unique<Head>(*this);
  if (const ProgramImages& images = program().images; images.most_rows > 0) {
    const std::uint64_t row_bytes = images.row_elements * element_bytes(find_element_type(images.dtype).value_or(ElementType::kFloat32));
    images_.emplace(planned_bytes(plan(), 0, Category::kVisionCache, "vision_cache") / (row_bytes * images.block_rows), images.block_rows);
    image_rows_.resize(program().most_tokens);
  }
  const GroupShape shape{tensor_ranks, stages, program().replicas};
  if (drafts_for != nullptr && !drafts_for->shares_experts()) { // replicas that do draft each for itself
    own_group_ = drafts_for->own_group_;
    among_processes_ = drafts_for->among_processes_;
    devices_ = drafts_for->devices_;
  } else if (processes()) {
    auto group = std::make_shared<ProcessGroup>(processes(), shape, shares_experts() ? 0 : replica_ * shape.ranks());
    among_processes_ = group.get();
    own_group_ = std::move(group);
  } else if (shares_experts()) {
    replicas_ = options.group;
  } else {
    own_group_ = std::make_shared<ThreadGroup>(tensor_ranks, stages);
  }
  group_ = replicas_ ? &replicas_->impl().threads() : own_group_.get();
}

Result<std::unique_ptr<PipelineModel>> ReferenceModel::create(Programs all, PipelineModelOptions options,
                                                              LoraManager::Impl::FindSources find, const LoadProgress& progress) {
  std::vector<Program>& programs = all.model;
  const bool alone = !options.processes;
  const std::size_t all_ranks = programs.size() * std::max<std::uint32_t>(options.plan.request.dp, 1);
  if (!alone && options.processes->size() != all_ranks)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} processes for a plan of {} ranks; each is one", options.processes->size(), all_ranks));
  if (programs.empty() || options.arenas.size() != (alone ? programs.size() : 1))
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} arenas for a plan of {} ranks; each rank has its own", options.arenas.size(), programs.size()));
  if (programs.size() != std::size_t{programs.front().tensor_ranks} * programs.front().stages)
    return fail(ErrorCode::kBadRequest,
                fmt::format("a plan of {} ranks in replicas; a model is one of them, as replica_plan cuts it", programs.size()));
  for (std::size_t i = 0; i < options.arenas.size(); ++i)
    if (options.arenas[i].rank() != (alone ? i : options.processes->rank() - options.replica * programs.size()))
      return fail(ErrorCode::kBadRequest, fmt::format("arena {} is that of rank {}; they must be in order", i, options.arenas[i].rank()));
  if (!options.backends.empty() && options.backends.size() != options.arenas.size())
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} devices for {} ranks here; each computes on its own", options.backends.size(), options.arenas.size()),
                "--device-backend");
  const bool on_devices = !options.backends.empty() && !options.backends.front()->on_host();
  const std::uint32_t sharing = programs.front().replicas;
  if (on_devices && sharing > 1)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} replicas on GPUs share experts, and those that do meet in memory of the host; leave out --ep, or give "
                            "--device-backend cpu",
                            sharing),
                "--device-backend");
  if (sharing > 1 && (options.plan.request.dp != sharing || options.replica >= sharing))
    return fail(ErrorCode::kBadRequest,
                fmt::format("replica {} of {}, of a program of {}", options.replica, options.plan.request.dp, sharing));
  if (sharing > 1 && alone && !(options.group && options.group->impl().is_of(programs.front())))
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} replicas share experts and meet nowhere; give each of their models the same ReplicaGroup", sharing));
  if (std::any_of(all.draft.begin(), all.draft.end(), [](const Program& draft) { return draft.replicas > 1; }))
    return fail(ErrorCode::kBadRequest, "a draft that shares experts with other replicas; each drafts at a time of its own", "--draft");
  if (!alone) {
    const std::uint32_t rank = options.arenas.front().rank();
    const Program* const draft = rank < all.draft.size() ? &all.draft[rank] : nullptr;
    PLIMSOLL_TRY(share_windows(options.processes->impl(), shared_bytes(options.plan, programs[rank], draft, on_devices)));
  }
  const bool paged = options.plan.kv_geometry.n_groups() > 0;
  std::unique_ptr<ReferenceModel> model(paged ? new PagedReferenceModel(std::move(programs), std::move(options))
                                              : new ReferenceModel(std::move(programs), std::move(options)));
  PLIMSOLL_TRY(model->take_memory());
  PLIMSOLL_TRY(model->join_devices());
  PLIMSOLL_TRY(model->count_blas());
  PLIMSOLL_TRY(model->load_weights(progress));
  if (model->program().adapters.slots > 0) {
    PLIMSOLL_TRY(model->take_slots(std::move(find)));
  }
  if (!all.draft.empty()) PLIMSOLL_TRY(model->add_draft(std::move(all.draft)));
  if (!paged) PLIMSOLL_TRY(model->bind_alone());
  return model;
}

Result<void> ReferenceModel::take_memory() {
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    const Program& program = ranks_[i].program();
    const bool read = processes() && others_read(plan(), program, drafts_for_ != nullptr), shared = read && !ranks_[i].on_device();
    const std::uint64_t vision_bytes = planned_bytes(plan(), program.rank, Category::kVisionCache, "vision_cache");
    PLIMSOLL_TRY(ranks_[i].take_memory(arenas()[i], shared, vision_bytes));
    if (!read || shared) continue;
    const std::shared_ptr<MemorySource> window = processes()->memory();
    const std::uint64_t bytes = logits_bytes(program);
    PLIMSOLL_ASSIGN(void* const logits, window->take_shared(bytes));
    shown_logits_ = std::shared_ptr<void>(logits, [window, bytes](void* memory) { window->give_back(memory, bytes, false); });
    ranks_[i].show_logits({static_cast<float*>(logits), bytes / sizeof(float)});
  }
  if (processes()) {
    Processes::Impl& with = processes()->impl();
    (drafts_for_ == nullptr ? with.own().logits_offset : with.own().draft_logits_offset).store(with.offset_of(shown_logits()));
  }
  return {};
}

// What NCCL takes is set aside as the plan bounds it; what the driver says that it took at once is held against that.
Result<void> ReferenceModel::join_devices() {
  if (n_ranks() == 1 || !ranks_.front().on_device()) return {};
  NcclGroup::Ranks ranks{program().tensor_ranks, program().stages, {}, {}};
  std::vector<std::uint64_t> free_before;
  for (const ModelRank& rank : ranks_) {
    ranks.here.push_back(rank.program().rank);
    ranks.backends.push_back(rank.backend());
    free_before.push_back(rank.backend()->free_bytes().value_or(0));
  }
  NcclGroup::Gather gather;
  if (processes())
    gather = [this](std::string_view mine) -> Result<std::vector<std::string>> {
      PLIMSOLL_ASSIGN(const std::vector<std::string> all, processes()->gather(mine));
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(replica_) * n_ranks();
      return std::vector<std::string>(first, first + n_ranks());
    };
  PLIMSOLL_ASSIGN(devices_, NcclGroup::create(*group_, std::move(ranks), gather));
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    const std::uint64_t free_after = ranks_[i].backend()->free_bytes().value_or(0);
    const std::uint64_t taken = free_before[i] - std::min(free_before[i], free_after);
    PLIMSOLL_TRY(arenas()[i].count(Category::kOverhead, kCollectivesLabel,
                                   std::max(taken, planned_bytes(plan(), arenas()[i].rank(), Category::kOverhead, kCollectivesLabel))));
  }
  return {};
}

Communicator* ReferenceModel::communicator(std::size_t i) {
  if (!meets_others()) return nullptr;
  return devices_ ? &devices_->communicator(i) : &group_->communicator(first_in_group() + ranks_[i].program().rank);
}

const void* ReferenceModel::shown_logits() const {
  if (ranks_.front().on_device()) return shown_logits_.get();
  return static_cast<const std::byte*>(ranks_.front().slab()) + logits_offset_bytes_;
}

// Of threads one says it for all.
bool ReferenceModel::is_heard(std::uint32_t rank) const {
  const std::uint32_t last = n_ranks() - program().tensor_ranks;
  return among_processes_ != nullptr ? rank >= last : rank == last;
}

Result<void> ReferenceModel::take_slots(LoraManager::Impl::FindSources find) {
  std::vector<AdapterSlots> of_ranks;
  std::vector<std::shared_ptr<Backend>> backends;
  for (const ModelRank& rank : ranks_) {
    of_ranks.push_back(rank.program().adapters);
    backends.push_back(rank.backend());
  }
  PLIMSOLL_ASSIGN(adapters_, LoraManager::Impl::create(std::move(of_ranks), std::move(find), std::move(backends), arenas()));
  for (std::size_t i = 0; i < ranks_.size(); ++i) ranks_[i].use_slots(adapters_->impl().memory(i));
  return {};
}

// Its memory is counted in the same arenas, and what ranks hand one another goes through the same buffers: one computes at a time.
Result<void> ReferenceModel::add_draft(std::vector<Program> programs) {
  PipelineModelOptions options;
  options.plan = plan();
  options.arenas.assign(arenas().begin(), arenas().end());
  options.processes = processes();
  options.replica = replica_;
  for (const ModelRank& rank : ranks_) options.backends.push_back(rank.backend());
  draft_.reset(new ReferenceModel(std::move(programs), std::move(options), this)); // NOLINT: its constructor is private
  PLIMSOLL_TRY(draft_->take_memory());
  return draft_->load_weights({});
}

// What the BLAS keeps for itself is set aside as the plan bounds it; that it takes no more for this model is measured. It keeps what it
// took for models before, whose plans count that.
Result<void> ReferenceModel::count_blas() {
  if (ranks_.front().on_device()) {
    for (std::size_t i = 0; i < ranks_.size(); ++i) PLIMSOLL_TRY(ranks_[i].take_workspace(arenas()[i]));
    return {};
  }
  static std::mutex mutex;
  static std::uint64_t before = 0;
  const std::scoped_lock lock(mutex);
  const std::uint32_t ranks =
      static_cast<std::uint32_t>(ranks_.size()) * (processes() ? 1 : plan().request.dp); // of all replicas here: they multiply together
  PLIMSOLL_ASSIGN(const std::uint64_t taken, blas_bytes(program().most_rows_at_once(), ranks));
  const std::uint64_t grown = taken - std::exchange(before, taken); // what was taken stays taken
  for (Arena& arena : arenas())
    PLIMSOLL_TRY(arena.count(
        Category::kOverhead, "overhead.blas",
        std::max(ceil_div(grown, std::uint64_t{ranks}), planned_bytes(plan(), arena.rank(), Category::kOverhead, "overhead.blas"))));
  return {};
}

Result<void> ReferenceModel::load_weights(const LoadProgress& progress) {
  for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
    LoadProgress of_all;
    if (progress) of_all = [&](std::uint64_t done, std::uint64_t total) { progress(rank * total + done, ranks_.size() * total); };
    PLIMSOLL_TRY(ranks_[rank].load_weights(arenas()[rank], of_all));
  }
  return {};
}

StepLimits ReferenceModel::step_limits() const {
  const Program& p = program();
  const std::uint64_t rows = p.vector_elements != 0 ? std::min(p.most_outputs, p.most_sequences) : p.most_outputs;
  return {p.most_tokens, p.most_sequences, rows, p.vocab_tokens, p.vector_elements, p.pooling, p.normalised};
}

std::optional<ImageLimits> ReferenceModel::image_limits() const {
  if (!images_) return std::nullopt;
  return ImageLimits{program().images, images_->total_blocks(), program().most_context_tokens};
}

Result<KvCache> ReferenceModel::bind_pages(const Plan& plan, std::span<Arena> arenas, const KvCacheOptions& options) {
  KvCacheOptions planned = options;
  planned.most_sequences = program().most_sequences;
  planned.most_context_tokens = program().most_context_tokens;
  planned.own_rank_alone = among_processes_ != nullptr;
  PLIMSOLL_ASSIGN(KvCache cache, KvCache::create(plan, arenas, planned));
  if (meets_others()) PLIMSOLL_TRY(exchange_buffers()); // taken now, so that what is not there is known now
  PLIMSOLL_TRY(bind(cache, plan.kv_geometry));
  if (draft_) PLIMSOLL_TRY(draft_->bind(cache, plan.kv_geometry));
  return cache;
}

Result<void> ReferenceModel::bind_alone() {
  if (meets_others()) PLIMSOLL_TRY(exchange_buffers());
  for (std::size_t i = 0; i < ranks_.size(); ++i) PLIMSOLL_TRY(ranks_[i].bind_alone(arenas()[i], communicator(i)));
  return {};
}

Result<void> ReferenceModel::bind(KvCache& cache, const KvGeometry& geometry) {
  for (std::size_t i = 0; i < ranks_.size(); ++i) PLIMSOLL_TRY(ranks_[i].bind(cache, geometry, communicator(i)));
  return {};
}

Result<std::vector<std::span<std::byte>>> ReferenceModel::exchange_buffers() {
  if (drafts_for_ != nullptr) return drafts_for_->exchange_buffers();
  PLIMSOLL_ASSIGN(const std::span<const Tensor> planned, signal_buffers());
  std::vector<std::span<std::byte>> buffers(ranks_.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    const std::uint32_t rank = ranks_[i].program().rank;
    const auto of_rank = static_cast<std::size_t>(std::count_if(plan().items.begin(), plan().items.end(), [&](const Item& item) {
      return item.category == Category::kSignalBuffer && item.bytes[rank] > 0;
    }));
    const std::uint64_t of_draft = draft_ ? exchange_bytes(draft_->ranks_[i].program()) : 0;
    const std::uint64_t needed = std::max(program_exchange_bytes(ranks_[i].program()), of_draft);
    if (of_rank > 0) { // the first of its sites
      if (next < planned.size()) buffers[i] = {planned[next].data(), planned[next].bytes()};
    } else if (needed > 0) {
      Buffer& own = own_buffers_[i];
      if (own.data() == nullptr) {
        const std::array<std::uint64_t, 1> shape{needed};
        PLIMSOLL_ASSIGN(own, arenas()[i].allocate_shared(Category::kSignalBuffer, "signal_buffers", ElementType::kUint8, shape));
      }
      buffers[i] = {static_cast<std::byte*>(own.data()), own.bytes()};
    }
    next += of_rank;
  }
  return buffers;
}

Result<void> ReferenceModel::begin_step(const StepInputs& step, const KvDeviceInputs* device) {
  PLIMSOLL_ASSIGN(std::vector<std::span<std::byte>> buffers, exchange_buffers());
  if (devices_) {
    if (among_processes_ != nullptr) PLIMSOLL_TRY(among_processes_->begin(hash_of(step, device)));
    return devices_->use(std::move(buffers));
  }
  if (among_processes_ != nullptr) return among_processes_->begin(hash_of(step, device), buffers.front());
  return group_->use(buffers, first_in_group());
}

// Fields over the memory of the largest pass, cut to this one's size.
Result<std::unique_ptr<ReferenceModel::Inputs>> ReferenceModel::text_inputs(std::uint64_t tokens, std::uint64_t sequences) {
  if (tokens > program().most_tokens || sequences > program().most_sequences)
    return fail(ErrorCode::kBadRequest, fmt::format("a step of {} tokens of {} requests; the plan is for {} of {}", tokens, sequences,
                                                    program().most_tokens, program().most_sequences));
  auto inputs = std::make_unique<Inputs>();
  PLIMSOLL_ASSIGN(inputs->tokens, ranks_.front().tokens().first({tokens}));
  PLIMSOLL_ASSIGN(inputs->input_row_offsets, ranks_.front().row_offsets().first({sequences + 1}));
  inputs->return_n_logits = ranks_.front().return_n_logits();
  if (drafts_for_ != nullptr) return inputs; // its buffers are the model's
  PLIMSOLL_ASSIGN(const std::span<const Tensor> buffers, signal_buffers());
  inputs->signal_buffers.assign(buffers.begin(), buffers.end());
  return inputs;
}

// Positions of all tokens, where some request has images, and which images the tokens stand for.
Result<void> ReferenceModel::add_images(std::span<const TextContext* const> batch, Inputs& inputs) const {
  const auto has_images = [](const TextContext* context) {
    return std::any_of(context->media().begin(), context->media().end(), [](const MediaSpan& span) { return span.image != nullptr; });
  };
  if (std::none_of(batch.begin(), batch.end(), has_images)) return {};
  if (!images_)
    return fail(ErrorCode::kBadRequest, "the plan has no room for images; give --vision-cache-utilization, of the engine reference",
                "images");
  std::uint64_t total = 0;
  for (const TextContext* context : batch) total += context->active_length();
  PLIMSOLL_ASSIGN(inputs.position_ids, ranks_.front().position_ids().first({total, 3}));
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> positions, inputs.position_ids->values<std::uint32_t>());
  std::uint64_t token = 0;
  for (const TextContext* context : batch) {
    const std::uint64_t begin = context->processed_length(), active = context->active_length();
    write_token_positions(context->media(), begin, positions.subspan(token * 3, active * 3));
    for (const MediaSpan& span : context->media()) {
      const std::uint64_t first = std::max(span.begin_tokens, begin);
      const std::uint64_t end = std::min(span.begin_tokens + span.length_tokens, begin + active);
      if (span.image && first < end) inputs.images.push_back({span, first - span.begin_tokens, token + first - begin, end - first});
    }
    token += active;
  }
  return {};
}

// What the step needs in the cache, and what of that is still to be encoded.
Result<void> ReferenceModel::hold_images(const Inputs& inputs, StepInputs& step) {
  if (inputs.images.empty()) return {};
  std::vector<VisionCache::Wanted> wanted;
  for (const Inputs::Image& image : inputs.images) wanted.push_back({image_hash(image.span), image.span.length_tokens});
  PLIMSOLL_TRY(images_->hold(wanted));
  encoded_.clear();
  const std::span<std::uint32_t> rows = std::span(image_rows_).first(step.tokens.size());
  std::fill(rows.begin(), rows.end(), kNoImageRow);
  for (const Inputs::Image& image : inputs.images) {
    VisionCache::Entry& entry = images_->entry(image_hash(image.span));
    const auto listed = [&](const StepInputs::Encoded& one) { return one.blocks.data() == entry.blocks.data(); };
    if (!entry.encoded && std::none_of(encoded_.begin(), encoded_.end(), listed))
      encoded_.push_back({image.span.image.get(), entry.blocks});
    for (std::uint64_t i = 0; i < image.length_tokens; ++i)
      rows[image.first_token + i] = static_cast<std::uint32_t>(images_->pool_row(entry, image.first_row + i));
  }
  step.image_rows = rows;
  step.images = encoded_;
  return {};
}

Result<std::unique_ptr<ModelInputs>> ReferenceModel::prepare_initial_token_inputs(std::span<const TextContext* const> batch,
                                                                                  std::optional<KvCacheInputs> kv,
                                                                                  std::uint64_t return_n_logits) {
  std::uint64_t total = 0;
  for (const TextContext* context : batch) total += context->active_length();
  PLIMSOLL_ASSIGN(std::unique_ptr<Inputs> inputs, text_inputs(total, batch.size()));
  PLIMSOLL_TRY(add_images(batch, *inputs));
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> tokens, ranks_.front().tokens().values<std::int64_t>());
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> offsets, ranks_.front().row_offsets().values<std::uint32_t>());
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> logits, ranks_.front().return_n_logits().values<std::int64_t>());
  std::size_t at = 0;
  offsets[0] = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    for (const Token token : batch[i]->active_tokens()) tokens[at++] = token;
    offsets[i + 1] = static_cast<std::uint32_t>(at);
  }
  logits[0] = static_cast<std::int64_t>(std::min<std::uint64_t>(return_n_logits, INT64_MAX));
  if (adapters_) {
    PLIMSOLL_ASSIGN(inputs->lora_ids, ranks_.front().lora_ids().first({batch.size()}));
    PLIMSOLL_ASSIGN(inputs->lora_ranks, ranks_.front().lora_ranks().first({batch.size()}));
    PLIMSOLL_ASSIGN(const std::span<std::int32_t> ids, inputs->lora_ids->values<std::int32_t>());
    PLIMSOLL_ASSIGN(const std::span<std::uint32_t> ranks, inputs->lora_ranks->values<std::uint32_t>());
    PLIMSOLL_TRY(adapters_->route(batch, ids, ranks));
  } else if (drafts_for_ == nullptr &&
             std::any_of(batch.begin(), batch.end(), [](const TextContext* context) { return !context->adapter().empty(); })) {
    return fail(ErrorCode::kBadRequest, "the plan has no room for adapters; give --max-loras", "adapter");
  }
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
  std::vector<std::uint32_t> places; // each request's next one, behind the last that it has
  if (!previous->find("position_ids").empty()) {
    PLIMSOLL_ASSIGN(const std::span<std::uint32_t> positions, values_of<std::uint32_t>(*previous, "position_ids"));
    for (std::size_t i = 0; i < sequences; ++i) {
      const std::span<const std::uint32_t> last = positions.subspan(std::size_t{before[i + 1] - 1} * 3, 3);
      places.push_back(*std::max_element(last.begin(), last.end()) + 1);
    }
  }
  PLIMSOLL_ASSIGN(std::unique_ptr<Inputs> inputs, text_inputs(sequences, sequences));
  if (!places.empty()) {
    PLIMSOLL_ASSIGN(inputs->position_ids, ranks_.front().position_ids().first({sequences, 3}));
    PLIMSOLL_ASSIGN(const std::span<std::uint32_t> positions, inputs->position_ids->values<std::uint32_t>());
    for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = places[i / 3];
  }
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> tokens, ranks_.front().tokens().values<std::int64_t>());
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> offsets, ranks_.front().row_offsets().values<std::uint32_t>());
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> logits, ranks_.front().return_n_logits().values<std::int64_t>());
  if (const auto wide = next_tokens.values<std::int64_t>()) {
    std::copy(wide->begin(), wide->end(), tokens.begin());
  } else {
    PLIMSOLL_ASSIGN(const std::span<std::int32_t> narrow, next_tokens.values<std::int32_t>());
    std::copy(narrow.begin(), narrow.end(), tokens.begin());
  }
  for (std::size_t i = 0; i <= sequences; ++i) offsets[i] = static_cast<std::uint32_t>(i);
  logits[0] = 1;
  inputs->kv_cache_inputs = std::move(previous->kv_cache_inputs);
  inputs->lora_ids = std::move(previous->lora_ids);
  inputs->lora_ranks = std::move(previous->lora_ranks);
  return inputs;
}

// The slot of each request's adapter as the inputs say it, held against what is in the slots; empty where they say nothing.
Result<std::span<const std::int32_t>> ReferenceModel::adapter_slots(const ModelInputs& inputs, std::size_t sequences) const {
  if (!inputs.lora_ids && !inputs.lora_ranks) return std::span<const std::int32_t>();
  PLIMSOLL_ASSIGN(const std::span<std::int32_t> ids, values_of<std::int32_t>(inputs, "lora_ids"));
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> ranks, values_of<std::uint32_t>(inputs, "lora_ranks"));
  if (ids.size() != sequences || ranks.size() != sequences)
    return fail(ErrorCode::kBadRequest, fmt::format("{} lora_ids and {} lora_ranks for {} requests", ids.size(), ranks.size(), sequences));
  for (std::size_t i = 0; i < sequences; ++i) {
    if (ids[i] == -1 && ranks[i] == 0) continue;
    const auto rank = adapters_ && ids[i] >= 0 ? adapters_->slot_rank(static_cast<std::uint32_t>(ids[i])) : std::nullopt;
    if (rank != ranks[i])
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("request {} of the batch has an adapter of rank {} in slot {}, where there is none such", i, ranks[i], ids[i]),
          "lora_ids");
  }
  return std::span<const std::int32_t>(ids);
}

// All ranks at the same time. The first that cannot go on ends the others, with its error; a group of all replicas is made whole again by
// who runs them.
Result<void> ReferenceModel::on_ranks(const std::function<Result<void>(std::size_t rank)>& work) {
  std::vector<Result<void>> results(ranks_.size());
  threads_.run([&](std::uint32_t i) {
    results[i] = work(i);
    if (!results[i]) group_->abort(results[i].error());
  });
  if (own_group_)
    if (std::optional<Error> failed = own_group_->reset()) return tl::unexpected(std::move(*failed));
  for (Result<void>& result : results) PLIMSOLL_TRY(std::move(result));
  return {};
}

Result<std::uint64_t> ReferenceModel::execute_idle() {
  if (!shares_experts() || !ranks_.front().is_bound()) return PipelineModel::execute_idle();
  PLIMSOLL_TRY(begin_step({}, nullptr));
  std::vector<std::uint64_t> tokens(ranks_.size(), 0);
  PLIMSOLL_TRY(on_ranks([&](std::size_t i) -> Result<void> {
    PLIMSOLL_ASSIGN(tokens[i], ranks_[i].run_idle());
    return {};
  }));
  return tokens.front();
}

Result<ForwardOutputs<float>> ReferenceModel::run_ranks(const StepInputs& step, std::span<const KvDeviceInputs> devices) {
  const auto device = [&](std::size_t i) { return devices.empty() ? nullptr : &devices[i]; };
  const auto run = [&](std::size_t i) -> Result<ForwardOutputs<float>> {
    PLIMSOLL_ASSIGN(const ForwardOutputs<float> computed, ranks_[i].run(step, device(i), plan().kv_geometry));
    if (!is_heard(ranks_[i].program().rank)) return computed;
    return ranks_[i].on_host(computed);
  };
  if (!meets_others()) return run(0);
  PLIMSOLL_TRY(begin_step(step, device(0)));
  std::vector<ForwardOutputs<float>> results(ranks_.size());
  PLIMSOLL_TRY(on_ranks([&](std::size_t i) -> Result<void> {
    PLIMSOLL_ASSIGN(results[i], run(i));
    return {};
  }));
  const std::uint32_t last = n_ranks() - program().tensor_ranks; // has the logits
  if (among_processes_ == nullptr) return results[last];
  ForwardOutputs<float> own = results.front();
  if (program().rank >= last) return own;
  const std::byte* const logits = among_processes_->logits_of(first_in_group() + last, drafts_for_ != nullptr);
  if (logits == nullptr) return fail(ErrorCode::kInternal, fmt::format("the logits of rank {} are not in its window", last));
  own.logits = reinterpret_cast<const float*>(logits); // NOLINT: values of a slab are floats
  return own;
}

Result<ModelOutputs> ReferenceModel::execute(const ModelInputs& inputs) {
  if (!ranks_.front().is_bound()) return fail(ErrorCode::kBadRequest, "the model has no pages yet; load_kv_manager comes first");
  const bool paged = plan().kv_geometry.n_groups() > 0;
  if (paged && (!inputs.kv_cache_inputs || inputs.kv_cache_inputs->devices.size() != ranks_.size()))
    return fail(ErrorCode::kBadRequest, "the inputs do not say where in the KV cache the requests stand");
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> tokens, values_of<std::int64_t>(inputs, "tokens"));
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> offsets, values_of<std::uint32_t>(inputs, "input_row_offsets"));
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> wanted, values_of<std::int64_t>(inputs, "return_n_logits"));
  StepInputs step;
  step.tokens = tokens;
  step.row_offsets = offsets;
  if (!inputs.find("position_ids").empty()) {
    PLIMSOLL_ASSIGN(step.positions, values_of<std::uint32_t>(inputs, "position_ids"));
  }
  const auto* const own = dynamic_cast<const Inputs*>(&inputs);
  if (own != nullptr) PLIMSOLL_TRY(hold_images(*own, step));
  PLIMSOLL_ASSIGN(step.adapters, adapter_slots(inputs, offsets.size() - 1));
  if (return_logits() == ReturnLogits::kAll) step.logits_per_sequence = kAllRows;
  if (return_logits() == ReturnLogits::kVariable)
    step.logits_per_sequence = static_cast<std::uint64_t>(std::max<std::int64_t>(wanted.front(), 0));
  std::span<const KvDeviceInputs> devices;
  if (paged) devices = inputs.kv_cache_inputs->devices;
  PLIMSOLL_ASSIGN(const ForwardOutputs<float> computed, run_ranks(step, devices));
  if (own != nullptr)
    for (const Inputs::Image& image : own->images) images_->entry(image_hash(image.span)).encoded = true;

  // Views of the slab and of the offsets, until the next pass.
  PLIMSOLL_ASSIGN(Tensor logits, view_of_logits(computed));
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
  const auto ranks = static_cast<std::uint32_t>(options.plan.devices.size());
  const auto finder = [&](const AdapterSlots& slots) -> LoraManager::Impl::FindSources {
    return [context, model, slots](const std::string& directory) { return context.adapter(model, slots, directory); };
  };
  if (options.processes && ranks > 0 && options.processes->rank() / ranks != options.replica) {
    PLIMSOLL_ASSIGN(const Program first, context.program(model, request, 0));
    const std::uint32_t with_logits = ranks - std::min(ranks, first.tensor_ranks);
    const std::uint32_t process = options.replica * ranks + with_logits;
    PLIMSOLL_ASSIGN(Program program, context.program(model, request, process));
    return RemoteReplica::create(std::move(program), process, std::move(options), finder(first.adapters));
  }
  ReferenceModel::Programs programs;
  const std::uint32_t first = options.plan.request.dp > 1 ? options.replica * ranks : 0; // which may have other experts
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    PLIMSOLL_ASSIGN(Program program, context.program(model, request, first + rank));
    program.rank = rank; // of the replica
    programs.model.push_back(std::move(program));
    if (!request.draft) continue;
    PLIMSOLL_ASSIGN(Program draft, context.draft_program(model, request, first + rank));
    draft.rank = rank;
    programs.draft.push_back(std::move(draft));
  }
  LoraManager::Impl::FindSources find;
  if (!programs.model.empty() && programs.model.front().adapters.slots > 0) find = finder(programs.model.front().adapters);
  return ReferenceModel::create(std::move(programs), std::move(options), std::move(find), progress);
}

} // namespace plimsoll
