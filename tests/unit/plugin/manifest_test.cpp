// plugin.yaml: what is read, and what is refused with the line at fault.
#include <gmock/gmock.h>

#include "plimsoll/abi.h"
#include "plugin/manifest.hpp"
#include "unit/plugin/temporary_folder.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kGood = R"(schema: plimsoll.plugin/1
id: good
version: 1.2.3
vendor: Acme
abi: {major: 1, minor: 4, min_host_minor: 2}
library: libgood.so
families:
  - id: good.family
    aspects: [attention, head]
    signal_buffers: always
    vision_cache: true
    architectures:
      - OneForCausalLM
      - {name: TwoForCausalLM, signal_buffers: never}
    model_types: [one, two]
    class_defaults:
      one: {hidden_size: 64, nested: {deep: 3}}
)";

TEST(Manifest, IsReadWhole) {
  const TemporaryFolder folder;
  folder.write("plugin.yaml", kGood);
  const auto m = read_manifest(folder.path());
  ASSERT_TRUE(m) << m.error().where << ": " << m.error().message;
  EXPECT_EQ(m->directory, folder.path());
  EXPECT_EQ(m->id, "good");
  EXPECT_EQ(m->version, "1.2.3");
  EXPECT_EQ(m->library, "libgood.so");
  EXPECT_EQ(m->abi_major, 1U);
  EXPECT_EQ(m->abi_minor, 4U);
  EXPECT_EQ(m->min_host_minor, 2U);
  ASSERT_EQ(m->families.size(), 1U);
  const FamilyManifest& f = m->families.front();
  EXPECT_EQ(f.aspects, static_cast<std::uint32_t>(PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_HEAD));
  EXPECT_TRUE(f.vision_cache);
  EXPECT_EQ(f.architectures.at("OneForCausalLM"), static_cast<std::uint32_t>(PLIMSOLL_SIGNAL_ALWAYS)); // the family's
  EXPECT_EQ(f.architectures.at("TwoForCausalLM"), static_cast<std::uint32_t>(PLIMSOLL_SIGNAL_NEVER));  // its own
  EXPECT_THAT(f.model_types, ElementsAre("one", "two"));
  EXPECT_EQ(f.class_defaults.at("one")["nested"]["deep"], 3);
}

// One line of the good manifest replaced; the error must name the file, the line and the key.
struct Broken {
  const char* line;
  const char* instead;
  const char* message;
  int at_line; // 0: the file alone
};

TEST(Manifest, IsRefusedWithTheLineAtFault) {
  const std::vector<Broken> cases{
      {"schema: plimsoll.plugin/1", "schema: plimsoll.plugin/2", "'schema': 'plimsoll.plugin/1' was expected", 1},
      {"schema: plimsoll.plugin/1\n", "", "'schema'", 1},
      {"id: good\n", "id: [a, b]\n", "'id': a non-empty text was expected", 2},
      {"id: good\n", "", "'id': a non-empty text was expected", 1},
      {"version: 1.2.3", "version: \"\"", "'version'", 3},
      {"vendor: Acme", "vendor: {name: Acme}", "'vendor'", 4},
      {"major: 1", "major: one", "'major': a number from 0 to 65535 was expected", 5},
      {"major: 1", "major: -1", "'major'", 5},
      {"minor: 4", "minor: 99999", "'minor'", 5},
      {", min_host_minor: 2", "", "'min_host_minor'", 5},
      {"abi: {major: 1, minor: 4, min_host_minor: 2}", "abi: 1.0", "'abi': major, minor and min_host_minor were expected", 1},
      {"library: libgood.so", "library: ../libgood.so", "'library': a file name in the plugin's own folder was expected", 6},
      {"library: libgood.so", "library: /lib/libgood.so", "'library'", 6},
      {"library: libgood.so", "library: ..", "'library'", 6},
      {"  - id: good.family", "  - name: good.family", "'id': a non-empty text was expected", 8},
      {"aspects: [attention, head]", "aspects: [attention, teeth]", "'aspects': one of embedding, attention", 9},
      {"aspects: [attention, head]", "aspects: []", "'aspects': a list of what the family counts was expected", 8},
      {"aspects: [attention, head]", "aspects: attention", "'aspects'", 8},
      {"signal_buffers: always", "signal_buffers: sometimes", "'signal_buffers': one of never, multi_rank, always was expected", 10},
      {"vision_cache: true", "vision_cache: perhaps", "'vision_cache': true or false was expected", 11},
      {"- OneForCausalLM", "- [OneForCausalLM]", "'architectures': a non-empty text was expected", 13},
      {"{name: TwoForCausalLM, signal_buffers: never}", "{signal_buffers: never}", "'name'", 14},
      {"{name: TwoForCausalLM, signal_buffers: never}", "{name: Two, signal_buffers: no}", "'signal_buffers'", 14},
      {"model_types: [one, two]", "model_types: [one, {two: 2}]", "'model_types': a non-empty text was expected", 15},
      {"one: {hidden_size: 64, nested: {deep: 3}}", "one: 64", "'class_defaults'", 17},
      {"abi: {major", "abi: {{{major", "", 0},
      {"id: good\n", "id: \tgood: [\n", "is not valid YAML", 0},
  };
  for (const Broken& c : cases) {
    std::string text = kGood;
    const std::size_t at = text.find(c.line);
    ASSERT_NE(at, std::string::npos) << c.line;
    text.replace(at, std::string(c.line).size(), c.instead);
    const TemporaryFolder folder;
    const std::string file = folder.write("plugin.yaml", text);
    const auto m = read_manifest(folder.path());
    ASSERT_FALSE(m) << c.line << " -> " << c.instead;
    EXPECT_EQ(m.error().code, ErrorCode::kPluginFailed) << c.instead;
    EXPECT_THAT(m.error().message, HasSubstr(c.message)) << c.instead;
    EXPECT_THAT(m.error().where, HasSubstr(file));
    if (c.at_line != 0) {
      EXPECT_EQ(m.error().where, file + ":" + std::to_string(c.at_line)) << c.instead << ": " << m.error().message;
    }
  }
}

