#include "checkpoint/checkpoint.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <utility>

#include "checkpoint/gguf_config.hpp"
#include "checkpoint/quoted_name.hpp"
#include "checkpoint/safetensors_scan.hpp"

namespace plimsoll {
namespace {

std::optional<std::uint64_t> number(const GgufMetadata& metadata, std::string_view key) {
  const auto found = metadata.values.find(key);
  if (found == metadata.values.end() || !found->second.is_number_integer()) return std::nullopt;
  const auto value = found->second.get<std::int64_t>();
  return value < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(value));
}

// A split says which one it is and how many there are.
Result<void> check_split(const GgufHeader& header, std::size_t position, std::size_t count, const std::string& path) {
  const auto split_count = number(header.metadata, "split.count"), split_number = number(header.metadata, "split.no");
  if (split_count && *split_count > 1 && *split_count != count)
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("the file is one of {} splits, found {}; fetch them all and keep their names", *split_count, count),
                path + ": 'split.count'");
  if (count > 1 && split_number && *split_number != position)
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("the file is split {}, expected {} by its name; it was renamed", *split_number, position),
                path + ": 'split.no'");
  return {};
}

// No tensor in two splits, and none missing.
Result<void> check_set(const std::vector<GgufHeader>& headers, const ModelFiles& files) {
  if (headers.size() < 2) return {};
  std::uint64_t tensor_count = 0;
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    tensor_count += headers[i].tensors.size();
    for (const GgufTensor& tensor : headers[i].tensors)
      if (!names.insert(headers[i].name(tensor)).second)
        return fail(ErrorCode::kBadCheckpoint, fmt::format("tensor {} is stored in two splits", quoted_name(headers[i].name(tensor))),
                    files.shards[i]);
  }
  const auto promised = number(headers.front().metadata, "split.tensors.count");
  if (promised && *promised != tensor_count)
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("the splits hold {} tensors, expected {}; fetch them again", tensor_count, *promised),
                files.shards.front() + ": 'split.tensors.count'");
  return {};
}

Result<void> visit_gguf(const GgufHeader& header, std::uint32_t file_index, const GgufNames& names, TensorVisitor& visitor) {
  std::string name;
  TensorEntry entry;
  entry.file_index = file_index;
  for (const GgufTensor& tensor : header.tensors) {
    entry.stored_name = header.name(tensor);
    names.translate(entry.stored_name, name);
    entry.name = name;
    entry.auxiliary = is_gguf_table(entry.stored_name);
    entry.dtype = *tensor.dtype;
    entry.rank = tensor.rank;
    for (std::uint32_t i = 0; i < tensor.rank; ++i) entry.dims[i] = tensor.dims[tensor.rank - 1 - i];
    entry.elements = tensor.elements;
    entry.stored_bytes = tensor.stored_bytes;
    entry.offset_bytes = tensor.offset_bytes;
    PLIMSOLL_TRY(visitor.tensor(entry));
  }
  return {};
}

} // namespace

Result<Checkpoint> open_checkpoint(const ModelFiles& files, const GgufMeaning& meaning_of) {
  if (files.format == CheckpointFormat::kNone || files.shards.empty())
    return fail(ErrorCode::kBadRequest, "there are no weights to load: the model has no checkpoint, only a config",
                files.config_path.value_or(""));
  Checkpoint checkpoint;
  checkpoint.files_ = files;
  if (files.format != CheckpointFormat::kGguf) return checkpoint;
  GgufTensorFacts facts;
  for (std::size_t i = 0; i < files.shards.size(); ++i) {
    PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(files.shards[i]));
    PLIMSOLL_ASSIGN(GgufHeader header, read_gguf(file));
    PLIMSOLL_TRY(check_split(header, i, files.shards.size(), files.shards[i]));
    facts = tensor_facts(header, facts);
    checkpoint.gguf_.push_back(std::move(header));
  }
  PLIMSOLL_TRY(check_set(checkpoint.gguf_, files));
  const GgufMetadata& metadata = checkpoint.gguf_.front().metadata;
  PLIMSOLL_ASSIGN(const std::string name, gguf_architecture_name(metadata, files.shards.front()));
  PLIMSOLL_ASSIGN(const GgufArchitecture architecture, meaning_of(name, metadata));
  PLIMSOLL_ASSIGN(checkpoint.config_, gguf_config(metadata, facts, architecture, files.shards.front()));
  checkpoint.names_ = GgufNames(architecture.names);
  checkpoint.orders_ = architecture.orders;
  checkpoint.architecture_ = name;
  checkpoint.sources_ = gguf_sources(name, architecture);
  return checkpoint;
}

