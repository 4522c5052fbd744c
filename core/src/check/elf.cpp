#include "check/elf.hpp"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <fmt/format.h>
#include <map>
#include <optional>

namespace plimsoll::check {
namespace {

constexpr std::uint64_t kMostSymbols = 1U << 20U, kMostNames = 4096, kMostSegments = 1024, kMostDynamic = 4096;
// What the compiler's own start files put there: frame_dummy and __do_global_dtors_aux.
constexpr std::uint64_t kCompilersConstructors = 1;

tl::unexpected<Error> broken(const std::string& what) { return fail(ErrorCode::kPluginFailed, "the ELF file is broken: " + what); }

// A file as it is mapped: segments translate addresses to offsets.
class Image {
public:
  explicit Image(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  std::optional<T> at(std::uint64_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) return std::nullopt;
    T out;
    std::memcpy(&out, bytes_.data() + offset, sizeof out);
    return out;
  }
  // The offset of `size` bytes at an address, all in one segment.
  std::optional<std::uint64_t> offset_of(std::uint64_t address, std::uint64_t size) const {
    for (const Elf64_Phdr& segment : segments_) {
      if (segment.p_type != PT_LOAD || address < segment.p_vaddr) continue;
      const std::uint64_t into = address - segment.p_vaddr;
      if (into > segment.p_filesz || segment.p_filesz - into < size) continue;
      if (segment.p_offset > bytes_.size() || bytes_.size() - segment.p_offset < into) return std::nullopt;
      const std::uint64_t offset = segment.p_offset + into;
      return bytes_.size() - offset < size ? std::nullopt : std::optional(offset);
    }
    return std::nullopt;
  }
  template <class T>
  std::optional<T> at_address(std::uint64_t address) const {
    const auto offset = offset_of(address, sizeof(T));
    return offset ? at<T>(*offset) : std::nullopt;
  }
  std::vector<Elf64_Phdr>& segments() { return segments_; }
  std::string_view bytes() const { return bytes_; }

private:
  std::string_view bytes_;
  std::vector<Elf64_Phdr> segments_;
};

struct Dynamic {
  std::map<std::int64_t, std::uint64_t> values; // the last of a tag
  std::vector<std::uint64_t> needed, run_paths;
  std::uint64_t operator[](std::int64_t tag) const {
    const auto it = values.find(tag);
    return it == values.end() ? 0 : it->second;
  }
  bool has(std::int64_t tag) const { return values.contains(tag); }
};

class Reader {
public:
  explicit Reader(std::string_view bytes) : image_(bytes) {}

  Result<ElfFacts> read() {
    PLIMSOLL_TRY(read_header());
    PLIMSOLL_TRY(read_dynamic());
    for (const std::uint64_t name : dynamic_.needed) {
      PLIMSOLL_ASSIGN(std::string text, string_at(name));
      facts_.needed.push_back(std::move(text));
    }
    for (const std::uint64_t name : dynamic_.run_paths) {
      PLIMSOLL_ASSIGN(const std::string list, string_at(name));
      for (std::size_t at = 0; at <= list.size(); at = std::min(list.find(':', at), list.size()) + 1)
        facts_.run_paths.push_back(list.substr(at, std::min(list.find(':', at), list.size()) - at));
    }
    facts_.text_relocations = dynamic_.has(DT_TEXTREL) || (dynamic_[DT_FLAGS] & DF_TEXTREL) != 0;
    const bool now = dynamic_.has(DT_BIND_NOW) || (dynamic_[DT_FLAGS] & DF_BIND_NOW) != 0 || (dynamic_[DT_FLAGS_1] & DF_1_NOW) != 0;
    facts_.full_relro = relro_ && now;
    facts_.constructors = dynamic_[DT_INIT_ARRAYSZ] / sizeof(std::uint64_t) > kCompilersConstructors;
    PLIMSOLL_TRY(read_versions());
    PLIMSOLL_TRY(read_symbols());
    return std::move(facts_);
  }

private:
  Result<void> read_header() {
    const auto header = image_.at<Elf64_Ehdr>(0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return fail(ErrorCode::kPluginFailed, "is no ELF file");
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB)
      return fail(ErrorCode::kPluginFailed, "is no 64-bit little-endian ELF file");
    facts_.type = header->e_type;
    facts_.machine = header->e_machine;
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 || header->e_phnum > kMostSegments)
      return broken(fmt::format("{} program headers of {} bytes", header->e_phnum, header->e_phentsize));
    for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
      if (header->e_phoff > image_.bytes().size()) return broken("its program headers lie beyond its end");
      const auto segment = image_.at<Elf64_Phdr>(header->e_phoff + i * sizeof(Elf64_Phdr));
      if (!segment) return broken("its program headers lie beyond its end");
      image_.segments().push_back(*segment);
      if (segment->p_type == PT_GNU_STACK) facts_.executable_stack = (segment->p_flags & PF_X) != 0;
      if (segment->p_type == PT_GNU_RELRO) relro_ = true;
    }
    return {};
  }

  Result<void> read_dynamic() {
    for (const Elf64_Phdr& segment : image_.segments()) {
      if (segment.p_type != PT_DYNAMIC) continue;
      for (std::uint64_t i = 0; i < std::min(segment.p_filesz / sizeof(Elf64_Dyn), kMostDynamic); ++i) {
        const auto entry =
            segment.p_offset > image_.bytes().size() ? std::nullopt : image_.at<Elf64_Dyn>(segment.p_offset + i * sizeof(Elf64_Dyn));
        if (!entry) return broken("its dynamic section lies beyond its end");
        if (entry->d_tag == DT_NULL) return {};
        if (entry->d_tag == DT_NEEDED) dynamic_.needed.push_back(entry->d_un.d_val);
        else if (entry->d_tag == DT_RPATH || entry->d_tag == DT_RUNPATH) dynamic_.run_paths.push_back(entry->d_un.d_val);
        else dynamic_.values[entry->d_tag] = entry->d_un.d_val;
      }
      return {};
    }
    return fail(ErrorCode::kPluginFailed, "is no shared library: it has no dynamic section");
  }

