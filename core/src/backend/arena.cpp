#include "plimsoll/arena.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <mutex>
#include <optional>
#include <utility>

#include "base/checked.hpp"

namespace plimsoll {

// What is planned and taken, line by line. Buffers share it with their arena; it goes with the last of them.
struct Buffer::Ledger {
  Ledger(std::shared_ptr<MemorySource> from, ArenaMode how) : source(std::move(from)), mode(how) {
    for (std::size_t i = 0; i < kCategories; ++i) sums[i].category = static_cast<Category>(i);
  }

  std::size_t line_of(Category category, std::string_view label) {
    for (std::size_t i = 0; i < lines.size(); ++i)
      if (lines[i].category == category && lines[i].label == label) return i;
    lines.push_back({category, std::string(label)});
    return lines.size() - 1;
  }
  std::optional<Error> beyond(const Usage& line, std::uint64_t bytes) const {
    if ((Checked(line.live_bytes) + bytes).saturated() <= line.planned_bytes) return std::nullopt;
    return Error{ErrorCode::kOverPlan,
                 fmt::format("{} '{}': {} B more than the {} B that are taken exceed the {} B that the plan sets aside; plan for what "
                             "is really needed, or take less",
                             category_name(line.category), line.label, bytes, line.live_bytes, line.planned_bytes),
                 std::string(category_name(line.category)) + "/" + line.label};
  }
  Usage& sum_of(std::size_t line) { return sums[static_cast<std::size_t>(lines[line].category)]; }
  void take(std::size_t line, std::uint64_t bytes) {
    lines[line].live_bytes += bytes;
    sum_of(line).live_bytes += bytes;
  }
  // What is live was really there; the driver has so much less than before.
  void confirm(std::size_t line, std::uint64_t driver_bytes = 0) {
    for (Usage* usage : {&lines[line], &sum_of(line)}) {
      usage->peak_bytes = std::max(usage->peak_bytes, usage->live_bytes);
      usage->driver_bytes += driver_bytes;
    }
  }
  void give_back(std::size_t line, std::uint64_t bytes) {
    lines[line].live_bytes -= bytes;
    sum_of(line).live_bytes -= bytes;
  }

