// Manifests that are made otherwise than most: aliases without code, names in a file beside them, a name of their own; and what a
// family says of its signal buffers.
#include <gmock/gmock.h>

#include "plimsoll/abi.h"
#include "plugin/manifest.hpp"
#include "unit/plugin/temporary_folder.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The last lines of a manifest whose first four are right.
Result<Manifest> read_after_vendor(const TemporaryFolder& folder, const std::string& rest) {
  folder.write("plugin.yaml", "schema: plimsoll.plugin/1\nid: names\nversion: 1.0.0\nvendor: Acme\n" + rest);
  return read_manifest(folder.path());
}

TEST(Manifest, MayHaveAliasesAndNoCode) {
  const TemporaryFolder folder;
  const auto m = read_after_vendor(folder, "aliases: {nimbus_text: qwen3}\nreplaces: [dense]\n");
  ASSERT_TRUE(m) << m.error().where << ": " << m.error().message;
  EXPECT_EQ(m->library, "");
  EXPECT_TRUE(m->families.empty());
  EXPECT_EQ(m->aliases.at("nimbus_text"), "qwen3");
  EXPECT_EQ(m->abi_major, PLIMSOLL_ABI_MAJOR); // this host's
  EXPECT_EQ(m->abi_minor, 0U);
  EXPECT_EQ(m->min_host_minor, 0U);
  EXPECT_THAT(files_of(*m), ElementsAre("plugin.yaml"));
  EXPECT_TRUE(m->formats->types.empty());
  // What it says of the ABI all the same is taken at its word.
  const auto said = read_after_vendor(folder, "aliases: {nimbus_text: qwen3}\nabi: {major: 1, minor: 4, min_host_minor: 2}\n");
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_EQ(said->abi_minor, 4U);
  EXPECT_EQ(said->min_host_minor, 2U);
}

TEST(Manifest, WithoutCodeHasAliasesAndNothingElse) {
  const std::string family = "families: [{id: names, aspects: [head], signal_buffers: never}]\n";
  const std::string abi = "abi: {major: 1, minor: 0, min_host_minor: 0}\n";
  const std::string aliases = "aliases: {a: b}\n";
  struct Case {
    std::string rest;
    const char* says;
    const char* pointer;
  };
  const Case cases[] = {
      {abi, "a non-empty text was expected", "/library"},
      {"aliases: {}\n", "a non-empty text was expected", "/library"},
      {aliases + family + abi, "a non-empty text was expected", "/library"},
      {aliases + "library: libnames.so\n" + abi, "at least one family was expected", "/families"},
      {aliases + "library: libnames.so\nfamilies: []\n" + abi, "at least one family was expected", "/families"},
      {aliases + "library: libnames.so\n" + family, "major, minor and min_host_minor were expected", "/abi"},
      {aliases + "abi: {major: 1}\n", "a number from 0 to 65535 was expected", "/abi/minor"},
      {aliases + "families: []\n", "a non-empty text was expected", "/library"},
  };
  for (const Case& c : cases) {
    const TemporaryFolder folder;
    const auto m = read_after_vendor(folder, c.rest);
    ASSERT_FALSE(m) << c.rest;
    EXPECT_EQ(m.error().code, ErrorCode::kPluginFailed);
    EXPECT_THAT(m.error().message, HasSubstr(c.says)) << c.rest;
    EXPECT_EQ(m.error().where, folder.path("plugin.yaml") + ": " + c.pointer) << c.rest;
  }
}

TEST(Manifest, AliasesEnd) {
  std::string many = "aliases: {a0: b";
  for (int i = 1; i < 256; ++i) many += ", a" + std::to_string(i) + ": b";
  const TemporaryFolder folder;
  const auto m = read_after_vendor(folder, many + "}\n");
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->aliases.size(), 256U);
  const auto refused = read_after_vendor(folder, many + ", a256: b}\n");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "257 names; at most 256 are read");
  EXPECT_EQ(refused.error().where, folder.path("plugin.yaml") + ": /aliases");
}

