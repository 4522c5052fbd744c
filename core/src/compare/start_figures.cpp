#include "compare/start_figures.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace plimsoll {
namespace {

constexpr double kWeightsTolerance = 0.03, kMemoryTolerance = 0.08;
constexpr double kAmpleBytes = 1ULL << 38, kMostBlocks = 1e9;
constexpr double kLargest = 9.0e15; // where a double still counts in ones
constexpr std::string_view kPartOfMemory = "not judged by itself, but by what it leaves for the KV cache";

std::uint64_t whole(double value) {
  return value < 1 ? 1 : value > kLargest ? static_cast<std::uint64_t>(kLargest) : static_cast<std::uint64_t>(value);
}

std::optional<double> number_of(const std::string* text) {
  double value = 0;
  if (text == nullptr) return std::nullopt;
  const auto [stop, status] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (status != std::errc() || stop != text->data() + text->size() || !(value >= 0 && value < kLargest)) return std::nullopt;
  return value;
}

double block_bytes(const Plan& plan) {
  std::uint64_t most = 0;
  for (const DevicePlan& device : plan.devices) most = std::max(most, device.kv_cache_bytes);
  return plan.kv_cache.pages == 0 ? 0 : static_cast<double>(most) / static_cast<double>(plan.kv_cache.pages);
}

// Of one sequence, on the device that has most; where an engine deals layers to devices, of all of them, as it prints them.
double state_bytes(const Plan& plan) {
  double sum = 0;
  if (plan.dealt && !plan.kv_geometry.stages.empty()) {
    for (const KvStageGeometry& stage : plan.kv_geometry.stages)
      for (const KvGroupGeometry& group : stage.groups) sum += static_cast<double>(group.state_row_bytes);
    return sum;
  }
  for (const KvGroupPlan& group : plan.kv_cache.groups) sum += static_cast<double>(group.state_bytes_per_sequence);
  return sum;
}

// What the poorest device leaves for the KV cache, whether or not that is enough.
double left_for_kv(const Plan& plan) {
  double least = kLargest;
  for (const DevicePlan& device : plan.devices)
    least = std::min(least, static_cast<double>(device.kv_cache_bytes) + static_cast<double>(device.unused_bytes));
  return least;
}

} // namespace

const Printed* StartFigures::printed(const std::string& figure) const {
  const auto it = start_.printed.find(figure);
  return it == start_.printed.end() ? nullptr : &it->second;
}

bool StartFigures::has_line(const std::string& figure) const {
  return std::any_of(lines_.begin(), lines_.end(), [&](const ComparedLine& line) { return line.figure == figure; });
}

std::size_t StartFigures::beyond() const {
  return static_cast<std::size_t>(std::count_if(
      lines_.begin(), lines_.end(), [](const ComparedLine& line) { return line.status == CompareStatus::kBeyond && !line.outlier; }));
}

Result<Plan> StartFigures::plan_with(double kv_bytes) const {
  PlanRequest request = kv_request();
  request.kv_cache_bytes = whole(kv_bytes);
  return context_.plan(model_, request);
}

// KV figures do not depend on the weights, whose stored types may not be those of the configuration.
PlanRequest StartFigures::kv_request() const {
  PlanRequest request = asked_.request;
  request.weights_bytes = 1;
  request.advise = false;
  return request;
}

// ---- lines ----

void StartFigures::line(ComparedLine line) {
  if (const Printed* value = printed(line.figure)) line.printed = *value;
  line.outlier = line.status == CompareStatus::kBeyond &&
                 std::find(start_.outliers.begin(), start_.outliers.end(), line.figure) != start_.outliers.end();
  if (line.outlier) line.note = start_.outlier_reason;
  lines_.push_back(std::move(line));
}

bool StartFigures::tolerated(double predicted, double value) const {
  return tolerance_ && std::abs(predicted - value) <= *tolerance_ * std::abs(value);
}