TEST(Manifest, NeedsAMapAndAFamily) {
  for (const char* text : {"", "- a\n- b\n", "just words", "42"}) {
    const TemporaryFolder folder;
    folder.write("plugin.yaml", text);
    const auto m = read_manifest(folder.path());
    ASSERT_FALSE(m) << text;
    EXPECT_THAT(m.error().message, HasSubstr("keys and values were expected"));
  }
  std::string text = kGood;
  text.resize(text.find("families:"));
  for (const char* families : {"", "families: []\n", "families: none\n"}) {
    const TemporaryFolder folder;
    folder.write("plugin.yaml", text + families);
    const auto m = read_manifest(folder.path());
    ASSERT_FALSE(m) << families;
    EXPECT_THAT(m.error().message, HasSubstr("at least one family was expected"));
  }
}

// Deep nesting and aliases that multiply: refused, without exhausting the stack or memory.
TEST(Manifest, OfAnEnemyIsRefused) {
  std::string laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    laughs += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 9; ++i) laughs += std::string(i == 0 ? "*" : ", *") + static_cast<char>(c - 1);
    laughs += "]\n";
  }
  std::string bomb = kGood;
  bomb.replace(bomb.find("{deep: 3}"), 9, "*j");
  const std::vector<std::string> texts{std::string(500'000, '['), "a: " + std::string(400'000, '{'), std::string(2 << 20, ' '),
                                       laughs + bomb};
  for (const std::string& text : texts) {
    const TemporaryFolder folder;
    folder.write("plugin.yaml", text);
    const auto m = read_manifest(folder.path());
    ASSERT_FALSE(m) << text.substr(0, 20);
    EXPECT_EQ(m.error().code, ErrorCode::kPluginFailed);
  }
}

TEST(Manifest, ThatIsNotThereNamesTheFile) {
  const auto m = read_manifest("/nonexistent");
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().code, ErrorCode::kPluginFailed);
  EXPECT_THAT(m.error().where, HasSubstr("/nonexistent/plugin.yaml"));
}

TEST(Manifest, NamesAspectsInOneOrder) {
  EXPECT_THAT(aspect_names(PLIMSOLL_ASPECT_ALL), ElementsAre("embedding", "attention", "ffn", "state", "vision", "head"));
  EXPECT_THAT(aspect_names(PLIMSOLL_ASPECT_HEAD | PLIMSOLL_ASPECT_EMBED), ElementsAre("embedding", "head"));
  EXPECT_TRUE(aspect_names(0).empty());
}

TEST(Manifest, NamesMayLieBesideItAsJson) {
  std::string text = kGood;
  const std::size_t from = text.find("    architectures:");
  text.replace(from, std::string::npos, "    models: models.json\n");
  const TemporaryFolder folder;
  folder.write("plugin.yaml", text);
  folder.write("models.json", R"({"architectures": ["One", {"name": "Two", "signal_buffers": "never"}], "model_types": ["one"],
                                  "class_defaults": {"one": {"hidden_size": 64}}})");
  const auto m = read_manifest(folder.path());
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->families.front().architectures.size(), 2U);
  EXPECT_EQ(m->families.front().model_types, std::vector<std::string>{"one"});
  EXPECT_EQ(m->families.front().class_defaults.at("one")["hidden_size"], 64);
  for (const char* wrong :
       {"[]", "{\"architecture\": []}", "{\"architectures\": [1]}", "{\"class_defaults\": {\"one\": 1}}", "{", "{\"a\": 1, \"a\": 2}"}) {
    folder.write("models.json", wrong);
    const auto refused = read_manifest(folder.path());
    ASSERT_FALSE(refused) << wrong;
    EXPECT_THAT(refused.error().message, HasSubstr("models.json")) << wrong;
  }
}

} // namespace
} // namespace plimsoll::testing
