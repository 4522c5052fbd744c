// A checkpoint of either format behind one interface: what is stored, tensor by tensor, from the headers alone.
// Start here: locate_model() finds the files, open_checkpoint() opens them, scan() streams every tensor to a visitor. Never reads tensor
// data, never keeps the inventory. Threads: a Checkpoint is immutable; scan() may be called from several threads at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf.hpp"
#include "checkpoint/gguf_config.hpp"
#include "checkpoint/gguf_names.hpp"
#include "checkpoint/gguf_words.hpp"
#include "checkpoint/locate.hpp"
#include "checkpoint/tensor_entry.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct CheckpointTotals {
  std::uint64_t stored_bytes = 0; // of all tensors
  std::uint64_t tensor_count = 0;
  std::uint64_t header_bytes = 0; // of all files
  std::string absent;             // what the index names and the files lack, for people; empty: nothing
  std::vector<std::string> notes; // what is odd but no error, for people: holes, an index total that drifted
};

// The visitor that one worker of a scan tells: asked for once per worker, before any file is read. A worker is told of whole
// files, in ascending order; which files are whose is left to chance, and TensorEntry::file_index says.
using VisitorOfWorker = std::function<TensorVisitor&(unsigned worker)>;

// What the architecture of a GGUF file means; asked for once, when such a file is opened.
using GgufMeaning = std::function<Result<GgufArchitecture>(const std::string& name, const GgufMetadata& metadata)>;

class Checkpoint {
public:
  CheckpointFormat format() const { return files_.format; }
  const ModelFiles& files() const { return files_; }
  // A GGUF file's metadata as a config.json would put it; null for safetensors.
  const nlohmann::ordered_json& config() const { return config_; }
  // As the file has them; null for safetensors.
  const GgufMetadata* gguf_metadata() const { return gguf_.empty() ? nullptr : &gguf_.front().metadata; }

  // Of an error about a key of such a config, the same naming the metadata that the key was read from: "mamba2.ssm.inner_size".
  Error with_metadata(Error error) const;

  // What the files lack of the data that their headers tell of: 0, but for GGUF headers fetched alone and downloads that did not end.
  std::uint64_t lacking_bytes() const;

  // How the elements of a stored tensor lie. kUnsupportedArchitecture for a GGUF file of whose architecture nobody said it: its data
  // mean nothing to whoever knows the config's own checkpoint. kBadCheckpoint where the files lack data.
  Result<StoredOrder> order_of(std::string_view stored_name) const;

  // Tells `visitor` of every tensor, file by file in order, in the order of each header. Errors: kBadCheckpoint with the file and
  // the tensor, or what the visitor answered. What was visited before an error must be thrown away.
  Result<CheckpointTotals> scan(TensorVisitor& visitor) const;
  // The same on `workers` threads, each with a visitor of its own (0: as many as pay). The totals do not depend on their number;
  // neither does the error.
  Result<CheckpointTotals> scan(const VisitorOfWorker& visitor_of_worker, unsigned workers = 0) const;

private:
  friend Result<Checkpoint> open_checkpoint(const ModelFiles& files, const GgufMeaning& meaning_of);

  ModelFiles files_;
  std::string architecture_; // of a GGUF file: before its keys
  GgufSources sources_;
  nlohmann::ordered_json config_;
  GgufNames names_;
  std::optional<std::vector<StoredOrderSet>> orders_;
  std::vector<GgufHeader> gguf_; // one per split
};

// Opens what locate_model() found. Safetensors headers are read by scan(); GGUF headers here, as their metadata is the config.
// kBadRequest where `files` has no checkpoint.
Result<Checkpoint> open_checkpoint(const ModelFiles& files, const GgufMeaning& meaning_of);

} // namespace plimsoll
