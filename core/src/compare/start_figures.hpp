// One start with one release's rules, figure by figure. What follows from the KV memory (blocks, tokens, requests, longest request) is
// derived from the printed memory, so that the formulas are tested alone: once from half a unit of the last printed place below
// and once from half a unit above. That is consistent and no prediction; memory itself, and counts where no memory was printed, are
// predicted from the device, the fraction and the model, where all of that is known. Threads: one StartFigures a thread.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "compare/log_wording.hpp"
#include "compare/start_request.hpp"
#include "plimsoll/compare.hpp"

namespace plimsoll {

class StartFigures {
public:
  StartFigures(const Context& context, const Model& model, const EngineStart& printed, const Wording& wording, StartRequest asked,
               std::optional<double> tolerance)
      : context_(context), model_(model), start_(printed), wording_(wording), asked_(std::move(asked)), tolerance_(tolerance) {}

  // Figures that follow from printed ones, or from the settings alone.
  Result<void> kv();
  // Weights, what stands beside them, the memory that they leave, and whether the engine starts.
  Result<void> memory();

  const std::vector<ComparedLine>& lines() const { return lines_; }
  std::size_t beyond() const;
  const CompareStart& start() const { return outcome_; }
  const std::vector<Advice>& advice() const { return advice_; }
  const std::string& assumed() const { return assumed_; }

private:
  // The same prediction from the least and from the most memory that the print allows.
  struct Range {
    double low = 0, high = 0;
  };
  const Printed* printed(const std::string& figure) const;
  bool has_line(const std::string& figure) const;
  Result<Plan> plan_with(double kv_bytes) const;
  PlanRequest kv_request() const;

  Result<void> from_memory(double low, double high);
  Result<void> needed();
  Result<void> block();
  Result<void> from_count(const Printed* blocks);
  Result<void> allocated();
  Result<void> states(const Plan& plan, const PlanRequest& request);

  Result<void> plan_memory();
  Result<void> weights(PlanRequest& request);
  void beside_weights();
  bool can_say() const;
  void left_memory();
  void counts_from_device();
  std::string unknown_memory();
  void assume(bool given, const std::string& what);

  Result<void> judge_start();
  Result<void> judge_refusal(ComparedLine line);
  Result<bool> starts_from_printed_memory() const;
  Result<void> judge_free_memory(ComparedLine& line);
  void settle(ComparedLine& line, const Plan& plan);
  Result<void> find_advice();

  void rounding(const std::string& figure, Range predicted, CompareStatus agreed, std::string note);
  void tolerance(const std::string& figure, Judge judge, double predicted, std::string note);
  bool tolerated(double predicted, double value) const;
  void shown(const std::string& figure, double predicted, std::string why);
  void line(ComparedLine line);

  const Context& context_;
  const Model& model_;
  const EngineStart& start_;
  const Wording& wording_;
  StartRequest asked_;
  std::optional<double> tolerance_;
  std::vector<ComparedLine> lines_;
  std::optional<Plan> plan_; // of the start itself
  PlanRequest planned_;      // what plan_ was made with
  bool weights_known_ = false, weights_taken_ = false;
  bool tokens_attainable_ = false;
  std::string unknown_, assumed_; // why memory cannot be judged; what was taken for granted
  CompareStart outcome_;
  std::vector<Advice> advice_;
};

} // namespace plimsoll