// `agreed`: what the figure is where it lies inside its rounding.
void StartFigures::rounding(const std::string& figure, Range predicted, CompareStatus agreed, std::string note) {
  const Printed& value = *printed(figure);
  if (!asked_.not_said_of_kv.empty())
    return shown(figure, predicted.low, fmt::format("not planned: {}", fmt::join(asked_.not_said_of_kv, ", ")));
  ComparedLine out;
  out.figure = figure;
  out.judge = Judge::kRounding;
  out.predicted = std::clamp(value.value, predicted.low, std::max(predicted.low, predicted.high));
  const double slack = value.step / 2 + 1e-9 * std::abs(value.value);
  const bool inside = predicted.low - slack <= value.value && value.value <= predicted.high + slack;
  out.status = inside || tolerated(out.predicted, value.value) ? agreed : CompareStatus::kBeyond;
  out.note = std::move(note);
  line(std::move(out));
}

void StartFigures::tolerance(const std::string& figure, Judge judge, double predicted, std::string note) {
  const double value = printed(figure)->value;
  const double allowed = judge == Judge::kWeights ? kWeightsTolerance : kMemoryTolerance;
  ComparedLine out;
  out.figure = figure;
  out.judge = judge;
  out.predicted = predicted;
  const bool inside = std::abs(predicted - value) <= allowed * std::abs(value) || tolerated(predicted, value);
  out.status = inside ? CompareStatus::kWithin : CompareStatus::kBeyond;
  out.note = std::move(note);
  line(std::move(out));
}

void StartFigures::shown(const std::string& figure, double predicted, std::string why) {
  ComparedLine out;
  out.figure = figure;
  out.predicted = predicted;
  out.note = std::move(why);
  line(std::move(out));
}

// ---- figures that follow from printed ones ----

Result<void> StartFigures::kv() {
  PLIMSOLL_TRY(allocated());
  PLIMSOLL_TRY(needed());
  PLIMSOLL_TRY(block());
  // A number of blocks that was set, and that the request cannot say, is what the engine took whatever the memory holds.
  const auto set = number_of(start_.find("num_gpu_blocks_override"));
  const auto& unsaid = asked_.not_said_of_memory;
  if (set && std::any_of(unsaid.begin(), unsaid.end(), [](const std::string& s) { return s.starts_with("num_gpu_blocks_override="); })) {
    const Printed blocks{*set, 0, start_.settings.at("num_gpu_blocks_override").place};
    return from_count(&blocks);
  }
  if (const Printed* memory = printed("available_kv_bytes"); memory != nullptr && memory->value > 0)
    return from_memory(memory->value - memory->step / 2, memory->value + memory->step / 2);
  return from_count(printed("kv_blocks"));
}

// The memory was printed: everything that follows from it.
Result<void> StartFigures::from_memory(double low_bytes, double high_bytes) {
  constexpr std::array<const char*, 4> kFollowing{"kv_blocks", "kv_tokens", "max_concurrency", "estimated_max_length"};
  if (std::none_of(kFollowing.begin(), kFollowing.end(), [&](const char* figure) { return printed(figure) != nullptr; })) return {};
  PLIMSOLL_ASSIGN(const Plan low, plan_with(low_bytes));
  PLIMSOLL_ASSIGN(const Plan high, plan_with(high_bytes));
  const auto each = [&](const std::string& figure, auto&& of) {
    if (printed(figure) != nullptr)
      rounding(figure, {static_cast<double>(of(low)), static_cast<double>(of(high))}, CompareStatus::kConsistent,
               "from the printed memory");
  };
  each("kv_blocks", [](const Plan& plan) { return plan.kv_cache.pages; });
  each("kv_tokens", [](const Plan& plan) { return plan.kv_cache.engine_reported_tokens; });
  each("max_concurrency", [](const Plan& plan) { return plan.kv_cache.capacity_requests; });
  each("estimated_max_length", [](const Plan& plan) { return plan.limits.max_supported_sequence_length; });
  return {};
}

