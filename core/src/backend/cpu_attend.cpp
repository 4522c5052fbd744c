// ATTEND on the CPU: for each sequence and head of keys, blocks of queries against blocks of keys. Threads: [serial].
#include <algorithm>

#include "backend/cpu_multiply.hpp"
#include "backend/cpu_ops.hpp"
#include "backend/cpu_pages.hpp"
#include "backend/cpu_softmax.hpp"
#include "backend/elements.hpp"

namespace plimsoll::cpu {
namespace {

template <class Real>
class Attention {
public:
  Attention(const PassView& pass, const AttendArgs<Real>& args) : pass_(pass), args_(args) {
    const KvView& kv = args.kv;
    const AttendScratch at = attend_scratch({args.heads, kv.heads, kv.k_elements, kv.v_elements}, pass.tokens);
    queries_ = piece<Real>(args.scratch, at.queries);
    keys_ = piece<Real>(args.scratch, at.keys);
    values_ = piece<Real>(args.scratch, at.values);
    softmax_.width = kv.v_elements;
    softmax_.visible = args.visible;
    softmax_.scores = piece<Real>(args.scratch, at.scores);
    softmax_.sums = piece<Real>(args.scratch, at.sums);
    softmax_.maxima = piece<Real>(args.scratch, at.maxima);
    softmax_.weights = piece<Real>(args.scratch, at.weights);
  }

  void run() {
    const std::uint64_t sharing = args_.heads / args_.kv.heads;
    for (std::uint64_t b = 0; b < pass_.sequences; ++b) {
      const std::uint64_t tokens = pass_.row_offsets[b + 1] - pass_.row_offsets[b];
      const QueryBlock most = query_block(sharing, tokens);
      for (std::uint64_t kv_head = 0; kv_head < args_.kv.heads; ++kv_head)
        for (std::uint64_t head = 0; head < sharing; head += most.heads)
          for (std::uint64_t token = 0; token < tokens; token += most.tokens) {
            softmax_.block = {std::min(most.heads, sharing - head), std::min(most.tokens, tokens - token)};
            attend_block(b, kv_head, kv_head * sharing + head, token);
          }
    }
  }

private:
  void attend_block(std::uint64_t b, std::uint64_t kv_head, std::uint64_t first_head, std::uint64_t first_token) {
    const std::uint64_t first_row = pass_.row_offsets[b] + first_token, k = args_.kv.k_elements;
    softmax_.first_position = pass_.cache_lengths[b] + first_token;
    for_rows([&](std::uint64_t row, std::uint64_t head, std::uint64_t token) {
      std::copy_n(args_.q.row(first_row + token) + (first_head + head) * k, k, queries_ + row * k);
      if (args_.growth.step != 0) grow(softmax_.first_position + token, queries_ + row * k);
    });
    start(first_head);
    for_key_blocks(softmax_, [&](std::uint64_t begin, std::uint64_t end) {
      gather_keys(args_.kv, b, kv_head, begin, end, keys_);
      gather_values(args_.kv, b, kv_head, begin, end, values_);
      gemm(true, softmax_.block.rows(), end - begin, k, args_.scale, queries_, k, keys_, k, 0, softmax_.scores, kKeyBlockTokens);
      if (args_.slopes.most != 0) lean(first_head, begin, end);
      softmax_.add(begin, end, args_.soft_cap, values_, softmax_.width);
    });
    softmax_.finish();
    const std::uint64_t v = softmax_.width;
    for_rows([&](std::uint64_t row, std::uint64_t head, std::uint64_t token) {
      Real* out = args_.out.row(first_row + token) + (first_head + head) * v;
      const Real* sum = softmax_.sums + row * v;
      if (!args_.accumulate) std::copy_n(sum, v, out);
      else
        for (std::uint64_t i = 0; i < v; ++i) out[i] += sum[i];
    });
  }

  void grow(std::uint64_t position, Real* query) const {
    const Real by = static_cast<Real>(args_.growth.at(position));
    for (std::uint64_t i = 0; i < args_.kv.k_elements; ++i) query[i] *= by;
  }

  // Scores of keys by their distance; those behind a query are not looked at.
  void lean(std::uint64_t first_head, std::uint64_t begin, std::uint64_t end) const {
    for_rows([&](std::uint64_t row, std::uint64_t head, std::uint64_t token) {
      const Real slope = static_cast<Real>(args_.slopes.of(first_head + head));
      const std::uint64_t position = softmax_.first_position + token;
      Real* const scores = softmax_.scores + row * kKeyBlockTokens;
      for (std::uint64_t key = begin; key < std::min(end, position + 1); ++key)
        scores[key - begin] -= slope * static_cast<Real>(position - key);
    });
  }

  void start(std::uint64_t first_head) {
    if (args_.sinks.data == nullptr) return softmax_.start(nullptr);
    Real* sinks = softmax_.scores; // not in use yet, and a block has no more heads than rows
    load_elements(args_.sinks.data, args_.sinks.type, first_head, softmax_.block.heads, sinks);
    softmax_.start(sinks);
  }

  // what(row, head, token), both within the block.
  template <class Function>
  void for_rows(Function what) const {
    for (std::uint64_t head = 0; head < softmax_.block.heads; ++head)
      for (std::uint64_t token = 0; token < softmax_.block.tokens; ++token) what(head * softmax_.block.tokens + token, head, token);
  }

  const PassView& pass_;
  const AttendArgs<Real>& args_;
  Real *queries_, *keys_, *values_;
  RunningSoftmax<Real> softmax_;
};

} // namespace

template <class Real>
void attend(const PassView& pass, const AttendArgs<Real>& args) {
  Attention<Real>(pass, args).run();
}

template void attend(const PassView&, const AttendArgs<float>&);
template void attend(const PassView&, const AttendArgs<double>&);

} // namespace plimsoll::cpu
