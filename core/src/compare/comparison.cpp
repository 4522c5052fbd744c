// See comparison.hpp.
#include "compare/comparison.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "compare/nearest_models.hpp"
#include "compare/start_request.hpp"

namespace plimsoll {
namespace {

std::size_t order_of(const std::string& figure) {
  return static_cast<std::size_t>(
      std::find_if(kComparedFigures.begin(), kComparedFigures.end(), [&](const FigureInfo& info) { return info.name == figure; }) -
      kComparedFigures.begin());
}

void add_note(Comparison& out, const std::string& note) {
  if (!note.empty()) out.note += (out.note.empty() ? "" : "; ") + note;
}

} // namespace

Result<Model> Comparer::load(const std::string& name) {
  if (const auto it = models_.find(name); it != models_.end()) return it->second;
  PLIMSOLL_ASSIGN(Model model, context_.load(name));
  models_.emplace(name, model);
  return model;
}

// The model that was asked for, else the printed one, else that of the record's key. An error names the nearest of the catalogue.
Result<Model> Comparer::model_of(const EngineStart& start, Comparison& out) {
  if (out.model.empty()) return fail(ErrorCode::kBadRequest, "the model is not printed; give it with --model", start.place);
  auto loaded = load(out.model);
  if (!loaded && !start.model_key.empty() && request_.model.empty())
    if (const auto key = model_keys_.find(start.model_key); key != model_keys_.end()) {
      out.model = key->second;
      loaded = load(out.model);
    }
  if (loaded || !request_.model.empty() || !start.model_key.empty()) return loaded;
  const std::vector<std::string> near = nearest_models(context_.catalogue_path(), out.model);
  Error error = std::move(loaded.error());
  error.message += near.empty() ? "; give the planned one with --model"
                                : fmt::format("; give the planned one with --model; nearest in the catalogue: {}", fmt::join(near, ", "));
  return tl::unexpected(std::move(error));
}

// A draft model of its own is loaded where it can be; otherwise the request cannot say it.
void Comparer::add_draft(StartRequest& asked) {
  if (asked.draft.empty() || asked.request.draft) return;
  if (auto draft = load(asked.draft)) {
    asked.request.draft = std::move(*draft);
    return;
  }
  asked.not_said_of_kv.push_back("draft=" + asked.draft);
  asked.request.num_draft_tokens = 0;
}

// The rules under which the least is beyond.
Result<StartFigures> Comparer::best_release(const Prepared& prepared, Comparison& out) const {
  const auto& [start, wording, model, asked] = prepared;
  std::vector<std::string> releases{start.release};
  if (start.release.empty() && !asked.engine_given) releases = start.releases.empty() ? wording->releases : start.releases;
  std::optional<StartFigures> best;
  for (const std::string& release : releases) {
    StartRequest tried = asked;
    if (!asked.engine_given && !release.empty()) tried.request.engine += "@" + release;
    StartFigures attempt(context_, model, start, *wording, tried, request_.tolerance);
    PLIMSOLL_TRY(attempt.kv());
    if (best && attempt.beyond() >= best->beyond()) continue;
    best.emplace(std::move(attempt));
    out.release = release;
    if (best->beyond() == 0) break;
  }
  return std::move(*best);
}

Result<Comparer::Prepared> Comparer::prepare(const EngineStart& printed, const std::set<std::string>& refused, Comparison& out) {
  const auto wording = std::find_if(wordings_.begin(), wordings_.end(), [&](const Wording& w) { return w.engine == printed.engine; });
  if (wording == wordings_.end())
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no known engine", printed.engine), printed.place);
  PLIMSOLL_ASSIGN(Model model, model_of(printed, out));
  Prepared prepared{printed, &*wording, std::move(model), {}};
  // Another model stands for one that was quantised in a way of its own: its shapes are the same, its weights are not.
  if (printed.find("quantization") != nullptr && !request_.model.empty()) prepared.start.weights_known = false;
  PLIMSOLL_ASSIGN(prepared.asked, request_of(prepared.start, request_.options, refused));
  add_draft(prepared.asked);
  return prepared;
}

Result<Comparer::Tried> Comparer::attempt(const EngineStart& printed, Comparison& out) {
  std::set<std::string> refused;
  while (true) {
    PLIMSOLL_ASSIGN(Prepared prepared, prepare(printed, refused, out));
    auto figures = best_release(prepared, out);
    Result<void> done;
    if (figures) done = figures->memory();
    if (figures && done) return Tried{std::move(prepared), std::move(*figures)};
    Error error = figures ? std::move(done.error()) : std::move(figures.error());
    const std::string setting = refused_setting(prepared.start, request_.options, error);
    if (setting.empty() || !refused.insert(setting).second) return tl::unexpected(std::move(error));
  }
}

Result<void> Comparer::run(const EngineStart& start, Comparison& out) {
  if (!start.model_key.empty() && request_.model.empty() && !model_keys_.contains(start.model_key) && !load(out.model)) {
    add_note(out, "neither the model nor its key is one of the catalogue");
    return {};
  }
  PLIMSOLL_ASSIGN(const Tried tried, attempt(start, out));
  const StartFigures& figures = tried.figures;
  if (start.release.empty() && !tried.prepared.asked.engine_given && !out.release.empty())
    add_note(out, fmt::format("no release is printed; the rules of {} fit", out.release));
  out.lines = figures.lines();
  out.start = figures.start();
  out.advice = figures.advice();
  add_note(out, figures.assumed());
  std::stable_sort(out.lines.begin(), out.lines.end(),
                   [](const ComparedLine& a, const ComparedLine& b) { return order_of(a.figure) < order_of(b.figure); });
  return {};
}

Result<Comparer::Planned> Comparer::plan(const EngineStart& start) {
  Comparison out;
  out.model = request_.model.empty() ? start.model : request_.model;
  PLIMSOLL_ASSIGN(Tried tried, attempt(start, out));
  Prepared& prepared = tried.prepared;
  PlanRequest& request = prepared.asked.request;
  if (!prepared.asked.engine_given && !out.release.empty()) request.engine += "@" + out.release;
  request.kv_cache_bytes.reset();
  request.advise = false;
  Planned planned;
  planned.engine = request.engine;
  planned.memory_known = prepared.asked.memory_known;
  PLIMSOLL_ASSIGN(planned.plan, context_.plan(prepared.model, request));
  return planned;
}

Comparison Comparer::compare(const EngineStart& start) {
  Comparison out;
  out.place = start.place;
  out.id = start.id;
  out.engine = start.engine;
  out.release = start.release;
  out.model = request_.model.empty() ? start.model : request_.model;
  if (!start.not_compared.empty() && request_.model.empty()) {
    out.verdict = CompareVerdict::kNothingJudged;
    out.note = start.not_compared;
    return out;
  }
  if (auto done = run(start, out); !done) {
    out.verdict = CompareVerdict::kError;
    out.error = std::move(done.error());
    return out;
  }
  const CompareTally tally = compare_tally(out.lines);
  // What misses in a known way is no reason to call the rest beyond, and none to call it within where there is no rest.
  const bool only_misses = tally.judged > 0 && tally.within == 0;
  out.verdict = tally.beyond > 0 || only_misses ? CompareVerdict::kBeyond
                : tally.judged > 0              ? CompareVerdict::kWithin
                                                : CompareVerdict::kNothingJudged;
  if (out.lines.empty() && out.note.empty()) out.note = "nothing that was printed follows from something else that was";
  return out;
}

} // namespace plimsoll