// What one request needs follows from the model and the settings: a prediction.
Result<void> StartFigures::needed() {
  if (printed("needed_kv_bytes") == nullptr) return {};
  PLIMSOLL_ASSIGN(const Plan ample, plan_with(kAmpleBytes));
  const double requests = ample.kv_cache.capacity_requests;
  const double bytes = requests > 0 ? block_bytes(ample) * static_cast<double>(ample.kv_cache.pages) / requests : 0;
  rounding("needed_kv_bytes", {bytes, bytes}, CompareStatus::kWithin, "");
  return {};
}

// The block that the engine chose: everything else is held against the printed one, so that only this line tells of a wrong choice.
Result<void> StartFigures::block() {
  const Printed* tokens = printed("block_tokens");
  if (tokens == nullptr) return {};
  PlanRequest request = kv_request();
  const auto taken = start_.settings.find("page_tokens");
  if (taken != start_.settings.end() && taken->second.place == tokens->place) request.page_tokens.reset();
  request.kv_cache_bytes = whole(kAmpleBytes);
  PLIMSOLL_ASSIGN(const Plan plan, context_.plan(model_, request));
  const auto chosen = static_cast<double>(plan.kv_cache.page_tokens);
  rounding("block_tokens", {chosen, chosen}, CompareStatus::kWithin, "");
  return {};
}

// Only counts were printed: the blocks that give the tokens are found, and what follows from them must agree.
Result<void> StartFigures::from_count(const Printed* blocks) {
  const Printed* tokens = printed("kv_tokens");
  if ((printed("kv_cache_bytes") != nullptr && blocks == nullptr) || (tokens == nullptr && printed("max_concurrency") == nullptr))
    return {};
  if (blocks == nullptr && tokens == nullptr) return {};
  PLIMSOLL_ASSIGN(const Plan ample, plan_with(kAmpleBytes));
  const double bytes = block_bytes(ample);
  if (bytes <= 0) return {};
  // The least number of blocks that the engine reports as that many tokens.
  const auto least = [&](double reported) -> Result<double> {
    double low = 0, high = std::min(reported + 1024, kMostBlocks); // a block holds a token at least
    while (high - low > 1) {
      const double middle = std::floor((low + high) / 2);
      PLIMSOLL_ASSIGN(const Plan plan, plan_with(middle * bytes));
      (static_cast<double>(plan.kv_cache.engine_reported_tokens) >= reported ? high : low) = middle;
    }
    return high;
  };
  Range count{blocks != nullptr ? blocks->value : 0, blocks != nullptr ? blocks->value : 0};
  if (blocks == nullptr) {
    PLIMSOLL_ASSIGN(count.low, least(tokens->value));
    PLIMSOLL_ASSIGN(const double next, least(tokens->value + 1));
    count.high = std::max(count.low, next - 1);
  }
  PLIMSOLL_ASSIGN(const Plan low, plan_with(count.low * bytes));
  PLIMSOLL_ASSIGN(const Plan high, plan_with(count.high * bytes));
  const Range reported{static_cast<double>(low.kv_cache.engine_reported_tokens), static_cast<double>(high.kv_cache.engine_reported_tokens)};
  const std::string from = blocks != nullptr ? "from the blocks" : fmt::format("from the tokens: {:.0f} blocks come next", count.low);
  // Tokens from which the blocks were found can still be none that blocks give; if they are, they are left to the device.
  tokens_attainable_ = tokens != nullptr && blocks == nullptr && reported.low <= tokens->value && tokens->value <= reported.high;
  if (tokens != nullptr && !tokens_attainable_) rounding("kv_tokens", reported, CompareStatus::kConsistent, from);
  if (printed("max_concurrency") != nullptr)
    rounding("max_concurrency", {low.kv_cache.capacity_requests, high.kv_cache.capacity_requests}, CompareStatus::kConsistent, from);
  return {};
}

