// The structs of the ABI on the wire: every field arrives, lists that are not there stay so, and bytes that are no struct are refused.
#include "worker/abi_wire.hpp"

#include <gmock/gmock.h>
#include <random>

namespace plimsoll::testing {
namespace {

constexpr plimsoll_str str_of(std::string_view text) { return {text.data(), text.size()}; }

// The bytes of a struct whose every byte below `size` is another number; of pointers and texts the writer's.
template <class Struct>
std::string sent(const Struct& what) {
  WireWriter out;
  write_struct(out, what);
  return std::move(out.bytes());
}

// Read and written again it is the same bytes: no field is lost on either way.
template <class Struct>
void expect_round_trip(const Struct& what, std::size_t least_bytes) {
  const std::string bytes = sent(what);
  EXPECT_GE(bytes.size(), least_bytes);
  WireReader reader(bytes);
  Held held;
  const auto got = read_struct<Struct>(reader, held);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(got.struct_size, whole_size<Struct>());
  EXPECT_EQ(sent(got), bytes);
  for (std::size_t cut = 0; cut < bytes.size(); cut += 1 + cut / 8) {
    WireReader short_one(std::string_view(bytes).substr(0, cut));
    Held none;
    static_cast<void>(read_struct<Struct>(short_one, none));
    EXPECT_TRUE(short_one.failed()) << cut;
  }
}

const std::vector<std::uint32_t> kLayers{1, 2, 5};
const std::vector<std::uint64_t> kBytes{7, 8};

TEST(AbiWire, CarriesWeights) {
  const plimsoll_part part{PLIMSOLL_SIZE_THROUGH(plimsoll_part, units), 1, 64, 8};
  const plimsoll_part* const parts[] = {&part, &part};
  plimsoll_weight w{};
  w.struct_size = whole_size<plimsoll_weight>();
  w.aspect = 2;
  w.stage = 1;
  w.placement = 3;
  w.role = 1;
  w.quantizable = 1;
  w.n_dims = 2;
  w.shard_dim = 1;
  w.in_dim = 6;
  w.expert_storage = 2;
  w.label = str_of("up");
  w.pattern = str_of("m.{layer}.up");
  w.dtype = str_of("float32");
  w.format = str_of("fp8");
  w.layers = kLayers.data();
  w.n_layers = kLayers.size();
  w.experts = 9;
  for (std::uint32_t i = 0; i < PLIMSOLL_MAX_DIMS; ++i) w.dims[i] = 100 + i;
  w.parts = parts;
  w.n_parts = 2;
  w.memory = 1;
  w.rank = 3;
  expect_round_trip(w, 150);
  WireReader reader(sent(w));
  Held held;
  const std::string bytes = sent(w);
  WireReader again(bytes);
  const auto got = read_struct<plimsoll_weight>(again, held);
  EXPECT_EQ(got.layers[2], 5U);
  EXPECT_EQ(got.parts[1]->extent, 64U);
  EXPECT_EQ(got.dims[7], 107U);
  EXPECT_EQ(got.rank, 3U);
  EXPECT_EQ(std::string_view(got.format.data, got.format.size), "fp8");

  w.layers = nullptr;
  w.n_layers = 0;
  w.parts = nullptr;
  w.n_parts = 0;
  expect_round_trip(w, 100);
  const std::string none = sent(w);
  WireReader third(none);
  const auto bare = read_struct<plimsoll_weight>(third, held);
  EXPECT_EQ(bare.layers, nullptr);
  EXPECT_EQ(bare.parts, nullptr);

  w.layers = kLayers.data(); // a list that is there and empty is another thing than none
  const std::string empty = sent(w);
  WireReader fourth(empty);
  EXPECT_NE(read_struct<plimsoll_weight>(fourth, held).layers, nullptr);
}

TEST(AbiWire, CarriesGroups) {
  const plimsoll_state_region region{
      PLIMSOLL_SIZE_THROUGH(plimsoll_state_region, elements_per_draft_token), 0, str_of("ssm"), str_of("state"), 12, 3, 4};
  const plimsoll_state_region* const regions[] = {&region};
  const plimsoll_kv_field field{PLIMSOLL_SIZE_THROUGH(plimsoll_kv_field, elements), 0, str_of("float8"), 5};
  const plimsoll_kv_field* const record[] = {&field, &field, &field};
  plimsoll_kv_group g{};
  g.kind = 1;
  g.role = 2;
  g.aspect = 4;
  g.label = str_of("kv");
  g.k_dtype = str_of("a");
  g.v_dtype = str_of("b");
  g.scale_dtype = str_of("c");
  g.layers = kLayers.data();
  g.n_layers = kLayers.size();
  g.kv_heads = 5;
  g.query_heads = 6;
  g.k_elements = 7;
  g.v_elements = 8;
  g.scale_elements = 9;
  g.window_tokens = 10;
  g.fixed_tokens = 11;
  g.regions = regions;
  g.n_regions = 1;
  g.record = record;
  g.n_fields = 3;
  g.tokens_per_slot = 12;
  g.bound = 1;
  g.rope_elements = 13;
  g.expanded_k_elements = 14;
  g.expanded_v_elements = 15;
  expect_round_trip(g, 180);
}

TEST(AbiWire, CarriesTheRest) {
  expect_round_trip(plimsoll_facts{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 68);
  expect_round_trip(plimsoll_entry{0, 1, 2, 3, str_of("image"), str_of("float16"), 4, 5, 6, 7}, 70);
  expect_round_trip(plimsoll_item{0, 1, 2, 3, 1, 2, 1, 0, 99, str_of("label"), str_of("formula"), str_of("phase")}, 70);
  expect_round_trip(plimsoll_value{0, 1, 2, 3}, 20);
  const double frequencies[] = {1.5, -0.0, 3e300};
  expect_round_trip(plimsoll_rope_table{0, 3, frequencies, 0.5, frequencies, 2.5, 7}, 70);
  expect_round_trip(plimsoll_rope_table{0, 3, frequencies, 0.5, nullptr, 2.5, 7}, 50);
  plimsoll_op op{};
  op.kind = 1;
  op.flags = 2;
  op.layer = 3;
  op.out = 4;
  op.n_in = 5;
  op.n_weights = 6;
  op.kv_group = str_of("kv");
  for (std::uint32_t i = 0; i < PLIMSOLL_OP_MAX_INPUTS; ++i) op.in[i] = 10 + i;
  for (std::uint32_t i = 0; i < PLIMSOLL_OP_MAX_WEIGHTS; ++i) op.weight[i] = str_of("w");
  for (std::uint32_t i = 0; i < PLIMSOLL_OP_MAX_INTEGERS; ++i) op.i[i] = 20 + i;
  for (std::uint32_t i = 0; i < PLIMSOLL_OP_MAX_REALS; ++i) op.f[i] = 0.5 + i;
  expect_round_trip(op, 150);
  plimsoll_request r{};
  std::uint32_t* const numbers[] = {&r.aspects,
                                    &r.tp,
                                    &r.pp,
                                    &r.dp,
                                    &r.ep,
                                    &r.n_nodes,
                                    &r.phase,
                                    &r.explain,
                                    &r.chunked_prefill,
                                    &r.num_draft_tokens,
                                    &r.compute_bits,
                                    &r.kv_bits,
                                    &r.weight_bits,
                                    &r.weight_is_fp4};
  std::uint32_t n = 1;
  for (std::uint32_t* number : numbers) *number = n++;
  r.n_ranks = 2;
  r.max_length = 50;
  r.max_batch_size = 51;
  r.max_batch_input_tokens = 52;
  r.max_batch_total_tokens = 53;
  r.images_per_request = 54;
  r.free_bytes = r.used_bytes = kBytes.data();
  r.stage_of_layer = kLayers.data();
  r.n_layers = kLayers.size();
  expect_round_trip(r, 150);
}

// Long frequencies of another number than the short ones are none: nobody reads beyond them.
TEST(AbiWire, TakesNoListForAnotherLength) {
  const double frequencies[] = {1, 2, 3, 4};
  std::string bytes = sent(plimsoll_rope_table{0, 4, frequencies, 1, frequencies, 1, 7});
  const std::size_t second = bytes.rfind(std::string(reinterpret_cast<const char*>(frequencies), sizeof frequencies));
  bytes.erase(second, sizeof(double));
  const std::uint64_t three = 3;
  bytes.replace(second - sizeof three, sizeof three, reinterpret_cast<const char*>(&three), sizeof three);
  WireReader reader(bytes);
  Held held;
  const auto table = read_struct<plimsoll_rope_table>(reader, held);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(table.n, 4U);
  EXPECT_EQ(table.long_inverse_frequencies, nullptr);
}

// No bytes make a reader take more memory than they are, or read beyond them (the sanitizers would see it).
TEST(AbiWire, ReadsAnything) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(random() % 300, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 4 == 0 ? random() : random() % 3);
    WireReader reader(bytes);
    Held held;
    const auto weight = read_struct<plimsoll_weight>(reader, held);
    for (std::uint64_t n = 0; weight.layers != nullptr && n < weight.n_layers; ++n) ASSERT_GE(weight.layers[n], 0U);
    for (std::uint64_t n = 0; weight.parts != nullptr && n < weight.n_parts; ++n) ASSERT_GT(weight.parts[n]->struct_size, 0U);
    const auto group = read_struct<plimsoll_kv_group>(reader, held);
    ASSERT_LE(group.n_fields, bytes.size());
    ASSERT_LE(group.n_regions, bytes.size());
  }
}

} // namespace
} // namespace plimsoll::testing
