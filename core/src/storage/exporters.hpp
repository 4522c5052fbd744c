// The exporters whose files --quantize asks for: names that people type, and the settings that each exporter writes into a config.json.
// What a what-if stores is then what storage/quantization.hpp reads from these settings, as if the file were there. GGUF files have no
// settings: their types are storage/gguf_mix.hpp. Knows no model and counts no bytes. Threads: constants, pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace plimsoll {

struct Exporter {
  std::string_view name;     // "fp8"
  std::string_view also;     // other names that people type, between spaces
  std::string_view program;  // whose files these are, for messages
  std::string_view settings; // the quantization_config that it writes, JSON
};

std::span<const Exporter> exporters();
// By any of its names; case does not matter, nor whether words are joined by - or _. nullptr where there is none.
const Exporter* find_exporter(std::string_view name);

// "Q4-K-M" as "q4_k_m": how names of methods are compared.
std::string method_key(std::string_view name);

} // namespace plimsoll
