#include "runtime/generation.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "runtime/log_probabilities.hpp"

namespace plimsoll {

Generation::Impl::Impl(std::shared_ptr<PipelineImpl> pipeline, std::size_t most_requests)
    : pipeline_(std::move(pipeline)), promised_tokens_(pipeline_->replicas.size(), 0) {
  for (std::uint32_t replica = 0; replica < pipeline_->replicas.size(); ++replica)
    schedulers_.emplace_back(pipeline_->limits, *pipeline_->replicas[replica].model, pipeline_->manager(replica),
                             pipeline_->draft_tokens());
  requests_.reserve(most_requests);
}

Generation::Impl::~Impl() {
  for (ActiveRequest& request : requests_)
    if (!request.merged.is_done()) leave(request);
}

Result<void> Generation::Impl::enter(const TextGenerationRequest& prompt) {
  const RequestId id = prompt.id.value_or(requests_.size());
  if (pipeline_->active.contains(id))
    return fail(ErrorCode::kBadRequest, fmt::format("two requests under way have the id {}; ids must differ", id), "id");
  ActiveRequest& request = requests_.emplace_back();
  request.merged.id = id;
  pipeline_->active.emplace(id, &request);
  ++left_;
  auto context = pipeline_->new_context(prompt, id);
  if (!context) {
    end(request, std::move(context.error()));
    return {};
  }
  request.context.emplace(std::move(*context));
  const auto fewest = std::min_element(promised_tokens_.begin(), promised_tokens_.end());
  *fewest += request.tokens().max_length();
  request.replica = static_cast<std::uint32_t>(fewest - promised_tokens_.begin());
  schedulers_[request.replica].add(request);
  return {};
}

// Nothing of the request stays in the pipeline.
void Generation::Impl::leave(ActiveRequest& request) noexcept {
  schedulers_[request.replica].remove(request);
  if (request.context) promised_tokens_[request.replica] -= request.tokens().max_length();
  request.give_claims_back();
  pipeline_->replicas[request.replica].model->release(request.merged.id);
  pipeline_->active.erase(request.merged.id);
  --left_;
}

void Generation::Impl::tell(ActiveRequest& request, TextGenerationOutput output) {
  if (output.is_done()) leave(request);
  TextGenerationOutput& merged = request.merged;
  merged.tokens.insert(merged.tokens.end(), output.tokens.begin(), output.tokens.end());
  merged.text += output.text;
  merged.drafted_tokens += output.drafted_tokens;
  merged.accepted_tokens += output.accepted_tokens;
  merged.status = output.status;
  merged.error = output.error;
  if (output.log_probabilities && !merged.log_probabilities) merged.log_probabilities.emplace();
  if (output.log_probabilities) append_rows(*merged.log_probabilities, *output.log_probabilities);
  told_.insert_or_assign(static_cast<std::size_t>(&request - requests_.data()), std::move(output));
}

// As cancelled, or for an error. What text was held back is text after all.
void Generation::Impl::end(ActiveRequest& request, std::optional<Error> error) {
  TextGenerationOutput output;
  output.id = request.merged.id;
  output.status = Status::kCancelled;
  output.error = std::move(error);
  if (request.context && request.state().text) output.text = request.state().text->finish();
  tell(request, std::move(output));
}

void Generation::Impl::end_released() {
  for (ActiveRequest& request : requests_)
    if (request.released && !request.merged.is_done()) end(request);
}

void Generation::Impl::end_all() {
  for (ActiveRequest& request : requests_)
    if (!request.merged.is_done()) end(request);
}

Result<void> Generation::Impl::step() {
  std::vector<ActiveRequest*> failed, stepping;
  PipelineImpl::Batches batches;
  for (Scheduler& scheduler : schedulers_) {
    const std::vector<ActiveRequest*> batch = scheduler.next_batch(failed);
    std::vector<TextGenerationContext*>& contexts = batches.emplace_back();
    for (ActiveRequest* const request : batch) contexts.push_back(&*request->context);
    stepping.insert(stepping.end(), batch.begin(), batch.end());
  }
  for (ActiveRequest* const request : failed) end(*request, request->state().error);
  if (stepping.empty() && told_.empty())
    return fail(
        ErrorCode::kInsufficientBlocks,
        fmt::format(
            "{} requests wait for pages or adapter slots that others of this pipeline hold; nothing is lost, go on with those first",
            left_));
  PLIMSOLL_ASSIGN(PipelineImpl::Outputs outputs, pipeline_->execute(batches));
  for (ActiveRequest* const request : stepping)
    if (const auto output = outputs.find(request->merged.id); output != outputs.end()) tell(*request, std::move(output->second));
  return {};
}

Result<std::optional<std::vector<TextGenerationOutput>>> Generation::Impl::next(const std::stop_token& stop) {
  end_released();
  if (stop.stop_requested()) end_all();
  if (left_ == 0 && told_.empty()) return std::nullopt;
  if (left_ > 0) PLIMSOLL_TRY(step());
  std::vector<TextGenerationOutput> outputs;
  for (auto& [place, output] : told_) outputs.push_back(std::move(output));
  told_.clear();
  return outputs;
}

void Generation::Impl::cancel(RequestId id) noexcept {
  for (const ActiveRequest& request : requests_)
    if (request.merged.id == id && !request.merged.is_done()) pipeline_->release(id);
}

std::vector<TextGenerationOutput> Generation::Impl::finish() {
  end_all();
  std::vector<TextGenerationOutput> outputs;
  for (ActiveRequest& request : requests_) outputs.push_back(std::move(request.merged));
  return outputs;
}

// ---- faces ----------------------------------------------------------------------------------------------------------------

Generation::Generation(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Generation::Generation(Generation&&) noexcept = default;
Generation& Generation::operator=(Generation&&) noexcept = default;
Generation::~Generation() = default;

Result<std::optional<std::vector<TextGenerationOutput>>> Generation::next(std::stop_token stop) { return impl_->next(stop); }
void Generation::cancel(RequestId request) noexcept { impl_->cancel(request); }
std::vector<TextGenerationOutput> Generation::finish() && { return impl_->finish(); }

} // namespace plimsoll