TEST(Manifest, SignalSitesAreOneWhereNothingIsSaidOrNone) {
  for (const char* sites : {"", "    signal_sites: 0\n", "    signal_sites: 1\n"}) {
    const TemporaryFolder folder;
    folder.write("plugin.yaml", good_manifest("alpha") + sites);
    const auto m = read_manifest(folder.path());
    ASSERT_TRUE(m) << sites;
    EXPECT_EQ(m->families.front().signal_sites, 1U) << sites;
    EXPECT_EQ(m->families.front().signal_bytes, 0U) << sites;
  }
  const TemporaryFolder folder;
  folder.write("plugin.yaml", good_manifest("alpha") + "    signal_sites: 4096\n    signal_bytes: 1125899906842624\n");
  const auto m = read_manifest(folder.path());
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->families.front().signal_sites, PLIMSOLL_MAX_SIGNAL_SITES);
  EXPECT_EQ(m->families.front().signal_bytes, PLIMSOLL_MAX_ITEM_BYTES);
}

TEST(Manifest, HasAFamilyOnce) {
  const TemporaryFolder folder;
  const std::string file =
      folder.write("plugin.yaml", good_manifest("alpha") + "  - {id: alpha, aspects: [head], signal_buffers: never}\n");
  const auto m = read_manifest(folder.path());
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().message, "family 'alpha' is there twice");
  EXPECT_EQ(m.error().where, file + ": /families/1/id");
}

TEST(Manifest, MayHaveAnotherNameWhereABuildHasIt) {
  const TemporaryFolder folder;
  std::string text = good_manifest("alpha");
  text.replace(text.find("    architectures:"), std::string::npos, "    models: names.json\n");
  folder.write("alpha.manifest", text);
  folder.write("names.json", R"({"architectures": ["One"]})");
  const auto m = read_manifest_file(folder.path("alpha.manifest"));
  ASSERT_TRUE(m) << m.error().where << ": " << m.error().message;
  EXPECT_EQ(m->directory, folder.path());
  EXPECT_EQ(m->families.front().names().architectures.count("One"), 1U);
}

TEST(Manifest, NamesMayLieBesideItAsJson) {
  std::string text = good_manifest("good");
  const std::size_t from = text.find("    architectures:");
  text.replace(from, std::string::npos, "    models: models.json\n");
  const TemporaryFolder folder;
  folder.write("plugin.yaml", text);
  folder.write("models.json", R"({"architectures": ["One", {"name": "Two", "signal_buffers": "never"}], "model_types": ["one"],
                                  "class_defaults": {"one": {"hidden_size": 64}}})");
  const auto m = read_manifest(folder.path());
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->families.front().names().architectures.size(), 2U);
  EXPECT_EQ(m->families.front().names().model_types, std::vector<std::string>{"one"});
  EXPECT_EQ(m->families.front().names().class_defaults.at("one").get()["hidden_size"], 64);
  struct Wrong {
    const char* text;
    const char* says; // with the place inside models.json
  };
  const Wrong cases[] = {
      {"[]", "an object was expected"},
      {"{\"architecture\": []}", "models.json: /architecture)"},
      {"{\"architectures\": \"One\"}", "models.json: /architectures)"},
      {"{\"architectures\": [1]}", "models.json: /architectures/0)"},
      {"{\"architectures\": [{\"name\": \"Two\", \"signal_buffers\": 1}]}", "models.json: /architectures/0/signal_buffers)"},
      {"{\"model_types\": [\"one\", 2]}", "models.json: /model_types/1)"},
      {"{\"class_defaults\": {\"one\": 1}}", "models.json: /class_defaults/one)"},
      {"{\"class_defaults\": {\"one\": {\"a\": 1, \"a\": 1}}}", "'a' appears twice"},
      {"{", "is not valid JSON"},
      {"{\"a\": 1, \"a\": 2}", "'a' appears twice"},
  };
  for (const Wrong& c : cases) {
    folder.write("models.json", c.text);
    const auto refused = read_manifest(folder.path());
    ASSERT_FALSE(refused) << c.text;
    EXPECT_THAT(refused.error().message, HasSubstr("models.json")) << c.text;
    EXPECT_THAT(refused.error().message, HasSubstr(c.says)) << c.text;
    EXPECT_THAT(refused.error().where, HasSubstr("plugin.yaml: /families/0/models")) << c.text;
  }
}

} // namespace
} // namespace plimsoll::testing
