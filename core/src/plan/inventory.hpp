// What a checkpoint stores, held against what the planners declare: bytes per class and layer, and every tensor that is
// missing, extra or of another shape. Fed by Checkpoint::scan while it streams; keeps numbers, not the inventory.
// Called by Context::load. Threads: a Matcher is immutable and shared; an Inventory belongs to one scanning thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/tensor_entry.hpp"
#include "plan/declared.hpp"
#include "plimsoll/host.hpp"

namespace plimsoll {

// The stored side of one weight class.
struct StoredClass {
  std::vector<std::uint64_t> layer_bytes; // per entry of WeightClass::layers, or one entry; packed values and scales
  std::vector<bool> seen;                 // main tensors by layer and expert
  std::uint64_t tensors = 0;
};

// What one scan found. Sums of two inventories are an inventory.
struct Inventory {
  std::vector<StoredClass> classes; // as Declared::weights
  std::vector<TensorBytes> unclaimed;
  std::uint64_t unclaimed_bytes = 0, unclaimed_count = 0, kv_scale_bytes = 0;
  std::vector<Mismatch> mismatched;
  std::uint64_t mismatched_count = 0;
  std::uint64_t parameters = 0; // of unclaimed tensors

  void add(const Inventory& other);
};

// Finds the class of a tensor by its name: layer and expert numbers may vary, a wrapper's prefix ("model.",
// "language_model.") is no difference, experts may be packed or apart, and fused projections may be stored as parts.
class Matcher {
public:
  // `compare_types`: a plain tensor of another type is a mismatch too (a GGUF file chooses its own types).
  Matcher(const Declared& declared, bool compare_types);
  Inventory empty() const;
  void take(const TensorEntry& entry, Inventory& into) const;

private:
  struct Key {
    std::uint64_t hash = 0;
    std::uint32_t n_numbers = 0;
    std::array<std::uint32_t, 4> numbers{};
  };
  struct Candidate {
    std::uint64_t hash = 0;
    std::uint32_t class_index = 0;
    std::int8_t layer_at = -1, expert_at = -1; // which of the name's numbers
    bool packed = false;                       // all experts of a layer in one tensor
    bool partial = false;                      // a part of a fused tensor: shapes are not compared
    std::array<std::uint32_t, 4> literals{};   // of the other numbers
    std::uint32_t n_numbers = 0;
  };
  static Key key_of(std::string_view name);
  void add_candidates(std::uint32_t index, const std::string& pattern, bool partial);
  void add_candidate(std::uint32_t index, std::string_view pattern, bool packed, bool partial);
  const Candidate* find(const Key& key, std::uint32_t& layer, std::uint32_t& expert) const;
  void check_shape(const TensorEntry& entry, const Candidate& found, std::uint32_t layer, Inventory& into) const;

  const Declared& declared_;
  bool compare_types_;
  std::vector<Candidate> table_; // open addressing, a power of two
  std::vector<Candidate> list_;  // while building
};

// Streams tensors into an inventory.
class InventoryVisitor : public TensorVisitor {
public:
  explicit InventoryVisitor(const Matcher& matcher) : matcher_(matcher), inventory(matcher.empty()) {}
  Result<void> tensor(const TensorEntry& entry) override;

private:
  const Matcher& matcher_;

public:
  Inventory inventory;
};

// Names of main tensors that the class declares and the checkpoint lacks, at most `most` of them.
std::vector<std::string> missing_tensors(const WeightClass& c, const StoredClass& stored, std::size_t most);

} // namespace plimsoll
