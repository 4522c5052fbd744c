// See comparison.hpp.
#include "compare/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "compare/start_request.hpp"

namespace plimsoll {
namespace {

constexpr double kWeightsTolerance = 0.03, kMemoryTolerance = 0.08;
constexpr double kAmpleBytes = 1ULL << 38, kMostBlocks = 1e9;
constexpr double kLargest = 9.0e15; // where a double still counts in ones

std::uint64_t whole(double value) {
  return value < 1 ? 1 : value > kLargest ? static_cast<std::uint64_t>(kLargest) : static_cast<std::uint64_t>(value);
}

// The same prediction from the least and from the most memory that the print allows.
struct Range {
  double low = 0, high = 0;
};

// One start with one release's rules.
class Start {
public:
  Start(const Context& context, const Model& model, const EngineStart& printed, const Wording& wording, StartRequest asked,
        std::optional<double> tolerance)
      : context_(context), model_(model), start_(printed), wording_(wording), asked_(std::move(asked)), tolerance_(tolerance) {}

  Result<void> kv();
  Result<void> memory();
  std::vector<ComparedLine> take_lines() { return std::move(lines_); }
  std::size_t beyond() const {
    return static_cast<std::size_t>(
        std::count_if(lines_.begin(), lines_.end(), [](const ComparedLine& line) { return line.within == false && !line.outlier; }));
  }

private:
  const Printed* printed(const std::string& figure) const {
    const auto it = start_.printed.find(figure);
    return it == start_.printed.end() ? nullptr : &it->second;
  }
  Result<Plan> plan_with(double kv_bytes) const {
    PlanRequest request = kv_request();
    request.kv_cache_bytes = whole(kv_bytes);
    return context_.plan(model_, request);
  }
  // KV figures do not depend on the weights, whose stored types may not be those of the configuration.
  PlanRequest kv_request() const {
    PlanRequest request = asked_.request;
    request.weights_bytes = 1;
    return request;
  }
  Result<void> from_memory(double low, double high);
  Result<void> from_count();
  Result<void> allocated();
  void rounding(const std::string& figure, Range predicted, std::string note);
  bool tolerance(const std::string& figure, Judge judge, double predicted, std::string note);
  void line(ComparedLine line);

