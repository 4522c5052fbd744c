// Programs by hand, for tests and benchmarks of the executor: values, weights and ops one after another, each value in a place of its own,
// weights in memory, and a KV pool with its page tables. Header only. Knows the executor and nothing of plans. Threads: plain values.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "backend/elements.hpp"
#include "plimsoll/pipeline.h"
#include "runtime/executor.hpp"
#include "schedule/scratch_layout.hpp"
#include "support/test_backend.hpp"

namespace plimsoll::test {

inline std::vector<double> random_values(std::size_t n, std::uint64_t seed, double scale = 1) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<double> uniform(-scale, scale);
  std::vector<double> values(n);
  for (double& value : values) value = static_cast<double>(static_cast<float>(uniform(engine)));
  return values;
}

class ProgramBuilder {
public:
  ProgramBuilder(std::uint64_t most_tokens, std::uint64_t most_sequences, std::uint64_t most_outputs) {
    program_.most_tokens = most_tokens;
    program_.most_sequences = most_sequences;
    program_.most_outputs = most_outputs;
  }

  std::uint32_t value(std::uint64_t width, bool of_outputs = false) {
    program_.values.push_back(
        {of_outputs, width, take((of_outputs ? program_.most_outputs : program_.most_tokens) * width * sizeof(float))});
    return static_cast<std::uint32_t>(program_.values.size() - 1);
  }

  // `dims` as declared; `values` one for each element, experts outermost.
  std::uint32_t weight(std::vector<std::uint64_t> dims, const std::vector<double>& values, const std::string& dtype = "float32",
                       std::uint64_t experts = 0, std::uint32_t in_dim = 1, std::vector<std::uint64_t> parts = {}) {
    WeightTensor tensor;
    tensor.label = "weight " + std::to_string(program_.weights.tensors.size());
    tensor.dtype = dtype;
    tensor.dims = std::move(dims);
    tensor.experts = experts;
    tensor.in_dim = in_dim;
    tensor.parts = std::move(parts);
    const ElementType type = find_element_type(dtype).value();
    tensor.bytes = values.size() * element_bytes(type);
    memory_.emplace_back(tensor.bytes);
    std::vector<double> stored(values.size()); // bytes enough, aligned for every type
    store_elements(values.data(), values.size(), stored.data(), type, 0);
    memory_.back().write(stored.data());
    program_.weights.tensors.push_back(std::move(tensor));
    return static_cast<std::uint32_t>(program_.weights.tensors.size() - 1);
  }
  std::uint32_t random_weight(std::vector<std::uint64_t> dims, double scale, std::uint64_t experts = 0) {
    std::uint64_t n = experts == 0 ? 1 : experts;
    for (const std::uint64_t extent : dims) n *= extent;
    return weight(std::move(dims), random_values(n, ++seed_, scale), "float32", experts);
  }

  std::uint32_t rope(std::vector<double> frequencies, double factor = 1) {
    program_.ropes.push_back({std::move(frequencies), factor});
    return static_cast<std::uint32_t>(program_.ropes.size() - 1);
  }
  std::uint32_t rope_of(std::uint64_t columns, double theta) {
    std::vector<double> frequencies;
    for (std::uint64_t i = 0; i < columns / 2; ++i)
      frequencies.push_back(std::pow(theta, -2 * static_cast<double>(i) / static_cast<double>(columns)));
    return rope(std::move(frequencies));
  }

  // Returned to set further fields, which its scratch must not depend on.
  ProgramOp& op(OpKind kind, std::uint32_t out, std::initializer_list<std::uint32_t> in, std::initializer_list<std::uint32_t> weights = {},
                std::initializer_list<std::uint64_t> i = {}, std::initializer_list<double> f = {}) {
    ProgramOp made;
    made.kind = kind;
    made.out = out;
    std::copy(in.begin(), in.end(), made.in.begin());
    std::copy(weights.begin(), weights.end(), made.weights.begin());
    std::copy(i.begin(), i.end(), made.i.begin());
    std::copy(f.begin(), f.end(), made.f.begin());
    made.scratch_bytes = scratch_elements(made, program_.weights, program_.adapters, program_.most_tokens).saturated() * sizeof(float);
    program_.ops.push_back(made);
    return program_.ops.back();
  }
  ProgramOp& attend(OpKind kind, std::uint32_t group, std::uint32_t layer, std::uint32_t out, std::initializer_list<std::uint32_t> in,
                    std::initializer_list<std::uint32_t> weights, std::initializer_list<std::uint64_t> i, std::initializer_list<double> f) {
    ProgramOp& made = op(kind, out, in, weights, i, f);
    made.kv_group = group;
    made.kv_layer = layer;
    return made;
  }

