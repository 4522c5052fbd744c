// plimsoll_identity.h: what is made of a manifest, and what a build is told where there is none or a wrong one.
#include "plugin/identity.hpp"

#include <gmock/gmock.h>

#include "plimsoll/host.hpp"
#include "unit/plugin/temporary_folder.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTwo = R"(schema: plimsoll.plugin/1
id: com.acme.two
version: 1.2.3-rc.1+build-7
vendor: "Acme \" */ #define X"
abi: {major: 1, minor: 4, min_host_minor: 2}
library: libtwo.so
families:
  - {id: com.acme.text, aspects: [embedding, attention, ffn, head], signal_buffers: always}
  - {id: com.acme.vision, aspects: [vision], signal_buffers: never, signal_sites: 3, signal_bytes: 1125899906842624}
)";

constexpr const char* kHeader = R"(/* Made from plugin.yaml of com.acme.two 1.2.3-rc.1+build-7; do not edit. */
#ifndef PLIMSOLL_IDENTITY_H
#define PLIMSOLL_IDENTITY_H

#define PLIMSOLL_IDENTITY_ID "com.acme.two"
#define PLIMSOLL_IDENTITY_VERSION "1.2.3-rc.1+build-7"
#define PLIMSOLL_IDENTITY_N_FAMILIES 2
#define PLIMSOLL_IDENTITY_PLUGIN \
  PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini), 4u, 2u, PLIMSOLL_STR("com.acme.two"), PLIMSOLL_STR("1.2.3-rc.1+build-7")
#define PLIMSOLL_IDENTITY_FAMILY_0 \
  PLIMSOLL_SIZE_THROUGH(plimsoll_family, api), 39u, 2u, 1u, 0u, PLIMSOLL_STR("com.acme.text")
#define PLIMSOLL_IDENTITY_FAMILY_1 \
  PLIMSOLL_SIZE_THROUGH(plimsoll_family, api), 16u, 0u, 3u, 1125899906842624u, PLIMSOLL_STR("com.acme.vision")
#define PLIMSOLL_IDENTITY_FAMILIES \
  {PLIMSOLL_IDENTITY_FAMILY_0, NULL}, \
  {PLIMSOLL_IDENTITY_FAMILY_1, NULL}

#endif
)";

TEST(Identity, HoldsWhatTheManifestSays) {
  const TemporaryFolder folder;
  folder.write("plugin.yaml", kTwo);
  for (const std::string& path : {folder.path(), folder.path("plugin.yaml")}) {
    const auto header = plugin_identity(path);
    ASSERT_TRUE(header) << header.error().where << ": " << header.error().message;
    EXPECT_EQ(*header, kHeader);
  }
  // Under any name, as builds have it.
  folder.write("two.manifest", kTwo);
  EXPECT_EQ(plugin_identity(folder.path("two.manifest")).value_or(""), kHeader);
}

TEST(Identity, DoesNotDependOnWhereTheManifestLies) {
  const TemporaryFolder one;
  const TemporaryFolder other;
  one.write("plugin.yaml", good_manifest("alpha"));
  other.write("deep/down/plugin.yaml", good_manifest("alpha"));
  const auto header = plugin_identity(one.path());
  ASSERT_TRUE(header);
  EXPECT_EQ(*header, plugin_identity(other.path("deep/down")).value_or(""));
}

TEST(Identity, OfNothingIsARequestGoneWrong) {
  const TemporaryFolder folder;
  folder.write("empty/readme", "");
  struct Case {
    std::string path;
    const char* says;
  };
  const Case cases[] = {{folder.path("nowhere"), "there is no such file or folder"},
                        {folder.path("nowhere/plugin.yaml"), "there is no such file or folder"},
                        {"", "there is no such file or folder"},
                        {folder.path("empty"), "holds no plugin.yaml"}};
  for (const Case& c : cases) {
    const auto header = plugin_identity(c.path);
    ASSERT_FALSE(header) << c.path;
    EXPECT_EQ(header.error().code, ErrorCode::kBadRequest) << c.path;
    EXPECT_THAT(header.error().message, HasSubstr(c.says)) << c.path;
    EXPECT_EQ(header.error().where, c.path);
  }
}

TEST(Identity, OfAWrongManifestNamesFileAndKey) {
  const TemporaryFolder folder;
  std::string text = good_manifest("alpha");
  const std::string file = folder.write("plugin.yaml", text.replace(text.find("library:"), 8, "librari:"));
  const auto header = plugin_identity(folder.path());
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().code, ErrorCode::kPluginFailed);
  EXPECT_EQ(header.error().message, "an unknown key; did you mean library?");
  EXPECT_EQ(header.error().where, file + ": /librari");
  // A file that the manifest names must be there too.
  folder.write("plugin.yaml", good_manifest("alpha") + "    models: gone.json\n");
  const auto gone = plugin_identity(folder.path());
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kPluginFailed);
  EXPECT_THAT(gone.error().message, HasSubstr("gone.json"));
}

TEST(Identity, OfAPluginWithoutCodeIsNone) {
  const TemporaryFolder folder;
  folder.write("plugin.yaml", "schema: plimsoll.plugin/1\nid: names\nversion: 1.0.0\nvendor: Acme\naliases: {a: b}\n");
  const auto header = plugin_identity(folder.path());
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().code, ErrorCode::kBadRequest);
  EXPECT_THAT(header.error().message, HasSubstr("a plugin without code has no library"));
}

} // namespace
} // namespace plimsoll::testing
