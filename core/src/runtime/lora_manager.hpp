// LoraManager behind its face: adapters by name, and which of them has which slot. Made by the reference model. Threads: [serial].
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.hpp"
#include "plimsoll/adapters.hpp"
#include "plimsoll/arena.hpp"
#include "plimsoll/kv_cache.hpp"
#include "plimsoll/lora_manager.hpp"
#include "runtime/executor.hpp"

namespace plimsoll {

class LoraManager::Impl {
public:
  // Finds an adapter in a directory: Context::adapter.
  using FindSources = std::function<Result<AdapterSources>(const std::string& directory)>;

  // Takes the slots of every rank here out of its arena; without arenas it knows who has which slot, and other processes have the memory.
  // kOverPlan where the plan has no room for them.
  // `backends`: of each rank.
  static Result<std::unique_ptr<LoraManager>> create(std::vector<AdapterSlots> of_ranks, FindSources find,
                                                     std::vector<std::shared_ptr<Backend>> backends, std::span<Arena> arenas);

  LoraAnswer load(std::string_view name_and_directory);
  LoraAnswer load_drawn(std::string_view name, std::uint64_t seed);
  LoraAnswer activate(std::string_view name);
  LoraAnswer unload(std::string_view name);
  Result<LoraClaim> claim(std::string_view key);
  Result<void> route(std::span<const TextContext* const> batch, std::span<std::int32_t> ids, std::span<std::uint32_t> ranks) const;
  const std::string* key(std::string_view name) const;
  std::vector<LoraInfo> adapters() const;
  std::optional<std::uint64_t> slot_rank(std::uint32_t slot) const;
  const AdapterSlots& room() const { return ranks_.front().room; }
  // What the executor of a rank is made with; it sees what is activated later too.
  ExecutorAdapters memory(std::size_t rank) const { return {ranks_[rank].memory.data(), ranks_[rank].memory.bytes(), factors_}; }

private:
  struct Adapter {
    std::string directory, key;
    AdapterSources sources;
    BlockKey hash;
    std::optional<std::uint32_t> slot;
    std::uint64_t users = 0, used_at = 0;
  };
  using Adapters = std::map<std::string, Adapter, std::less<>>;
  // A rank's part of all slots.
  struct RankSlots {
    AdapterSlots room;
    std::shared_ptr<Backend> backend;
    Buffer memory;
  };

  Impl(std::vector<RankSlots> ranks, FindSources find);
  Adapters::const_iterator with_key(std::string_view key) const;
  LoraAnswer add(const std::string& name, const std::string& directory, AdapterSources sources);
  LoraAnswer place(const std::string& name, Adapter& adapter);
  std::optional<std::uint32_t> free_slot();
  void leave_slot(Adapter& adapter);

  std::vector<RankSlots> ranks_;
  FindSources find_;
  std::vector<AdapterFactor> factors_; // [slots][parts]
  std::vector<Adapter*> holders_;      // of each slot; null: nobody
  Adapters adapters_;
  std::uint64_t clock_ = 0; // uses so far
};

} // namespace plimsoll
