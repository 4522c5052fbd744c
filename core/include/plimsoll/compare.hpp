// plimsoll/compare.hpp - a plan beside what an inference engine printed at its start: weights, KV memory, blocks, tokens,
// requests, and whether it starts at all, each predicted and judged. What follows from another printed figure is only consistent with it,
// and counts as no prediction.
//
//   auto starts = plimsoll::read_starts(context, {"server.log", text}).value();
//   auto comparisons = plimsoll::compare_starts(context, starts, {}).value();
//   plimsoll::compare_verdict(comparisons); // and compare_to_json(comparisons, false)
//
// The words of engines are data of the catalogue. Text comes in, values go out: no file but the catalogue's is opened. No log
// can make the reader slow or large; numbers beyond all sizes are passed over. Threads: functions of their arguments.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/options.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

inline constexpr std::size_t kMaxLogBytes = 16U << 20; // an engine's start prints far less; the rest of a long log is not read

// A start-up log as text, or records of starts, one JSON object a line.
struct EngineLog {
  std::string name; // in messages and places: the file's
  std::string text;
  bool records = false;
};

// How a figure is judged: not at all, by its printed rounding, by a tolerance, or by whether the engine started.
enum class Judge { kShown, kRounding, kWeights, kMemory, kStart };

struct FigureInfo {
  std::string_view name;
  Judge judge;
};

// Everything that is compared. What ends in _bytes is in bytes, _utilization is a fraction, `start` a word, everything else a count.
inline constexpr std::string_view kStartFigure = "start";
inline constexpr std::array<FigureInfo, 17> kComparedFigures{{{kStartFigure, Judge::kStart},
                                                              {"weights_bytes", Judge::kWeights},
                                                              {"activation_bytes", Judge::kShown},
                                                              {"non_torch_bytes", Judge::kShown},
                                                              {"graph_bytes", Judge::kShown},
                                                              {"compute_buffer_bytes", Judge::kShown},
                                                              {"available_kv_bytes", Judge::kMemory},
                                                              {"block_tokens", Judge::kRounding},
                                                              {"kv_blocks", Judge::kRounding},
                                                              {"kv_tokens", Judge::kRounding},
                                                              {"max_concurrency", Judge::kRounding},
                                                              {"needed_kv_bytes", Judge::kRounding},
                                                              {"estimated_max_length", Judge::kRounding},
                                                              {"kv_cache_bytes", Judge::kRounding},
                                                              {"state_bytes", Judge::kRounding},
                                                              {"least_utilization", Judge::kMemory},
                                                              {"refused_bytes", Judge::kShown}}};

// What a figure turned out to be. kWithin, kBeyond: judged against a prediction that knows nothing of it. kConsistent: it follows from
// other printed figures; where it does not, it is kBeyond. kShown: not judged, and the line's note says why.
enum class CompareStatus { kWithin, kBeyond, kConsistent, kShown };
std::string_view PLIMSOLL_API compare_status_name(CompareStatus status) noexcept; // "within", "beyond", "consistent", "shown"

// Why an engine did not start, in no engine's words.
enum class StartRefusal {
  kNone,
  kFreeMemory,  // less is free than the fraction wants
  kStateBlocks, // more requests than blocks of recurrent state
  kOneRequest,  // not one request of the greatest length
  kNoKvMemory,  // nothing is left for the KV cache
  kFraction,    // nothing is left in the fraction; a larger one would do
  kOutOfMemory  // an allocation failed
};

// A printed number, the size of one unit in its last place (0: exact), and where it stood.
struct Printed {
  double value = 0, step = 0;
  std::string place;
};

struct Setting {
  std::string value, place;
};

// An engine's own sentence that it does not start.
struct PrintedRefusal {
  StartRefusal kind = StartRefusal::kNone;
  std::string text, place; // at most kMaxRefusalText bytes, as it was printed
};
inline constexpr std::size_t kMaxRefusalText = 240;

// One start of an engine as it was printed. Names of settings are options of a plan, names of figures those above.
struct EngineStart {
  std::string place, id;             // the log's name, or NAME:LINE of a record
  std::string engine;                // of the profile
  std::string release;               // empty: not printed
  std::vector<std::string> releases; // to try where none was printed; empty: those of the catalogue
  std::string model, model_key;      // models of the same shapes share a key; only records have one
  // Options by name, and beside them: engine.KEY, expert_parallel, kv_dtype_k, kv_dtype_v, device, device_total_bytes,
  // device_free_bytes, state_slots, draft, draft_method, lora_enabled, token_cap, quantization, offloaded_layers, all_layers. Any other
  // name is a setting that no plan has.
  std::map<std::string, Setting> settings;
  std::map<std::string, Printed> printed; // by the names of kComparedFigures
  // The weights are those that the model's configuration implies; otherwise the printed ones are taken as given.
  bool weights_known = true;
  bool limits_known = true;    // of tokens and requests in a batch: printed, or those that the release takes by itself
  bool defaults_known = false; // the arguments were printed: what is not among them is the release's default
  bool record = false;         // somebody wrote it down: what a release takes by itself is among the settings
  PrintedRefusal refusal;
  bool served = false;               // it is said that the engine serves
  std::vector<std::string> outliers; // figures that are known not to match
  std::string outlier_reason;
  std::string not_compared; // why nothing can be predicted; such a start is listed only

