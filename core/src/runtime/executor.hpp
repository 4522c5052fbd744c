// One forward pass: executes a Program (plimsoll/program.hpp) on a backend, in memory that was set aside for it, and takes none itself.
// Called by the runtime's pipelines for every step. It computes in float, or in double as a second witness; weights and caches keep the
// type they are stored in. Errors are values, and a pass that is refused has written nothing.
// Threads: [serial] per executor; two executors share nothing but weights.
//
// Where a token's keys and values lie: page p of a group begins p * page_stride_bytes into its pool; a layer has a part of it (KvPlace:
// PagedKvManager::place says which). In that part come first all keys, [token][head][k elements] in the group's k_dtype, then all
// values, [token][head][v elements] in its v_dtype; of a latent [token][k elements], the latent before the rotated part. A page that a
// table does not name is never looked at: behind a window or before a chunk anything may stand in a table.
// A state group has rows in place of pages, one a sequence; a layer's part of a row is its regions, one after another, each in its
// dtype. A sequence without cached tokens does not read its row. Where tokens are drafted it has a second row: of the state before its last
// pass, with which it begins anew where its cache length says that the pass does not count.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.hpp"
#include "plimsoll/kv_cache.hpp"
#include "plimsoll/program.hpp"
#include "plimsoll/result.hpp"
#include "runtime/communicator.hpp"

namespace plimsoll {

// How latents are attended to; both give the same but for rounding.
enum class LatentAttention : std::uint8_t {
  kAbsorbed, // queries are projected onto the latent: less work where a request has many tokens in the cache
  kExpanded  // latents are projected to keys and values of every head
};

struct ExecutorOptions {
  LatentAttention latent = LatentAttention::kAbsorbed;
  // Of the program's tensor-parallel group, where it has several ranks or shares experts; outlives the executor.
  Communicator* communicator = nullptr;
};

// One group's pool on the executor's rank.
struct ExecutorKvGroup {
  KvGroupGeometry geometry;
  void* pool = nullptr;                // an address of the backend's
  std::uint64_t pages = 0;             // that the pool has room for, null pages included; rows of states
  std::uint64_t page_stride_bytes = 0; // page_bytes, state_row_bytes, or block_bytes where groups share blocks
  std::vector<KvPlace> layers;         // of each of the rank's layers of the group, as PagedKvManager::place says
};

// How an adapter in a slot changes one part of a target: its rank, 0 where it does not, and what B (A x) is multiplied by.
struct AdapterFactor {
  std::uint64_t rank = 0;
  double scale = 0;
};

// The slots of Program::adapters, memory of the backend; what is in them may change between passes.
struct ExecutorAdapters {
  const void* data = nullptr;
  std::uint64_t bytes = 0;
  std::span<const AdapterFactor> factors; // [slots][parts]
};

// Values and scratch lie here: memory of the backend at a multiple of 64, which must outlive the executor, and so must adapters.
struct ExecutorMemory {
  void* slab = nullptr;
  std::uint64_t slab_bytes = 0;
  ExecutorAdapters adapters = {};
};

// Token ids as a host keeps them.
class TokenIds {
public:
  TokenIds() = default;
  TokenIds(std::span<const std::int32_t> ids) : narrow_(ids.data()), size_(ids.size()) {} // NOLINT: ids are ids
  TokenIds(std::span<const std::int64_t> ids) : wide_(ids.data()), size_(ids.size()) {}   // NOLINT
  std::uint64_t size() const { return size_; }
  const std::int32_t* narrow() const { return narrow_; } // one of both is null
  const std::int64_t* wide() const { return wide_; }
  std::int64_t operator[](std::uint64_t n) const { return narrow_ != nullptr ? narrow_[n] : wide_[n]; }

private:
  const std::int32_t* narrow_ = nullptr;
  const std::int64_t* wide_ = nullptr;
  std::uint64_t size_ = 0;
};

// Encoded images, where tokens find theirs: memory of the backend, [rows, Program::images.row_elements].
struct EncodedRows {
  const void* data = nullptr;
  ElementType type = ElementType::kFloat32;
  std::uint64_t rows = 0;
};

inline constexpr std::uint64_t kAllRows = UINT64_MAX;

// What a head that drafts takes for each token of a pass: of the model's last pass, [rows, hidden_elements] as Executor::handed says, or of
// its own.
struct TakenRows {
  const void* of_model = nullptr;      // an address of the backend's; null: of the head's own last run
  std::span<const std::uint32_t> rows; // [T]: which one
  std::uint64_t most = 0;              // rows that there are
};

// What a pass computes: of every sequence some tokens that follow those that its cache has. All of it is memory that the host and the
// backend can read.
struct ForwardInputs {
  TokenIds tokens;                            // [T] of all sequences, one after another
  std::span<const std::uint32_t> row_offsets; // [B + 1]: sequence b has the tokens [row_offsets[b], row_offsets[b + 1]), one at least
  KvInputs kv;                                // cache lengths [B] and page tables, in the order of the executor's groups
  std::span<const std::int32_t> adapters;     // [B]: slot of each sequence's adapter, -1 for none; empty: none has one
  std::uint64_t logits_per_sequence = 1;      // of the last so many tokens of each sequence, or of all it has here; 0: of none
  std::span<const std::uint32_t> positions;   // [T, 3] of ROPE_SECTIONS; empty: all three are the token's place in its sequence
  std::span<const std::uint32_t> image_rows;  // [T]: a row of `encoded` in place of the token's embedding, or kNoImageRow; empty: none has
  EncodedRows encoded;
  TakenRows taken; // of a head that drafts
};

// One image for an encoder.
struct EncoderInputs {
  ImageView image;
  std::span<std::uint32_t> positions; // room for three of each patch, which are written here: memory of both
};

// Valid until the next pass. Logits are an address of the backend's.
template <class Real>
struct ForwardOutputs {
  const Real* logits = nullptr; // [rows, width]
  std::uint64_t rows = 0, width = 0;
  std::span<const std::uint32_t> offsets; // [B + 1]: sequence b has the rows [offsets[b], offsets[b + 1])
};

template <class Real>
class Executor {
public:
  // What ExecutorMemory::slab_bytes must be: for float Program::slab_bytes; for double twice that and a tile for weights.
  static std::uint64_t slab_bytes(const Program& program);