// What the caches took after rounding to pages, for engines that print this.
Result<void> StartFigures::allocated() {
  const Printed* cache = printed("kv_cache_bytes");
  const Printed* tokens = printed("kv_tokens");
  if (cache == nullptr && printed("state_bytes") == nullptr) return {};
  PlanRequest request = kv_request();
  if (tokens != nullptr && cache != nullptr) request.kv_cache_bytes = whole(cache->value);
  PLIMSOLL_ASSIGN(const Plan plan, context_.plan(model_, request));
  if (cache != nullptr && tokens != nullptr) {
    const double held = tokens->value + static_cast<double>(wording_.spare_pages * plan.kv_cache.page_tokens);
    const double bytes = held * static_cast<double>(plan.kv_cache.bytes_per_token_per_device);
    rounding("kv_cache_bytes", {bytes, bytes}, CompareStatus::kConsistent, "from the printed tokens");
  } else if (cache != nullptr) {
    double bytes = 0;
    for (const DevicePlan& device : plan.devices) bytes += static_cast<double>(device.kv_cache_bytes);
    bytes -= state_bytes(plan) * static_cast<double>(plan.request.max_batch_size);
    if (request.max_length) rounding("kv_cache_bytes", {bytes, bytes}, CompareStatus::kWithin, "from the context");
    else shown("kv_cache_bytes", bytes, "the context is not printed; give --max-length");
  }
  return states(plan, request);
}

// Rows of state: those of the requests that were asked for, else as many as were printed.
Result<void> StartFigures::states(const Plan& plan, const PlanRequest& request) {
  if (printed("state_bytes") == nullptr) return {};
  const auto slots = number_of(start_.find("state_slots"));
  const auto asked = request.max_batch_size;
  if (asked && wording_.spare_slots == 0) {
    const double bytes = static_cast<double>(*asked) * state_bytes(plan);
    rounding("state_bytes", {bytes, bytes}, CompareStatus::kWithin, "from the sequences");
  } else if (slots) {
    const double bytes = (*slots + static_cast<double>(wording_.spare_slots)) * state_bytes(plan);
    rounding("state_bytes", {bytes, bytes}, CompareStatus::kConsistent, "from the printed slots");
  } else {
    shown("state_bytes", state_bytes(plan), "of how many sequences is not printed; give --max-batch-size");
  }
  return {};
}

// ---- memory ----

void StartFigures::assume(bool given, const std::string& what) {
  if (given || start_.defaults_known || start_.record) return;
  assumed_ += (assumed_.empty() ? "assumed, as the log does not print it: " : ", ") + what;
}

// Why the memory that is left cannot be judged; empty where it can. Fills in what is taken for granted.
std::string StartFigures::unknown_memory() {
  if (!asked_.memory_known) return "the memory of the device is not printed; give --devices";
  // With one set of rules for all releases it does not matter which one it was.
  const bool release_known = start_.record || asked_.engine_given || !start_.release.empty() || wording_.releases.size() == 1;
  const bool fraction_given = asked_.fraction_known || !wording_.has_fraction;
  if (!fraction_given && !start_.defaults_known) return "the fraction of the memory is not printed; give --device-memory-utilization";
  if (!start_.limits_known) return "the batch limits were set and are not printed";
  const bool all_given = fraction_given && asked_.batch_given && asked_.tokens_given;
  if (!all_given && !release_known) return "no release is printed, so that its defaults are not known; give --engine NAME@RELEASE";
  if (!weights_known_ && !weights_taken_) return "the configuration does not tell what the weights take; give --weights-bytes";
  std::vector<std::string> others = asked_.not_said_of_kv;
  others.insert(others.end(), asked_.not_said_of_memory.begin(), asked_.not_said_of_memory.end());
  if (!others.empty()) return fmt::format("not planned: {}", fmt::join(others, ", "));
  assume(asked_.batch_given, fmt::format("--max-batch-size {}", plan_->request.max_batch_size));
  assume(asked_.tokens_given, fmt::format("--max-batch-input-tokens {}", plan_->request.max_batch_input_tokens));
  return {};
}

