#include "runtime/remote_replica.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>

#include "backend/cpu_backend.hpp"
#include "runtime/processes.hpp"

namespace plimsoll {

RemoteReplica::RemoteReplica(Program program, std::uint32_t process, PipelineModelOptions options)
    : PipelineModel(std::move(options)), program_(std::move(program)), process_(process), logit_offsets_(program_.most_sequences + 1) {}

Result<std::unique_ptr<PipelineModel>> RemoteReplica::create(Program program, std::uint32_t process, PipelineModelOptions options,
                                                             LoraManager::Impl::FindSources find) {
  std::unique_ptr<RemoteReplica> made(new RemoteReplica(std::move(program), process, std::move(options)));
  if (made->program_.adapters.slots > 0) {
    PLIMSOLL_ASSIGN(made->adapters_, LoraManager::Impl::create({made->program_.adapters}, std::move(find), {cpu_backend()}, {}));
  }
  return made;
}

StepLimits RemoteReplica::step_limits() const {
  return {program_.most_tokens, program_.most_sequences, program_.most_outputs, program_.vocab_tokens};
}

Result<KvCache> RemoteReplica::load_kv_manager(const Plan& plan, std::span<Arena>, const KvCacheOptions& options) {
  KvCacheOptions elsewhere = options;
  elsewhere.pages_elsewhere = true;
  return KvCache::create(plan, {}, elsewhere);
}

Result<std::unique_ptr<ModelInputs>> RemoteReplica::prepare_initial_token_inputs(std::span<const TextContext* const> batch,
                                                                                 std::optional<KvCacheInputs>,
                                                                                 std::uint64_t return_n_logits) {
  std::uint64_t total = 0;
  for (const TextContext* const context : batch) total += context->active_length();
  auto inputs = std::make_unique<TextInputs>();
  PLIMSOLL_ASSIGN(inputs->tokens, Tensor::zeros({total}, ElementType::kInt64));
  PLIMSOLL_ASSIGN(inputs->input_row_offsets, Tensor::zeros({batch.size() + 1}, ElementType::kUint32));
  PLIMSOLL_ASSIGN(inputs->return_n_logits, Tensor::zeros({1}, ElementType::kInt64));
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> tokens, inputs->tokens.values<std::int64_t>());
  PLIMSOLL_ASSIGN(const std::span<std::uint32_t> offsets, inputs->input_row_offsets.values<std::uint32_t>());
  PLIMSOLL_ASSIGN(const std::span<std::int64_t> rows, inputs->return_n_logits.values<std::int64_t>());
  std::size_t at = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    for (const Token token : batch[i]->active_tokens()) tokens[at++] = token;
    offsets[i + 1] = static_cast<std::uint32_t>(at);
  }
  rows[0] = static_cast<std::int64_t>(std::min<std::uint64_t>(return_n_logits, INT64_MAX));
  return inputs;
}

Result<std::unique_ptr<ModelInputs>> RemoteReplica::prepare_next_token_inputs(const Tensor&, std::unique_ptr<ModelInputs>) {
  return fail(ErrorCode::kBadRequest, "a replica of other processes makes the steps that a pipeline makes");
}

Result<ModelOutputs> RemoteReplica::execute(const ModelInputs& inputs) {
  PLIMSOLL_ASSIGN(const std::span<const std::uint32_t> offsets, inputs.find("input_row_offsets").values<std::uint32_t>());
  PLIMSOLL_ASSIGN(const std::span<const std::int64_t> wanted, inputs.find("return_n_logits").values<std::int64_t>());
  const std::size_t sequences = offsets.size() - 1;
  if (sequences >= logit_offsets_.size())
    return fail(ErrorCode::kBadRequest, fmt::format("a step of {} requests; the plan is for {}", sequences, program_.most_sequences));
  const auto each = static_cast<std::uint64_t>(std::max<std::int64_t>(wanted[0], 0));
  for (std::size_t i = 0; i < sequences; ++i)
    logit_offsets_[i + 1] = logit_offsets_[i] + static_cast<std::uint32_t>(std::min<std::uint64_t>(each, offsets[i + 1] - offsets[i]));
  const std::uint64_t rows = logit_offsets_[sequences], bytes = rows * program_.vocab_tokens * sizeof(float);
  const Processes::Impl& with = processes()->impl();
  const std::span<std::byte> window = with.window(process_);
  const std::uint64_t first = with.slot(process_).logits_offset.load();
  if (first > window.size() || bytes > window.size() - first)
    return fail(ErrorCode::kInternal, fmt::format("the logits of rank {} are not in its window", process_));
  const std::array<std::uint64_t, 2> shape{rows, program_.vocab_tokens};
  PLIMSOLL_ASSIGN(Tensor logits, Tensor::view(window.subspan(first, bytes), shape, ElementType::kFloat32));
  const std::array<std::uint64_t, 1> count{sequences + 1};
  PLIMSOLL_ASSIGN(Tensor of_requests,
                  Tensor::view(std::as_writable_bytes(std::span(logit_offsets_).first(sequences + 1)), count, ElementType::kUint32));
  return ModelOutputs::create(std::move(logits), std::nullopt, std::move(of_requests));
}

} // namespace plimsoll