  void set(const std::string& name, const std::string& value, const std::string& where) { settings.insert({name, {value, where}}); }
  const std::string* find(const std::string& name) const {
    const auto it = settings.find(name);
    return it == settings.end() ? nullptr : &it->second.value;
  }
};

struct ComparedLine {
  std::string figure;
  Judge judge = Judge::kShown;
  Printed printed;
  double predicted = 0; // 0 of a line only shown: the plan says nothing
  CompareStatus status = CompareStatus::kShown;
  bool outlier = false; // beyond, and known to be
  std::string note;
  std::string printed_text, predicted_text; // of the start: "refused: ...", "started", "fits"

  bool predicts() const { return predicted != 0 || status != CompareStatus::kShown; }
  bool judged() const { return status == CompareStatus::kWithin || status == CompareStatus::kBeyond; }
  double ratio() const { return predicted / printed.value; }
};

// kNothingJudged: figures were consistent or shown, and none was judged; so is a start that cannot be planned and says why.
enum class CompareVerdict { kWithin, kBeyond, kNothingJudged, kError };
std::string_view PLIMSOLL_API compare_verdict_name(CompareVerdict verdict) noexcept; // "within", "beyond", "nothing_judged", "error"

// Whether an engine starts, as the plan says and as it was.
struct CompareStart {
  bool judged = false, said_fits = false, started = false;
};

struct Comparison {
  std::string place, id, engine, release, model;
  std::vector<ComparedLine> lines; // in the order of kComparedFigures
  CompareVerdict verdict = CompareVerdict::kWithin;
  std::string note; // why nothing was judged, or what was assumed
  CompareStart start;
  std::vector<Advice> advice; // of a refused start: what would start
  std::optional<Error> error;
};

// How many lines became what. Judged are those within, beyond, and beyond as it is known.
struct CompareTally {
  std::size_t judged = 0, within = 0, beyond = 0, known_outliers = 0, consistent = 0, shown = 0;
};
CompareTally PLIMSOLL_API compare_tally(const std::vector<ComparedLine>& lines);

struct CompareRequest {
  std::string model;                // instead of the printed one
  std::vector<OptionValue> options; // of a plan: they win over what was printed
  std::optional<double> tolerance;  // 0 to 1: instead of the usual ones, and for figures outside their rounding too
};

// Lines of one kind or figure over many starts; known outliers are counted, their deviations are not.
struct CompareCount {
  std::size_t figures = 0, within = 0, beyond = 0, known_outliers = 0, consistent = 0, shown = 0; // figures: all but those only shown
  double median = 0, p95 = 0, worst = 0; // of |predicted / printed - 1|: of judged lines, or where there are none of those shown
};
// What was said against what happened.
struct CompareStarts {
  std::size_t fits_started = 0, fits_refused = 0, does_not_fit_started = 0, does_not_fit_refused = 0, not_judged = 0;
};
struct CompareSummary {
  std::size_t within = 0, beyond = 0, nothing_judged = 0, errors = 0; // starts
  CompareTally lines;
  CompareCount kv, weights, available_kv;
  std::vector<std::pair<std::string, CompareCount>> by_figure; // in the order of kComparedFigures, those that stand somewhere
  CompareStarts starts;
};

// The starts of one log: one of a text, one a line of records. kBadRequest where the text is no engine's or a line no record.
Result<std::vector<EngineStart>> PLIMSOLL_API read_starts(const Context& context, const EngineLog& log);

// Makes the plans that each start's settings call for. What cannot be planned is the error of its comparison.
Result<std::vector<Comparison>> PLIMSOLL_API compare_starts(const Context& context, const std::vector<EngineStart>& starts,
                                                            const CompareRequest& request);

// An engine profile with what a start measured in place of what the shipped one estimates, for `--engine FILE`: memory outside the
// allocator, captured graphs, peak of activations, each a constant of basis `measured`. JSON, which is YAML. The profile's plan leaves
// the KV memory that was printed. kBadRequest where the log tells no such figure, or the model and the device are not known.
Result<std::string> PLIMSOLL_API measured_profile(const Context& context, const EngineStart& start, const CompareRequest& request);

// The worst of all.
CompareVerdict PLIMSOLL_API compare_verdict(const std::vector<Comparison>& comparisons);
CompareSummary PLIMSOLL_API compare_summary(const std::vector<Comparison>& comparisons);

// The document `plimsoll.compare/1`. One comparison: its own. Several, or `many`: {"schema", "starts": [...], "summary",
// "verdict", "error"}.
std::string PLIMSOLL_API compare_to_json(const std::vector<Comparison>& comparisons, bool many, int indent = 2);

} // namespace plimsoll
