// adapter_config.json of a LoRA adapter, as PEFT writes it: ranks and scales by the names of layers. Whatever changes the arithmetic in
// another way than scale * B (A x) is refused by its key; so is a key that nobody here knows and that is not off. Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

// Whether a module is called so: by its whole name, or by its last parts.
bool is_called(std::string_view module, std::string_view name);

class AdapterConfig {
public:
  // kBadConfig names the file and the key.
  static Result<AdapterConfig> read(const std::string& path);

  std::uint64_t rank_of(std::string_view module) const;
  // The largest that any module has.
  std::uint64_t most_rank() const;
  // alpha / rank, or alpha / sqrt(rank) where use_rslora says so.
  double scale_of(std::string_view module) const;
  // Whether target_modules has it; also where that is no list of names.
  bool is_target(std::string_view module) const;

private:
  std::uint64_t rank_ = 8; // PEFT's defaults
  double alpha_ = 8;
  bool root_scale_ = false;
  std::vector<std::pair<std::string, std::uint64_t>> rank_pattern_; // the first that fits counts
  std::vector<std::pair<std::string, double>> alpha_pattern_;
  std::optional<std::vector<std::string>> targets_;
  friend class AdapterConfigReader;
};

} // namespace plimsoll
