// Bodies that store and look at keys and values: of a row's elements, and of a warp for each row and head of queries. Every query looks at
// its keys twice: for the largest score and the sum of the weights, then for the weighted sum of the values, which is added up where the
// result goes; so no scores are kept. Header only. Threads: see lanes.hpp.
#pragma once

#include <limits>

#include "backend_cuda/lanes.hpp"
#include "backend_cuda/row_kernels.hpp"

namespace plimsoll::gpu {

// Keys or values of a layer in its pages.
struct PagePart {
  std::uint64_t offset_bytes = 0, row_elements = 0, head_elements = 0; // of a token, of a head
  ElementType type = ElementType::kFloat32;
};
PLIMSOLL_DEVICE inline PagePart keys_of(const KvView& kv) {
  return {kv.k_offset_bytes, kv.heads * kv.k_elements, kv.k_elements, kv.k_type};
}
PLIMSOLL_DEVICE inline PagePart values_of(const KvView& kv) {
  return {kv.v_offset_bytes, kv.heads * kv.v_elements, kv.v_elements, kv.v_type};
}

// A token's elements of one head begin at element `first` from `page`.
struct PageRow {
  char* page = nullptr;
  std::uint64_t first = 0;
};
PLIMSOLL_DEVICE inline PageRow row_of(const KvView& kv, const PagePart& part, std::uint64_t b, std::uint64_t head, std::uint64_t token) {
  const std::uint64_t page = kv.table[b * kv.columns + token / kv.page_tokens];
  return {static_cast<char*>(kv.pool) + page * kv.page_stride_bytes + part.offset_bytes,
          token % kv.page_tokens * part.row_elements + head * part.head_elements};
}

template <class Real>
struct StoreElement { // of rows * part.row_elements
  PassView pass;
  KvView kv;
  PagePart part;
  Rows<const Real> x;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t row = n / part.row_elements, i = n % part.row_elements, b = sequence_of(pass, row);
    const PageRow to = row_of(kv, part, b, 0, position_of(pass, b, row));
    store(x.row(row)[i], to.page, part.type, to.first + i);
  }
};

// Where one head's keys and values lie: in the pages of sequence b; or in rows of a pass as they are.
template <class Real>
struct PagedElements {
  PageRow row;
  ElementType type = ElementType::kFloat32;
  PLIMSOLL_DEVICE Real operator[](std::uint64_t i) const { return load<Real>(row.page, type, row.first + i); }
};
template <class Real>
struct PagedHead {
  KvView kv;
  PagePart keys, values;
  std::uint64_t b = 0, head = 0;
  PLIMSOLL_DEVICE std::uint64_t key_elements() const { return keys.head_elements; }
  PLIMSOLL_DEVICE std::uint64_t value_elements() const { return values.head_elements; }
  PLIMSOLL_DEVICE PagedElements<Real> key(std::uint64_t n) const { return {row_of(kv, keys, b, head, n), keys.type}; }
  PLIMSOLL_DEVICE PagedElements<Real> value(std::uint64_t n) const { return {row_of(kv, values, b, head, n), values.type}; }
};
template <class Real>
struct RowsHead {
  const Real *k = nullptr, *v = nullptr; // the head's elements of the first row
  std::uint64_t k_width = 0, v_width = 0, k_elements = 0, v_elements = 0;
  PLIMSOLL_DEVICE std::uint64_t key_elements() const { return k_elements; }
  PLIMSOLL_DEVICE std::uint64_t value_elements() const { return v_elements; }
  PLIMSOLL_DEVICE const Real* key(std::uint64_t n) const { return k + n * k_width; }
  PLIMSOLL_DEVICE const Real* value(std::uint64_t n) const { return v + n * v_width; }
};

// One query against the keys [first, end) of one head.
template <class Real, class Head>
struct Query {
  Head of;
  std::uint64_t first = 0, end = 0;
  const Real* query = nullptr;
  Real scale = 1, soft_cap = 0; // 0: none
  Real slope = 0;               // what a key loses for each position that it is before `position`
  std::uint64_t position = 0;

  PLIMSOLL_DEVICE Real score(std::uint64_t key) const {
    const auto row = of.key(key);
    Real sum = 0;
    for (std::uint64_t i = 0; i < of.key_elements(); ++i) sum += query[i] * row[i];
    sum *= scale;
    if (slope != 0) sum -= slope * static_cast<Real>(position - key);
    return soft_cap == 0 ? sum : soft_cap * std::tanh(sum / soft_cap);
  }

  // out += softmax of the scores, times values. `sink`: a logit that weighs in without a value; may be null.
  template <class Lanes>
  PLIMSOLL_DEVICE void attend(const Lanes& lanes, const Real* sink, Real* out) const {
    const Real nothing = -std::numeric_limits<Real>::infinity();
    Real most = nothing, weight = 0; // of this lane's keys
    for (std::uint64_t key = first + lanes.index(); key < end; key += lanes.count()) {
      const Real s = score(key);
      if (s > most) {
        weight = (most == nothing ? Real{0} : weight * std::exp(most - s)) + Real{1};
        most = s;
      } else {
        weight += std::exp(s - most);
      }
    }
    Real top = lanes.most(most);
    if (sink != nullptr && *sink > top) top = *sink;
    Real all = lanes.sum(most == nothing ? Real{0} : weight * std::exp(most - top));
    if (sink != nullptr) all += std::exp(*sink - top);
    for (std::uint64_t begin = first; begin < end; begin += lanes.count()) {
      const std::uint64_t key = begin + lanes.index();
      const Real mine = key < end ? std::exp(score(key) - top) / all : Real{0};
      const std::uint64_t n = end - begin < lanes.count() ? end - begin : lanes.count();
      for (std::uint64_t lane = 0; lane < n; ++lane) {
        const Real share = lanes.from(mine, lane);
        const auto row = of.value(begin + lane);
        for (std::uint64_t i = lanes.index(); i < of.value_elements(); i += lanes.count()) out[i] += share * row[i];
      }
    }
  }
};