  Result<std::string> string_at(std::uint64_t offset) const {
    const std::uint64_t table = dynamic_[DT_STRTAB], size = dynamic_[DT_STRSZ];
    const auto begin = offset < size ? image_.offset_of(table, size) : std::nullopt;
    if (!begin) return broken("a name lies beyond its strings");
    const std::string_view rest = image_.bytes().substr(*begin + offset, std::min<std::uint64_t>(size - offset, kMostNames));
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) return broken("a name has no end");
    return std::string(rest.substr(0, end));
  }

  // The numbers by which symbols say of which version they are.
  Result<void> read_versions() {
    std::uint64_t at = dynamic_[DT_VERNEED];
    for (std::uint64_t i = 0; at != 0 && i < std::min(dynamic_[DT_VERNEEDNUM], kMostNames); ++i) {
      const auto need = image_.at_address<Elf64_Verneed>(at);
      if (!need) return broken("its versions lie beyond its end");
      std::uint64_t inner = at + need->vn_aux;
      for (std::uint64_t k = 0; k < std::min<std::uint64_t>(need->vn_cnt, kMostNames); ++k) {
        const auto aux = image_.at_address<Elf64_Vernaux>(inner);
        if (!aux) return broken("its versions lie beyond its end");
        PLIMSOLL_ASSIGN(versions_[aux->vna_other & 0x7fffU], string_at(aux->vna_name));
        if (aux->vna_next == 0) break;
        inner += aux->vna_next;
      }
      if (need->vn_next == 0) break;
      at += need->vn_next;
    }
    return {};
  }

  // How many symbols there are says the hash table alone.
  Result<std::uint64_t> symbol_count() const {
    if (dynamic_.has(DT_GNU_HASH)) return gnu_symbol_count(dynamic_[DT_GNU_HASH]);
    if (!dynamic_.has(DT_HASH)) return broken("it has no hash table of symbols");
    const auto chains = image_.at_address<std::uint32_t>(dynamic_[DT_HASH] + 4);
    if (!chains || *chains > kMostSymbols) return broken("its hash table is none");
    return *chains;
  }
  Result<std::uint64_t> gnu_symbol_count(std::uint64_t table) const {
    const auto buckets = image_.at_address<std::uint32_t>(table), first = image_.at_address<std::uint32_t>(table + 4),
               blooms = image_.at_address<std::uint32_t>(table + 8);
    if (!buckets || !first || !blooms || *buckets > kMostSymbols || *first > kMostSymbols || *blooms > kMostSymbols)
      return broken("its hash table is none");
    const std::uint64_t bucket_at = table + 16 + std::uint64_t{*blooms} * 8, chain_at = bucket_at + std::uint64_t{*buckets} * 4;
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < *buckets; ++i) {
      const auto bucket = image_.at_address<std::uint32_t>(bucket_at + i * 4);
      if (!bucket) return broken("its hash table lies beyond its end");
      last = std::max<std::uint64_t>(last, *bucket);
    }
    if (last < *first) return std::uint64_t{*first};
    for (;; ++last) {
      const auto chain = image_.at_address<std::uint32_t>(chain_at + (last - *first) * 4);
      if (!chain || last > kMostSymbols) return broken("its hash table has no end");
      if ((*chain & 1U) != 0) return last + 1;
    }
  }

  Result<void> read_symbols() {
    PLIMSOLL_ASSIGN(const std::uint64_t count, symbol_count());
    for (std::uint64_t i = 1; i < count; ++i) {
      const auto symbol = image_.at_address<Elf64_Sym>(dynamic_[DT_SYMTAB] + i * sizeof(Elf64_Sym));
      if (!symbol) return broken("its symbols lie beyond its end");
      const unsigned bind = ELF64_ST_BIND(symbol->st_info);
      if (bind == STB_LOCAL) continue;
      ElfSymbol out;
      PLIMSOLL_ASSIGN(out.name, string_at(symbol->st_name));
      out.weak = bind == STB_WEAK;
      out.unique = bind == STB_GNU_UNIQUE;
      if (dynamic_.has(DT_VERSYM)) {
        const auto number = image_.at_address<std::uint16_t>(dynamic_[DT_VERSYM] + i * 2);
        if (!number) return broken("its versions lie beyond its end");
        if (const auto it = versions_.find(*number & 0x7fffU); it != versions_.end()) out.version = it->second;
      }
      const bool version_name = symbol->st_shndx == SHN_ABS && ELF64_ST_TYPE(symbol->st_info) == STT_OBJECT && symbol->st_size == 0;
      if (symbol->st_shndx == SHN_UNDEF) facts_.undefined.push_back(std::move(out));
      else if (!version_name) facts_.exported.push_back(std::move(out));
    }
    return {};
  }

  Image image_;
  Dynamic dynamic_;
  ElfFacts facts_;
  bool relro_ = false;
  std::map<unsigned, std::string> versions_;
};

} // namespace

Result<ElfFacts> read_elf(std::string_view bytes) { return Reader(bytes).read(); }

std::uint16_t own_machine() {
#if defined(__x86_64__)
  return EM_X86_64;
#elif defined(__aarch64__)
  return EM_AARCH64;
#else
  return EM_NONE;
#endif
}

} // namespace plimsoll::check
