// The keys of an engine profile: every word of every enumeration, limits, the table of the README beside the profiles, and the figure
// that follows from a formula.
#include "engine/profile_schema.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "support/sparse_checkpoint.hpp"
#include "unit/engine/shipped.hpp"

namespace plimsoll {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::kCatalogue;

std::vector<std::string> split(const std::string& text, const std::string& by) {
  std::vector<std::string> out;
  std::size_t at = 0;
  for (std::size_t next = text.find(by); next != std::string::npos; next = text.find(by, at)) {
    out.push_back(text.substr(at, next - at));
    at = next + by.size();
  }
  out.push_back(text.substr(at));
  return out;
}

// "/kv/split/state_ratio" with a value as the body of a profile.
std::string body_of(std::string_view pointer, const std::string& value) {
  const std::vector<std::string> parts = split(std::string(pointer.substr(1)), "/");
  std::string body, closing;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    body += parts[i] + ": {";
    closing += "}";
  }
  return body + parts.back() + ": " + value + closing + "\n";
}

// The profile with one key set, or what is wrong with it.
Result<EngineProfile> read(const std::string& body) {
  static const test::TemporaryDirectory folder;
  const std::string file = folder / "own.yaml";
  test::write_text(file, "schema: plimsoll.engine/1\nname: own\nversion: \"2.0\"\n" + body);
  const auto source = ProfileSource::load(kCatalogue, file, {});
  if (!source) return tl::unexpected(source.error());
  const auto profile = source->settle({});
  if (!profile) return tl::unexpected(profile.error());
  return **profile;
}

struct WordCase {
  const char *pointer, *word;
  bool (*holds)(const EngineProfile&);
};

const std::vector<WordCase>& word_cases() {
  using P = const EngineProfile&;
  static const std::vector<WordCase> cases{
      {"/budget/of", "free", [](P p) { return p.budget.of == BudgetOf::kFree; }},
      {"/budget/of", "total", [](P p) { return p.budget.of == BudgetOf::kTotal; }},
      {"/budget/covers", "all", [](P p) { return p.budget.covers == BudgetCovers::kAll; }},
      {"/budget/covers", "weights_and_kv", [](P p) { return p.budget.covers == BudgetCovers::kWeightsAndKv; }},
      {"/budget/covers", "kv", [](P p) { return p.budget.covers == BudgetCovers::kKv; }},
      {"/budget/in_use", "refused", [](P p) { return p.budget.in_use == MemoryInUse::kRefused; }},
      {"/budget/in_use", "subtracted", [](P p) { return p.budget.in_use == MemoryInUse::kSubtracted; }},
      {"/batch/default_length", "refuse", [](P p) { return p.batch.default_length == DefaultLength::kRefuse; }},
      {"/batch/default_length", "clamp", [](P p) { return p.batch.default_length == DefaultLength::kClamp; }},
      {"/kv/layout", "grouped", [](P p) { return p.kv.layout == KvLayoutKind::kGrouped; }},
      {"/kv/layout", "unified", [](P p) { return p.kv.layout == KvLayoutKind::kUnified; }},
      {"/kv/layout", "split", [](P p) { return p.kv.layout == KvLayoutKind::kSplit; }},
      {"/kv/layout", "cells", [](P p) { return p.kv.layout == KvLayoutKind::kCells; }},
      {"/kv/mla_cache", "latent", [](P p) { return p.kv.mla_cache == LatentCache::kLatent; }},
      {"/kv/mla_cache", "latent+v", [](P p) { return p.kv.mla_cache == LatentCache::kLatentAndValues; }},
      {"/kv/mla_cache", "heads", [](P p) { return p.kv.mla_cache == LatentCache::kHeads; }},
      {"/kv/reported_tokens", "pages", [](P p) { return p.kv.reported_tokens == ReportedTokens::kPages; }},
      {"/kv/reported_tokens", "group_pages", [](P p) { return p.kv.reported_tokens == ReportedTokens::kGroupPages; }},
      {"/kv/reported_tokens", "requests", [](P p) { return p.kv.reported_tokens == ReportedTokens::kRequests; }},
      {"/vision_cache/rule", "share", [](P p) { return p.vision_cache.rule == VisionRule::kShare; }},
      {"/schedule/activations", "planners", [](P p) { return p.schedule.activations == ActivationRule::kPlanners; }},
      {"/schedule/activations", "pipeline", [](P p) { return p.schedule.activations == ActivationRule::kPipeline; }},
      {"/schedule/logits", "last", [](P p) { return p.schedule.logits == LogitRows::kLast; }},
      {"/schedule/logits", "all", [](P p) { return p.schedule.logits == LogitRows::kAll; }},
      {"/vision_cache/rule", "tokens", [](P p) { return p.vision_cache.rule == VisionRule::kTokens; }},
      {"/placement/split", "tensor", [](P p) { return p.placement.split == LayerSplit::kTensor; }},
      {"/placement/split", "layer", [](P p) { return p.placement.split == LayerSplit::kLayer; }},
      {"/placement/input_embedding", "device", [](P p) { return p.placement.input_embedding == EmbeddingPlace::kDevice; }},
      {"/placement/input_embedding", "host", [](P p) { return p.placement.input_embedding == EmbeddingPlace::kHost; }},
      {"/weights/vision", "replicated", [](P p) { return p.weights.vision == VisionWeights::kReplicated; }},
      {"/weights/vision", "split", [](P p) { return p.weights.vision == VisionWeights::kSplit; }},
  };
  return cases;
}

