// The estimator that counts every device for itself: exact integers, the smallest margin decides, windows, latents and
// states priced as they are stored, the null page always reserved. What fits is kv/sizing.hpp's business, as in plans. Never
// uses floating point for bytes. Threads: pure.
// Example: 80 GiB and 24 GiB, Llama 3.1 8B over both: the 24 GiB card decides, the pool of 104 GiB does not exist.
#include "estimate/per_device.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/exact_fraction.hpp"
#include "estimate/steps.hpp"
#include "kv/layouts/grouped.hpp"
#include "kv/sizing.hpp"
#include "kv/vision_share.hpp"

namespace plimsoll {
namespace {

// A default batch is one whose requests of this length (or of max_length, where that is less) fit together.
constexpr std::int64_t kDefaultBatchTokens = 4096;

std::uint64_t natural(std::int64_t value) { return static_cast<std::uint64_t>(value); }

// Bytes of a pool page as KvPool takes them; a page beyond 63 bits fits no device, whatever its exact size.
std::uint64_t page_size(Wide bytes) { return static_cast<std::uint64_t>(std::min<Wide>(bytes, INT64_MAX)); }

KvPoolSpec pool_spec(const EstimateRequest& request, const KvParams& params) {
  KvPoolSpec spec;
  spec.page_tokens = natural(params.page_tokens);
  spec.slack_tokens = natural(params.slack_tokens);
  spec.groups.reserve(params.leaves.size());
  for (const KvLeaf& leaf : params.leaves) {
    KvPoolGroup group;
    group.kind = leaf.kind;
    group.window_tokens = natural(leaf.window_tokens);
    if (leaf.kind == CacheKind::kState) {
      group.state_bytes = page_size(leaf.page_bytes);
      group.rows_per_sequence = natural(request.state_rows_per_sequence);
    } else {
      group.page_bytes = page_size(leaf.page_bytes);
    }
    spec.groups.push_back(group);
  }
  return spec;
}

struct Device {
  Wide free = 0, budget = 0, fixed = 0;
  Wide room = 0; // budget - fixed, within the largest allocation
};

class PerDevice {
public:
  explicit PerDevice(const EstimateRequest& request) : request_(request) {}

  EstimateResult run() {
    if (auto ok = check_request(request_); !ok) return refuse(ok.error());
    if (auto ok = check_own(); !ok) return refuse(ok.error());
    if (!request_.caches.empty()) {
      auto params = make_kv_params(request_);
      if (!params) return refuse(params.error());
      depth_ = params->per_layer_depth;
      layout_.emplace(pool_spec(request_, *params), 1, true);
    }
    place_devices();
    if (auto error = first_error()) return refuse(std::move(*error));
    return finish();
  }

private:
  std::optional<Error> first_error() {
    if (auto error = check_static()) return error;
    if (auto error = reserve_vision()) return error;
    length_ = std::min(*request_.max_length, request_.draft.max_length.value_or(*request_.max_length));
    if (request_.max_batch_size) batch_ = capped(*request_.max_batch_size);
    if (!layout_) return std::nullopt;
    const KvLayout* const layouts[] = {&*layout_};
    const std::uint32_t stages[] = {0};
    const Wide rooms[] = {room_}; // of the poorest device; the others hold the same
    return take(size_kv(KvMemory{layouts, stages, rooms, 1}, wish()));
  }

  EstimateResult refuse(Error error) {
    report();
    return refused(std::move(result_), std::move(error));
  }

  EstimateResult finish() {
    result_.fits = true;
    result_.max_length = length_;
    result_.max_batch_size = batch_;
    report();
    for (const EstimateDeviceShare& share : result_.devices) {
      const Wide used = static_cast<Wide>(share.static_bytes) + share.vision_cache_bytes + share.kv_cache_bytes;
      if ((share.free_bytes - used) * 20 < share.free_bytes) {
        result_.warnings.push_back(WarningCode::kNearLimit);
        break;
      }
    }
    return std::move(result_);
  }

  Result<void> check_own() {
    const double u = request_.device_memory_utilization;
    if (!(u > 0 && u <= 1) || exact_fraction(u) == 0)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("a utilisation of {} is outside 0..1; give a fraction of the free memory such as 0.9", u),
                  "/device_memory_utilization");
    if (*request_.max_length < 1) return fail(ErrorCode::kBadRequest, "max_length must be at least 1 token", "/max_length");
    if (request_.draft.max_length && *request_.draft.max_length < 1)
      return fail(ErrorCode::kBadRequest, "the draft's max_length must be at least 1 token", "/draft/max_length");
    if (request_.state_rows_per_sequence < 1)
      return fail(ErrorCode::kBadRequest, "a sequence needs at least one row of every state", "/kv_cache/state_rows_per_sequence");
    return {};
  }

  static Wide size_on(const EstimateSize& size, std::size_t device, std::int64_t devices) {
    return size.per_device_bytes.empty() ? wide_ceil_div(size.total_bytes, devices) : Wide{size.per_device_bytes[device]};
  }

