#include "runtime/lora_manager.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>

#include "base/regular_file.hpp"
#include "runtime/adapter_loader.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostNameBytes = 256;

LoraAnswer refused(LoraStatus status, ErrorCode code, std::string message, std::string where = {}) {
  return {status, Error{code, std::move(message), std::move(where)}};
}

LoraAnswer unknown_adapter(std::string_view name) {
  return refused(LoraStatus::kUnknownName, ErrorCode::kBadRequest,
                 fmt::format("no adapter is called '{}'; load it first", name.substr(0, kMostNameBytes)), "adapter");
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMostNameBytes &&
         std::none_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

} // namespace

std::string_view lora_status_name(LoraStatus status) noexcept {
  constexpr std::array<std::string_view, 8> kNames{"success",      "load_name_exists", "load_invalid_path", "load_invalid_adapter",
                                                   "unknown_name", "in_use",           "no_free_slot",      "read_failed"};
  const auto at = static_cast<std::size_t>(status);
  return at < kNames.size() ? kNames[at] : "read_failed";
}

Result<std::unique_ptr<LoraManager>> LoraManager::Impl::create(std::vector<AdapterSlots> of_ranks, FindSources find,
                                                               std::vector<std::shared_ptr<Backend>> backends, std::span<Arena> arenas) {
  std::vector<RankSlots> ranks;
  for (std::size_t i = 0; i < of_ranks.size(); ++i) {
    Buffer memory;
    if (i < arenas.size()) {
      const ElementType type = find_element_type(of_ranks[i].dtype).value_or(ElementType::kFloat32);
      const std::array<std::uint64_t, 2> shape{of_ranks[i].slots, of_ranks[i].slot_elements};
      PLIMSOLL_ASSIGN(memory, arenas[i].allocate(Category::kWeights, "lora", type, shape, true));
    }
    ranks.push_back({std::move(of_ranks[i]), std::move(backends[i]), std::move(memory)});
  }
  std::unique_ptr<Impl> impl(new Impl(std::move(ranks), std::move(find)));
  return std::make_unique<LoraManager>(std::move(impl));
}

LoraManager::Impl::Impl(std::vector<RankSlots> ranks, FindSources find)
    : ranks_(std::move(ranks)), find_(std::move(find)), factors_(room().slots * room().parts), holders_(room().slots, nullptr) {}

LoraAnswer LoraManager::Impl::load(std::string_view name_and_directory) {
  const std::size_t equals = name_and_directory.find('=');
  const std::string name(name_and_directory.substr(0, equals));
  const std::string directory(equals == std::string_view::npos ? name_and_directory : name_and_directory.substr(equals + 1));
  if (!is_name(name) || directory.empty())
    return refused(LoraStatus::kLoadInvalidPath, ErrorCode::kBadRequest,
                   fmt::format("NAME=DIRECTORY was expected, the name of at most {} plain characters", kMostNameBytes));
  const auto kind = path_kind(directory);
  if (!kind || *kind != PathKind::kDirectory)
    return refused(LoraStatus::kLoadInvalidPath, ErrorCode::kBadRequest, "is no directory; that of an adapter was expected", directory);
  auto sources = find_(directory);
  if (!sources) return {LoraStatus::kLoadInvalidAdapter, std::move(sources.error())};
  return add(name, directory, std::move(*sources));
}

LoraAnswer LoraManager::Impl::load_drawn(std::string_view name, std::uint64_t seed) {
  if (!is_name(name)) return refused(LoraStatus::kLoadInvalidPath, ErrorCode::kBadRequest, "a name was expected");
  return add(std::string(name), {}, drawn_adapter(room(), seed));
}

