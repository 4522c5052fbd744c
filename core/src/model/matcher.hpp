// Finds the class of a stored tensor by its name: layer and expert numbers may vary, a wrapper's prefix ("model.",
// "language_model.") is no difference, experts may be packed or apart, and projections may be fused or stored as parts.
// Writes what it finds into an Inventory. Reads no file. Threads: a Matcher is immutable and shared; a visitor is one thread's.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensor_entry.hpp"
#include "model/inventory.hpp"
#include "model/layer_sites.hpp"
#include "model/name_keys.hpp"
#include "plugin/manifest.hpp"

namespace plimsoll {

class Matcher {
public:
  // `compare_types`: a plain tensor of another type is a mismatch too (a GGUF file chooses its own types).
  // `fusions` are those of the families that plan the model.
  Matcher(const Declared& declared, Fusions fusions, bool compare_types);
  Inventory empty() const;
  // `keys` is of the thread that takes.
  void take(const TensorEntry& entry, NameKeys& keys, Inventory& into) const;
  const LayerSites& sites() const { return sites_; }

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
  void take_unknown(const TensorEntry& entry, Inventory& into) const;
  void take_for(const TensorEntry& entry, const Candidate& found, std::uint32_t class_index, std::uint64_t bytes, bool main,
                std::uint32_t layer, std::uint32_t expert, Inventory& into) const;
  void take_joint(const TensorEntry& entry, const Candidate& found, bool main, std::uint32_t layer, std::uint32_t expert,
                  Inventory& into) const;
  const Candidate* find(const NameKey& key, std::uint32_t& layer, std::uint32_t& expert) const;
  void check_shape(const TensorEntry& entry, const Candidate& found, std::uint32_t layer, Inventory& into) const;

  const Declared& declared_;
  Fusions fusions_;
  bool compare_types_;
  LayerSites sites_;
  const Dtype* common_type_ = nullptr; // of what is not quantised; nullptr where no class has it
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

} // namespace plimsoll
