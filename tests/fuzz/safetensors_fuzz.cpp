// Safetensors headers and indexes: any bytes are an inventory or an error with a message, and the fast path never
// disagrees with simdjson.
#include "checkpoint/safetensors.hpp"
#include "checkpoint/safetensors_index.hpp"

#include <cstdlib>

#include "fuzz/fuzz.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::fuzz {
namespace {

constexpr std::uint64_t kDataBytes = 1U << 16;

// Adds up what it is told, and checks that every tensor is sound.
class Sum final : public TensorVisitor {
public:
  Result<void> tensor(const TensorEntry& entry) override {
    if (entry.rank > kMaxTensorRank || entry.stored_bytes > kDataBytes || entry.dtype.block_bytes == 0) std::abort();
    names += entry.name;
    names += '\n';
    return {};
  }
  std::string names;
};

Result<HeaderTotals> parse(const std::string& start, std::uint64_t file_bytes, Sum& sum) {
  auto totals = parse_safetensors_header(std::as_bytes(std::span(start)), file_bytes, sum);
  if (!totals && totals.error().message.empty()) std::abort();
  return totals;
}

// As the input is, and with a space that only simdjson knows how to take.
void header_text(const std::string& text) {
  if (!text.starts_with('{')) return;
  const std::string start = test::safetensors_start_of(text), spaced = test::safetensors_start_of("{ " + text.substr(1));
  Sum fast, slow;
  const auto one = parse(start, start.size() + kDataBytes, fast), other = parse(spaced, spaced.size() + kDataBytes, slow);
  if (one.has_value() != other.has_value()) std::abort();
  if (one && (fast.names != slow.names || one->stored_bytes != other->stored_bytes || one->hole_bytes != other->hole_bytes)) std::abort();
}

void index_text(const std::string& text) {
  std::uint64_t entries = 0;
  const auto fast = parse_safetensors_index(text, "i");
  const auto slow = parse_safetensors_index(text, "i", [&](std::string_view, std::string_view) { ++entries; });
  if (fast.has_value() != slow.has_value()) std::abort();
  if (fast && (fast->fingerprint != slow->fingerprint || fast->shards != slow->shards || fast->tensor_count != entries)) std::abort();
}

} // namespace

std::vector<std::string> seeds() {
  const std::vector<test::SparseTensor> tensors{
      {"model.embed_tokens.weight", "BF16", {16, 8}}, {"scale", "F32", {}}, {"packed", "F4", {2, 3}}, {"empty", "U8", {0}}};
  std::uint64_t bytes = 0;
  return {test::safetensors_header(tensors, bytes),
          test::safetensors_header(tensors, bytes, {true, true}),
          test::safetensors_start(tensors, bytes),
          test::index_text({{"a", "model-00001-of-00002.safetensors"}, {"b", "model-00002-of-00002.safetensors"}}, 12),
          R"({"t":{"dtype":"","shape":[16,8],"data_offsets":[1,1]}})", // an empty type was once taken for the last one
          R"({"weight_map":{"a\u0062":"1"},"metadata":{"total_size":1.5e3}})",
          R"({"a\"b":{"dtype":"I64","shape":[1,1,1,1,1,1,1,1],"data_offsets":[0,8],"x":null},"__metadata__":{"k":"\u00e9"}})"};
}

void fuzz_one(std::string_view input) {
  const std::string text(input);
  Sum sum;
  (void)parse(text, text.size(), sum);
  header_text(text);
  index_text(text);
}

} // namespace plimsoll::fuzz
