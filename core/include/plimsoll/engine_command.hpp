// plimsoll/engine_command.hpp - engines' own command lines and files of settings, read as what a plan is asked for; and the names of flags.
//
//   const std::vector<std::string> words{"vllm", "serve", "Qwen/Qwen3-8B", "-tp", "2", "--max-model-len", "8k"};
//   auto command = plimsoll::read_engine_command(words, {}).value();
//   for (const OptionValue& option : command.options) set_option(request, option).value();
//
// The tables of flags are read when one of these is called. Threads: pure functions over values.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/options.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct EngineCommand {
  std::string engine;               // as --engine takes it: "vllm", "vllm@0.11.0"
  std::string model, draft;         // empty: not said
  std::vector<OptionValue> options; // what else was asked for; `where` is the flag
  std::vector<OptionValue> assumed; // what the engine does where nothing is said: an option that is given wins
  std::vector<Warning> warnings;    // flag_ignored, flag_not_planned, flag_unknown: everything that is not in the above
  // Flags that are no part of the plan, each with what belongs to it, for who starts the same again; no keys and tokens.
  std::vector<std::vector<std::string>> carried;
};

struct EngineCommandOptions {
  std::string catalogue_path; // empty: the one that ships with the library
  std::string engine;         // as --engine was given; empty: it was not
};

// The words of a command line that starts an engine: variables in front, env, docker run of a known image, and the engine's own words.
// kBadRequest names the flag: a number that is none, a word that belongs to no flag, an engine other than the one that was given.
// Reads files of settings that the line names.
Result<EngineCommand> PLIMSOLL_API read_engine_command(std::span<const std::string> words, const EngineCommandOptions& options);

// A YAML file of an engine's settings, as vLLM, SGLang and TensorRT-LLM take it, recognised by its keys; nothing where all are options of
// ours or most are nobody's. kBadRequest names file:line.
Result<std::optional<EngineCommand>> PLIMSOLL_API read_engine_file(const std::string& path, const EngineCommandOptions& options);

// What to do about an option that is none, for a message: "it is --max-length here", "it is a flag of vllm; ...", or "did you mean
// --max-length?"; `known` are the options that there are, with their dashes. Empty where nothing is like it.
std::string PLIMSOLL_API about_unknown_option(std::string_view option, std::span<const std::string> known,
                                              const EngineCommandOptions& options);

} // namespace plimsoll
