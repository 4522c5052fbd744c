#include "check/allocations.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <new>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace plimsoll::check {
namespace {

std::uint64_t allocations = 0, failing = UINT64_MAX;
bool due() { return allocations++ == failing; }

void* failing_malloc(std::size_t size) { return due() ? nullptr : std::malloc(size); }
void* failing_calloc(std::size_t n, std::size_t size) { return due() ? nullptr : std::calloc(n, size); }
void* failing_realloc(void* old, std::size_t size) { return due() ? nullptr : std::realloc(old, size); }
void* failing_new(std::size_t size) {
  if (due()) throw std::bad_alloc();
  return ::operator new(size);
}
void* failing_new_nothrow(std::size_t size, const std::nothrow_t&) noexcept { return due() ? nullptr : ::operator new(size, std::nothrow); }

struct Replaced {
  std::string_view name;
  void* by;
};
const std::array<Replaced, 7>& replaced() {
  static const std::array<Replaced, 7> all{{{"malloc", reinterpret_cast<void*>(failing_malloc)},
                                            {"calloc", reinterpret_cast<void*>(failing_calloc)},
                                            {"realloc", reinterpret_cast<void*>(failing_realloc)},
                                            {"_Znwm", reinterpret_cast<void*>(failing_new)},
                                            {"_Znam", reinterpret_cast<void*>(failing_new)},
                                            {"_ZnwmRKSt9nothrow_t", reinterpret_cast<void*>(failing_new_nothrow)},
                                            {"_ZnamRKSt9nothrow_t", reinterpret_cast<void*>(failing_new_nothrow)}}};
  return all;
}

} // namespace

struct FailingAllocations::Entries {
  std::vector<std::pair<void**, void*>> turned; // the entry, and what was in it
};

FailingAllocations::FailingAllocations(const void* address) : entries_(std::make_unique<Entries>()) {
  Dl_info info{};
  link_map* map = nullptr;
  if (::dladdr1(address, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0 || map == nullptr) return;
  const char* strings = nullptr;
  const ElfW(Sym)* symbols = nullptr;
  const ElfW(Rela) * tables[2]{};
  std::size_t sizes[2]{};
  for (const ElfW(Dyn)* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    const auto pointer = entry->d_un.d_ptr;
    if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(pointer);
    if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(pointer);
    if (entry->d_tag == DT_RELA) tables[0] = reinterpret_cast<const ElfW(Rela)*>(pointer);
    if (entry->d_tag == DT_RELASZ) sizes[0] = entry->d_un.d_val;
    if (entry->d_tag == DT_JMPREL) tables[1] = reinterpret_cast<const ElfW(Rela)*>(pointer);
    if (entry->d_tag == DT_PLTRELSZ) sizes[1] = entry->d_un.d_val;
  }
  if (strings == nullptr || symbols == nullptr) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int t = 0; t < 2; ++t)
    for (std::size_t i = 0; tables[t] != nullptr && i < sizes[t] / sizeof(ElfW(Rela)); ++i) {
      const std::size_t number = ELF64_R_SYM(tables[t][i].r_info);
      if (number == 0) continue;
      const std::string_view name = strings + symbols[number].st_name;
      for (const Replaced& other : replaced()) {
        if (name != other.name) continue;
        auto** const entry = reinterpret_cast<void**>(map->l_addr + tables[t][i].r_offset);
        void* const first = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(entry) / page * page);
        if (::mprotect(first, page, PROT_READ | PROT_WRITE) != 0) continue;
        entries_->turned.emplace_back(entry, *entry);
        *entry = other.by;
      }
    }
}
FailingAllocations::~FailingAllocations() {
  for (const auto& [entry, was] : entries_->turned) *entry = was;
}

void FailingAllocations::fail(std::uint64_t number) {
  allocations = 0;
  failing = number;
}
std::uint64_t FailingAllocations::counted() const { return allocations; }
bool FailingAllocations::found() const { return !entries_->turned.empty(); }

} // namespace plimsoll::check
