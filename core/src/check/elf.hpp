// What a shared library is, read from its ELF file without loading it: machine, stack, relocations, what it needs and what it shows.
// Hostile files may be anything: every offset is checked, nothing is followed twice. Called in the process of a case, never in a
// host. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll::check {

struct ElfSymbol {
  std::string name, version; // version: "GLIBC_2.34" of what is needed; empty: none
  bool weak = false, unique = false;
};

struct ElfFacts {
  std::uint16_t type = 0, machine = 0;
  bool executable_stack = true; // also where no header says otherwise
  bool text_relocations = false, full_relro = false, constructors = false;
  std::vector<std::string> needed, run_paths; // names of libraries; entries of DT_RPATH and DT_RUNPATH
  std::vector<ElfSymbol> exported, undefined;
};

// Of 64-bit little-endian ELF; kPluginFailed says what is wrong with anything else.
Result<ElfFacts> read_elf(std::string_view bytes);

// The machine that this code runs on, as e_machine.
std::uint16_t own_machine();

} // namespace plimsoll::check
