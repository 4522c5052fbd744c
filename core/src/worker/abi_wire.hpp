// The structs of abi.h and pipeline.h on the wire, each field said once for both directions. What is written has passed the gate or is the
// host's own; what is read is whole for this version and points into a Held, and is checked by the gate again. Threads: plain values.
#pragma once

#include <memory>
#include <type_traits>
#include <vector>

#include "plimsoll/abi.h"
#include "plimsoll/pipeline.h"
#include "worker/wire.hpp"

namespace plimsoll {

// What structs that were read point to. Texts lie in the message itself.
struct Held {
  std::vector<std::vector<std::uint32_t>> numbers;
  std::vector<std::vector<std::uint64_t>> sizes;
  std::vector<std::vector<double>> reals;
  std::vector<std::shared_ptr<void>> structs;
};

namespace wire {

class Out {
public:
  explicit Out(WireWriter& writer) : writer_(writer) {}
  template <class Number>
  requires std::is_arithmetic_v<Number>
  void operator()(const Number& value) { writer_(value); }
  void operator()(const plimsoll_str& text) {
    writer_(text.data == nullptr ? std::string_view() : std::string_view(text.data, static_cast<std::size_t>(text.size)));
  }
  template <class Number, std::size_t n>
  void all(const Number (&values)[n]) {
    for (const auto& value : values) (*this)(value);
  }
  template <class Number, class Count>
  void list(const Number* const& values, const Count& n) {
    writer_(static_cast<std::uint8_t>(values != nullptr));
    const std::uint64_t count = values == nullptr ? 0 : n;
    writer_(count);
    if (count > 0) writer_.bytes().append(reinterpret_cast<const char*>(values), count * sizeof(Number));
  }
  template <class Struct, class Count>
  void structs(const Struct* const* const& values, const Count& n, std::uint32_t whole);

private:
  WireWriter& writer_;
};

class In {
public:
  In(WireReader& reader, Held& held) : reader_(reader), held_(held) {}
  template <class Number>
  requires std::is_arithmetic_v<Number>
  void operator()(Number& value) { reader_(value); }
  void operator()(plimsoll_str& text) {
    std::string_view view;
    reader_(view);
    text = {view.data(), view.size()};
    if (view.empty()) text = {};
  }
  template <class Number, std::size_t n>
  void all(Number (&values)[n]) {
    for (auto& value : values) (*this)(value);
  }
  template <class Number, class Count>
  void list(const Number*& values, Count& n) {
    const bool there = reader_.number<std::uint8_t>() != 0;
    const std::uint64_t count = reader_.count(sizeof(Number));
    const std::string_view bytes = reader_.take(count * sizeof(Number));
    if (static_cast<Count>(count) != count) return reader_.fail();
    std::vector<Number>& kept = home<Number>().emplace_back(bytes.size() / sizeof(Number) + 1); // never nullptr where it is there
    if (!bytes.empty()) std::memcpy(kept.data(), bytes.data(), bytes.size());
    values = there ? kept.data() : nullptr;
    n = static_cast<Count>(bytes.size() / sizeof(Number));
  }
  template <class Struct, class Count>
  void structs(const Struct* const*& values, Count& n, std::uint32_t whole);

private:
  template <class Number>
  std::vector<std::vector<Number>>& home() {
    if constexpr (std::is_same_v<Number, double>) return held_.reals;
    else if constexpr (std::is_same_v<Number, std::uint32_t>) return held_.numbers;
    else return held_.sizes;
  }
  WireReader& reader_;
  Held& held_;
};

template <class Wire>
void fields(Wire& w, plimsoll_part& s) {
  w(s.replicate), w(s.extent), w(s.units);
}
template <class Wire>
void fields(Wire& w, plimsoll_state_region& s) {
  w(s.label), w(s.dtype), w(s.elements), w(s.units), w(s.elements_per_draft_token);
}
template <class Wire>
void fields(Wire& w, plimsoll_kv_field& s) {
  w(s.dtype), w(s.elements);
}
template <class Wire>
void fields(Wire& w, plimsoll_weight& s) {
  w(s.aspect), w(s.label), w(s.pattern), w(s.dtype), w(s.format);
  w.list(s.layers, s.n_layers);
  w(s.stage), w(s.placement), w(s.role), w(s.quantizable), w(s.n_dims), w(s.shard_dim), w(s.in_dim), w(s.expert_storage), w(s.experts);
  w.all(s.dims);
  w.structs(s.parts, s.n_parts, PLIMSOLL_SIZE_THROUGH(plimsoll_part, units));
  w(s.memory), w(s.rank);
}
template <class Wire>
void fields(Wire& w, plimsoll_kv_group& s) {
  w(s.kind), w(s.role), w(s.aspect), w(s.label), w(s.k_dtype), w(s.v_dtype), w(s.scale_dtype);
  w.list(s.layers, s.n_layers);
  w(s.kv_heads), w(s.query_heads), w(s.k_elements), w(s.v_elements), w(s.scale_elements), w(s.window_tokens), w(s.fixed_tokens);
  w.structs(s.regions, s.n_regions, PLIMSOLL_SIZE_THROUGH(plimsoll_state_region, elements_per_draft_token));
  w.structs(s.record, s.n_fields, PLIMSOLL_SIZE_THROUGH(plimsoll_kv_field, elements));
  w(s.tokens_per_slot), w(s.bound), w(s.rope_elements), w(s.expanded_k_elements), w(s.expanded_v_elements);
}
template <class Wire>
void fields(Wire& w, plimsoll_facts& s) {
  w(s.n_layers), w(s.max_length), w(s.hidden_elements), w(s.vocab_tokens), w(s.query_heads), w(s.kv_heads), w(s.experts);
  w(s.experts_per_token), w(s.draft_layers);
}
template <class Wire>
void fields(Wire& w, plimsoll_entry& s) {
  w(s.aspect), w(s.modality), w(s.most_per_request), w(s.label), w(s.dtype), w(s.rows), w(s.row_elements), w(s.encoder_tokens);
  w(s.encoder_elements);
}
template <class Wire>
void fields(Wire& w, plimsoll_item& s) {
  w(s.aspect), w(s.rank), w(s.category), w(s.basis), w(s.lifetime), w(s.memory), w(s.bytes), w(s.label), w(s.formula), w(s.phase);
}
// Without the engine's values, which go beside it.
template <class Wire>
void fields(Wire& w, plimsoll_request& s) {
  w(s.aspects), w(s.n_ranks), w(s.tp), w(s.pp), w(s.dp), w(s.ep), w(s.n_nodes), w(s.phase), w(s.explain), w(s.chunked_prefill);
  w(s.num_draft_tokens), w(s.compute_bits), w(s.kv_bits), w(s.weight_bits), w(s.weight_is_fp4), w(s.max_length), w(s.max_batch_size);
  w(s.max_batch_input_tokens), w(s.max_batch_total_tokens), w(s.images_per_request);
  std::uint64_t ranks = s.n_ranks;
  w.list(s.free_bytes, ranks), w.list(s.used_bytes, ranks), w.list(s.stage_of_layer, s.n_layers);
}
template <class Wire>
void fields(Wire& w, plimsoll_value& s) {
  w(s.rows), w(s.width), w(s.units);
}
template <class Wire>
void fields(Wire& w, plimsoll_rope_table& s) {
  std::uint32_t long_ones = s.n;
  w.list(s.inverse_frequencies, s.n), w(s.attention_factor), w.list(s.long_inverse_frequencies, long_ones), w(s.long_attention_factor);
  w(s.long_beyond_tokens);
  if (long_ones != s.n) s.long_inverse_frequencies = nullptr;
}
template <class Wire>
void fields(Wire& w, plimsoll_op& s) {
  w(s.kind), w(s.flags), w(s.layer), w(s.out), w(s.n_in), w.all(s.in), w(s.n_weights), w.all(s.weight), w(s.kv_group), w.all(s.i),
      w.all(s.f);
}

template <class Struct, class Count>
void Out::structs(const Struct* const* const& values, const Count& n, std::uint32_t) {
  writer_(static_cast<std::uint8_t>(values != nullptr));
  const std::uint64_t count = values == nullptr ? 0 : n;
  writer_(count);
  for (std::uint64_t i = 0; i < count; ++i) fields(*this, const_cast<Struct&>(*values[i]));
}
template <class Struct, class Count>
void In::structs(const Struct* const*& values, Count& n, std::uint32_t whole) {
  struct Kept {
    std::vector<Struct> structs;
    std::vector<const Struct*> pointers;
  };
  const bool there = reader_.number<std::uint8_t>() != 0;
  const std::uint64_t count = reader_.count(sizeof(std::uint64_t)); // none is smaller
  const auto kept = std::make_shared<Kept>();
  kept->structs.resize(count);
  for (Struct& one : kept->structs) {
    one.struct_size = whole;
    fields(*this, one);
  }
  kept->pointers.reserve(count + 1); // a list that is there has an address
  for (const Struct& one : kept->structs) kept->pointers.push_back(&one);
  held_.structs.push_back(kept);
  values = there ? kept->pointers.data() : nullptr;
  n = static_cast<Count>(count);
}

} // namespace wire

// Sizes through the last field that this version knows.
template <class Struct>
constexpr std::uint32_t whole_size();
#define PLIMSOLL_WHOLE_SIZE(type, last)                                                                                                    \
  template <>                                                                                                                              \
  constexpr std::uint32_t whole_size<type>() {                                                                                             \
    return PLIMSOLL_SIZE_THROUGH(type, last);                                                                                              \
  }
PLIMSOLL_WHOLE_SIZE(plimsoll_weight, rank)
PLIMSOLL_WHOLE_SIZE(plimsoll_kv_group, expanded_v_elements)
PLIMSOLL_WHOLE_SIZE(plimsoll_facts, draft_layers)
PLIMSOLL_WHOLE_SIZE(plimsoll_entry, encoder_elements)
PLIMSOLL_WHOLE_SIZE(plimsoll_item, phase)
PLIMSOLL_WHOLE_SIZE(plimsoll_request, engine)
PLIMSOLL_WHOLE_SIZE(plimsoll_value, units)
PLIMSOLL_WHOLE_SIZE(plimsoll_rope_table, long_beyond_tokens)
PLIMSOLL_WHOLE_SIZE(plimsoll_op, f)
#undef PLIMSOLL_WHOLE_SIZE

template <class Struct>
void write_struct(WireWriter& writer, const Struct& what) {
  wire::Out out(writer);
  wire::fields(out, const_cast<Struct&>(what)); // only read
}
template <class Struct>
Struct read_struct(WireReader& reader, Held& held) {
  Struct out{};
  out.struct_size = whole_size<Struct>();
  wire::In in(reader, held);
  wire::fields(in, out);
  return out;
}

} // namespace plimsoll