Error Checkpoint::with_metadata(Error error) const {
  const std::size_t at = error.where.rfind(": /");
  if (at == std::string::npos) return error;
  std::string key = error.where.substr(at + 3); // "ssm/heads/2" is of "ssm/heads", or of "ssm"
  auto found = sources_.find(key);
  while (found == sources_.end() && key.find('/') != std::string::npos) {
    key.erase(key.rfind('/'));
    found = sources_.find(key);
  }
  if (found != sources_.end() && !found->second.empty())
    error.message += fmt::format(" (a GGUF file has it under {})", fmt::join(found->second, ", "));
  return error;
}

std::uint64_t Checkpoint::lacking_bytes() const {
  std::uint64_t sum = 0; // of at most a pebibyte each
  for (const GgufHeader& header : gguf_) sum += header.lacking_bytes;
  return sum;
}

Result<StoredOrder> Checkpoint::order_of(std::string_view stored_name) const {
  if (files_.format != CheckpointFormat::kGguf) return StoredOrder{};
  if (const std::uint64_t lacking = lacking_bytes(); lacking != 0)
    return fail(ErrorCode::kBadCheckpoint,
                fmt::format("the file lacks {} bytes of its tensors; it plans, but to load it fetch all of it", lacking),
                files_.shards.front());
  if (orders_) {
    StoredOrder order = stored_order(*orders_, stored_name);
    if (order.dealt.empty()) return order;
    const std::string key = fmt::format("{}.{}", architecture_, order.dealt);
    order.hands = number(gguf_.front().metadata, key).value_or(0);
    if (order.hands != 0) return order;
    return fail(ErrorCode::kBadConfig,
                fmt::format("the heads of tensor {} lie apart by a number that the file does not say", quoted_name(stored_name)),
                fmt::format("{}: '{}'", files_.shards.front(), key));
  }
  return fail(ErrorCode::kUnsupportedArchitecture,
              "no gguf.json says how files of this architecture store their tensors (`orders`); take the model's safetensors",
              files_.shards.front());
}

Result<CheckpointTotals> Checkpoint::scan(TensorVisitor& visitor) const {
  return scan([&visitor](unsigned) -> TensorVisitor& { return visitor; }, 1);
}

Result<CheckpointTotals> Checkpoint::scan(const VisitorOfWorker& visitor_of_worker, unsigned workers) const {
  if (files_.format == CheckpointFormat::kSafetensors) return scan_safetensors(files_, visitor_of_worker, workers);
  TensorVisitor& visitor = visitor_of_worker(0); // the headers lie in memory already
  CheckpointTotals totals;
  Checked stored = 0;
  for (std::size_t i = 0; i < gguf_.size(); ++i) {
    PLIMSOLL_TRY(visit_gguf(gguf_[i], static_cast<std::uint32_t>(i), names_, visitor));
    stored += gguf_[i].stored_bytes;
    totals.tensor_count += gguf_[i].tensors.size();
    totals.header_bytes += gguf_[i].header_bytes;
  }
  if (stored.overflowed())
    return fail(ErrorCode::kBadCheckpoint, "the tensors of all splits together do not fit 64 bits", files_.shards.front());
  totals.stored_bytes = stored.value();
  return totals;
}

} // namespace plimsoll
