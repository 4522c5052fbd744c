#include "runtime/scheduler.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "runtime/image_budget.hpp"

namespace plimsoll {

struct Scheduler::Batch {
  std::vector<ActiveRequest*> requests;
  std::uint64_t tokens_left = 0;
  StepRows rows;
  ImageBudget images;
  bool put_back_any = false;
};

namespace {

void give_up(ActiveRequest& request, Error why, std::vector<ActiveRequest*>& failed) {
  request.give_claims_back();
  request.state().give_up(std::move(why));
  failed.push_back(&request);
}

Error never_fits(const TextContext& tokens, const Error& why) {
  return {ErrorCode::kInsufficientBlocks,
          fmt::format(
              "request {} cannot be served even alone: at its token {} of at most {} the KV cache is full ({}); plan more memory for it "
              "or ask for fewer tokens",
              tokens.id(), tokens.processed_length(), tokens.max_length(), why.message),
          ""};
}

} // namespace

Scheduler::Scheduler(const StepLimits& limits, PipelineModel& model, PagedKvManager* kv, std::uint64_t draft_tokens)
    : limits_(limits), draft_tokens_(draft_tokens), all_rows_(model.return_logits() == ReturnLogits::kAll), model_(&model), kv_(kv) {
  if (kv == nullptr || kv->geometry().n_ranks() == 0) return;
  for (std::size_t group = 0; group < kv->geometry().n_groups(); ++group)
    windows_ = windows_ || is_windowed(kv->geometry().group(0, group).kind);
}

void Scheduler::remove(const ActiveRequest& request) {
  std::erase(running_, &request);
  std::erase(waiting_, &request);
}

bool Scheduler::others_hold_pages() const { return kv_ != nullptr && kv_->metrics().requests > running_.size(); }

void Scheduler::put_back(ActiveRequest& request) {
  request.give_claims_back();
  model_->release(request.tokens().id());
  TextContext& tokens = request.tokens();
  static_cast<void>(tokens.rewind_processing(tokens.processed_length())); // of all processed tokens: always possible
  waiting_.push_front(&request);
}

// Pages for the active tokens; for fewer of them where that is allowed and possible.
Result<void> Scheduler::take_pages(TextContext& tokens, bool may_cut) const {
  if (kv_ == nullptr) return {};
  const auto taken = kv_->alloc(tokens);
  if (taken) return {};
  if (taken.error().code != ErrorCode::kInsufficientBlocks || !may_cut) return tl::unexpected(taken.error());
  PLIMSOLL_ASSIGN(const std::uint64_t fitting, kv_->fitting_tokens(tokens));
  if (fitting == 0 || fitting >= tokens.active_length()) return tl::unexpected(taken.error());
  tokens.set_chunk_limit(fitting);
  const auto cut = kv_->alloc(tokens);
  if (!cut) return tl::unexpected(cut.error());
  return {};
}

Scheduler::Grant Scheduler::grant(ActiveRequest& request, Batch& batch, bool may_cut) {
  TextContext& tokens = request.tokens();
  tokens.set_chunk_limit(0);
  if (kv_ == nullptr) static_cast<void>(tokens.rewind_processing(tokens.processed_length())); // nothing was kept
  const bool earlier = request.state().wants_earlier_rows();
  const std::uint64_t row_room = batch.rows.fitting(std::min(tokens.active_length(), batch.tokens_left), earlier);
  const std::uint64_t room = batch.images.fitting(tokens, row_room);
  if (kv_ == nullptr && room < tokens.active_length()) {
    if (!batch.requests.empty()) return Grant::kNoRoom;
    shortage_ = {ErrorCode::kBadRequest,
                 fmt::format("request {} has {} tokens; without a KV cache all are computed at once, and a step takes {}", tokens.id(),
                             tokens.active_length(), room),
                 ""};
    return Grant::kFailed;
  }
  if (room == 0) return Grant::kNoRoom;
  tokens.set_chunk_limit(room);
  if (auto taken = take_pages(tokens, may_cut); !taken) {
    shortage_ = std::move(taken.error());
    return shortage_.code == ErrorCode::kInsufficientBlocks ? Grant::kNoPages : Grant::kFailed;
  }
  // What a prefix hit skipped may have brought other images near.
  const std::uint64_t seen = batch.images.fitting(tokens, tokens.active_length());
  if (seen == 0) return Grant::kNoRoom;
  if (seen < tokens.active_length()) tokens.set_chunk_limit(seen);
  batch.images.add(tokens);
  batch.tokens_left -= tokens.active_length();
  batch.rows.add(tokens.active_length(), earlier);
  batch.requests.push_back(&request);
  return Grant::kGiven;
}

// The slot of its adapter, where it has one. Who finds all of them in use waits, and those behind it do too.
Scheduler::Grant Scheduler::claim_adapter(ActiveRequest& request) {
  const std::string& key = request.tokens().adapter();
  if (key.empty()) return Grant::kGiven;
  LoraManager* const adapters = model_->lora_manager();
  auto claim =
      adapters != nullptr ? adapters->claim(key) : Result<LoraClaim>(fail(ErrorCode::kBadRequest, "the model has no adapters", "adapter"));
  if (claim) {
    request.adapter.emplace(std::move(*claim));
    return Grant::kGiven;
  }
  shortage_ = std::move(claim.error());
  return shortage_.code == ErrorCode::kInsufficientBlocks ? Grant::kNoSlot : Grant::kFailed;
}

void Scheduler::run_further(Batch& batch, std::vector<ActiveRequest*>& failed) {
  for (std::size_t i = 0; i < running_.size();) {
    ActiveRequest& request = *running_[i];
    switch (grant(request, batch, true)) {
    case Grant::kGiven:
    case Grant::kNoSlot: // its adapter has one
    case Grant::kNoRoom: ++i; break;
    case Grant::kFailed:
      running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
      give_up(request, std::move(shortage_), failed);
      break;
    case Grant::kNoPages:
      if (running_.size() == 1 && !others_hold_pages()) {
        running_.clear();
        give_up(request, never_fits(request.tokens(), shortage_), failed);
        break;
      }
      put_back(*running_.back()); // the youngest: this one, or one that has no part in the batch yet
      running_.pop_back();
      batch.put_back_any = true;
    }
  }
}

void Scheduler::admit(Batch& batch, std::vector<ActiveRequest*>& failed) {
  while (!waiting_.empty() && running_.size() < limits_.sequences && batch.tokens_left > 0) {
    ActiveRequest& request = *waiting_.front();
    const bool alone = running_.empty() && !others_hold_pages();
    Grant granted = claim_adapter(request);
    if (granted == Grant::kNoSlot) return;
    if (granted == Grant::kGiven && kv_ != nullptr) {
      auto claim = KvClaim::take(*kv_, request.tokens().id());
      if (claim) {
        request.claim.emplace(std::move(*claim));
      } else {
        shortage_ = std::move(claim.error());
        granted = shortage_.code == ErrorCode::kInsufficientBlocks ? Grant::kNoPages : Grant::kFailed;
      }
    }
    // Whose first tokens do not all fit waits, lest it is put back at once; unless there is nobody to wait for, or windows move on anyway.
    if (granted == Grant::kGiven) granted = grant(request, batch, alone || windows_);
    if (granted == Grant::kGiven) {
      running_.push_back(&request);
      waiting_.pop_front();
      continue;
    }
    request.give_claims_back();
    TextContext& tokens = request.tokens();
    static_cast<void>(tokens.rewind_processing(tokens.processed_length())); // of a prefix that it hit
    if (granted == Grant::kNoRoom || (granted == Grant::kNoPages && !alone)) return;
    waiting_.pop_front();
    give_up(request, granted == Grant::kFailed ? std::move(shortage_) : never_fits(request.tokens(), shortage_), failed);
  }
}

// What the step has room for beside its tokens, the oldest first. Nobody is put back for it. A step whose requests want rows of their
// prompts has no rows for drafts, and who wants log-probabilities is given its tokens one by one.
void Scheduler::deal_drafts(Batch& batch) const {
  const auto rows_of = [&](std::uint64_t tokens) { return all_rows_ ? tokens : std::min(tokens, 1 + draft_tokens_); };
  bool none = draft_tokens_ == 0;
  std::uint64_t rows = 0; // without any draft
  for (ActiveRequest* const request : batch.requests) {
    none = none || request->state().wants_earlier_rows();
    rows += rows_of(request->tokens().active_length());
    request->state().draft_tokens = 0;
  }
  std::uint64_t rows_left = limits_.output_rows - std::min(limits_.output_rows, rows);
  for (ActiveRequest* const request : batch.requests) {
    TextGenerationContext::State& state = request->state();
    const TextContext& tokens = state.tokens;
    if (none || state.top_n > 0 || !tokens.reaches_end() || tokens.max_length() <= tokens.size_tokens()) continue;
    // One more is chosen behind the accepted ones.
    std::uint64_t drafts = std::min({draft_tokens_, tokens.max_length() - tokens.size_tokens() - 1, batch.tokens_left});
    const auto further_rows = [&] { return rows_of(tokens.active_length() + drafts) - rows_of(tokens.active_length()); };
    if (further_rows() > rows_left) drafts = rows_left;
    if (drafts == 0 || !kv_->reserve(tokens, drafts)) continue;
    state.draft_tokens = drafts;
    batch.tokens_left -= drafts;
    rows_left -= further_rows();
  }
}

std::vector<ActiveRequest*> Scheduler::next_batch(std::vector<ActiveRequest*>& failed) {
  Batch batch{{}, limits_.tokens, StepRows(limits_.output_rows, all_rows_, 1 + draft_tokens_), ImageBudget(model_->image_limits()), false};
  run_further(batch, failed);
  // What was just given back is for those that run.
  if (!batch.put_back_any || batch.requests.empty()) admit(batch, failed);
  deal_drafts(batch);
  return std::move(batch.requests);
}

} // namespace plimsoll
