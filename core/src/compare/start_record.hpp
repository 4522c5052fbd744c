// One start of an engine as a JSON record, a line of a .jsonl file -> EngineStart. tests/data/README.md explains the fields. Unknown fields
// are notes for people; a field of the wrong type is an error that names it. Threads: pure function.
#pragma once

#include <string_view>
#include <vector>

#include "compare/log_wording.hpp"
#include "plimsoll/compare.hpp"

namespace plimsoll {

// `place` is file:line.
Result<EngineStart> read_record(std::string_view line, const std::string& place, const std::vector<Wording>& wordings);

} // namespace plimsoll