  void replace_last(const ProgramOp& made) { program_.ops.back() = made; }

  // The scratch of every op ends where the slab ends, so that a guard behind the slab sees who needs more.
  Program program(std::uint32_t logits) const {
    Program out = program_;
    out.logits = logits;
    out.vocab_tokens = out.values[logits].width;
    std::uint64_t most = 0;
    for (const ProgramOp& op : out.ops) most = std::max(most, ceil_div(op.scratch_bytes, 64) * 64);
    out.slab_bytes += most;
    for (ProgramOp& op : out.ops) op.scratch_offset_bytes = out.slab_bytes - ceil_div(op.scratch_bytes, 64) * 64;
    return out;
  }
  std::uint64_t width_of(std::uint32_t value) const { return program_.values[value].width; }
  std::vector<const void*> weights() const {
    std::vector<const void*> out;
    for (const Memory& memory : memory_) out.push_back(memory.data());
    return out;
  }

private:
  std::uint64_t take(std::uint64_t bytes) {
    const std::uint64_t at = program_.slab_bytes;
    program_.slab_bytes += ceil_div(bytes, 64) * 64;
    return at;
  }
  Program program_;
  std::vector<Memory> memory_;
  std::uint64_t seed_ = 0;
};

// One KV group: its pool, and sequences' pages. Pages are handed out in an order that is not that of their numbers; the pool is filled
// with what is no number, so that nothing is read that was not written.
struct PoolShape {
  CacheKind kind = CacheKind::kFull;
  std::uint64_t layers = 1, heads = 1, k_elements = 8, v_elements = 8, page_tokens = 16, pages = 65;
  std::string k_dtype = "float32", v_dtype = "float32";
  std::vector<KvFieldGeometry> regions = {}; // kState: `pages` rows of these
  std::uint32_t rows_each = 1;               // likewise: of a sequence; 2: the second is the state before its last pass
};
class Pool {
public:
  explicit Pool(const PoolShape& shape) : shape_(shape) {
    KvGroupGeometry& g = group_.geometry;
    g.kind = shape.kind;
    g.n_layers = shape.layers;
    if (holds_states()) {
      make_states();
      return;
    }
    g.label = "attention";
    g.page_tokens = shape.page_tokens;
    g.kv_heads = shape.heads;
    g.k_elements = shape.k_elements;
    g.v_elements = shape.v_elements;
    g.k_dtype = shape.k_dtype;
    g.v_dtype = shape.v_elements == 0 ? "" : shape.v_dtype;
    const std::uint64_t v_bytes = shape.v_elements == 0 ? 0 : shape.v_elements * element_bytes(find_element_type(shape.v_dtype).value());
    const std::uint64_t layer_bytes =
        shape.page_tokens * shape.heads * (shape.k_elements * element_bytes(find_element_type(shape.k_dtype).value()) + v_bytes);
    g.page_bytes = layer_bytes * shape.layers;
    take(layer_bytes);
  }
  bool holds_states() const { return shape_.kind == CacheKind::kState; }

  const ExecutorKvGroup& group() const { return group_; }
  const PoolShape& shape() const { return shape_; }

