#include "plimsoll/engine_command.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "engine/engine_name.hpp"
#include "flags/flag_table.hpp"
#include "flags/read_command.hpp"
#include "plugin/registry.hpp"
#include "request/option_names.hpp"

namespace plimsoll {
namespace {

std::string catalogue_of(const EngineCommandOptions& options) {
  return options.catalogue_path.empty() ? installation_prefix() + "/share/plimsoll" : options.catalogue_path;
}

// The engine and release that were given; nothing of a profile of the user's own, which names none.
Result<EngineName> given_engine(const EngineCommandOptions& options, const std::string& catalogue) {
  if (options.engine.empty()) return EngineName{};
  PLIMSOLL_ASSIGN(EngineName out, find_engine_name(catalogue, options.engine));
  return out.is_file ? EngineName{} : out;
}

bool is_our_key(std::string_view key) {
  constexpr std::string_view kOthers[] = {"model",  "draft",  "plugin_path", "prefer", "trust",  "plugin_timeout",
                                          "format", "output", "color",       "quiet",  "verbose"};
  return find_option(key, {}) != nullptr || std::find(std::begin(kOthers), std::end(kOthers), option_key(key)) != std::end(kOthers);
}

// "--max-length", or "--set engine.prefix_caching=true".
std::string our_flag(const FlagRow& row) {
  if (row.effect != FlagEffect::kSetting) return {};
  if (row.setting.starts_with("engine.")) return fmt::format("--set {}", row.setting);
  if (row.setting == "model" || row.setting == "hub_model") return "MODEL";
  if (row.setting == "draft") return "--draft";
  if (row.setting == "expert_parallel") return "--ep";
  if (row.setting == "gpus") return "--devices";
  if (row.setting == "lora_enabled") return "--max-loras";
  if (row.setting == "kv_dtype_k" || row.setting == "kv_dtype_v") return "--kv-dtype";
  return find_option(row.setting, {}) == nullptr ? "" : "--" + dashed(row.setting);
}

} // namespace

Result<EngineCommand> read_engine_command(std::span<const std::string> words, const EngineCommandOptions& options) {
  const std::string catalogue = catalogue_of(options);
  PLIMSOLL_ASSIGN(const EngineName given, given_engine(options, catalogue));
  PLIMSOLL_ASSIGN(const std::vector<FlagTable> heads, read_flag_heads(catalogue));
  PLIMSOLL_ASSIGN(const StartedEngine engine, started_engine(heads, words));
  PLIMSOLL_ASSIGN(const FlagTable table, read_flag_table(catalogue, engine.table->engine));
  PLIMSOLL_ASSIGN(EngineCommand out, read_command(engine, table, given.release));
  const std::string started = out.engine.substr(0, out.engine.find('@'));
  if (!options.engine.empty() && given.name.empty()) out.engine = options.engine; // a profile of the user's own
  else if (!given.name.empty() && given.name != started)
    return fail(ErrorCode::kBadRequest, fmt::format("the command behind -- starts {}, not {}; leave --engine out", started, given.name),
                "--engine");
  return out;
}

Result<std::optional<EngineCommand>> read_engine_file(const std::string& path, const EngineCommandOptions& options) {
  const std::string catalogue = catalogue_of(options);
  PLIMSOLL_ASSIGN(const EngineName given, given_engine(options, catalogue));
  PLIMSOLL_ASSIGN(const std::vector<FlagTable> tables, read_flag_tables(catalogue));
  PLIMSOLL_ASSIGN(std::optional<EngineCommand> out, read_file(tables, path, given.name, given.release, is_our_key));
  if (out && !options.engine.empty() && given.name.empty()) out->engine = options.engine;
  return out;
}

std::string about_unknown_option(std::string_view option, std::span<const std::string> known, const EngineCommandOptions& options) {
  const std::string typed(option.substr(0, 60));
  if (const auto tables = read_flag_tables(catalogue_of(options))) {
    const auto given = given_engine(options, catalogue_of(options));
    const std::string engine = given ? given->name : "";
    std::string without_meaning;
    for (const bool same_engine : {true, false})
      for (const FlagTable& table : *tables) {
        if ((table.engine == engine) != same_engine) continue;
        const FlagRow* const row = table.find_flag(typed);
        if (row == nullptr) continue;
        if (const std::string ours = our_flag(*row); !ours.empty()) return fmt::format("it is {} here", ours);
        if (without_meaning.empty())
          without_meaning = fmt::format("it is a flag of {}; the whole command may stand behind --", table.engine);
      }
    if (!without_meaning.empty()) return without_meaning;
  }
  const std::string close = nearest_name(typed, known);
  return close.empty() ? "" : fmt::format("did you mean {}?", close);
}

} // namespace plimsoll
