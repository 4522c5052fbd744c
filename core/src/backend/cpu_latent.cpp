// ATTEND_LATENT on the CPU. Absorbed: q' = Wk^T q for every head, then all heads attend to the same latents, and Wv turns what comes out
// into values. Expanded: Wk and Wv turn latents into keys and values of one head after another. Threads: [serial].
#include <algorithm>

#include "backend/cpu_multiply.hpp"
#include "backend/cpu_ops.hpp"
#include "backend/cpu_pages.hpp"
#include "backend/cpu_softmax.hpp"

namespace plimsoll::cpu {
namespace {

// `n` outputs of a weight from `first` on.
Matrix outputs_of(const Matrix& w, std::uint64_t first, std::uint64_t n) {
  Matrix part = w;
  part.out = n;
  part.data = static_cast<const std::byte*>(w.data) + first * (w.in_major ? 1 : w.stride) * element_bytes(w.type);
  return part;
}
Matrix transposed(const Matrix& w) {
  Matrix other = w;
  std::swap(other.out, other.in);
  other.in_major = !w.in_major;
  return other;
}

template <class Real>
class LatentAttention {
public:
  LatentAttention(const PassView& pass, const LatentArgs<Real>& args)
      : pass_(pass), args_(args), query_(args.nope + args.rope), latent_(args.rank + args.rope),
        tile_(static_cast<Real*>(args.scratch.tile)) {
    const std::array<std::uint64_t, 8> sizes{args.heads, args.rank, args.nope, args.rope, args.value};
    const LatentScratch at = args.absorbed ? absorbed_scratch(sizes, pass.tokens) : expanded_scratch(sizes, pass.tokens);
    queries_ = piece<Real>(args.scratch, at.queries);
    latents_ = piece<Real>(args.scratch, at.latents);
    keys_ = piece<Real>(args.scratch, at.keys);
    values_ = piece<Real>(args.scratch, at.values);
    softmax_.width = args.absorbed ? args.rank : args.value;
    softmax_.scores = piece<Real>(args.scratch, at.scores);
    softmax_.sums = piece<Real>(args.scratch, at.sums);
    softmax_.maxima = piece<Real>(args.scratch, at.maxima);
    softmax_.weights = piece<Real>(args.scratch, at.weights);
  }

  void run() {
    for (std::uint64_t b = 0; b < pass_.sequences; ++b) {
      const std::uint64_t tokens = pass_.row_offsets[b + 1] - pass_.row_offsets[b];
      const QueryBlock most = query_block(args_.absorbed ? args_.heads : 1, tokens);
      for (std::uint64_t head = 0; head < args_.heads; head += most.heads)
        for (std::uint64_t token = 0; token < tokens; token += most.tokens) {
          softmax_.block = {std::min(most.heads, args_.heads - head), std::min(most.tokens, tokens - token)};
          softmax_.first_position = pass_.cache_lengths[b] + token;
          softmax_.start(nullptr);
          if (args_.absorbed) absorbed(b, head, pass_.row_offsets[b] + token);
          else expanded(b, head, pass_.row_offsets[b] + token);
        }
    }
  }

private:
  Matrix key_projection(std::uint64_t head) const { return outputs_of(args_.up, head * (args_.nope + args_.value), args_.nope); }
  Matrix value_projection(std::uint64_t head) const {
    return outputs_of(args_.up, head * (args_.nope + args_.value) + args_.nope, args_.value);
  }
  const Real* query(std::uint64_t row, std::uint64_t head) const { return args_.q.row(row) + head * query_; }
  Real* out(std::uint64_t row, std::uint64_t head) const { return args_.out.row(row) + head * args_.value; }

  void absorbed(std::uint64_t b, std::uint64_t first_head, std::uint64_t first_row) {
    const std::uint64_t tokens = softmax_.block.tokens;
    for (std::uint64_t head = 0; head < softmax_.block.heads; ++head) {
      Real* to = queries_ + head * tokens * latent_;
      multiply<Real>({query(first_row, first_head + head), tokens, args_.q.width}, transposed(key_projection(first_head + head)),
                     {to, tokens, latent_}, 1, 0, tile_);
      for (std::uint64_t t = 0; t < tokens; ++t)
        std::copy_n(query(first_row + t, first_head + head) + args_.nope, args_.rope, to + t * latent_ + args_.rank);
    }
    for_key_blocks(softmax_, [&](std::uint64_t begin, std::uint64_t end) {
      gather_keys(args_.kv, b, 0, begin, end, latents_);
      score(queries_, latents_, latent_, end - begin);
      softmax_.add(begin, end, 0, latents_, latent_);
    });
    softmax_.finish();
    for (std::uint64_t head = 0; head < softmax_.block.heads; ++head)
      multiply<Real>({softmax_.sums + head * tokens * args_.rank, tokens, args_.rank}, value_projection(first_head + head),
                     {out(first_row, first_head + head), tokens, args_.out.width}, 1, args_.accumulate ? 1 : 0, tile_);
  }

  void expanded(std::uint64_t b, std::uint64_t head, std::uint64_t first_row) {
    const std::uint64_t tokens = softmax_.block.tokens;
    for (std::uint64_t t = 0; t < tokens; ++t) std::copy_n(query(first_row + t, head), query_, queries_ + t * query_);
    for_key_blocks(softmax_, [&](std::uint64_t begin, std::uint64_t end) {
      const std::uint64_t n = end - begin;
      gather_keys(args_.kv, b, 0, begin, end, latents_);
      multiply<Real>({latents_, n, latent_}, key_projection(head), {keys_, n, query_}, 1, 0, tile_);
      multiply<Real>({latents_, n, latent_}, value_projection(head), {values_, n, args_.value}, 1, 0, tile_);
      for (std::uint64_t key = 0; key < n; ++key)
        std::copy_n(latents_ + key * latent_ + args_.rank, args_.rope, keys_ + key * query_ + args_.nope);
      score(queries_, keys_, query_, n);
      softmax_.add(begin, end, 0, values_, args_.value);
    });
    softmax_.finish();
    for (std::uint64_t t = 0; t < tokens; ++t) {
      const Real* sum = softmax_.sums + t * args_.value;
      Real* to = out(first_row + t, head);
      for (std::uint64_t i = 0; i < args_.value; ++i) to[i] = (args_.accumulate ? to[i] : Real{0}) + sum[i];
    }
  }

  void score(const Real* queries, const Real* keys, std::uint64_t width, std::uint64_t n) const {
    gemm(true, softmax_.block.rows(), n, width, args_.scale, queries, width, keys, width, 0, softmax_.scores, kKeyBlockTokens);
  }

  const PassView& pass_;
  const LatentArgs<Real>& args_;
  std::uint64_t query_, latent_; // elements of a head's query, of a token's latent
  Real *queries_, *latents_, *keys_, *values_, *tile_;
  RunningSoftmax<Real> softmax_;
};

} // namespace

template <class Real>
void attend_latent(const PassView& pass, const LatentArgs<Real>& args) {
  LatentAttention<Real>(pass, args).run();
}

template void attend_latent(const PassView&, const LatentArgs<float>&);
template void attend_latent(const PassView&, const LatentArgs<double>&);

} // namespace plimsoll::cpu