  // Page number `index` of a sequence; page 0 is the null page.
  std::uint32_t page(std::uint64_t sequence, std::uint64_t index) {
    for (const Taken& taken : taken_)
      if (taken.sequence == sequence && taken.index == index) return taken.page;
    const auto page = static_cast<std::uint32_t>(1 + (used_++ * 7) % (shape_.pages - 1)); // pages - 1 is no multiple of 7
    taken_.push_back({sequence, index, page});
    return page;
  }
  // Sequence `to` has the first pages of `from`.
  void share(std::uint64_t from, std::uint64_t to, std::uint64_t pages) {
    for (std::uint64_t index = 0; index < pages; ++index) {
      const std::uint32_t number = page(from, index);
      taken_.push_back({to, index, number});
    }
  }
  // The rows of a batch's states.
  std::vector<std::uint32_t> rows(const std::vector<std::uint64_t>& sequences) {
    std::vector<std::uint32_t> out;
    for (const std::uint64_t sequence : sequences)
      for (std::uint64_t row = 0; row < shape_.rows_each; ++row) out.push_back(page(sequence, row));
    return out;
  }
  // Sequence `to` has the row that `from` had, whatever stands in it.
  void hand_on(std::uint64_t from, std::uint64_t to) { taken_.push_back({to, 0, page(from, 0)}); }
  // The table of a batch whose sequences end at `ends`; pages before a first key that is seen are null.
  std::vector<std::uint32_t> table(const std::vector<std::uint64_t>& sequences, const std::vector<std::uint64_t>& ends,
                                   std::uint32_t columns, const std::vector<std::uint64_t>& first_seen = {}) {
    std::vector<std::uint32_t> cells(sequences.size() * columns, 0);
    for (std::size_t b = 0; b < sequences.size(); ++b)
      for (std::uint64_t index = first_seen.empty() ? 0 : first_seen[b] / shape_.page_tokens; index * shape_.page_tokens < ends[b]; ++index)
        cells[b * columns + index] = page(sequences[b], index);
    return cells;
  }

private:
  struct Taken {
    std::uint64_t sequence, index;
    std::uint32_t page;
  };
  void make_states() {
    KvGroupGeometry& g = group_.geometry;
    g.label = "state";
    g.rows_per_sequence = shape_.rows_each;
    g.regions = shape_.regions;
    std::uint64_t layer_bytes = 0;
    for (const KvFieldGeometry& region : g.regions) layer_bytes += region.elements * element_bytes(find_element_type(region.dtype).value());
    g.state_row_bytes = layer_bytes * shape_.layers;
    take(layer_bytes);
  }
  void take(std::uint64_t layer_bytes) {
    group_.pages = shape_.pages;
    group_.page_stride_bytes = layer_bytes * shape_.layers;
    for (std::uint64_t layer = 0; layer < shape_.layers; ++layer) group_.layers.push_back({0, layer * layer_bytes, layer_bytes});
    memory_ = std::make_unique<Memory>(group_.pages * group_.page_stride_bytes);
    memory_->fill(0xFF); // no number in any type
    group_.pool = memory_->data();
  }
  PoolShape shape_;
  ExecutorKvGroup group_;
  std::unique_ptr<Memory> memory_;
  std::vector<Taken> taken_;
  std::uint64_t used_ = 0;
};

// An executor with memory of its own, and sequences that go on from pass to pass.
template <class Real>
class PassRunner {
public:
  PassRunner(const Program& program, const std::vector<const void*>& weights, std::vector<std::shared_ptr<Pool>> pools = {},
             ExecutorOptions options = {})
      : pools_(std::move(pools)), slab_(std::max<std::uint64_t>(Executor<Real>::slab_bytes(program), 64), true) {
    slab_.fill(0xFF);
    std::vector<ExecutorKvGroup> groups;
    for (const auto& pool : pools_) groups.push_back(pool->group());
    executor_.emplace(
        Executor<Real>::create(program, test_backend(), weights, std::move(groups), {slab_.data(), slab_.bytes()}, options).value());
  }

  struct Part { // of a pass: tokens that follow those of this sequence
    std::uint64_t sequence = 0;
    std::vector<std::int32_t> tokens;
  };