  void place_devices() {
    const auto n = static_cast<std::int64_t>(request_.devices.size());
    const std::int64_t utilization = exact_fraction(request_.device_memory_utilization);
    Wide free = 0, fixed = 0;
    devices_.resize(request_.devices.size());
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      const EstimateDevice& given = request_.devices[i];
      Device& device = devices_[i];
      // A device that reports no free memory at all is taken as empty.
      device.free = given.free_bytes != 0 ? given.free_bytes : given.total_bytes.value_or(0);
      device.budget = share_of(device.free, utilization);
      device.fixed = size_on(request_.weights, i, n) + size_on(request_.activations, i, n) + size_on(request_.signal_buffers, i, n);
      device.room = device.budget - device.fixed;
      if (given.max_allocation_bytes) device.room = std::min(device.room, (CheckedWide(*given.max_allocation_bytes) * depth_).saturated());
      if (device.room < devices_[tightest_].room) tightest_ = i;
      free += device.free;
      fixed += device.fixed;
    }
    room_ = devices_[tightest_].room;
    result_.free_bytes = narrow(free);
    result_.static_bytes = narrow(fixed);
    result_.kv_budget_bytes = narrow(room_ * n);
  }

  std::string label(std::size_t device) const {
    const std::string& name = request_.devices[device].name;
    return name.empty() ? fmt::format("device {}", device) : fmt::format("device {} ({})", device, name);
  }

  // "device 1: budget 21.60 GiB (0.9 of 24.00 GiB free)".
  std::string ledger(std::size_t device) const {
    return fmt::format("{}: budget {} ({} of {} free), weights, activations and buffers {}", label(device),
                       human_wide_bytes(devices_[device].budget), request_.device_memory_utilization,
                       human_wide_bytes(devices_[device].free), human_wide_bytes(devices_[device].fixed));
  }

  std::optional<Error> check_static() {
    std::size_t worst = 0;
    for (std::size_t i = 1; i < devices_.size(); ++i)
      if (devices_[i].free - devices_[i].fixed < devices_[worst].free - devices_[worst].fixed) worst = i;
    if (devices_[worst].fixed > devices_[worst].free)
      return Error{ErrorCode::kModelTooLarge,
                   fmt::format("{}; short by {} bytes; use a smaller model, a smaller precision, more devices or larger ones",
                               ledger(worst), human_wide_count(devices_[worst].fixed - devices_[worst].free)),
                   fmt::format("/devices/{}", worst)};
    if (room_ > 0) return std::nullopt;
    if (layout_)
      return Error{ErrorCode::kNoRoomForKv,
                   fmt::format("{}; nothing is left for the KV cache, short by {} bytes; raise the utilisation or use a smaller model",
                               ledger(tightest_), human_wide_count(1 - room_)),
                   fmt::format("/devices/{}", tightest_)};
    if (room_ < 0)
      return Error{
          ErrorCode::kModelTooLarge,
          fmt::format("{}; short by {} bytes; raise the utilisation or use a smaller model", ledger(tightest_), human_wide_count(-room_)),
          fmt::format("/devices/{}", tightest_)};
    return std::nullopt;
  }

  // The same whole blocks on every device, from a fraction of the smallest room.
  std::optional<Error> reserve_vision() {
    result_.vision_cache = EstimateVisionReserve{};
    if (!has_vision_cache(request_)) return std::nullopt;
    const EstimateVisionCache& vision = *request_.vision_cache;
    const auto n = static_cast<std::int64_t>(devices_.size());
    const Wide block = vision_block_bytes(vision);
    const VisionShare share = share_for_vision(room_, vision.utilization, block, wide_ceil_div(vision.entry_bytes, block));
    if (share.raised()) result_.warnings.push_back(WarningCode::kVisionCacheRaised);
    vision_ = (CheckedWide(share.blocks) * block).saturated();
    result_.vision_cache = EstimateVisionReserve{narrow((CheckedWide(vision_) * n).saturated()).value_or(INT64_MAX),
                                                 narrow(share.blocks * n).value_or(INT64_MAX)};
    if (vision_ > room_)
      return Error{ErrorCode::kNoRoomForKv,
                   fmt::format("{}; the vision cache needs {} for one image of the largest size, {} are left; short by {} bytes",
                               ledger(tightest_), human_wide_bytes(vision_), human_wide_bytes(room_), human_wide_count(vision_ - room_)),
                   fmt::format("/devices/{}", tightest_)};
    room_ -= vision_;
    result_.kv_budget_bytes = narrow(room_ * n);
    return std::nullopt;
  }

  std::int64_t capped(std::int64_t batch) {
    if (batch <= request_.max_batch_input_tokens) return batch;
    result_.warnings.push_back(WarningCode::kBatchCapped);
    return request_.max_batch_input_tokens;
  }

