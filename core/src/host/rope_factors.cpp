#include "host/rope_factors.hpp"

#include <cmath>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <vector>

#include "base/regular_file.hpp"
#include "plimsoll/pipeline.h"

namespace plimsoll {
namespace {

constexpr std::string_view kAll = "rope_freqs.weight", kLong = "rope_factors_long.weight", kShort = "rope_factors_short.weight";

// Keeps the values of the tables that a file has, by name.
class FactorReader final : public TensorVisitor {
public:
  explicit FactorReader(const ModelFiles& files) : files_(files) {}

  Result<void> tensor(const TensorEntry& entry) override {
    if (entry.stored_name != kAll && entry.stored_name != kLong && entry.stored_name != kShort) return {};
    const std::string& path = files_.shards[entry.file_index];
    const auto bad = [&](std::string_view what) {
      return fail(ErrorCode::kBadCheckpoint, fmt::format("tensor {} {}", entry.stored_name, what), path);
    };
    if (entry.dtype.name != "float32" || entry.elements == 0 || entry.elements > PLIMSOLL_MAX_FREQUENCIES)
      return bad(
          fmt::format("has {} elements of {}, expected 1 to {} of float32", entry.elements, entry.dtype.name, PLIMSOLL_MAX_FREQUENCIES));
    std::vector<float> values(entry.elements);
    PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(path));
    PLIMSOLL_TRY(file.read(entry.offset_bytes, {reinterpret_cast<char*>(values.data()), values.size() * sizeof(float)}));
    for (const float value : values)
      if (!std::isfinite(value) || value <= 0) return bad(fmt::format("divides a frequency by {}", value));
    tables_[std::string(entry.stored_name)].assign(values.begin(), values.end());
    return {};
  }

  // Empty where the file has none of that name.
  const std::vector<double>& operator[](std::string_view name) const {
    static const std::vector<double> none;
    const auto found = tables_.find(name);
    return found == tables_.end() ? none : found->second;
  }

private:
  const ModelFiles& files_;
  std::map<std::string, std::vector<double>, std::less<>> tables_;
};

// A number under the architecture's own prefix.
std::optional<double> scaling_number(const GgufMetadata& metadata, std::string_view key) {
  const auto architecture = metadata.values.find("general.architecture");
  if (architecture == metadata.values.end() || !architecture->second.is_string()) return std::nullopt;
  const auto found = metadata.values.find(fmt::format("{}.rope.scaling.{}", architecture->second.get_ref<const std::string&>(), key));
  if (found == metadata.values.end() || !found->second.is_number()) return std::nullopt;
  return found->second.get<double>();
}

} // namespace

Result<void> apply_rope_factors(const Checkpoint& checkpoint, Program& program) {
  if (checkpoint.gguf_metadata() == nullptr) return {};
  const GgufMetadata& metadata = *checkpoint.gguf_metadata();
  const std::string& file = checkpoint.files().shards.front();
  FactorReader tables(checkpoint.files());
  PLIMSOLL_TRY(checkpoint.scan(tables));
  std::vector<double> factors = tables[kAll];
  if (factors.empty()) {
    const std::vector<double>&of_long = tables[kLong], &of_short = tables[kShort];
    if (of_long.empty() && of_short.empty()) return {};
    const std::optional<double> trained = scaling_number(metadata, "original_context_length");
    if (!trained || of_long.empty() || of_short.empty())
      return fail(ErrorCode::kBadCheckpoint,
                  "the file has rotary factors for requests of one kind; those for long and for short ones, and what is long "
                  "(rope.scaling.original_context_length) were expected",
                  file);
    factors = static_cast<double>(program.most_context_tokens) > *trained ? of_long : of_short;
  }
  const double attention = scaling_number(metadata, "attn_factor").value_or(1);
  if (!std::isfinite(attention) || attention <= 0)
    return fail(ErrorCode::kBadCheckpoint, fmt::format("rope.scaling.attn_factor is {}", attention), file);
  // All layers turn alike in the models that have such tables.
  if (program.ropes.size() != 1 || program.ropes.front().inverse_frequencies.size() != factors.size())
    return fail(ErrorCode::kUnsupportedArchitecture,
                fmt::format("the file has {} rotary factors, the forward pass {} tables of frequencies{}", factors.size(),
                            program.ropes.size(),
                            program.ropes.empty() ? "" : fmt::format(", one of {}", program.ropes.front().inverse_frequencies.size())),
                file);
  ProgramRope& rope = program.ropes.front();
  for (std::size_t i = 0; i < factors.size(); ++i) rope.inverse_frequencies[i] /= factors[i];
  rope.attention_factor *= attention;
  return {};
}

} // namespace plimsoll
