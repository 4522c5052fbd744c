// See saved_ranks.hpp. Source: the default pattern of vLLM's ShardedStateLoader; a rank's state has a shared tensor once.
#include "checkpoint/saved_ranks.hpp"

#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <utility>

#include "base/checked.hpp"
#include "checkpoint/safetensors.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kRank = "model-rank-", kPart = "-part-", kSuffix = ".safetensors";

struct RankPart {
  std::uint32_t rank = 0, part = 0;
  auto operator<=>(const RankPart&) const = default;
};

// Takes `word` and the number behind it off the front.
bool take(std::string_view& text, std::string_view word, std::uint32_t& number) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{};
}

std::optional<RankPart> parse(std::string_view file_name) {
  RankPart out;
  if (!take(file_name, kRank, out.rank) || !take(file_name, kPart, out.part) || file_name != kSuffix) return std::nullopt;
  return out;
}

class Unseen final : public TensorVisitor {
public:
  Result<void> tensor(const TensorEntry&) override { return {}; }
};

Error lacks(const RankPart& missing, const std::string& beside) {
  return {ErrorCode::kBadCheckpoint,
          fmt::format("the checkpoint lacks {}{}{}{}{}; fetch the missing files", kRank, missing.rank, kPart, missing.part, kSuffix),
          beside};
}

} // namespace

bool is_rank_part(std::string_view file_name) { return parse(file_name).has_value(); }

Result<std::vector<std::uint64_t>> saved_rank_bytes(const std::vector<std::string>& parts) {
  std::map<RankPart, std::string> files; // by rank, then by part
  for (const std::string& path : parts)
    if (const auto part = parse(std::filesystem::path(path).filename().string())) files.emplace(*part, path);
  std::vector<std::uint64_t> out;
  SafetensorsReader reader;
  RankPart expected;
  for (const auto& [part, path] : files) {
    if (part.rank != expected.rank && expected.part > 0) expected = {expected.rank + 1, 0};
    if (part != expected) return tl::unexpected(lacks(expected, path));
    PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(path));
    Unseen visitor;
    PLIMSOLL_ASSIGN(const HeaderTotals totals, reader.read(file, 0, visitor));
    if (part.part == 0) out.push_back(0);
    PLIMSOLL_ASSIGN(out.back(), (Checked(out.back()) + totals.stored_bytes).get("the tensors of a rank"));
    ++expected.part;
  }
  return out;
}

} // namespace plimsoll
