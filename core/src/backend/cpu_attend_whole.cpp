// ATTEND_WHOLE on the CPU: for each segment of rows and head of keys, blocks of queries against blocks of keys, which lie in rows as they
// are. Threads: [serial].
#include <algorithm>

#include "backend/cpu_multiply.hpp"
#include "backend/cpu_ops.hpp"
#include "backend/cpu_softmax.hpp"

namespace plimsoll::cpu {
namespace {

template <class Real>
class WholeAttention {
public:
  explicit WholeAttention(const AttendWholeArgs<Real>& args) : args_(args) {
    const AttendScratch at = attend_scratch({args.heads, args.kv_heads, args.k_elements, args.v_elements}, args.q.rows, true);
    queries_ = piece<Real>(args.scratch, at.queries);
    softmax_.width = args.v_elements;
    softmax_.visible.ahead = args.window == 0 ? UINT64_MAX : args.window / 2;
    softmax_.visible.window = args.window == 0 ? 0 : args.window / 2 + 1;
    softmax_.scores = piece<Real>(args.scratch, at.scores);
    softmax_.sums = piece<Real>(args.scratch, at.sums);
    softmax_.maxima = piece<Real>(args.scratch, at.maxima);
    softmax_.weights = piece<Real>(args.scratch, at.weights);
  }

  void run() {
    const std::uint64_t sharing = args_.heads / args_.kv_heads;
    for (std::uint64_t n = 0; n < args_.n_segments; ++n) {
      first_row_ = args_.segments[n];
      softmax_.keys = args_.segments[n + 1] - first_row_;
      const QueryBlock most = query_block(sharing, softmax_.keys);
      for (std::uint64_t kv_head = 0; kv_head < args_.kv_heads; ++kv_head)
        for (std::uint64_t head = 0; head < sharing; head += most.heads)
          for (std::uint64_t row = 0; row < softmax_.keys; row += most.tokens) {
            softmax_.block = {std::min(most.heads, sharing - head), std::min(most.tokens, softmax_.keys - row)};
            attend_block(kv_head, kv_head * sharing + head, row);
          }
    }
  }

private:
  // `first`: of the block's rows within the segment.
  void attend_block(std::uint64_t kv_head, std::uint64_t first_head, std::uint64_t first) {
    const std::uint64_t k = args_.k_elements, v = args_.v_elements;
    softmax_.first_position = first;
    for_rows([&](std::uint64_t row, std::uint64_t head, std::uint64_t token) {
      std::copy_n(args_.q.row(first_row_ + first + token) + (first_head + head) * k, k, queries_ + row * k);
    });
    softmax_.start(nullptr);
    for_key_blocks(softmax_, [&](std::uint64_t begin, std::uint64_t end) {
      gemm(true, softmax_.block.rows(), end - begin, k, args_.scale, queries_, k, args_.k.row(first_row_ + begin) + kv_head * k,
           args_.k.width, 0, softmax_.scores, kKeyBlockTokens);
      softmax_.add(begin, end, args_.soft_cap, args_.v.row(first_row_ + begin) + kv_head * v, args_.v.width);
    });
    softmax_.finish();
    for_rows([&](std::uint64_t row, std::uint64_t head, std::uint64_t token) {
      Real* out = args_.out.row(first_row_ + first + token) + (first_head + head) * v;
      const Real* sum = softmax_.sums + row * v;
      if (!args_.accumulate) std::copy_n(sum, v, out);
      else
        for (std::uint64_t i = 0; i < v; ++i) out[i] += sum[i];
    });
  }

  // what(row, head, token), both within the block.
  template <class Function>
  void for_rows(Function what) const {
    for (std::uint64_t head = 0; head < softmax_.block.heads; ++head)
      for (std::uint64_t token = 0; token < softmax_.block.tokens; ++token) what(head * softmax_.block.tokens + token, head, token);
  }

  const AttendWholeArgs<Real>& args_;
  std::uint64_t first_row_ = 0; // of the segment
  Real* queries_;
  RunningSoftmax<Real> softmax_;
};

} // namespace

template <class Real>
void attend_whole(const AttendWholeArgs<Real>& args) {
  WholeAttention<Real>(args).run();
}

template void attend_whole(const AttendWholeArgs<float>&);
template void attend_whole(const AttendWholeArgs<double>&);

} // namespace plimsoll::cpu
