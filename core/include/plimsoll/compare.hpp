// plimsoll/compare.hpp - a plan beside what an inference engine printed at its start: weights, KV memory, blocks, tokens,
// requests, each predicted and judged.
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

// How a figure is judged: not at all, by its printed rounding, or by a tolerance.
enum class Judge { kShown, kRounding, kWeights, kMemory };

struct FigureInfo {
  std::string_view name;
  Judge judge;
};

// Everything that is compared. What ends in _bytes is in bytes, everything else is a count.
inline constexpr std::array<FigureInfo, 13> kComparedFigures{{{"weights_bytes", Judge::kWeights},
                                                              {"activation_bytes", Judge::kShown},
                                                              {"non_torch_bytes", Judge::kShown},
                                                              {"graph_bytes", Judge::kShown},
                                                              {"compute_buffer_bytes", Judge::kShown},
                                                              {"available_kv_bytes", Judge::kMemory},
                                                              {"kv_blocks", Judge::kRounding},
                                                              {"kv_tokens", Judge::kRounding},
                                                              {"max_concurrency", Judge::kRounding},
                                                              {"needed_kv_bytes", Judge::kRounding},
                                                              {"estimated_max_length", Judge::kRounding},
                                                              {"kv_cache_bytes", Judge::kRounding},
                                                              {"state_bytes", Judge::kRounding}}};

// A printed number, the size of one unit in its last place (0: exact), and where it stood.
struct Printed {
  double value = 0, step = 0;
  std::string place;
};

struct Setting {
  std::string value, place;
};

// One start of an engine as it was printed. Names of settings are options of a plan, names of figures those above.
struct EngineStart {
  std::string place, id;             // the log's name, or NAME:LINE of a record
  std::string engine;                // of the profile
  std::string release;               // empty: not printed
  std::vector<std::string> releases; // to try where none was printed; empty: those of the catalogue
  std::string model, model_key;      // models of the same shapes share a key; only records have one
  // Options by name, and beside them: engine.KEY, expert_parallel, kv_dtype_k, kv_dtype_v, device, device_total_bytes,
  // device_free_bytes, state_slots.
  std::map<std::string, Setting> settings;
  std::map<std::string, Printed> printed; // by the names of kComparedFigures
  // The weights are those that the model's configuration implies; otherwise the printed ones are taken as given.
  bool weights_known = true;
  bool limits_known = true;          // of tokens and requests in a batch: printed, or those that the release takes by itself
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
  double predicted = 0;
  std::optional<bool> within; // empty: shown, not judged
  bool outlier = false;       // beyond, and known to be
  std::string note;

  double ratio() const { return predicted / printed.value; }
};

enum class CompareVerdict { kWithin, kBeyond, kSkipped, kError };
std::string_view PLIMSOLL_API compare_verdict_name(CompareVerdict verdict) noexcept; // "within", "beyond", "skipped", "error"

struct Comparison {
  std::string place, id, engine, release, model;
  std::vector<ComparedLine> lines; // in the order of kComparedFigures
  CompareVerdict verdict = CompareVerdict::kWithin;
  std::string note; // why it was skipped, or what was assumed
  std::optional<Error> error;
};

struct CompareRequest {
  std::string model;                // instead of the printed one
  std::vector<OptionValue> options; // of a plan: they win over what was printed
  std::optional<double> tolerance;  // 0 to 1: instead of the usual ones, and for figures outside their rounding too
};

// Judged lines of one kind over many starts; known outliers are counted, their deviations are not.
struct CompareCount {
  std::size_t figures = 0, within = 0, known_outliers = 0;
  double median = 0, p95 = 0, worst = 0; // of |predicted / printed - 1|
};
struct CompareSummary {
  std::size_t within = 0, beyond = 0, skipped = 0, errors = 0; // starts
  CompareCount kv, weights, available_kv;
};

// The starts of one log: one of a text, one a line of records. kBadRequest where the text is no engine's or a line no record.
Result<std::vector<EngineStart>> PLIMSOLL_API read_starts(const Context& context, const EngineLog& log);

// Makes the plans that each start's settings call for. What cannot be planned is the error of its comparison.
Result<std::vector<Comparison>> PLIMSOLL_API compare_starts(const Context& context, const std::vector<EngineStart>& starts,
                                                            const CompareRequest& request);

// The worst of all.
CompareVerdict PLIMSOLL_API compare_verdict(const std::vector<Comparison>& comparisons);
CompareSummary PLIMSOLL_API compare_summary(const std::vector<Comparison>& comparisons);

// The document `plimsoll.compare/1`. One comparison: its own. Several, or `many`: {"schema", "starts": [...], "summary",
// "verdict", "error"}.
std::string PLIMSOLL_API compare_to_json(const std::vector<Comparison>& comparisons, bool many, int indent = 2);

} // namespace plimsoll