Result<void> StartFigures::memory() {
  PLIMSOLL_TRY(plan_memory());
  if (plan_->devices.empty()) return {};
  unknown_ = unknown_memory();
  beside_weights();
  left_memory();
  counts_from_device();
  return judge_start();
}

Result<void> StartFigures::plan_memory() {
  planned_ = asked_.request;
  planned_.advise = false;
  if (!start_.settings.contains("kv_cache_bytes")) planned_.kv_cache_bytes.reset();
  PLIMSOLL_ASSIGN(plan_, context_.plan(model_, planned_));
  if (plan_->devices.empty()) return {};
  return weights(planned_);
}

// Weights that are not those of the configuration are taken as printed: what they leave is another matter.
Result<void> StartFigures::weights(PlanRequest& request) {
  const Printed* value = printed("weights_bytes");
  weights_known_ = start_.weights_known || request.weights_bytes.has_value();
  const double planned = static_cast<double>(plan_->devices.front().weights_bytes);
  const bool stored = !wording_.weights_as_stored || plan_->model.weights_source != WeightsSource::kConfig;
  if (value != nullptr && !weights_known_) {
    shown("weights_bytes", planned, "the start's weights are not of the configuration's types");
  } else if (value != nullptr && !stored) {
    shown("weights_bytes", planned, "the configuration does not tell the stored types");
    weights_known_ = false;
  } else if (value != nullptr) {
    tolerance("weights_bytes", Judge::kWeights, planned, "");
    weights_known_ = lines_.back().status == CompareStatus::kWithin;
  }
  weights_taken_ = value != nullptr && value->value > 0 && !weights_known_;
  if (!weights_taken_) return {};
  request.weights_bytes = whole(value->value * request.tp.value_or(1) * request.pp.value_or(1));
  PLIMSOLL_ASSIGN(plan_, context_.plan(model_, request));
  return {};
}

void StartFigures::beside_weights() {
  for (const char* figure : {"activation_bytes", "compute_buffer_bytes"})
    if (printed(figure) != nullptr) shown(figure, static_cast<double>(plan_->devices.front().activation_bytes), std::string(kPartOfMemory));
  for (const auto& [figure, label] : {std::pair("non_torch_bytes", "non_torch"), std::pair("graph_bytes", "graph")}) {
    double sum = 0;
    for (const Item& item : plan_->items)
      if (item.label.find(label) != std::string::npos && !item.bytes.empty()) sum += static_cast<double>(item.bytes.front());
    if (printed(figure) != nullptr && sum > 0) shown(figure, sum, std::string(kPartOfMemory));
  }
  if (printed("refused_bytes") != nullptr) shown("refused_bytes", 0, "one allocation of many, which a plan does not tell apart");
}

// Whether a figure of the memory is worth showing, judged or not.
bool StartFigures::can_say() const { return asked_.memory_known && (weights_known_ || weights_taken_); }

void StartFigures::left_memory() {
  const Printed* left = printed("available_kv_bytes");
  if (left == nullptr) return;
  const double predicted = can_say() ? left_for_kv(*plan_) : 0;
  if (planned_.kv_cache_bytes) return shown("available_kv_bytes", predicted, "the start was told how much the KV cache may take");
  if (!unknown_.empty()) return shown("available_kv_bytes", predicted, unknown_);
  if (left->value <= 0) return shown("available_kv_bytes", predicted, "nothing was left, of which nothing is a share");
  tolerance("available_kv_bytes", Judge::kMemory, predicted, weights_taken_ ? "with the printed weights" : "");
}