LoraAnswer LoraManager::Impl::add(const std::string& name, const std::string& directory, AdapterSources sources) {
  const auto hash = adapter_hash(sources, room());
  if (!hash) return {LoraStatus::kLoadInvalidAdapter, hash.error()};
  std::string key = fmt::format("{}@{:016x}{:016x}", name, hash->high, hash->low);
  if (const auto known = adapters_.find(name); known != adapters_.end()) {
    if (known->second.directory == directory && known->second.key == key) return {};
    return refused(LoraStatus::kLoadNameExists, ErrorCode::kBadRequest,
                   fmt::format("an adapter called '{}' is loaded from '{}'; unload it first", name, known->second.directory), directory);
  }
  adapters_.emplace(name, Adapter{directory, std::move(key), std::move(sources), *hash, std::nullopt, 0, 0});
  return {};
}

LoraAnswer LoraManager::Impl::activate(std::string_view name) {
  const auto found = adapters_.find(name);
  return found == adapters_.end() ? unknown_adapter(name) : place(found->first, found->second);
}

LoraAnswer LoraManager::Impl::unload(std::string_view name) {
  const auto found = adapters_.find(name);
  if (found == adapters_.end()) return unknown_adapter(name);
  if (found->second.users > 0)
    return refused(LoraStatus::kInUse, ErrorCode::kBadRequest,
                   fmt::format("{} requests that run use the adapter '{}'", found->second.users, found->first), "adapter");
  leave_slot(found->second);
  adapters_.erase(found);
  return {};
}

// Reads it into a slot where it is in none, and counts that as a use.
LoraAnswer LoraManager::Impl::place(const std::string& name, Adapter& adapter) {
  adapter.used_at = ++clock_;
  if (adapter.slot) return {};
  const std::optional<std::uint32_t> slot = free_slot();
  if (!slot)
    return refused(LoraStatus::kNoFreeSlot, ErrorCode::kInsufficientBlocks,
                   fmt::format("requests that run use all {} slots, so there is none for the adapter '{}'", room().slots, name));
  for (const RankSlots& rank : ranks_) {
    const std::uint64_t bytes = rank.room.slot_elements * element_bytes(rank.memory.type());
    auto* const slots = static_cast<std::byte*>(rank.memory.data());
    auto hash = read_adapter(adapter.sources, rank.room, *rank.backend, slots == nullptr ? nullptr : slots + *slot * bytes);
    if (!hash) return {LoraStatus::kReadFailed, std::move(hash.error())};
    if (*hash != adapter.hash)
      return refused(LoraStatus::kReadFailed, ErrorCode::kBadCheckpoint,
                     "was changed after the adapter was loaded; unload it, and load it again", adapter.sources.file);
  }
  for (const AdapterPair& pair : adapter.sources.pairs)
    factors_[*slot * room().parts + room().targets[pair.target].first_part + pair.part] = {pair.rank, pair.scale};
  holders_[*slot] = &adapter;
  adapter.slot = slot;
  return {};
}

// One that is empty, or is now.
std::optional<std::uint32_t> LoraManager::Impl::free_slot() {
  const auto worth = [](const Adapter* holder) { return holder == nullptr ? 0 : holder->users > 0 ? UINT64_MAX : holder->used_at; };
  const auto least =
      std::min_element(holders_.begin(), holders_.end(), [&](const Adapter* a, const Adapter* b) { return worth(a) < worth(b); });
  if (least == holders_.end() || worth(*least) == UINT64_MAX) return std::nullopt;
  if (*least != nullptr) leave_slot(**least);
  return static_cast<std::uint32_t>(least - holders_.begin());
}

void LoraManager::Impl::leave_slot(Adapter& adapter) {
  if (!adapter.slot) return;
  std::fill_n(factors_.begin() + static_cast<std::ptrdiff_t>(*adapter.slot * room().parts), room().parts, AdapterFactor{});
  holders_[*adapter.slot] = nullptr;
  adapter.slot.reset();
}

LoraManager::Impl::Adapters::const_iterator LoraManager::Impl::with_key(std::string_view key) const {
  const auto found = adapters_.find(key.substr(0, key.rfind('@')));
  return found != adapters_.end() && found->second.key == key ? found : adapters_.end();
}

