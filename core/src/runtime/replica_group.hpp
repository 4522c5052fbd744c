// ReplicaGroup behind its face: where the ranks of all replicas of a plan meet, which are threads of one process. Made for a plan by who
// makes models of it. Threads: as the group.
#pragma once

#include "plimsoll/pipeline_model.hpp"
#include "plimsoll/program.hpp"
#include "runtime/thread_group.hpp"

namespace plimsoll {

class ReplicaGroup::Impl {
public:
  explicit Impl(const GroupShape& shape) : shape_(shape), threads_(shape.tensor_ranks, shape.stages, shape.replicas) {}

  ThreadGroup& threads() { return threads_; }
  // Whether the replicas of this program's plan can meet here.
  bool is_of(const Program& program) const {
    return program.tensor_ranks == shape_.tensor_ranks && program.stages == shape_.stages && program.replicas == shape_.replicas;
  }

private:
  GroupShape shape_;
  ThreadGroup threads_;
};

} // namespace plimsoll
