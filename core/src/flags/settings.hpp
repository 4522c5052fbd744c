// What an engine was told, as the options of a plan: degrees of parallelism as each engine counts them, drafts, adapters, types of K and V
// apart. For the readers of command lines and of engines' files. Loads nothing. Threads: plain values.
//
// A setting is an option of a plan, engine.KEY for a value of its profile, or one of:
//   model, draft           what is served; a draft beside it
//   draft_method           "none": it takes no memory; else a word of the engine's
//   draft_steps, draft_topk, of drafts whose tokens are not said
//   expert_parallel        true: the expert-parallel degree is tp x dp
//   attention_dp           true: tp counts all ranks, and attention is repeated on dp of them (all where dp is not said)
//   replicas_apart         true: without attention_dp the dp replicas share nothing; of the table, never of a flag
//   gpus                   how many devices all ranks are, where tp is not said
//   lora_enabled           false: the adapters' settings count for nothing
//   kv_dtype_k, kv_dtype_v the types of K and V apart
//   config                 a file of the engine's
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "flags/flag_table.hpp"
#include "plimsoll/options.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct FlagSetting {
  std::string value, where;
};

// Whether a setting with this place is what the engine does where nothing is said.
bool is_assumed(std::string_view where);

class FlagSettings {
public:
  // The last one counts. True where it stood before with another value.
  bool set(const std::string& name, FlagSetting setting);
  const FlagSetting* find(const std::string& name) const;
  std::string value(const std::string& name, std::string otherwise = "") const;
  void assume(const Assumed& assumed, const std::string& engine);

  // The options that say the same; model and draft are not among them. kBadRequest names the flag.
  Result<std::vector<OptionValue>> options() const;

private:
  Result<std::uint64_t> count(const std::string& name, std::uint64_t otherwise) const;
  Result<void> say_ranks(std::vector<OptionValue>& out) const;
  Result<void> say_draft(std::vector<OptionValue>& out) const;
  void say_adapters(std::vector<OptionValue>& out) const;
  void say_kv_types(std::vector<OptionValue>& out) const;

  std::map<std::string, FlagSetting> settings_;
};

// A number as the engine writes it, in the unit of the option: "8k" is 8000, "1M" 1048576, "4" GiB 4294967296. kBadRequest where it is
// none.
Result<std::string> in_units(std::string_view text, FlagUnit unit, const std::string& where);

} // namespace plimsoll