Result<LoraClaim> LoraManager::Impl::claim(std::string_view key) {
  const auto known = with_key(key);
  if (known == adapters_.end())
    return fail(ErrorCode::kBadRequest, fmt::format("the adapter '{}' is not loaded any more", key.substr(0, key.rfind('@'))), "adapter");
  const auto found = adapters_.find(known->first);
  LoraAnswer placed = place(found->first, found->second);
  if (!placed.ok()) return tl::unexpected(std::move(*placed.error));
  return LoraClaim(found->second.users);
}

Result<void> LoraManager::Impl::route(std::span<const TextContext* const> batch, std::span<std::int32_t> ids,
                                      std::span<std::uint32_t> ranks) const {
  if (ids.size() < batch.size() || ranks.size() < batch.size())
    return fail(ErrorCode::kBadRequest, fmt::format("{} slots and {} ranks for {} requests", ids.size(), ranks.size(), batch.size()));
  for (std::size_t i = 0; i < batch.size(); ++i) {
    ids[i] = -1;
    ranks[i] = 0;
    if (batch[i]->adapter().empty()) continue;
    const auto found = with_key(batch[i]->adapter());
    if (found == adapters_.end() || !found->second.slot)
      return fail(ErrorCode::kBadRequest, fmt::format("request {} has an adapter that is in no slot; claim it first", batch[i]->id()),
                  "adapter");
    ids[i] = static_cast<std::int32_t>(*found->second.slot);
    ranks[i] = static_cast<std::uint32_t>(found->second.sources.rank);
  }
  return {};
}

const std::string* LoraManager::Impl::key(std::string_view name) const {
  const auto found = adapters_.find(name);
  return found == adapters_.end() ? nullptr : &found->second.key;
}

std::vector<LoraInfo> LoraManager::Impl::adapters() const {
  std::vector<LoraInfo> out;
  for (const auto& [name, adapter] : adapters_) out.push_back({name, adapter.directory, adapter.sources.rank, adapter.slot, adapter.users});
  return out;
}

std::optional<std::uint64_t> LoraManager::Impl::slot_rank(std::uint32_t slot) const {
  if (slot >= holders_.size() || holders_[slot] == nullptr) return std::nullopt;
  return holders_[slot]->sources.rank;
}

// ---- faces ----------------------------------------------------------------------------------------------------------------

LoraClaim::LoraClaim(LoraClaim&& other) noexcept : users_(std::exchange(other.users_, nullptr)) {}
LoraClaim& LoraClaim::operator=(LoraClaim&& other) noexcept {
  std::swap(users_, other.users_);
  return *this;
}
LoraClaim::~LoraClaim() {
  if (users_ != nullptr) --*users_;
}

LoraManager::LoraManager(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
LoraManager::~LoraManager() = default;

LoraAnswer LoraManager::load(std::string_view name_and_directory) { return impl_->load(name_and_directory); }
LoraAnswer LoraManager::load_drawn(std::string_view name, std::uint64_t seed) { return impl_->load_drawn(name, seed); }
LoraAnswer LoraManager::activate(std::string_view name) { return impl_->activate(name); }
LoraAnswer LoraManager::unload(std::string_view name) { return impl_->unload(name); }
std::uint64_t LoraManager::slots() const { return impl_->room().slots; }
std::uint64_t LoraManager::max_rank() const { return impl_->room().max_rank; }
std::vector<LoraInfo> LoraManager::adapters() const { return impl_->adapters(); }
std::optional<std::string> LoraManager::key(std::string_view name) const {
  const std::string* const key = impl_->key(name);
  return key == nullptr ? std::nullopt : std::optional(*key);
}
Result<LoraClaim> LoraManager::claim(std::string_view key) { return impl_->claim(key); }
Result<void> LoraManager::route(std::span<const TextContext* const> batch, std::span<std::int32_t> lora_ids,
                                std::span<std::uint32_t> lora_ranks) const {
  return impl_->route(batch, lora_ids, lora_ranks);
}
std::optional<std::uint64_t> LoraManager::slot_rank(std::uint32_t slot) const { return impl_->slot_rank(slot); }

} // namespace plimsoll