// Where the memory for the KV cache was not printed its counts tell of it.
void StartFigures::counts_from_device() {
  const Printed* tokens = printed("kv_tokens");
  const auto predict = [&](const std::string& figure, double predicted) {
    if (unknown_.empty()) return tolerance(figure, Judge::kMemory, predicted, weights_taken_ ? "with the printed weights" : "");
    if (figure != "kv_tokens" || !tokens_attainable_) return shown(figure, can_say() ? predicted : 0, unknown_);
    rounding(figure, {printed(figure)->value, printed(figure)->value}, CompareStatus::kConsistent, "blocks come to it; " + unknown_);
  };
  if (const Printed* fraction = printed("least_utilization"); fraction != nullptr) {
    const DevicePlan& device = plan_->devices.front();
    const double least = device.free_bytes == 0 ? 0 : static_cast<double>(device.weights_bytes) / static_cast<double>(device.free_bytes);
    if (unknown_.empty() && !weights_taken_) tolerance("least_utilization", Judge::kMemory, least, "");
    else shown("least_utilization", can_say() ? least : 0, unknown_.empty() ? "the weights are the printed ones" : unknown_);
  }
  if (printed("available_kv_bytes") != nullptr && printed("available_kv_bytes")->value > 0) return;
  if (printed("kv_blocks") != nullptr) predict("kv_blocks", static_cast<double>(plan_->kv_cache.pages));
  if (tokens == nullptr && printed("max_concurrency") != nullptr && !has_line("max_concurrency"))
    predict("max_concurrency", plan_->kv_cache.capacity_requests);
  if (tokens == nullptr || has_line("kv_tokens")) return;
  double predicted = static_cast<double>(plan_->kv_cache.engine_reported_tokens);
  // A limit that was set holds in whole pages.
  if (const auto cap = number_of(start_.find("token_cap")); cap && plan_->kv_cache.page_tokens > 0) {
    const double page = static_cast<double>(plan_->kv_cache.page_tokens);
    predicted = std::min(predicted, std::floor(*cap / page) * page);
  }
  predict("kv_tokens", predicted);
}

// ---- whether it starts ----

// The plan's answer beside what happened.
void StartFigures::settle(ComparedLine& line, const Plan& plan) {
  outcome_.judged = true;
  outcome_.said_fits = !plan.error.has_value();
  line.predicted_text = plan.error ? "refused: " + plan.error->message : "fits";
  line.status = outcome_.said_fits == outcome_.started ? CompareStatus::kWithin : CompareStatus::kBeyond;
}

Result<void> StartFigures::judge_start() {
  const PrintedRefusal& refusal = start_.refusal;
  constexpr std::array<const char*, 5> kServing{"kv_tokens", "kv_blocks", "kv_cache_bytes", "available_kv_bytes", "max_concurrency"};
  const bool cached = std::any_of(kServing.begin(), kServing.end(), [&](const char* figure) { return printed(figure) != nullptr; });
  outcome_.started = refusal.kind == StartRefusal::kNone;
  ComparedLine out;
  out.figure = kStartFigure;
  out.judge = Judge::kStart;
  out.printed.place = outcome_.started ? start_.place : refusal.place;
  out.printed_text = outcome_.started ? (start_.served ? "started" : "has a KV cache") : "refused: " + refusal.text;
  if (!outcome_.started) return judge_refusal(std::move(out));
  // A log that ends before the engine serves may hold a start that came to nothing: it refutes a plan that has no room, and proves none.
  if (!unknown_.empty() || !cached || (!start_.served && !plan_->error)) return {};
  settle(out, *plan_);
  line(std::move(out));
  return {};
}

