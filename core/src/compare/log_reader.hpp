// An engine's start-up log as text -> EngineStart.
// Tolerates colours, time stamps, rank prefixes and whatever else stands around the words; never believes a size: lines are bounded, and
// values that are no numbers are passed over. Each line is searched once for the words of all engines. Threads: pure functions.
#pragma once

#include <vector>

#include "compare/log_wording.hpp"
#include "plimsoll/compare.hpp"

namespace plimsoll {

// The engine whose words the log speaks most. kBadRequest where it speaks none's.
Result<EngineStart> read_log(std::string_view text, const std::string& file, const std::vector<Wording>& wordings);

// One sentence of one engine: its settings, figures and refusal, as they stand at `place`.
EngineStart read_sentence(std::string_view sentence, const std::string& place, const Wording& wording);

// A start that printed how much it lacks did not start, whether or not its sentence was kept.
void add_implied_refusal(EngineStart& start);

// "v0.10.1.1", "3597 (127c6ee6)" or "b6895" as the release that an engine profile understands; empty where it is none.
std::string release_of(std::string_view printed, const Wording& wording);

// A printed number with commas: its value and the size of one unit in its last place.
std::optional<std::pair<double, double>> printed_number(std::string_view text);

} // namespace plimsoll