template <class Real>
struct AttendHead { // of rows * heads
  PassView pass;
  AttendArgs<Real> args;
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t n, const Lanes& lanes) const {
    const std::uint64_t row = n / args.heads, head = n % args.heads, b = sequence_of(pass, row), position = position_of(pass, b, row);
    Query<Real, PagedHead<Real>> query;
    query.of = {args.kv, keys_of(args.kv), values_of(args.kv), b, head / (args.heads / args.kv.heads)};
    query.first = args.visible.first(position);
    query.end = position + 1;
    query.query = args.q.row(row) + head * args.kv.k_elements;
    query.scale = static_cast<Real>(args.scale);
    if (args.growth.step != 0) query.scale *= static_cast<Real>(args.growth.at(position));
    query.slope = static_cast<Real>(args.slopes.of(head));
    query.position = position;
    query.soft_cap = static_cast<Real>(args.soft_cap);
    Real* const out = args.out.row(row) + head * args.kv.v_elements;
    if (!args.accumulate)
      for (std::uint64_t i = lanes.index(); i < args.kv.v_elements; i += lanes.count()) out[i] = 0;
    const Real sink = element(args.sinks, head, Real{0});
    query.attend(lanes, args.sinks.data == nullptr ? nullptr : &sink, out);
  }
};

template <class Real>
struct AttendWholeHead { // of rows * heads of one segment
  AttendWholeArgs<Real> args;
  std::uint64_t first_row = 0, rows = 0;
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t n, const Lanes& lanes) const {
    const std::uint64_t position = n / args.heads, head = n % args.heads, row = first_row + position;
    const std::uint64_t kv_head = head / (args.heads / args.kv_heads), away = args.window == 0 ? rows : args.window / 2;
    Query<Real, RowsHead<Real>> query;
    query.of = {args.k.row(first_row) + kv_head * args.k_elements,
                args.v.row(first_row) + kv_head * args.v_elements,
                args.k.width,
                args.v.width,
                args.k_elements,
                args.v_elements};
    query.first = position > away ? position - away : 0;
    query.end = rows - position > away ? position + away + 1 : rows;
    query.query = args.q.row(row) + head * args.k_elements;
    query.scale = static_cast<Real>(args.scale);
    query.soft_cap = static_cast<Real>(args.soft_cap);
    Real* const out = args.out.row(row) + head * args.v_elements;
    if (!args.accumulate)
      for (std::uint64_t i = lanes.index(); i < args.v_elements; i += lanes.count()) out[i] = 0;
    query.attend(lanes, nullptr, out);
  }
};

// Absorbed: the query goes onto the latent, whose first `rank` elements are the values too, and what comes out becomes values.
template <class Real>
struct LatentHead { // of up to as many rows and heads as there is scratch for
  PassView pass;
  LatentArgs<Real> args;
  std::uint64_t first = 0;                  // row * heads + head of the first
  Real *queries = nullptr, *sums = nullptr; // [n, rank + rope], [n, rank]
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t n, const Lanes& lanes) const {
    const std::uint64_t row = (first + n) / args.heads, head = (first + n) % args.heads, latent = args.rank + args.rope;
    const std::uint64_t b = sequence_of(pass, row), position = position_of(pass, b, row), up = head * (args.nope + args.value);
    const Real* const q = args.q.row(row) + head * (args.nope + args.rope);
    Real *const projected = queries + n * latent, *const sum = sums + n * args.rank;
    for (std::uint64_t r = lanes.index(); r < latent; r += lanes.count()) {
      Real x = 0;
      if (r < args.rank)
        for (std::uint64_t i = 0; i < args.nope; ++i) x += q[i] * element<Real>(args.up, up + i, r);
      projected[r] = r < args.rank ? x : q[args.nope + r - args.rank];
    }
    for (std::uint64_t r = lanes.index(); r < args.rank; r += lanes.count()) sum[r] = 0;
    lanes.wait();
    Query<Real, PagedHead<Real>> query;
    query.of = {args.kv, keys_of(args.kv), keys_of(args.kv), b, 0};
    query.of.values.head_elements = args.rank;
    query.end = position + 1;
    query.query = projected;
    query.scale = static_cast<Real>(args.scale);
    query.attend(lanes, nullptr, sum);
    lanes.wait();
    for (std::uint64_t v = lanes.index(); v < args.value; v += lanes.count()) {
      Real x = 0;
      for (std::uint64_t r = 0; r < args.rank; ++r) x += sum[r] * element<Real>(args.up, up + args.nope + v, r);
      put(x, args.accumulate, args.out.row(row) + head * args.value + v);
    }
  }
};

} // namespace plimsoll::gpu