Result<void> StartFigures::judge_refusal(ComparedLine out) {
  if (start_.refusal.kind == StartRefusal::kFreeMemory) PLIMSOLL_TRY(judge_free_memory(out));
  else if (unknown_.empty()) settle(out, *plan_);
  if (!outcome_.judged) {
    const Printed* left = printed("available_kv_bytes");
    const Printed* blocks = printed("kv_blocks");
    const auto batch = number_of(start_.find("max_batch_size")), fraction = number_of(start_.find("device_memory_utilization"));
    const Printed* least = printed("least_utilization");
    const StartRefusal kind = start_.refusal.kind;
    out.predicted_text = "not known";
    out.note = unknown_;
    if (kind == StartRefusal::kOneRequest && left != nullptr && left->value > 0) {
      PLIMSOLL_ASSIGN(const bool starts, starts_from_printed_memory());
      out.predicted_text = starts ? "fits" : "refused";
      out.status = starts ? CompareStatus::kBeyond : CompareStatus::kConsistent;
      out.note = "from the printed memory";
    } else if ((kind == StartRefusal::kStateBlocks && blocks != nullptr && batch && *batch > blocks->value) ||
               (kind == StartRefusal::kFraction && least != nullptr && fraction && least->value > *fraction) ||
               (kind == StartRefusal::kNoKvMemory && left != nullptr && left->value <= 0)) {
      out.predicted_text = "refused";
      out.status = CompareStatus::kConsistent;
      out.note = "the printed numbers say so; " + unknown_;
    }
  }
  line(std::move(out));
  return find_advice();
}

// Total, free and fraction stand in the sentence itself: nothing else is needed to say that it starts.
Result<void> StartFigures::judge_free_memory(ComparedLine& out) {
  const std::string *total = start_.find("device_total_bytes"), *free = start_.find("device_free_bytes");
  if (total == nullptr || free == nullptr || !asked_.fraction_known) {
    if (unknown_.empty()) settle(out, *plan_);
    return {};
  }
  planned_.devices = fmt::format("{}xprinted={}:{}", std::max<std::size_t>(1, plan_->devices.size()), *total, *free);
  PLIMSOLL_ASSIGN(plan_, context_.plan(model_, planned_));
  settle(out, *plan_);
  return {};
}

Result<bool> StartFigures::starts_from_printed_memory() const {
  const Printed& left = *printed("available_kv_bytes");
  PLIMSOLL_ASSIGN(const Plan plan, plan_with(left.value - left.step / 2));
  return !plan.error.has_value();
}

// The plan's own advice where it says so too; else what the engine's numbers ask for.
Result<void> StartFigures::find_advice() {
  if (outcome_.judged && !outcome_.said_fits) {
    PlanRequest request = planned_;
    request.advise = true;
    PLIMSOLL_ASSIGN(Plan plan, context_.plan(model_, request));
    advice_ = std::move(plan.advice);
  }
  if (!advice_.empty()) return {};
  const auto add = [&](const char* option, std::string value) {
    advice_.push_back({option, std::move(value), "what the engine's own numbers allow"});
  };
  const auto total = number_of(start_.find("device_total_bytes")), free = number_of(start_.find("device_free_bytes"));
  switch (start_.refusal.kind) {
  case StartRefusal::kStateBlocks:
    if (const Printed* blocks = printed("kv_blocks"); blocks != nullptr && blocks->value >= 1)
      add("--max-batch-size", fmt::format("{:.0f}", blocks->value));
    break;
  case StartRefusal::kOneRequest:
    if (const Printed* length = printed("estimated_max_length"); length != nullptr && length->value >= 1)
      add("--max-length", fmt::format("{:.0f}", length->value));
    break;
  case StartRefusal::kFreeMemory:
    if (total && free && *total > 0 && *free >= *total / 100)
      add("--device-memory-utilization", fmt::format("{:.2f}", std::floor(100 * *free / *total) / 100));
    break;
  case StartRefusal::kFraction:
    if (const Printed* least = printed("least_utilization"); least != nullptr && least->value < 0.999)
      add("--device-memory-utilization", fmt::format("{:.3f}", std::floor(1000 * least->value + 1) / 1000));
    break;
  default: break;
  }
  return {};
}

} // namespace plimsoll