  // Logits of the pass, row after row. `first_seen`: of each part, keys before it are in no page.
  std::vector<double> pass(const std::vector<Part>& parts, std::uint64_t logits_per_sequence = 1, std::uint64_t window = 0) {
    tokens_.clear();
    offsets_.assign(1, 0);
    lengths_.clear();
    std::vector<std::uint64_t> sequences, ends, first_seen;
    for (const Part& part : parts) {
      if (done_.size() <= part.sequence) done_.resize(part.sequence + 1, 0);
      tokens_.insert(tokens_.end(), part.tokens.begin(), part.tokens.end());
      offsets_.push_back(static_cast<std::uint32_t>(tokens_.size()));
      lengths_.push_back(static_cast<std::uint32_t>(done_[part.sequence]));
      first_seen.push_back(window == 0 || done_[part.sequence] < window ? 0 : done_[part.sequence] - window + 1);
      sequences.push_back(part.sequence);
      done_[part.sequence] += part.tokens.size();
      ends.push_back(done_[part.sequence]);
    }
    tables_.clear();
    groups_.clear();
    for (const auto& pool : pools_) {
      if (pool->holds_states()) {
        const std::vector<std::uint32_t> rows = pool->rows(sequences);
        tables_.emplace_back(rows.begin(), rows.end());
        continue;
      }
      const std::uint64_t longest = *std::max_element(ends.begin(), ends.end());
      const auto columns = static_cast<std::uint32_t>(ceil_div(longest, pool->group().geometry.page_tokens) + 2);
      const std::vector<std::uint32_t> cells = pool->table(sequences, ends, columns, first_seen);
      tables_.emplace_back(cells.begin(), cells.end());
    }
    for (std::size_t n = 0; n < pools_.size(); ++n) {
      const VisibleVector<std::uint32_t>& table = tables_[n];
      KvGroupInputs group;
      if (pools_[n]->holds_states()) {
        group.state_rows = table;
        group.rows_per_request = pools_[n]->shape().rows_each;
        groups_.push_back(group);
        continue;
      }
      group.table = table;
      group.lanes = 1;
      group.columns = static_cast<std::uint32_t>(table.size() / parts.size());
      groups_.push_back(group);
    }
    const ForwardInputs inputs = inputs_of(logits_per_sequence);
    const ForwardOutputs<Real> out = executor_->run(inputs).value();
    std::vector<Real> logits(out.rows * out.width);
    test_backend()->copy_out(logits.data(), out.logits, logits.size() * sizeof(Real));
    return std::vector<double>(logits.begin(), logits.end());
  }

  // Sequence `to` begins with the pages of the first tokens of `from`.
  void share(std::uint64_t from, std::uint64_t to, std::uint64_t tokens) {
    for (const auto& pool : pools_) pool->share(from, to, tokens / pool->group().geometry.page_tokens);
    if (done_.size() <= to) done_.resize(to + 1, 0);
    done_[to] = tokens;
  }

  // The sequence's last tokens do not count after all.
  void go_back(std::uint64_t sequence, std::uint64_t tokens) { done_[sequence] -= tokens; }

  // Those of the pass before; for tests that spoil them.
  ForwardInputs inputs_of(std::uint64_t logits_per_sequence = 1) const {
    ForwardInputs inputs;
    inputs.tokens = std::span<const std::int32_t>(tokens_);
    inputs.row_offsets = offsets_;
    inputs.kv.batch = static_cast<std::uint32_t>(lengths_.size());
    inputs.kv.groups = groups_;
    inputs.kv.cache_lengths = lengths_;
    inputs.logits_per_sequence = logits_per_sequence;
    return inputs;
  }
  Executor<Real>& executor() { return *executor_; }
  const Memory& slab() const { return slab_; }

private:
  std::vector<std::shared_ptr<Pool>> pools_;
  Memory slab_;
  std::optional<Executor<Real>> executor_;
  std::vector<std::uint64_t> done_; // tokens of each sequence in the cache
  VisibleVector<std::int32_t> tokens_;
  VisibleVector<std::uint32_t> offsets_, lengths_;
  std::vector<VisibleVector<std::uint32_t>> tables_;
  std::vector<KvGroupInputs> groups_;
};

} // namespace plimsoll::test