TEST(ProfileWords, MeanTheirValues) {
  for (const WordCase& c : word_cases()) {
    const auto profile = read(body_of(c.pointer, c.word));
    ASSERT_TRUE(profile) << c.pointer << " " << c.word << ": " << profile.error().message;
    EXPECT_TRUE(c.holds(*profile)) << c.pointer << " " << c.word;
  }
}

TEST(ProfileWords, AnUnknownOneListsAllOthers) {
  std::size_t words = 0;
  for (const ProfileKey& key : profile_keys()) {
    const auto* enumeration = std::get_if<WordKey>(&key.kind);
    if (enumeration == nullptr) continue;
    std::vector<std::string> known;
    for (const WordCase& c : word_cases())
      if (c.pointer == key.pointer) known.emplace_back(c.word);
    EXPECT_EQ(split(enumeration->words(), ", "), known) << key.pointer; // a new word needs its row above
    words += known.size();
    for (const char* wrong : {"nonsense", "Free", "\"\"", "7", "true", "[free]"}) {
      const auto profile = read(body_of(key.pointer, wrong));
      ASSERT_FALSE(profile) << key.pointer << " " << wrong;
      EXPECT_EQ(profile.error().code, ErrorCode::kBadRequest);
      EXPECT_THAT(profile.error().where, HasSubstr(std::string(key.pointer)));
      if (std::string_view(wrong) == "[free]") continue; // a list is one of choices
      for (const std::string& word : known) EXPECT_THAT(profile.error().message, HasSubstr(word)) << key.pointer << " " << wrong;
    }
  }
  EXPECT_EQ(words, word_cases().size());
}

TEST(ProfileNumbers, HaveLimits) {
  for (const ProfileKey& key : profile_keys()) {
    const auto* number = std::get_if<NumberKey>(&key.kind);
    if (number == nullptr) continue;
    for (const std::uint64_t allowed : {number->low, number->high}) {
      auto profile = read(body_of(key.pointer, std::to_string(allowed)));
      ASSERT_TRUE(profile) << key.pointer << " " << allowed << ": " << profile.error().message;
      EXPECT_EQ(number->field(*profile), allowed) << key.pointer;
    }
    for (const std::string& wrong : {std::to_string(number->high + 1), number->low > 0 ? std::to_string(number->low - 1) : "-1",
                                     std::string("1.5"), std::string("text")}) {
      const auto profile = read(body_of(key.pointer, wrong));
      ASSERT_FALSE(profile) << key.pointer << " " << wrong;
      EXPECT_THAT(profile.error().message, HasSubstr(std::to_string(number->high))) << key.pointer;
    }
  }
}

// --set finds a key by its last part.
TEST(ProfileKeys, HaveLastPartsOfTheirOwn) {
  std::set<std::string_view> names;
  for (const ProfileKey& key : profile_keys()) EXPECT_TRUE(names.insert(key.short_name()).second) << key.pointer;
}

// The first cells of the table "Keys": `kv.dtype`, `state_dtype` stand for two keys of one section.
std::set<std::string> documented() {
  std::ifstream file(kCatalogue + "/engines/README.md");
  std::set<std::string> out;
  bool inside = false;
  static const std::regex code("`([^`]+)`");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) inside = line == "## Keys";
    if (!inside || !line.starts_with("| `")) continue;
    const std::string cell = line.substr(1, line.find(" | ", 1));
    std::string section;
    for (auto it = std::sregex_iterator(cell.begin(), cell.end(), code); it != std::sregex_iterator(); ++it) {
      std::string name = (*it)[1];
      if (const std::size_t dot = name.rfind('.'); dot != std::string::npos) {
        section = name.substr(0, dot + 1);
        name = name.substr(dot + 1);
      }
      out.insert(section + name);
    }
  }
  return out;
}

TEST(ProfileKeys, AreDocumentedAndNoOthersAre) {
  std::set<std::string> known{
      "name",          "version",        "oldest",   "aliases",       "activations",
      "overheads",     "budget.reserve", "choices",  "start.vendors", "start.quantizations",
      "start.outside", "start.says",     "kv.takes", "kv.page_sizes", "start.not_served"}; // not of the table of keys
  for (const ProfileKey& key : profile_keys()) {
    std::string name(key.pointer.substr(1));
    std::replace(name.begin(), name.end(), '/', '.');
    known.insert(name);
  }
  const std::set<std::string> rows = documented();
  for (const std::string& name : known) EXPECT_THAT(rows, Contains(name)) << "has no row in core/catalogue/engines/README.md";
  for (const std::string& name : rows) EXPECT_THAT(known, Contains(name)) << "is no key of a profile";
}

// Barrier flags, 16 B, regions of 1 MiB for short messages, 256 MiB of payload: 786,432 + 16 + 25,165,824 + 268,435,456 B.
TEST(SignalBuffers, FollowFromTheirParts) {
  constexpr std::uint64_t kMiB = 1 << 20;
  const auto source = ProfileSource::load(kCatalogue, "max", {});
  ASSERT_TRUE(source);
  EXPECT_EQ((*source->settle({}))->signal_buffers.signal_buffer_bytes, 8ULL * 3 * 1024 * 8 * 4 + 16 + 3 * 8 * kMiB + 256 * kMiB);
  std::ifstream file(kCatalogue + "/engines/README.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_THAT(text.str(), HasSubstr("8 x 3 x 1,024 x 8 x 4 B barrier flags + 16 B + 3 x 8 x 1 MiB"));
  EXPECT_THAT(text.str(), HasSubstr("= 294,387,728 B"));
}

} // namespace
} // namespace plimsoll
