#include "backend/cpu_pages.hpp"

#include "backend/cpu_ops.hpp"
#include "backend/elements.hpp"

namespace plimsoll::cpu {
namespace {

// Keys or values of a layer in its pages.
struct PagePart {
  std::uint64_t offset_bytes, row_elements, head_elements; // of a token, of a head
  ElementType type;
};
PagePart keys_of(const KvView& kv) { return {kv.k_offset_bytes, kv.heads * kv.k_elements, kv.k_elements, kv.k_type}; }
PagePart values_of(const KvView& kv) { return {kv.v_offset_bytes, kv.heads * kv.v_elements, kv.v_elements, kv.v_type}; }

std::byte* page_of(const KvView& kv, const PagePart& part, std::uint64_t b, std::uint64_t token) {
  const std::uint64_t page = kv.table[b * kv.columns + token / kv.page_tokens];
  return static_cast<std::byte*>(kv.pool) + page * kv.page_stride_bytes + part.offset_bytes;
}

template <class Real>
void gather(const KvView& kv, const PagePart& part, std::uint64_t b, std::uint64_t head, std::uint64_t begin, std::uint64_t end,
            Real* out) {
  const std::byte* page = nullptr;
  for (std::uint64_t token = begin; token < end; ++token) {
    const std::uint64_t slot = token % kv.page_tokens;
    if (page == nullptr || slot == 0) page = page_of(kv, part, b, token);
    load_elements(page, part.type, slot * part.row_elements + head * part.head_elements, part.head_elements,
                  out + (token - begin) * part.head_elements);
  }
}

template <class Real>
void store_part(const PassView& pass, const KvView& kv, const PagePart& part, Rows<const Real> rows) {
  for (std::uint64_t b = 0; b < pass.sequences; ++b)
    for (std::uint64_t row = pass.row_offsets[b]; row < pass.row_offsets[b + 1]; ++row) {
      const std::uint64_t token = pass.cache_lengths[b] + (row - pass.row_offsets[b]);
      store_elements(rows.row(row), part.row_elements, page_of(kv, part, b, token), part.type, token % kv.page_tokens * part.row_elements);
    }
}

} // namespace

template <class Real>
void gather_keys(const KvView& kv, std::uint64_t b, std::uint64_t head, std::uint64_t begin, std::uint64_t end, Real* out) {
  gather(kv, keys_of(kv), b, head, begin, end, out);
}
template <class Real>
void gather_values(const KvView& kv, std::uint64_t b, std::uint64_t head, std::uint64_t begin, std::uint64_t end, Real* out) {
  gather(kv, values_of(kv), b, head, begin, end, out);
}

template <class Real>
void store(const PassView& pass, const StoreArgs<Real>& args) {
  store_part(pass, args.kv, keys_of(args.kv), args.k);
  if (args.v.data != nullptr) store_part(pass, args.kv, values_of(args.kv), args.v);
}

template void gather_keys(const KvView&, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, float*);
template void gather_keys(const KvView&, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, double*);
template void gather_values(const KvView&, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, float*);
template void gather_values(const KvView&, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, double*);
template void store(const PassView&, const StoreArgs<float>&);
template void store(const PassView&, const StoreArgs<double>&);

} // namespace plimsoll::cpu
