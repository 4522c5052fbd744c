#include "checkpoint/safetensors_scan.hpp"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "checkpoint/quoted_name.hpp"
#include "checkpoint/safetensors.hpp"
#include "checkpoint/safetensors_index.hpp"
#include "storage/name_hashes.hpp"

namespace plimsoll {
namespace {

constexpr unsigned kWorkersThatPay = 2;
constexpr std::size_t kShardsForThreads = 8; // below, starting a thread costs more than it saves
constexpr std::size_t kNamedInNotes = 3;
constexpr std::size_t kUsualNames = 1U << 16; // room for their hashes that need not grow; pages are touched when used

// What is to be done: the index first (it is the longest piece), then a shard each. Threads take the next piece until none is left.
class Work {
public:
  Work(const ModelFiles& files, const VisitorOfWorker& visitor_of_worker, unsigned workers)
      : files_(files), results_(files.shards.size()), hashes_(workers) {
    for (unsigned worker = 0; worker < workers; ++worker) visitors_.push_back(&visitor_of_worker(worker));
  }

  void run() {
    std::vector<std::thread> others;
    for (unsigned worker = 1; worker < visitors_.size(); ++worker) {
      try {
        others.emplace_back([this, worker] { take_pieces(worker); });
      } catch (const std::system_error&) {
        break; // no more threads to be had: this one does the rest
      }
    }
    take_pieces(0);
    for (std::thread& other : others) other.join();
  }

  // The first error in the order of the files, whichever thread met it: pieces are taken in order, so all before it are done.
  Result<void> outcome() {
    for (auto& result : results_)
      if (result && !*result) return tl::unexpected(std::move(result->error()));
    if (index_ && !*index_) return tl::unexpected(std::move(index_->error()));
    return {};
  }

  const std::optional<Result<IndexSummary>>& index() const { return index_; }
  const HeaderTotals& totals(std::size_t shard) const { return **results_[shard]; }
  const std::vector<std::vector<std::uint64_t>>& hashes() const { return hashes_; }

private:
  void take_pieces(unsigned worker) {
    SafetensorsReader reader;
    hashes_[worker].reserve(kUsualNames);
    while (!stopped_.load(std::memory_order_relaxed)) { // asked before a piece is taken: a piece that is taken is done
      const std::size_t piece = next_.fetch_add(1, std::memory_order_relaxed);
      if (piece > files_.shards.size()) return;
      if (piece == 0) {
        if (files_.index_path) index_ = read_safetensors_index(*files_.index_path);
        continue;
      }
      const std::size_t shard = piece - 1;
      results_[shard] = read(reader, shard, worker);
      if (!*results_[shard]) stopped_.store(true, std::memory_order_relaxed);
    }
  }

  Result<HeaderTotals> read(SafetensorsReader& reader, std::size_t shard, unsigned worker) {
    PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(files_.shards[shard]));
    return reader.read(file, static_cast<std::uint32_t>(shard), *visitors_[worker], &hashes_[worker], files_.shard_name(shard));
  }

  const ModelFiles& files_;
  std::vector<TensorVisitor*> visitors_;                     // per worker
  std::vector<std::optional<Result<HeaderTotals>>> results_; // per shard
  std::vector<std::vector<std::uint64_t>> hashes_;           // of the names that each worker met
  std::optional<Result<IndexSummary>> index_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stopped_{false};
};

// Calls a function for every tensor; for the rare second passes below.
template <class Function>
class EachTensor final : public TensorVisitor {
public:
  explicit EachTensor(Function function) : function_(std::move(function)) {}
  Result<void> tensor(const TensorEntry& entry) override { return function_(entry); }

private:
  Function function_;
};

template <class Function>
Result<void> each_tensor(const ModelFiles& files, Function function) {
  EachTensor visitor(std::move(function));
  SafetensorsReader reader;
  for (std::size_t shard = 0; shard < files.shards.size(); ++shard) {
    PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(files.shards[shard]));
    PLIMSOLL_TRY(reader.read(file, static_cast<std::uint32_t>(shard), visitor));
  }
  return {};
}

// Some hashes are equal; are the names? A second pass over the headers, with the suspects' names at hand.
Result<void> refuse_duplicates(const ModelFiles& files, const std::vector<std::uint64_t>& suspects) {
  std::map<std::string, std::uint32_t, std::less<>> seen;
  return each_tensor(files, [&](const TensorEntry& entry) -> Result<void> {
    if (!std::binary_search(suspects.begin(), suspects.end(), name_hash(entry.name))) return {};
    const auto [known, fresh] = seen.emplace(entry.name, entry.file_index);
    if (fresh) return {};
    const std::string& path = files.shards[entry.file_index];
    const bool same_file = known->second == entry.file_index;
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("tensor {} is stored twice{}; the checkpoint mixes two exports or is damaged", quoted_name(entry.name),
                            same_file ? std::string() : fmt::format(", in {} too", quoted_name(files.shard_name(known->second)))),
                fmt::format("{}: {}", path, quoted_name(entry.name)));
  });
}

// Which pairs of a tensor and a shard one side knows, eight bytes each.
class Pairs {
public:
  explicit Pairs(std::uint64_t count) { hashes_.reserve(count); }
  void add(std::uint64_t hash) { hashes_.push_back(hash); }
  void sort() { std::sort(hashes_.begin(), hashes_.end()); }
  bool contains(std::uint64_t hash) const { return std::binary_search(hashes_.begin(), hashes_.end(), hash); }

private:
  std::vector<std::uint64_t> hashes_;
};