  std::mutex mutex; // of all that follows but the source
  std::vector<Usage> lines;
  std::array<Usage, kCategories> sums;
  const std::shared_ptr<MemorySource> source;
  const ArenaMode mode;
};

// ---- Buffer ---------------------------------------------------------------------------------------------------------------

Buffer::Buffer(Buffer&& other) noexcept
    : ledger_(std::move(other.ledger_)), line_(other.line_), data_(std::exchange(other.data_, nullptr)), type_(other.type_),
      bytes_(std::exchange(other.bytes_, 0)), guarded_(other.guarded_), on_host_(other.on_host_), shape_(std::move(other.shape_)) {
  other.shape_.clear();
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  ledger_ = std::move(other.ledger_);
  line_ = other.line_;
  data_ = std::exchange(other.data_, nullptr);
  type_ = other.type_;
  bytes_ = std::exchange(other.bytes_, 0);
  guarded_ = other.guarded_;
  on_host_ = other.on_host_;
  shape_ = std::move(other.shape_);
  other.shape_.clear();
  return *this;
}

Buffer::~Buffer() { give_back(); }

void Buffer::give_back() noexcept {
  if (data_ == nullptr) return;
  ledger_->source->give_back(data_, bytes_, guarded_);
  const std::scoped_lock lock(ledger_->mutex);
  ledger_->give_back(line_, bytes_);
}

// ---- Arena ----------------------------------------------------------------------------------------------------------------

Result<Arena> Arena::create(const Plan& plan, std::uint32_t rank, std::shared_ptr<MemorySource> source, ArenaMode mode) {
  if (plan.verdict == Verdict::kDoesNotFit || plan.verdict == Verdict::kError)
    return fail(ErrorCode::kBadRequest, "the plan does not fit its devices; nothing can be taken of it");
  if (rank >= plan.devices.size())
    return fail(ErrorCode::kBadRequest, fmt::format("rank {} of a plan of {}; ranks begin at 0", rank, plan.devices.size()));
  auto ledger = std::make_shared<Buffer::Ledger>(std::move(source), mode);
  for (const Item& item : plan.items) {
    if (!item.counted || rank >= item.bytes.size() || item.bytes[rank] == 0) continue;
    ledger->lines[ledger->line_of(item.category, item.label)].planned_bytes += item.bytes[rank];
    ledger->sums[static_cast<std::size_t>(item.category)].planned_bytes += item.bytes[rank];
  }
  return Arena(std::move(ledger), rank);
}

Result<Buffer> Arena::allocate(Category category, std::string_view label, ElementType type, std::span<const std::uint64_t> shape,
                               bool guarded) {
  return give(category, label, type, shape, guarded ? Kind::kGuarded : Kind::kPlain);
}

Result<Buffer> Arena::allocate_shared(Category category, std::string_view label, ElementType type, std::span<const std::uint64_t> shape) {
  return give(category, label, type, shape, Kind::kShared);
}

Result<Buffer> Arena::allocate_visible(Category category, std::string_view label, ElementType type, std::span<const std::uint64_t> shape) {
  return give(category, label, type, shape, Kind::kVisible);
}

MemorySource& Arena::source() const { return *ledger_->source; }

Result<Buffer> Arena::give(Category category, std::string_view label, ElementType type, std::span<const std::uint64_t> shape, Kind kind) {
  Checked sum = element_bytes(type);
  for (const std::uint64_t extent : shape) sum *= extent;
  PLIMSOLL_ASSIGN(const std::uint64_t bytes, sum.get(fmt::format("the shape of {} '{}'", category_name(category), label)));
  Buffer buffer;
  buffer.type_ = type;
  buffer.shape_.assign(shape.begin(), shape.end());
  if (bytes == 0) return buffer;

  {
    const std::scoped_lock lock(ledger_->mutex);
    buffer.line_ = ledger_->line_of(category, label);
    if (ledger_->mode == ArenaMode::kEnforce)
      if (std::optional<Error> error = ledger_->beyond(ledger_->lines[buffer.line_], bytes)) return tl::unexpected(std::move(*error));
    ledger_->take(buffer.line_, bytes);
  }
  const bool guarded = kind == Kind::kGuarded;
  MemorySource& source = *ledger_->source;
  const std::optional<std::uint64_t> free_before = source.free_bytes();
  Result<void*> memory = kind == Kind::kShared    ? source.take_shared(bytes)
                         : kind == Kind::kVisible ? source.take_visible(bytes)
                                                  : source.take(bytes, guarded);
  const std::uint64_t free_after = free_before ? source.free_bytes().value_or(0) : 0;
  {
    const std::scoped_lock lock(ledger_->mutex);
    if (memory) ledger_->confirm(buffer.line_, free_before && *free_before > free_after ? *free_before - free_after : 0);
    else ledger_->give_back(buffer.line_, bytes);
  }
  if (!memory) return tl::unexpected(std::move(memory.error()));
  buffer.data_ = *memory;
  buffer.bytes_ = bytes;
  buffer.guarded_ = guarded;
  buffer.on_host_ = source.on_host() || kind == Kind::kVisible;
  buffer.ledger_ = ledger_;
  return buffer;
}

Result<void> Arena::count(Category category, std::string_view label, std::uint64_t bytes) {
  const std::scoped_lock lock(ledger_->mutex);
  const std::size_t line = ledger_->line_of(category, label);
  std::optional<Error> error = ledger_->beyond(ledger_->lines[line], bytes);
  ledger_->take(line, bytes);
  ledger_->confirm(line);
  if (error && ledger_->mode == ArenaMode::kEnforce) return tl::unexpected(std::move(*error));
  return {};
}

std::vector<Usage> Arena::usage() const {
  const std::scoped_lock lock(ledger_->mutex);
  std::vector<Usage> lines = ledger_->lines;
  std::erase_if(lines, [](const Usage& line) { return line.planned_bytes == 0 && line.peak_bytes == 0; });
  std::sort(lines.begin(), lines.end(), [](const Usage& a, const Usage& b) {
    if (a.category != b.category) return a.category < b.category;
    return a.label < b.label;
  });
  return lines;
}

std::array<Usage, kCategories> Arena::usage_by_category() const {
  const std::scoped_lock lock(ledger_->mutex);
  return ledger_->sums;
}

} // namespace plimsoll