  KvWish wish() const {
    KvWish wish;
    wish.max_length = natural(length_);
    wish.may_shorten = !request_.max_length_given;
    wish.batch_is_asked_for = request_.max_batch_size.has_value();
    if (wish.batch_is_asked_for) wish.batch = natural(batch_);
    wish.most_requests = natural(std::min(default_max_batch_size(request_), request_.max_batch_input_tokens));
    wish.usual_request_tokens = kDefaultBatchTokens;
    return wish;
  }

  // What the sizing found, in the estimator's words.
  std::optional<Error> take(const KvSizing& sizing) {
    batch_ = static_cast<std::int64_t>(sizing.batch);
    length_ = static_cast<std::int64_t>(sizing.max_length);
    if (sizing.shortage != KvShortage::kNoPage) result_.max_batch_size = batch_;
    if (sizing.shortage != KvShortage::kNoPage && sizing.shortage != KvShortage::kTooMany && sizing.longest_tokens <= INT64_MAX)
      result_.max_supported_sequence_length = static_cast<std::int64_t>(sizing.longest_tokens);
    if (sizing.shortage != KvShortage::kNone) {
      kv_ = sizing.needed_bytes.front();
      return shortage(sizing);
    }
    if (sizing.shortened) result_.warnings.push_back(WarningCode::kCapacityClamped);
    const KvCut& cut = sizing.cuts.front();
    kv_ = cut.used_bytes;
    result_.max_batch_at_max_length = static_cast<std::int64_t>(sizing.batch_at_max_length());
    result_.pages_per_replica = static_cast<std::int64_t>(std::min<std::uint64_t>(cut.pages, INT64_MAX));
    if (cut.capacity_tokens && static_cast<Wide>(cut.pages) - 1 < batch_) result_.warnings.push_back(WarningCode::kBatchExceedsPages);
    result_.kv_cache_bytes = narrow(kv_ * static_cast<Wide>(devices_.size()));
    return std::nullopt;
  }

  Error shortage(const KvSizing& sizing) const {
    const Wide needed = sizing.needed_bytes.front();
    if (sizing.shortage == KvShortage::kTooLong)
      return {ErrorCode::kOutOfMemory,
              fmt::format("{}; one request of {} tokens needs {} of KV cache, {} are left, short by {} bytes; at most {} tokens fit",
                          ledger(tightest_), human_wide_count(length_), human_wide_bytes(needed), human_wide_bytes(room_),
                          human_wide_count(needed - room_), human_wide_count(static_cast<Wide>(sizing.longest_tokens))),
              fmt::format("/devices/{}", tightest_)};
    if (sizing.shortage == KvShortage::kTooMany)
      return {ErrorCode::kOutOfMemory,
              fmt::format("{}; {} are left for the KV cache, but the states of {} requests and one page take {}; use fewer requests",
                          ledger(tightest_), human_wide_bytes(room_), batch_, human_wide_bytes(needed)),
              "/max_batch_size"};
    return {ErrorCode::kNoPageFits,
            fmt::format("{}; {} are left for the KV cache, but one page of every group, one null page each and the states of one request "
                        "take {}; short by {} bytes",
                        ledger(tightest_), human_wide_bytes(room_), human_wide_bytes(needed), human_wide_count(needed - room_)),
            fmt::format("/devices/{}", tightest_)};
  }

  void report() {
    if (devices_.empty()) return;
    const auto n = static_cast<Wide>(devices_.size());
    if (result_.fits && !layout_) result_.kv_cache_bytes = 0;
    if (result_.fits && result_.static_bytes) result_.footprint_bytes = narrow(*result_.static_bytes + (vision_ + kv_) * n);
    result_.devices.reserve(devices_.size());
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      const Device& device = devices_[i];
      EstimateDeviceShare share;
      share.name = request_.devices[i].name;
      share.free_bytes = narrow(device.free).value_or(INT64_MAX);
      share.budget_bytes = narrow(device.budget).value_or(INT64_MAX);
      share.static_bytes = narrow(device.fixed).value_or(INT64_MAX);
      share.vision_cache_bytes = narrow(vision_).value_or(INT64_MAX);
      share.kv_cache_bytes = narrow(kv_).value_or(INT64_MAX);
      share.unused_bytes = narrow(device.budget - device.fixed - vision_ - kv_).value_or(INT64_MIN);
      result_.devices.push_back(std::move(share));
    }
  }

  const EstimateRequest& request_;
  EstimateResult result_;
  std::optional<GroupedLayout> layout_;
  std::vector<Device> devices_;
  std::size_t tightest_ = 0;
  std::int64_t depth_ = 1;
  Wide room_ = 0; // for the KV cache on every device: the smallest
  Wide vision_ = 0, kv_ = 0;
  std::int64_t batch_ = 1, length_ = 0;
};

} // namespace

EstimateResult estimate_per_device(const EstimateRequest& request) { return PerDevice(request).run(); }

} // namespace plimsoll
