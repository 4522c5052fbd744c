// What a checkpoint stores, held against what the planners declare: bytes per class and layer, and every tensor that is
// missing, extra or of another shape. Fed by Checkpoint::scan while it streams; keeps numbers, not the inventory.
// Called by Context::load. Threads: a Matcher is immutable and shared; an Inventory belongs to one scanning thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/tensor_entry.hpp"
#include "model/declared.hpp"
#include "model/name_keys.hpp"
#include "plimsoll/host.hpp"

namespace plimsoll {

// The stored side of one weight class.
struct StoredClass {
  std::vector<std::uint64_t> layer_bytes;   // per entry of WeightClass::layers, or one entry; packed values and scales
  std::vector<bool> seen;                   // main tensors by layer and expert
  std::vector<std::uint64_t> part_elements; // of a fused class stored in parts, per layer; empty: not stored so
  std::uint64_t tensors = 0;
  bool packed_type = false; // some tensor has a type that packs values: a cast leaves it alone

  std::uint64_t bytes() const;
};

// Tensors to be named one by one: the first thousand in the order of the files, whichever worker met them.
template <class Tensor>
class Named {
public:
  static constexpr std::size_t kMost = 1000;
  bool full() const { return list_.size() == kMost; }
  std::size_t size() const { return list_.size(); }
  const Tensor& front() const { return list_.front().tensor; }
  // Files come in ascending order.
  void add(std::uint32_t file_index, Tensor tensor) {
    if (!full()) list_.push_back({file_index, std::move(tensor)});
  }
  void add(const Named& other) {
    std::vector<InFile> both;
    std::merge(list_.begin(), list_.end(), other.list_.begin(), other.list_.end(), std::back_inserter(both),
               [](const InFile& a, const InFile& b) { return a.file_index < b.file_index; });
    if (both.size() > kMost) both.resize(kMost);
    list_ = std::move(both);
  }
  std::vector<Tensor> list() const {
    std::vector<Tensor> out;
    for (const InFile& entry : list_) out.push_back(entry.tensor);
    return out;
  }

private:
  struct InFile {
    std::uint32_t file_index = 0;
    Tensor tensor;
  };
  std::vector<InFile> list_;
};

// What one worker found. Sums of two inventories are an inventory.
struct Inventory {
  std::vector<StoredClass> classes; // as Declared::weights
  Named<TensorBytes> unclaimed;
  std::uint64_t unclaimed_bytes = 0, unclaimed_count = 0, kv_scale_bytes = 0;
  std::uint64_t table_bytes = 0;  // tables of rotary frequencies that a GGUF file adds: loaded, no weights
  std::uint64_t buffer_bytes = 0; // masks, positions, frequencies that an old exporter left behind: engines compute them
  Named<Mismatch> mismatched;
  std::uint64_t mismatched_count = 0;
  std::vector<std::string> missing; // after finish()
  std::uint64_t missing_count = 0;  // classes of which the checkpoint lacks something
  bool draft_missing = false;       // nothing of the multi-token prediction layers is stored

  void add(const Inventory& other);
  // After the last tensor: names what is missing, and fused classes of which only parts are there.
  void finish(const Declared& declared);
  void mismatch(std::uint32_t file_index, std::string_view name, std::string declared, std::string stored);
};

// Finds the class of a tensor by its name: layer and expert numbers may vary, a wrapper's prefix ("model.",
// "language_model.") is no difference, experts may be packed or apart, and projections may be fused or stored as parts.
class Matcher {
public:
  // `compare_types`: a plain tensor of another type is a mismatch too (a GGUF file chooses its own types).
  Matcher(const Declared& declared, bool compare_types);
  Inventory empty() const;
  // `keys` is of the thread that takes.
  void take(const TensorEntry& entry, NameKeys& keys, Inventory& into) const;

private:
  struct Candidate {
    std::uint64_t hash = 0;
    std::uint32_t class_index = 0;
    std::int8_t layer_at = -1, expert_at = -1;                  // which of the name's numbers
    bool packed = false;                                        // all experts of a layer in one tensor
    bool partial = false;                                       // a part of a fused tensor: elements are compared in the end
    std::int32_t joint = -1;                                    // a tensor that fuses several classes: into joints_
    std::array<std::uint32_t, NameKey::kMaxNumbers> literals{}; // of the other numbers
    std::uint32_t n_numbers = 0;
  };
  struct Expected {
    std::vector<std::uint64_t> dims;
    Dtype dtype;
  };
  void expect_shapes();
  struct Joint {
    std::vector<std::uint32_t> classes;
    std::vector<std::uint64_t> elements; // of one tensor (one expert) of each class
    std::uint64_t sum = 0;
  };
  void add_joints();
  void add_candidates(std::uint32_t index, const std::string& pattern, bool partial, std::int32_t joint = -1);
  void add_candidate(std::uint32_t index, std::string_view pattern, bool packed, bool partial, std::int32_t joint);
  void take_for(const TensorEntry& entry, const Candidate& found, std::uint32_t class_index, std::uint64_t bytes, bool main,
                std::uint32_t layer, std::uint32_t expert, Inventory& into) const;
  void take_joint(const TensorEntry& entry, const Candidate& found, bool main, std::uint32_t layer, std::uint32_t expert,
                  Inventory& into) const;
  const Candidate* find(const NameKey& key, std::uint32_t& layer, std::uint32_t& expert) const;
  void check_shape(const TensorEntry& entry, const Candidate& found, std::uint32_t layer, Inventory& into) const;

  const Declared& declared_;
  bool compare_types_;
  std::vector<Joint> joints_;
  std::vector<std::vector<Expected>> expected_; // per class: by variant, apart and packed
  std::vector<Candidate> table_;                // open addressing, a power of two
  std::vector<Candidate> list_;                 // while building
};

// Streams tensors into an inventory.
class InventoryVisitor : public TensorVisitor {
public:
  explicit InventoryVisitor(const Matcher& matcher) : matcher_(matcher), inventory(matcher.empty()) {}
  Result<void> tensor(const TensorEntry& entry) override;

private:
  const Matcher& matcher_;
  NameKeys keys_;

public:
  Inventory inventory;
};

// Names of main tensors that the class declares and the checkpoint lacks, at most `most` of them.
std::vector<std::string> missing_tensors(const WeightClass& c, const StoredClass& stored, std::size_t most);

} // namespace plimsoll
