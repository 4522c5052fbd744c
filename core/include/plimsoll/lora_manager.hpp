// plimsoll/lora_manager.hpp - the LoRA adapters of a model: known by name, in a fixed number of slots that the plan sets aside. Loading an
// adapter reads its headers and makes sure of its data; activating it reads the data into a slot, in place of the adapter that nobody has
// used for longest. Made with the model (PipelineModel::lora_manager). Takes no memory beyond the plan's. Threads: [serial], with its
// model.
//
//   LoraManager& adapters = *pipeline.model().lora_manager();
//   adapters.load("kjv=/adapters/kjv").ok();
//   pipeline.generate({{.prompt = "In the beginning", .adapter = "kjv"}});
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/text_context.hpp"

namespace plimsoll {

enum class LoraStatus : std::uint8_t {
  kSuccess,
  kLoadNameExists,     // with another directory
  kLoadInvalidPath,    // no directory, or no name
  kLoadInvalidAdapter, // of a kind, a rank or shapes that the model or the plan has no place for
  kUnknownName,
  kInUse,      // by requests that run; nothing was changed
  kNoFreeSlot, // requests that run use all of them
  kReadFailed  // its file is not what it was when it was loaded
};
std::string_view PLIMSOLL_API lora_status_name(LoraStatus status) noexcept; // "success", "load_name_exists", ...

struct LoraAnswer {
  LoraStatus status = LoraStatus::kSuccess;
  std::optional<Error> error; // what is wrong, with file and key or tensor; none with kSuccess
  bool ok() const { return status == LoraStatus::kSuccess; }
};

struct LoraInfo {
  std::string name, directory;       // no directory: drawn
  std::uint64_t rank = 0;            // the highest of its layers
  std::optional<std::uint32_t> slot; // where it is active
  std::uint64_t users = 0;           // claims on it
};

class LoraManager;

// An adapter in its slot, which nobody takes away from it. The manager outlives it.
class PLIMSOLL_API LoraClaim {
public:
  LoraClaim(LoraClaim&& other) noexcept;
  LoraClaim& operator=(LoraClaim&& other) noexcept;
  ~LoraClaim();

private:
  friend class LoraManager;
  explicit LoraClaim(std::uint64_t& users) : users_(&users) { ++users; }
  std::uint64_t* users_ = nullptr;
};

class PLIMSOLL_API LoraManager {
public:
  ~LoraManager();

  // "name=directory", or a directory, which is then its name too: adapter_config.json and adapter_model.safetensors as PEFT writes them.
  // The same once more is no error.
  LoraAnswer load(std::string_view name_and_directory);
  // The most that a slot can hold, without a file: matrices of the largest rank for every layer, small elements drawn from the seed. It is
  // what verify_model computes with. kLoadNameExists where the name is another's.
  LoraAnswer load_drawn(std::string_view name, std::uint64_t seed);
  // Into a slot, where it is in none: a free one, or that of the adapter without a claim that was used least recently.
  LoraAnswer activate(std::string_view name);
  // Forgets it. Requests that wait for it end with an error.
  LoraAnswer unload(std::string_view name);

  std::uint64_t slots() const;
  std::uint64_t max_rank() const;
  std::vector<LoraInfo> adapters() const; // by name
  // What a request's TextContextOptions::adapter is: the name with a hash of all that the adapter computes with, so that cached pages
  // of one adapter are never another's, even if it is loaded under the same name. nullopt: none of that name is loaded.
  std::optional<std::string> key(std::string_view name) const;
  // Activates the adapter of a key and keeps it in its slot. kBadRequest: there is none any more; kInsufficientBlocks: no slot is free;
  // kBadCheckpoint: its file cannot be read or has changed.
  Result<LoraClaim> claim(std::string_view key);
  // Slots and ranks of a batch, as ModelInputs has them: -1 and 0 for who has no adapter. kBadRequest where an adapter is in no slot.
  Result<void> route(std::span<const TextContext* const> batch, std::span<std::int32_t> lora_ids,
                     std::span<std::uint32_t> lora_ranks) const;
  // The rank of what is in a slot; nullopt where nothing is.
  std::optional<std::uint64_t> slot_rank(std::uint32_t slot) const;

  class Impl; // the library's own
  explicit LoraManager(std::unique_ptr<Impl> impl) noexcept;
  Impl& impl() { return *impl_; }

private:
  std::unique_ptr<Impl> impl_;
};

} // namespace plimsoll