  // `weights`: an address of the backend's for each tensor of program.weights, in that order. Checks everything that safety depends on, so
  // that passes need not: kBadRequest where the program, the groups and the memory do not belong together.
  static Result<Executor> create(Program program, std::shared_ptr<Backend> backend, std::span<const void* const> weights,
                                 std::vector<ExecutorKvGroup> groups, const ExecutorMemory& memory, const ExecutorOptions& options = {});
  Executor(Executor&&) noexcept;
  Executor& operator=(Executor&&) noexcept;
  ~Executor();

  // Computes the pass and stores the keys and values of its tokens. kBadRequest where inputs contradict each other or exceed what was
  // planned; nothing is written then. The error of the communicator where other ranks do not come along. Allocates no memory.
  Result<ForwardOutputs<Real>> run(const ForwardInputs& inputs);
  // The same of no tokens, where replicas share experts (Program::replicas) and this one has nothing to compute: it does its part of what
  // the others compute. How many tokens these have. kBadRequest for another program.
  Result<std::uint64_t> run_idle();

  // Of a program that is an encoder (Program::encoder) in place of run(): the rows of an image, valid until the next pass.
  // kBadRequest: an image whose sides are no multiples of side * merge pixels, or one of more patches than was planned.
  Result<Rows<const Real>> encode(const EncoderInputs& inputs);

  // Where what the last pass handed on lies (Program::hands_on); null where the program hands nothing on.
  const Real* handed() const;

  const Program& program() const;

private:
  class Impl;
  explicit Executor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

extern template class Executor<float>;
extern template class Executor<double>;

} // namespace plimsoll
