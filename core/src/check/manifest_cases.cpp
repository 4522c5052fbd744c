// MAN: the manifest and the library's file. The first four are asked by who starts the check; nothing is executed here.
#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/regular_file.hpp"
#include "check/cases.hpp"
#include "check/elf.hpp"
#include "plugin/trust.hpp"

namespace plimsoll::check {
namespace {

constexpr std::uint64_t kMostLibraryBytes = 512U << 20U;
constexpr std::uint16_t kSharedObject = 3; // ET_DYN

Result<ElfFacts> elf_of(const CaseContext& context) {
  PLIMSOLL_ASSIGN(const Manifest manifest, read_manifest(context.directory));
  PLIMSOLL_ASSIGN(const std::string bytes,
                  read_text_file(manifest.directory + "/" + manifest.library, kMostLibraryBytes, ErrorCode::kPluginFailed));
  return read_elf(bytes);
}

bool starts_with_one_of(std::string_view text, std::initializer_list<std::string_view> starts) {
  return std::any_of(starts.begin(), starts.end(), [&](std::string_view start) { return text.starts_with(start); });
}

// What the manifest itself says, by the keys that its reader complains of.
std::string rule_of(const Error& error) {
  const std::string key = error.where.substr(error.where.rfind(": ") == std::string::npos ? 0 : error.where.rfind(": ") + 2);
  if (starts_with_one_of(key, {"/id", "/version", "/abi"})) return "MAN-02";
  return starts_with_one_of(key, {"/library"}) ? "MAN-03" : "MAN-01";
}

Finding manifest_parses(CaseContext& context) {
  const auto manifest = read_manifest(context.directory);
  if (manifest || rule_of(manifest.error()) != "MAN-01") return passed();
  return failed(fmt::format("{} ({})", manifest.error().message, manifest.error().where));
}
Finding identity_is_sound(CaseContext& context) {
  const auto manifest = read_manifest(context.directory);
  if (!manifest && rule_of(manifest.error()) == "MAN-02")
    return failed(fmt::format("{} ({})", manifest.error().message, manifest.error().where));
  if (!manifest) return skipped("the manifest cannot be read");
  if (manifest->abi_major != PLIMSOLL_ABI_MAJOR || manifest->min_host_minor > PLIMSOLL_ABI_MINOR)
    return failed(fmt::format("it was made for ABI {}.{} and needs a host of {}.{} or newer; this host is {}.{}", manifest->abi_major,
                              manifest->abi_minor, manifest->abi_major, manifest->min_host_minor, PLIMSOLL_ABI_MAJOR, PLIMSOLL_ABI_MINOR));
  if (manifest->min_host_minor > manifest->abi_minor)
    return failed(fmt::format("its oldest host is of minor {}, it was made for minor {}", manifest->min_host_minor, manifest->abi_minor));
  return passed();
}
Finding files_lie_together(CaseContext& context) {
  const auto manifest = read_manifest(context.directory);
  if (!manifest && rule_of(manifest.error()) == "MAN-03")
    return failed(fmt::format("{} ({})", manifest.error().message, manifest.error().where));
  if (!manifest) return skipped("the manifest cannot be read");
  if (const auto fault = TrustCheck().fault(real_path(manifest->directory), files_of(*manifest)); fault && !fault->of_writers)
    return failed(fmt::format("{} {}", fault->error.where, fault->error.message));
  return passed();
}
Finding nobody_else_writes(CaseContext& context) {
  const auto manifest = read_manifest(context.directory);
  if (!manifest) return skipped("the manifest cannot be read");
  if (const auto fault = TrustCheck().fault(real_path(manifest->directory), files_of(*manifest)); fault && fault->of_writers)
    return failed(fmt::format("{} {}", fault->error.where, fault->error.message));
  return passed();
}

Finding machine_code_is_sound(CaseContext& context) {
  const auto elf = elf_of(context);
  if (!elf) return failed(elf.error().message);
  if (elf->type != kSharedObject) return failed("it is no shared library");
  if (elf->machine != own_machine()) return failed(fmt::format("it is for machine {}, this one is {}", elf->machine, own_machine()));
  if (elf->executable_stack) return failed("its stack is executable; link with -z noexecstack");
  if (elf->text_relocations) return failed("its text must be written to when it is loaded; compile with -fPIC");
  if (!elf->full_relro) return warned("its tables stay writable; link with -z relro -z now");
  if (elf->constructors) return warned("it has constructors, which run before anything is checked; move them to init");
  return passed();
}
Finding exports_table_alone(CaseContext& context) {
  const auto elf = elf_of(context);
  if (!elf) return failed(elf.error().message);
  for (const ElfSymbol& symbol : elf->exported)
    if (!symbol.name.starts_with("plimsoll_plugin_v") || symbol.weak || symbol.unique)
      return failed(fmt::format("it exports {}{}; link with the version script of the SDK", symbol.name,
                                symbol.unique ? ", which is unique"
                                : symbol.weak ? ", which is weak"
                                              : ""));
  return passed();
}
Finding needs_system_alone(CaseContext& context) {
  const auto elf = elf_of(context);
  if (!elf) return failed(elf.error().message);
  for (const std::string& library : elf->needed)
    if (!starts_with_one_of(
            library, {"libc.so.", "libm.so.", "libgcc_s.so.", "libstdc++.so.", "libpthread.so.", "libdl.so.", "librt.so.", "ld-linux"}) &&
        !starts_with_one_of(library, {"libasan.so.", "libubsan.so.", "libtsan.so.", "liblsan.so."}))
      return failed(fmt::format("it needs {}; link it statically, with -Wl,--exclude-libs,ALL", library));
  for (const std::string& path : elf->run_paths)
    if (path.starts_with('/')) return failed(fmt::format("it looks for libraries in {}; use $ORIGIN or nothing", path));
  return passed();
}
Finding uses_system_alone(CaseContext& context) {
  const auto elf = elf_of(context);
  if (!elf) return failed(elf.error().message);
  for (const ElfSymbol& symbol : elf->undefined)
    if (!symbol.weak && !starts_with_one_of(symbol.version, {"GLIBC_", "GLIBCXX_", "CXXABI_", "GCC_"}) &&
        !starts_with_one_of(symbol.name, {"__asan_", "__ubsan_", "__tsan_", "__sanitizer_"}))
      return failed(fmt::format("it uses {}, which no system library defines; link with -Wl,-z,defs to see who does", symbol.name));
  return passed();
}

} // namespace

const std::vector<Case>& manifest_cases() {
  static const std::vector<Case> cases{{"MAN-01", manifest_parses},    {"MAN-02", identity_is_sound},     {"MAN-03", files_lie_together},
                                       {"MAN-04", nobody_else_writes}, {"MAN-05", machine_code_is_sound}, {"MAN-06", exports_table_alone},
                                       {"MAN-07", needs_system_alone}, {"MAN-08", uses_system_alone}};
  return cases;
}

} // namespace plimsoll::check
