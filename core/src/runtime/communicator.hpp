// How the ranks of a replica join what each has computed: those of a tensor-parallel group among themselves, each with those in its place
// on the pipeline stages before and behind; and where replicas share experts, those of a stage of all replicas. The executor calls it for
// every collective op of a program; all ranks of the group run the same ones in the same order. In memory of the host all meet in signal
// buffers (rank_group.hpp), on GPUs NCCL joins them (nccl_group.hpp). Threads: one per communicator, at the same time as the others of its
// group.
#pragma once

#include <cstdint>

#include "backend/backend.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// A call returns once every rank of the group has made it, or with an error: that of the rank that cannot go on, on all ranks.
class Communicator {
public:
  virtual ~Communicator() = default;
  virtual std::uint32_t rank() const = 0; // in the tensor-parallel group
  virtual std::uint32_t ranks() const = 0;

  // out (+)= the sum of the ranks' x, added in the order of their numbers: the same bits on every rank. out may be x unless it
  // accumulates. The shapes are the same on all ranks.
  virtual Result<void> all_reduce(Rows<const float> x, Rows<float> out, bool accumulate) = 0;
  virtual Result<void> all_reduce(Rows<const double> x, Rows<double> out, bool accumulate) = 0;
  // The columns of all ranks' x, side by side in the order of their numbers; those beyond the width of out are left out.
  virtual Result<void> all_gather(Rows<const float> x, Rows<float> out) = 0;
  virtual Result<void> all_gather(Rows<const double> x, Rows<double> out) = 0;
  virtual Result<void> barrier() = 0;

  // To the rank in the same place on the next stage, which receives a value of that shape; from the one on the stage before.
  virtual Result<void> send(Rows<const float> x) = 0;
  virtual Result<void> send(Rows<const double> x) = 0;
  virtual Result<void> receive(Rows<float> out) = 0;
  virtual Result<void> receive(Rows<double> out) = 0;

  // ---- where replicas share experts; of one replica these are errors

  virtual std::uint32_t replicas() const { return 1; }
  // Every rank of every replica begins a pass: of how many tokens here, none where a replica has nothing to compute. How many all have.
  virtual Result<std::uint64_t> begin_pass(std::uint64_t tokens);
  // A row of x for each token of the pass here; out has those of all replicas, one replica after another.
  virtual Result<void> gather_rows(Rows<const float> x, Rows<float> out);
  virtual Result<void> gather_rows(Rows<const double> x, Rows<double> out);
  // x has a row for each token of all replicas: out (+)= the rows of this one of the sum over the ranks of the stage, in the order of
  // their numbers: the same bits on every rank of the replica.
  virtual Result<void> scatter_sum(Rows<const float> x, Rows<float> out, bool accumulate);
  virtual Result<void> scatter_sum(Rows<const double> x, Rows<double> out, bool accumulate);
};

} // namespace plimsoll
