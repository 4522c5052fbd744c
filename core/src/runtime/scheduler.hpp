// Who takes part in the next step of a generation, with how many tokens, and who waits. Claims and pages are taken here and nowhere else.
// Requests run in the order in which they came; where pages run out the youngest running one gives all of its own back and waits to be
// computed again, so the oldest always goes on and none is lost. Called by Generation. Threads: [serial].
#pragma once

#include <deque>
#include <vector>

#include "runtime/active_request.hpp"
#include "runtime/step_rows.hpp"

namespace plimsoll {

class Scheduler {
public:
  // `kv` may be null: requests then keep nothing between steps. The model drops what it keeps of a request that is put back.
  // `draft_tokens`: of a request and step, 0 where none are drafted.
  Scheduler(const StepLimits& limits, PipelineModel& model, PagedKvManager* kv, std::uint64_t draft_tokens);

  // Requests outlive it, or are removed.
  void add(ActiveRequest& request) { waiting_.push_back(&request); }
  void remove(const ActiveRequest& request);

  // The next step's batch, claimed and with pages. Requests that can never be served are given up and stand in `failed`; they take no part
  // any more. Empty where all that is left waits for pages that requests of others hold.
  std::vector<ActiveRequest*> next_batch(std::vector<ActiveRequest*>& failed);

private:
  enum class Grant { kGiven, kNoRoom, kNoPages, kNoSlot, kFailed };
  struct Batch;
  void run_further(Batch& batch, std::vector<ActiveRequest*>& failed);
  void admit(Batch& batch, std::vector<ActiveRequest*>& failed);
  Grant claim_adapter(ActiveRequest& request);
  Grant grant(ActiveRequest& request, Batch& batch, bool may_cut);
  Result<void> take_pages(TextContext& tokens, bool may_cut) const;
  void put_back(ActiveRequest& request);
  bool others_hold_pages() const;
  void deal_drafts(Batch& batch) const;

  StepLimits limits_;
  std::uint64_t draft_tokens_ = 0;
  bool all_rows_ = false; // the model gives a row for each token
  bool windows_ = false;  // a group's pool holds little more than the windows of the requests
  PipelineModel* model_;
  PagedKvManager* kv_;
  std::vector<ActiveRequest*> running_; // the oldest first
  std::deque<ActiveRequest*> waiting_;
  Error shortage_; // why the last grant was refused
};

} // namespace plimsoll
