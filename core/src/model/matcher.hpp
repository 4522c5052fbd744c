// Finds the class of a stored tensor by its name: layer and expert numbers may vary, a wrapper's prefix ("model.",
// "language_model.") is no difference, experts may be packed or apart, and projections may be fused or stored as parts.
// Writes what it finds into an Inventory, or says it (weight_sources.cpp). Reads no file. Threads: a Matcher is immutable and shared; a
// visitor is one thread's.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensor_entry.hpp"
#include "model/inventory.hpp"
#include "model/layer_sites.hpp"
#include "model/name_keys.hpp"
#include "plugin/manifest.hpp"

namespace plimsoll {

// What a stored tensor is to the declared classes.
struct StoredPlace {
  enum class Kind : std::uint8_t { kClass, kKvScale, kTable, kBuffer, kUnknown };
  static constexpr std::int32_t kWhole = -1;
  Kind kind = Kind::kUnknown;
  // kClass:
  std::span<const std::uint32_t> classes; // several where it fuses them, in the order of their rows
  std::uint32_t layer = 0, expert = 0;    // position in WeightClass::layers; number
  bool packed = false;                    // all experts of the layer
  bool main = true;                       // not what a format appends: scales, shapes
  std::int32_t part = kWhole;             // of what the class fuses; parts follow one another by this number
};

class Matcher {
public:
  // `compare_types`: a plain tensor of another type is a mismatch too (a GGUF file chooses its own types).
  // `fusions` are those of the families that plan the model.
  Matcher(const Declared& declared, Fusions fusions, bool compare_types);
  Inventory empty() const;
  // `keys` is of the thread that takes.
  void take(const TensorEntry& entry, NameKeys& keys, Inventory& into) const;
  // Holds while the matcher does.
  StoredPlace place_of(const TensorEntry& entry, NameKeys& keys) const;
  const LayerSites& sites() const { return sites_; }

private:
  struct Candidate {
    std::uint64_t hash = 0;
    std::uint32_t class_index = 0;
    std::int8_t layer_at = -1, expert_at = -1;                  // which of the name's numbers
    bool packed = false;                                        // all experts of a layer in one tensor
    std::int32_t part = StoredPlace::kWhole;                    // a part of a fused tensor: elements are compared in the end
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
    std::vector<std::uint32_t> classes;  // as their parts follow one another
    std::vector<std::size_t> parts;      // likewise: in the list of the fusion
    std::vector<std::uint64_t> elements; // of one tensor (one expert) of each class
    std::uint64_t sum = 0;
  };
  void add_joints();
  void add_candidates(std::uint32_t index, const std::string& pattern, std::int32_t part, std::int32_t joint = -1);
  void add_candidate(std::uint32_t index, std::string_view pattern, bool packed, std::int32_t part, std::int32_t joint);
  struct Found {
    StoredPlace place;
    const Candidate* candidate = nullptr; // of a class
  };
  Found look_up(const TensorEntry& entry, NameKeys& keys) const;
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

// Whether two shapes hold the same elements in the same order: exporters fold and unfold trailing dimensions (convolution kernels,
// [h] and [1, h]).
bool same_dims(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b);
// "BF16 [4096, 4096]".
std::string shape_text(std::span<const std::uint64_t> dims, const Dtype& type);

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