// The index and the headers do not agree; say how. Engines take what the headers have and pass by what the index promises beside.
Result<void> compare_names(const ModelFiles& files, std::uint64_t index_count, CheckpointTotals& totals) {
  const auto pair = [](std::string_view tensor, std::string_view shard) { return pair_fingerprint(name_hash(tensor), shard_salt(shard)); };
  Pairs stored(totals.tensor_count);
  PLIMSOLL_TRY(each_tensor(files, [&](const TensorEntry& entry) -> Result<void> {
    stored.add(pair(entry.name, files.shard_name(entry.file_index)));
    return {};
  }));
  stored.sort();
  Pairs promised(index_count);
  std::uint64_t missing_count = 0;
  std::pair<std::string, std::string> missing; // the first by name
  PLIMSOLL_TRY(read_safetensors_index(*files.index_path, [&](std::string_view tensor, std::string_view shard) {
    const std::uint64_t hash = pair(tensor, shard);
    promised.add(hash);
    if (stored.contains(hash)) return;
    if (missing_count++ == 0 || tensor < missing.first) missing = {std::string(tensor), std::string(shard)};
  }));
  if (missing_count > 0)
    totals.absent = fmt::format("the index says that tensor {} lies in {}, but that file has no such tensor ({} in all); engines load what "
                                "is there, and that counts",
                                quoted_name(missing.first), quoted_name(missing.second), missing_count);
  promised.sort();
  std::uint64_t extra_count = 0;
  std::string extras;
  PLIMSOLL_TRY(each_tensor(files, [&](const TensorEntry& entry) -> Result<void> {
    const auto shard = files.shard_name(entry.file_index);
    if (!promised.contains(pair(entry.name, shard)) && ++extra_count <= kNamedInNotes)
      extras += fmt::format("{}{} in {}", extras.empty() ? "" : ", ", quoted_name(entry.name), quoted_name(shard));
    return {};
  }));
  if (extra_count > 0)
    totals.notes.push_back(fmt::format("the shards hold {} tensors that the index does not name ({}{})", extra_count, extras,
                                       extra_count > kNamedInNotes ? ", ..." : ""));
  return {};
}

// A shard of the index that was not read: the directory's set of files looked complete without it.
Result<void> compare_shards(const ModelFiles& files, const IndexSummary& index) {
  std::vector<std::string_view> read;
  for (std::size_t shard = 0; shard < files.shards.size(); ++shard) read.push_back(files.shard_name(shard));
  std::sort(read.begin(), read.end());
  for (const std::string& shard : index.shards)
    if (!std::binary_search(read.begin(), read.end(), shard))
      return fail(ErrorCode::kBadCheckpoint, fmt::format("the index names the shard {}, which is not there; fetch it", quoted_name(shard)),
                  fmt::format("{}: /weight_map", *files.index_path));
  return {};
}

} // namespace

Result<CheckpointTotals> scan_safetensors(const ModelFiles& files, const VisitorOfWorker& visitor_of_worker, unsigned workers) {
  if (workers == 0)
    workers = files.shards.size() < kShardsForThreads ? 1 : std::min(kWorkersThatPay, std::max(1U, std::thread::hardware_concurrency()));
  Work work(files, visitor_of_worker, workers);
  work.run();
  PLIMSOLL_TRY(work.outcome());

  CheckpointTotals totals;
  Checked stored = 0;
  std::uint64_t fingerprint = 0, file_bytes = 0;
  for (std::size_t shard = 0; shard < files.shards.size(); ++shard) {
    const HeaderTotals& part = work.totals(shard);
    stored += part.stored_bytes;
    totals.tensor_count += part.tensor_count;
    totals.header_bytes += part.header_bytes;
    fingerprint += part.fingerprint;
    file_bytes += part.stored_bytes + part.header_bytes;
  }
  if (stored.overflowed())
    return fail(ErrorCode::kBadCheckpoint, "the tensors of all shards together do not fit 64 bits", files.shards.front());
  totals.stored_bytes = stored.value();

  if (const auto suspects = repeated(work.hashes()); !suspects.empty()) PLIMSOLL_TRY(refuse_duplicates(files, suspects));
  for (std::size_t shard = 0; shard < files.shards.size(); ++shard)
    if (const std::uint64_t hole_bytes = work.totals(shard).hole_bytes; hole_bytes > 0)
      return fail(ErrorCode::kBadCheckpoint,
                  fmt::format("{} bytes of the file belong to no tensor; the safetensors library refuses such files. Fetch it again, or "
                              "write it anew",
                              hole_bytes),
                  files.shards[shard]);
  if (work.index()) {
    const IndexSummary& index = **work.index();
    PLIMSOLL_TRY(compare_shards(files, index));
    if (index.fingerprint != fingerprint || index.tensor_count != totals.tensor_count)
      PLIMSOLL_TRY(compare_names(files, index.tensor_count, totals));
    if (index.total_bytes && *index.total_bytes != totals.stored_bytes && *index.total_bytes != file_bytes)
      totals.notes.push_back(fmt::format("the index says total_size {}, the headers add up to {}; the headers count", *index.total_bytes,
                                         totals.stored_bytes));
  }
  return totals;
}

} // namespace plimsoll
