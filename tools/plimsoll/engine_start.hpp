// One start of an inference engine as it was printed: its settings, and the figures that a plan is held against.
// Filled by log_reader.cpp from a text log and by start_record.cpp from a record; read by comparison.cpp.
// Knows no engine: names of settings are options of a plan, names of figures are those of kFigures. Threads: plain values.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::cli {

// How a figure is judged: not at all, by its printed rounding, or by a tolerance.
enum class Judge { kShown, kRounding, kWeights, kMemory };

struct FigureInfo {
  std::string_view name;
  Judge judge;
};

// Everything that is compared. What ends in _bytes is in bytes, everything else is a count.
constexpr std::array<FigureInfo, 13> kFigures{{{"weights_bytes", Judge::kWeights},
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

struct EngineStart {
  std::string place, id;             // file, or file:line of a record
  std::string engine;                // of the profile
  std::string release;               // empty: not printed
  std::vector<std::string> releases; // to try where none was printed; empty: those of the wording
  std::string model, model_key;      // models of the same shapes share a key; only records have one
  // Options by name, and beside them: engine.KEY, expert_parallel, kv_dtype_k, kv_dtype_v, device, device_total_bytes,
  // device_free_bytes, state_slots.
  std::map<std::string, Setting> settings;
  std::map<std::string, Printed> printed; // by the names of kFigures
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

} // namespace plimsoll::cli