  const Context& context_;
  const Model& model_;
  const EngineStart& start_;
  const Wording& wording_;
  StartRequest asked_;
  std::optional<double> tolerance_;
  std::vector<ComparedLine> lines_;
};

void Start::line(ComparedLine line) {
  line.printed = *printed(line.figure);
  if (line.within == false && tolerance_ && std::abs(line.ratio() - 1) <= *tolerance_) line.within = true;
  line.outlier = line.within == false && std::find(start_.outliers.begin(), start_.outliers.end(), line.figure) != start_.outliers.end();
  if (line.outlier) line.note = start_.outlier_reason;
  lines_.push_back(std::move(line));
}

void Start::rounding(const std::string& figure, Range predicted, std::string note) {
  const Printed& value = *printed(figure);
  ComparedLine out;
  out.figure = figure;
  out.judge = Judge::kRounding;
  out.predicted = std::clamp(value.value, predicted.low, predicted.high);
  const double slack = value.step / 2 + 1e-9 * std::abs(value.value);
  out.within = predicted.low - slack <= value.value && value.value <= predicted.high + slack;
  out.note = std::move(note);
  line(std::move(out));
}

// Whether the prediction is not beyond.
bool Start::tolerance(const std::string& figure, Judge judge, double predicted, std::string note) {
  const double value = printed(figure)->value;
  ComparedLine out;
  out.figure = figure;
  out.predicted = predicted;
  out.judge = judge;
  out.note = std::move(note);
  if (judge != Judge::kShown)
    out.within = std::abs(predicted - value) <= (judge == Judge::kWeights ? kWeightsTolerance : kMemoryTolerance) * std::abs(value);
  line(std::move(out));
  return lines_.back().within != false;
}

double block_bytes(const Plan& plan) {
  std::uint64_t most = 0;
  for (const DevicePlan& device : plan.devices) most = std::max(most, device.kv_cache_bytes);
  return plan.kv_cache.pages == 0 ? 0 : static_cast<double>(most) / static_cast<double>(plan.kv_cache.pages);
}

double state_bytes(const Plan& plan) {
  double sum = 0;
  for (const KvGroupPlan& group : plan.kv_cache.groups) sum += static_cast<double>(group.state_bytes_per_sequence);
  return sum;
}

Result<void> Start::kv() {
  PLIMSOLL_TRY(allocated());
  if (const Printed* memory = printed("available_kv_bytes"); memory != nullptr && memory->value > 0)
    return from_memory(memory->value - memory->step / 2, memory->value + memory->step / 2);
  return from_count();
}

// The memory was printed: everything that follows from it.
Result<void> Start::from_memory(double low_bytes, double high_bytes) {
  PLIMSOLL_ASSIGN(const Plan low, plan_with(low_bytes));
  PLIMSOLL_ASSIGN(const Plan high, plan_with(high_bytes));
  const auto each = [&](const std::string& figure, auto&& of) {
    if (printed(figure) != nullptr) rounding(figure, {static_cast<double>(of(low)), static_cast<double>(of(high))}, "");
  };
  each("kv_blocks", [](const Plan& plan) { return plan.kv_cache.pages; });
  each("kv_tokens", [](const Plan& plan) { return plan.kv_cache.engine_reported_tokens; });
  each("max_concurrency", [](const Plan& plan) { return plan.kv_cache.capacity_requests; });
  each("estimated_max_length", [](const Plan& plan) { return plan.limits.max_supported_sequence_length; });
  if (printed("needed_kv_bytes") == nullptr) return {};
  PLIMSOLL_ASSIGN(const Plan ample, plan_with(kAmpleBytes));
  const double requests = ample.kv_cache.capacity_requests;
  const double needed = requests > 0 ? block_bytes(ample) * static_cast<double>(ample.kv_cache.pages) / requests : 0;
  rounding("needed_kv_bytes", {needed, needed}, "");
  return {};
}

// Only counts were printed: the blocks that give the tokens are found, and what follows from them must agree.
Result<void> Start::from_count() {
  const Printed* blocks = printed("kv_blocks");
  const Printed* tokens = printed("kv_tokens");
  if ((blocks == nullptr && tokens == nullptr) || printed("kv_cache_bytes") != nullptr) return {};
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
  const std::string from = blocks != nullptr ? "from the printed blocks" : fmt::format("{:.0f} blocks come next", count.low);
  if (tokens != nullptr)
    rounding("kv_tokens",
             {static_cast<double>(low.kv_cache.engine_reported_tokens), static_cast<double>(high.kv_cache.engine_reported_tokens)}, from);
  if (printed("max_concurrency") != nullptr)
    rounding("max_concurrency", {low.kv_cache.capacity_requests, high.kv_cache.capacity_requests}, from);
  return {};
}

// What the caches took after rounding to pages, for engines that print this.
Result<void> Start::allocated() {
  const Printed* cache = printed("kv_cache_bytes");
  const Printed* state = printed("state_bytes");
  const Printed* tokens = printed("kv_tokens");
  if (cache == nullptr && state == nullptr) return {};
  PlanRequest request = kv_request();
  if (tokens != nullptr && cache != nullptr) request.kv_cache_bytes = whole(cache->value);
  PLIMSOLL_ASSIGN(const Plan plan, context_.plan(model_, request));
  if (cache != nullptr) {
    double bytes = 0;
    if (tokens != nullptr) {
      bytes = (tokens->value + static_cast<double>(wording_.spare_pages * plan.kv_cache.page_tokens)) *
              static_cast<double>(plan.kv_cache.bytes_per_token_per_device);
    } else {
      for (const DevicePlan& device : plan.devices) bytes += static_cast<double>(device.kv_cache_bytes);
      bytes -= state_bytes(plan) * static_cast<double>(request.max_batch_size.value_or(1));
    }
    if (tokens == nullptr && !request.max_length) tolerance("kv_cache_bytes", Judge::kShown, bytes, "the context is not printed");
    else rounding("kv_cache_bytes", {bytes, bytes}, tokens != nullptr ? "from the printed tokens" : "from the context");
  }
  const std::string* slots = start_.find("state_slots");
  if (state != nullptr && slots != nullptr) {
    const double rows = std::atof(slots->c_str()) + static_cast<double>(wording_.spare_slots);
    rounding("state_bytes", {rows * state_bytes(plan), rows * state_bytes(plan)}, "");
  }
  return {};
}

// Weights, what stands beside them, and the memory that they leave.
Result<void> Start::memory() {
  const Printed* weights = printed("weights_bytes");
  PlanRequest request = asked_.request;
  request.kv_cache_bytes.reset();
  PLIMSOLL_ASSIGN(Plan plan, context_.plan(model_, request));
  if (plan.devices.empty()) return {};
  bool known = start_.weights_known || request.weights_bytes.has_value();
  if (weights != nullptr && known) {
    const bool stored = !wording_.weights_as_stored || plan.model.weights_source != WeightsSource::kConfig;
    known = tolerance("weights_bytes", stored ? Judge::kWeights : Judge::kShown, static_cast<double>(plan.devices.front().weights_bytes),
                      stored ? "" : "the configuration does not tell the stored types");
  }
  // Weights that are not those of the configuration are taken as printed: what they leave is another matter.
  const bool given = weights != nullptr && !known;
  if (given) {
    request.weights_bytes = whole(weights->value * request.tp.value_or(1) * request.pp.value_or(1));
    PLIMSOLL_ASSIGN(plan, context_.plan(model_, request));
  }
  for (const char* figure : {"activation_bytes", "compute_buffer_bytes"})
    if (printed(figure) != nullptr) tolerance(figure, Judge::kShown, static_cast<double>(plan.devices.front().activation_bytes), "");
  for (const auto& [figure, label] : {std::pair("non_torch_bytes", "non_torch"), std::pair("graph_bytes", "graph")}) {
    double sum = 0;
    for (const Item& item : plan.items)
      if (item.label.find(label) != std::string::npos && !item.bytes.empty()) sum += static_cast<double>(item.bytes.front());
    if (printed(figure) != nullptr && sum > 0) tolerance(figure, Judge::kShown, sum, "");
  }
  const bool judged = asked_.fraction_known && start_.limits_known && (known || given);
  const Judge judge = judged ? Judge::kMemory : Judge::kShown;
  const std::string note = !judged ? "the fraction, the weights or the batch limits are not known"
                           : given ? "with the printed weights"
                                   : "";
  if (!asked_.memory_known) return {};
  // Engines that print the cache, not what was left for it.
  if (printed("kv_cache_bytes") != nullptr && printed("kv_tokens") != nullptr)
    tolerance("kv_tokens", judge, static_cast<double>(plan.kv_cache.engine_reported_tokens), note);
  if (printed("available_kv_bytes") == nullptr) return {};
  double least = kLargest;
  for (const DevicePlan& device : plan.devices)
    least = std::min(least, static_cast<double>(device.kv_cache_bytes) + static_cast<double>(device.unused_bytes));
  tolerance("available_kv_bytes", judge, least, note);
  return {};
}

std::size_t order_of(const std::string& figure) {
  return static_cast<std::size_t>(
      std::find_if(kComparedFigures.begin(), kComparedFigures.end(), [&](const FigureInfo& info) { return info.name == figure; }) -
      kComparedFigures.begin());
}

} // namespace

Result<Model> Comparer::load(const std::string& name) {
  if (const auto it = models_.find(name); it != models_.end()) return it->second;
  PLIMSOLL_ASSIGN(Model model, context_.load(name));
  models_.emplace(name, model);
  return model;
}

Result<void> Comparer::run(const EngineStart& start, Comparison& out) {
  const auto wording = std::find_if(wordings_.begin(), wordings_.end(), [&](const Wording& w) { return w.engine == start.engine; });
  if (wording == wordings_.end()) return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no known engine", start.engine), start.place);
  if (out.model.empty()) return fail(ErrorCode::kBadRequest, "the model is not printed; give it with --model", start.place);
  auto loaded = load(out.model);
  if (!loaded && !start.model_key.empty() && request_.model.empty()) {
    const auto key = model_keys_.find(start.model_key);
    if (key == model_keys_.end()) {
      out.note = "neither the model nor its key is one of the catalogue";
      return {};
    }
    out.model = key->second;
    loaded = load(out.model);
  }
  if (!loaded) return tl::unexpected(std::move(loaded.error()));
  const Model& model = *loaded;
  PLIMSOLL_ASSIGN(const StartRequest asked, request_of(start, request_.options));
  std::vector<std::string> releases{start.release};
  if (start.release.empty() && !asked.engine_given) releases = start.releases.empty() ? wording->releases : start.releases;
  std::optional<Start> best;
  for (const std::string& release : releases) {
    StartRequest tried = asked;
    if (!asked.engine_given && !release.empty()) tried.request.engine += "@" + release;
    Start attempt(context_, model, start, *wording, tried, request_.tolerance);
    PLIMSOLL_TRY(attempt.kv());
    if (best && attempt.beyond() >= best->beyond()) continue;
    best.emplace(std::move(attempt));
    out.release = release;
    if (best->beyond() == 0) break;
  }
  if (releases.size() > 1 && !out.release.empty()) out.note = fmt::format("no release is printed; the rules of {} fit", out.release);
  PLIMSOLL_TRY(best->memory());
  out.lines = best->take_lines();
  std::stable_sort(out.lines.begin(), out.lines.end(),
                   [](const ComparedLine& a, const ComparedLine& b) { return order_of(a.figure) < order_of(b.figure); });
  return {};
}

Comparison Comparer::compare(const EngineStart& start) {
  Comparison out;
  out.place = start.place;
  out.id = start.id;
  out.engine = start.engine;
  out.release = start.release;
  out.model = request_.model.empty() ? start.model : request_.model;
  if (!start.not_compared.empty() && request_.model.empty()) {
    out.verdict = CompareVerdict::kSkipped;
    out.note = start.not_compared;
    return out;
  }
  if (auto done = run(start, out); !done) {
    out.verdict = CompareVerdict::kError;
    out.error = std::move(done.error());
    return out;
  }
  const bool beyond =
      std::any_of(out.lines.begin(), out.lines.end(), [](const ComparedLine& line) { return line.within == false && !line.outlier; });
  const bool judged = std::any_of(out.lines.begin(), out.lines.end(), [](const ComparedLine& line) { return line.within.has_value(); });
  out.verdict = beyond ? CompareVerdict::kBeyond : judged ? CompareVerdict::kWithin : CompareVerdict::kSkipped;
  if (!judged && out.note.empty()) out.note = "nothing that was printed follows from something else that was";
  return out;
}

} // namespace plimsoll
