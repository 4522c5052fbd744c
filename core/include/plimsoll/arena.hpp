// plimsoll/arena.hpp - the one door to a rank's memory. An arena knows what the plan sets aside for each category and label and gives no
// more: what was planned, what is taken now and what was taken at most stand side by side afterwards. Called by whoever enacts a plan.
// It rounds nothing and keeps nothing back: a byte that it counts is a byte that somebody asked for.
// Threads: [any] for Arena and MemorySource; a Buffer is a value of its owner's.
//
//   auto arena = Arena::create(plan, 0).value();
//   auto keys = arena.allocate(Category::kKvCache, "kv_cache.attention", ElementType::kFloat32, {{pages, page_elements}});
//   arena.usage(); // {kv_cache, "kv_cache.attention", planned, live, peak} ...
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/element_type.hpp"
#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Where memory comes from: a device's driver, or this process. Addresses may be a device's; only who knows the source looks behind them.
class PLIMSOLL_API MemorySource {
public:
  MemorySource() = default;
  MemorySource(const MemorySource&) = delete;
  MemorySource& operator=(const MemorySource&) = delete;
  virtual ~MemorySource();

  // `bytes` > 0 of zeros at an address that is a multiple of 64. `guarded`: whoever writes beyond their end (rounded up to 64) fails at
  // once, where the source can do that. kOutOfMemory.
  virtual Result<void*> take(std::uint64_t bytes, bool guarded) = 0;
  // The same where ranks that are other processes see it; as take(bytes, false) where there are none.
  virtual Result<void*> take_shared(std::uint64_t bytes);
  // Takes back what take(bytes, guarded) gave, or take_shared(bytes), or take_visible(bytes).
  virtual void give_back(void* memory, std::uint64_t bytes, bool guarded) noexcept = 0;

  // Whether this process may look behind the addresses. Where not, it copies: on return the host's part may be used.
  virtual bool on_host() const noexcept;
  virtual void copy_in(void* memory, const void* host, std::uint64_t bytes);
  virtual void copy_out(void* host, const void* memory, std::uint64_t bytes);
  // As take(bytes, false), of memory that this process reads and writes wherever the rest is.
  virtual Result<void*> take_visible(std::uint64_t bytes);
  // What the device's driver says is free now; nullopt where there is no driver.
  virtual std::optional<std::uint64_t> free_bytes();
};

// Memory of this process. A guard is a page that nobody may touch.
std::shared_ptr<MemorySource> PLIMSOLL_API host_memory();

enum class ArenaMode : std::uint8_t {
  kEnforce, // an allocation beyond the plan is an error
  kObserve  // it is given, and can be seen in usage()
};

// Of one category and label on one rank; or of a whole category, then without a label.
struct Usage {
  Category category = Category::kWeights;
  std::string label;
  std::uint64_t planned_bytes = 0, live_bytes = 0, peak_bytes = 0;
  std::uint64_t driver_bytes = 0; // by how much the driver had less after all allocations together; 0 where there is no driver
  bool over_plan() const { return peak_bytes > planned_bytes; }
};

// Memory that an arena gave; it goes back when the buffer goes, which may outlive the arena.
class PLIMSOLL_API Buffer {
public:
  Buffer() = default; // empty
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  void* data() const { return data_; }
  ElementType type() const { return type_; }
  std::span<const std::uint64_t> shape() const { return shape_; }
  std::uint64_t elements() const { return bytes_ / element_bytes(type_); }
  std::uint64_t bytes() const { return bytes_; }
  bool on_host() const { return on_host_; } // else only its source looks behind data()

private:
  friend class Arena;
  void give_back() noexcept;

  struct Ledger; // of the arena
  std::shared_ptr<Ledger> ledger_;
  std::size_t line_ = 0; // of the ledger
  void* data_ = nullptr;
  ElementType type_ = ElementType::kUint8;
  std::uint64_t bytes_ = 0;
  bool guarded_ = false, on_host_ = true;
  std::vector<std::uint64_t> shape_;
};

class PLIMSOLL_API Arena {
public:
  // What the plan counts for `rank`, item by item; items of one category and label are one sum. kBadRequest: no such rank, or a plan that
  // does not fit.
  static Result<Arena> create(const Plan& plan, std::uint32_t rank, std::shared_ptr<MemorySource> source = host_memory(),
                              ArenaMode mode = ArenaMode::kEnforce);

  // Zeros; see MemorySource for `guarded`. A shape with a 0 gives a buffer without memory. kOverPlan with both numbers where the label's
  // live bytes would exceed the plan (kEnforce), kOutOfMemory where the source has no more. Nothing is taken then.
  Result<Buffer> allocate(Category category, std::string_view label, ElementType type, std::span<const std::uint64_t> shape,
                          bool guarded = false);
  // The same, of memory that other ranks read.
  Result<Buffer> allocate_shared(Category category, std::string_view label, ElementType type, std::span<const std::uint64_t> shape);
  // The same, of memory that this process reads and writes as well as the device.
  Result<Buffer> allocate_visible(Category category, std::string_view label, ElementType type, std::span<const std::uint64_t> shape);
  // Counts memory that a library takes by itself and never gives back, as if it were allocated. kOverPlan as above; it is counted all the
  // same, since it is taken.
  Result<void> count(Category category, std::string_view label, std::uint64_t bytes);

  // By category, then label: all lines of the plan, then what was taken without one.
  std::vector<Usage> usage() const;
  // Sums over the labels; peaks are those of the category as a whole.
  std::array<Usage, kCategories> usage_by_category() const;
  std::uint32_t rank() const { return rank_; }
  MemorySource& source() const;

private:
  Arena(std::shared_ptr<Buffer::Ledger> ledger, std::uint32_t rank) : ledger_(std::move(ledger)), rank_(rank) {}
  enum class Kind : std::uint8_t { kPlain, kGuarded, kShared, kVisible };
  Result<Buffer> give(Category category, std::string_view label, ElementType type, std::span<const std::uint64_t> shape, Kind kind);
  std::shared_ptr<Buffer::Ledger> ledger_;
  std::uint32_t rank_ = 0;
};

} // namespace plimsoll
